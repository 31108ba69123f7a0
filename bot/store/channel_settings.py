from contextlib import suppress
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.channel_settings import CHANNEL_SETTINGS, ChannelSettings, prompt_version
from bot.core.conversation import is_direct_message
from bot.store import audit
from bot.store.database import Operations, reads, writes
from bot.store.rows import upsert
from bot.store.schema import channel_settings


class ChannelSettingsStore(Operations):
    @reads
    async def read(self, connection: AsyncConnection, team_id: str, channel_id: str) -> ChannelSettings:
        of_channel = channel_settings.c.team_id == team_id, channel_settings.c.channel_id == channel_id
        row = (await connection.execute(sa.select(channel_settings).where(*of_channel))).one_or_none()
        return ChannelSettings() if row is None else _settings_of(row)

    @reads
    async def read_all(self, connection: AsyncConnection, team_id: str) -> dict[str, ChannelSettings]:
        """Returns the settings of every channel that has any, keyed by channel ID. Excludes direct messages."""
        of_team = sa.select(channel_settings).where(channel_settings.c.team_id == team_id)
        rows = (await connection.execute(of_team.order_by(channel_settings.c.channel_id))).all()
        found = {row.channel_id: _settings_of(row) for row in rows if not is_direct_message(row.channel_id)}
        return {channel_id: settings for channel_id, settings in found.items() if settings != ChannelSettings()}

    @writes
    async def write(
        self, connection: AsyncConnection, team_id: str, channel_id: str, settings: ChannelSettings, by: str = ""
    ) -> None:
        """Replaces a channel's settings. All processes use the new settings starting with the next question. `by`: the
        person to record in the audit."""
        channel = {"team_id": team_id, "channel_id": channel_id}
        await upsert(connection, channel_settings, channel, asdict(settings))
        prompt = settings.system_prompt
        facts = asdict(settings) | {"system_prompt": prompt_version(prompt) if prompt else ""}
        await audit.record_setting(connection, self._now(), "channel", facts, by=by, **channel)


async def read_chosen_servers(connection: AsyncConnection) -> dict[str, tuple[str, ...]]:
    rows = await connection.execute(sa.select(channel_settings.c.channel_id, channel_settings.c.mcp_servers))
    return {row.channel_id: tuple(row.mcp_servers) for row in rows if row.mcp_servers}


def _settings_of(row: sa.Row[Any]) -> ChannelSettings:
    """Returns a channel's settings. Values from another version of Typist are treated as unset."""
    values: dict[str, Any] = {}
    for name, setting in CHANNEL_SETTINGS.items():
        value = getattr(row, name)
        with suppress(ValueError):
            values |= {} if value is None else {name: setting.parse(value)}
    return ChannelSettings(**values)
