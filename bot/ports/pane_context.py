"""The channel that a person has open beside the assistant pane. Raises StoreError."""

from typing import Protocol


class PaneContextReader(Protocol):
    """Reads the context of the pane."""

    async def read(self, team_id: str, user_id: str) -> str:
        """Returns the channel that a person had open last, "" if Slack named none in the last eight hours."""
        ...


class PaneContextWriter(Protocol):
    """Records the context of the pane."""

    async def write(self, team_id: str, user_id: str, channel_id: str) -> None:
        """Records which channel a person has open; "" is none."""
        ...
