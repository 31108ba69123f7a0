"""Channels. Each method raises RateLimited and Refused."""

from typing import Protocol


class Channels(Protocol):
    """Looks up channels."""

    async def creator(self, channel_id: str) -> str | None:
        """Returns who created a channel, None if Slack doesn't say."""
        ...
