"""Channel settings: a channel's own model, system prompt, rules for answering, web search and MCP servers."""

from dataclasses import asdict, fields

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Effort
from bot.core.inbound.channel_settings import ChannelSettings, Length, prompt_version
from bot.core.inbound.engagement import Engagement
from bot.store import audit
from bot.store.database import Operations, reads, writes
from bot.store.rows import put
from bot.store.schema import channel_settings


class ChannelSettingsStore(Operations):
    """Reads and writes the settings of channels."""

    @reads
    async def read(self, connection: AsyncConnection, team_id: str, channel_id: str) -> ChannelSettings:
        """Returns a channel's latest settings, whichever process wrote them; empty ones if there are none."""
        columns = sa.select(*(channel_settings.c[field.name] for field in fields(ChannelSettings)))
        of_channel = columns.where(channel_settings.c.team_id == team_id, channel_settings.c.channel_id == channel_id)
        row = (await connection.execute(of_channel)).one_or_none()
        if row is None:
            return ChannelSettings()
        engagement = Engagement(row.engagement) if row.engagement else None
        typed = {"engagement": engagement, "effort": Effort(row.effort), "length": Length(row.length)}
        return ChannelSettings(**{**row._mapping, **typed, "mcp_servers": tuple(row.mcp_servers)})

    @writes
    async def write(
        self, connection: AsyncConnection, team_id: str, channel_id: str, settings: ChannelSettings, by: str = ""
    ) -> None:
        """Replaces a channel's settings, from the next question on and in all processes.

        `by` is the person who changed them, for the audit.
        """
        channel = {"team_id": team_id, "channel_id": channel_id}
        await put(connection, channel_settings, channel, asdict(settings))
        prompt = settings.system_prompt
        facts = asdict(settings) | {"system_prompt": prompt_version(prompt) if prompt else ""}
        await audit.setting_changed(connection, self._now(), "channel", facts, by=by, **channel)
