"""Repairs rows that an older version recorded under another organization's team id.

In a channel that is shared by Slack Connect, an event names the team that hosts the channel or that the writer belongs
to. Older versions recorded questions under that id, where no button, cap or setting found them. A database holds one
workspace (docs/scaling.md), so every other team id in it comes from such an event.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.caps import Scope
from bot.store.database import Database
from bot.store.predicates import is_running
from bot.store.rows import lock_key, on_postgresql
from bot.store.schema import channel_settings, group_threads, jobs, notices, pane_contexts, usage_totals

_KEYED = (group_threads, notices, channel_settings, pane_contexts, usage_totals)
"""Tables whose primary key begins with the team."""


async def adopt(database: Database, team_id: str) -> None:
    """Moves all rows to this team; costs one index lookup per table if there is nothing to move. Raises StoreError."""
    await database.complete(_adopt_all(database, team_id), bounded=False)


async def _adopt_all(database: Database, team_id: str) -> None:
    async with database.begin_write() as connection:
        if on_postgresql(connection):
            # Processes may start together, so they take turns.
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_key("teams"))))
        for table in (jobs, *_KEYED):
            for theirs in await _others(connection, table, team_id):
                await _adopt(connection, table, theirs, team_id)


async def _others(connection: AsyncConnection, table: sa.Table, team_id: str) -> list[str]:
    """Returns the other team ids. It looks them up one by one, because a DISTINCT would read the whole index."""
    others: list[str] = []
    last = ""
    while True:
        after = sa.select(sa.func.min(table.c.team_id)).where(table.c.team_id > last)
        if (team := await connection.scalar(after)) is None:
            return others
        others += [team] if team != team_id else []
        last = team


async def _adopt(connection: AsyncConnection, table: sa.Table, theirs: str, team_id: str) -> None:
    if table is jobs:
        await _adopt_jobs(connection, theirs, team_id)
        return
    if table is usage_totals:
        await _add_up(connection, theirs, team_id)
    if table is group_threads:
        await _since_the_earlier(connection, theirs, team_id)
    ours = table.alias()
    known = sa.exists().where(ours.c.team_id == team_id, *_same_key(table, ours))
    of_theirs = table.c.team_id == theirs
    await connection.execute(sa.update(table).where(of_theirs, ~known).values(team_id=team_id))
    await connection.execute(sa.delete(table).where(of_theirs))


async def _adopt_jobs(connection: AsyncConnection, theirs: str, team_id: str) -> None:
    """Moves jobs, except duplicates of our jobs and a second running job in a thread, which stay as they are."""
    ours = jobs.alias()
    of_ours = (ours.c.team_id == team_id, ours.c.channel_id == jobs.c.channel_id)
    known = sa.exists().where(*of_ours, ours.c.ts == jobs.c.ts)
    taken = sa.exists().where(*of_ours, ours.c.thread_ts == jobs.c.thread_ts, is_running(ours))
    free = sa.or_(~is_running(), ~taken)
    await connection.execute(sa.update(jobs).where(jobs.c.team_id == theirs, ~known, free).values(team_id=team_id))


async def _add_up(connection: AsyncConnection, theirs: str, team_id: str) -> None:
    """Adds usage that was recorded under the other id to this team's totals."""
    of_workspace = (usage_totals.c.team_id == theirs, usage_totals.c.scope == Scope.WORKSPACE.value)
    await connection.execute(sa.update(usage_totals).where(*of_workspace).values(scope_id=team_id))
    other = usage_totals.alias()
    same = (other.c.team_id == theirs, *_same_key(usage_totals, other))
    more = {
        name: usage_totals.c[name] + sa.select(other.c[name]).where(*same).scalar_subquery()
        for name in ("tokens", "cost_usd")
    }
    ours = sa.update(usage_totals).where(usage_totals.c.team_id == team_id, sa.exists().where(*same))
    await connection.execute(ours.values(more))


async def _since_the_earlier(connection: AsyncConnection, theirs: str, team_id: str) -> None:
    other = group_threads.alias()
    earlier = sa.select(other.c.since_ts).where(
        other.c.team_id == theirs,
        *_same_key(group_threads, other),
        other.c.since_ts < group_threads.c.since_ts,
    )
    ours = sa.update(group_threads).where(group_threads.c.team_id == team_id, earlier.exists())
    await connection.execute(ours.values(since_ts=earlier.scalar_subquery()))


def _same_key(table: sa.Table, other: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    return [other.c[column.name] == column for column in table.primary_key if column.name != "team_id"]
