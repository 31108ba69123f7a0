"""The settings of a channel."""

from bot.core.inbound.channel_settings import ChannelSettings
from bot.store import Stores


class TestDurability:
    async def test_channel_settings_are_the_last_ones_set(self, store: Stores) -> None:
        assert await store.channel_settings.read("T1", "C1") == ChannelSettings()
        for settings in (
            ChannelSettings("openai/test", "Rhyme.", True, mcp_servers=("time", "github")),
            ChannelSettings(mention_only=False, web_search=False),
        ):
            await store.channel_settings.write("T1", "C1", settings)
            assert await store.channel_settings.read("T1", "C1") == settings
        assert await store.channel_settings.read("T1", "C2") == ChannelSettings()
