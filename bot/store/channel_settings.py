"""Channel settings: a channel's own model, system prompt, need for mentions, web search and MCP servers."""

from dataclasses import asdict, fields

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.inbound.channel_settings import ChannelSettings
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import channel_settings


class ChannelSettingsStore:
    """Implements the ports ChannelSettingsReader and ChannelSettingsStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        """Returns a channel's latest settings, whichever process wrote them; empty ones if there are none."""
        return await self._database.read(read, team_id, channel_id)

    async def write(self, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
        """Replaces a channel's settings, from the next question on and in all processes."""
        await self._database.write(write, team_id, channel_id, settings)


async def read(connection: AsyncConnection, team_id: str, channel_id: str) -> ChannelSettings:
    """Returns a channel's settings, empty ones if nobody wrote any."""
    columns = sa.select(*(channel_settings.c[field.name] for field in fields(ChannelSettings)))
    of_channel = columns.where(channel_settings.c.team_id == team_id, channel_settings.c.channel_id == channel_id)
    row = (await connection.execute(of_channel)).one_or_none()
    if row is None:
        return ChannelSettings()
    return ChannelSettings(**{**row._mapping, "mcp_servers": tuple(row.mcp_servers)})


async def write(connection: AsyncConnection, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
    """Replaces a channel's settings."""
    row = insert_into(connection, channel_settings).values(team_id=team_id, channel_id=channel_id, **asdict(settings))
    await connection.execute(
        row.on_conflict_do_update(index_elements=list(channel_settings.primary_key), set_=asdict(settings))
    )
