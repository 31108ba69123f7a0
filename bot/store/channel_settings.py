"""What channels have for themselves."""

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.inbound.channel_settings import ChannelSettings
from bot.store.rows import insert_into
from bot.store.schema import channels


async def read(connection: AsyncConnection, team_id: str, channel_id: str) -> ChannelSettings:
    """Those of a channel that nobody set are empty."""
    kept = sa.select(channels.c.model, channels.c.system_prompt, channels.c.mention_only)
    of_channel = kept.where(channels.c.team_id == team_id, channels.c.channel_id == channel_id)
    row = (await connection.execute(of_channel)).one_or_none()
    return ChannelSettings(row.model, row.system_prompt, row.mention_only) if row else ChannelSettings()


async def write(connection: AsyncConnection, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
    """In place of what was there."""
    row = insert_into(connection, channels).values(team_id=team_id, channel_id=channel_id, **asdict(settings))
    await connection.execute(
        row.on_conflict_do_update(index_elements=list(channels.primary_key), set_=asdict(settings))
    )
