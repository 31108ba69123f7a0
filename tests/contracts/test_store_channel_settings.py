"""The settings of a channel."""

from bot.core.conversation import Effort
from bot.core.inbound.channel_settings import ChannelSettings, Length
from bot.core.inbound.engagement import Engagement
from bot.store import Stores


class TestDurability:
    async def test_channel_settings_are_the_last_ones_set(self, store: Stores) -> None:
        assert await store.channel_settings.read("T1", "C1") == ChannelSettings()
        for settings in (
            ChannelSettings(
                "openai/test", "Rhyme.", Engagement.EVERYONE, new_posts=True, gate=True, mcp_servers=("time", "github")
            ),
            ChannelSettings(engagement=Engagement.MENTIONS, web_search=False),
            ChannelSettings(effort=Effort.THOROUGH, length=Length.BRIEF),
        ):
            await store.channel_settings.write("T1", "C1", settings)
            assert await store.channel_settings.read("T1", "C1") == settings
        assert await store.channel_settings.read("T1", "C2") == ChannelSettings()
