"""Settings of single channels. Raises StoreError."""

from typing import Protocol

from bot.core.inbound.channel_settings import ChannelSettings


class ChannelSettingsReader(Protocol):
    """Reads the settings of channels."""

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        """Returns a channel's latest settings, whichever process wrote them; empty ones if there are none."""
        ...


class ChannelSettingsStore(ChannelSettingsReader, Protocol):
    """Reads and writes the settings of channels."""

    async def write(self, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
        """Replaces a channel's settings, from the next question on and in all processes."""
        ...
