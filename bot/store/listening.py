"""Stores when Slack last sent a message, and the progress of catching up after a gap (services/catching_up.py).

Each workspace has one row, which all processes share. `record_message_time` records the time of the newest message from
Slack to any process. If the previous message is more than GAP_S older, questions might have been missed, and the row
stores the gap. One process at a time catches up: it claims the gap with `claim_gap`, keeps it with `extend_hold`, and
records which places it has checked. If that process dies, another process continues the search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.store import outbox
from bot.store.database import database_file, reads, writes
from bot.store.rows import CLOCKS_DIFFER_S, insert_into, is_past, thread_columns, thread_of
from bot.store.schema import jobs, listening
from bot.store.workers import WorkerOperations, living_workers

GAP_S = 360.0
"""Nothing is lost in shorter gaps. Slack delivers an event at once, retries at once, after 1 minute, and after 5 more
minutes, and then gives up. The last attempt comes 360 to 369 s after the first one."""
MARGIN_S = 420.0
"""Maximum age, at the beginning of a gap, of an event that Slack hadn't delivered yet."""
HOLD_S = 30.0
"""The period for which a process keeps a catch-up after its last update. After that, another process can continue
it."""


@dataclass(frozen=True, slots=True)
class Tally:
    looked_at: int = 0
    unread: int = 0
    """Conversations and threads that Slack returned only in part."""
    answered: int = 0
    offered: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*map(int.__add__, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class MissedGap:
    """A gap in which questions might have been missed, and the catch-up's progress. Times are in seconds since 1970."""

    team_id: str
    begins_at: float
    ends_at: float
    done: frozenset[str] = frozenset()
    ahead: tuple[str, ...] = ()
    """Keys of the places to check, in order: places that Slack listed, followed by places that were found later."""
    tally: Tally = Tally()

    @property
    def since(self) -> float:
        return self.begins_at - MARGIN_S

    @property
    def away_s(self) -> float:
        return self.ends_at - self.begins_at

    def after(self, key: str, ahead: Sequence[str], tally: Tally) -> "MissedGap":
        return replace(self, done=self.done | {key}, ahead=(*self.ahead, *ahead), tally=self.tally + tally)


@dataclass(frozen=True, slots=True)
class Report:
    begins_at: float
    ends_at: float
    tally: Tally


class Listening(WorkerOperations):
    @writes
    async def record_message_time(self, connection: AsyncConnection, team_id: str, heard_at: float) -> None:
        """Records the time of a message from Slack, and the gap before the message if questions might have been
        missed."""
        new = insert_into(connection, listening).values(team_id=team_id, heard_at=heard_at)
        if await connection.scalar(new.on_conflict_do_nothing().returning(listening.c.heard_at)) is not None:
            return
        this = listening.c.team_id == team_id
        row = (await connection.execute(sa.select(listening).where(this).with_for_update())).one()
        # A future time was recorded by a wrong clock.
        if row.heard_at < heard_at or row.heard_at > self._now() + CLOCKS_DIFFER_S:
            await connection.execute(sa.update(listening).where(this).values(heard_at=heard_at))
        if heard_at - row.heard_at > GAP_S:
            # A second gap extends the first, so messages in between are checked once more.
            begins_at = row.heard_at if row.missed_from is None else row.missed_from
            gap = {"missed_from": begins_at, "missed_until": heard_at, "held_by": None, "held_until": None}
            await connection.execute(sa.update(listening).where(this).values(**gap, progress={}))
            # Slack might have been down for days.
            await outbox.wake(connection, self._now(), jobs.c.team_id == team_id)

    @writes
    async def claim_gap(self, connection: AsyncConnection, team_id: str) -> MissedGap | None:
        """Claims a gap for HOLD_S, so that this process can catch up on it. Returns None if there is no unclaimed
        gap."""
        now, row = self._now(), listening.c
        is_free = sa.or_(row.held_by.is_(None), is_past(row.held_until, now, HOLD_S))
        free = sa.update(listening).where(row.team_id == team_id, row.missed_from.is_not(None), is_free)
        taken = free.values(held_by=self._worker.name, held_until=now + HOLD_S).returning(listening)
        found = (await connection.execute(taken)).one_or_none()
        if found is None:
            return None
        progress = found.progress
        return MissedGap(
            found.team_id,
            found.missed_from,
            found.missed_until,
            frozenset(progress.get("done", ())),
            tuple(progress.get("ahead", ())),
            Tally(**progress.get("tally", {})),
        )

    @writes
    async def extend_hold(self, connection: AsyncConnection, team_id: str) -> bool:
        """Extends this process's hold. Returns False if another process holds the gap or a new gap has appeared."""
        return await self._update_if_held(connection, team_id, {})

    @writes
    async def record_progress(self, connection: AsyncConnection, missed: MissedGap) -> bool:
        """Records progress. Does nothing and returns False if `extend_hold` would return False."""
        progress = {"done": sorted(missed.done), "ahead": missed.ahead, "tally": asdict(missed.tally)}
        return await self._update_if_held(connection, missed.team_id, {"progress": progress})

    @writes
    async def end_catch_up(self, connection: AsyncConnection, missed: MissedGap) -> bool:
        """Ends the catch-up. Does nothing and returns False if `extend_hold` would return False."""
        report = {"begins_at": missed.begins_at, "ends_at": missed.ends_at, "tally": asdict(missed.tally)}
        over = {"missed_from": None, "missed_until": None, "progress": {}, "report": report}
        return await self._update_if_held(connection, missed.team_id, over)

    @reads
    async def threads_since(
        self, connection: AsyncConnection, team_id: str, since: float, limit: int
    ) -> list[ThreadKey]:
        columns = thread_columns()
        recent = sa.select(*columns).where(jobs.c.team_id == team_id, jobs.c.created_at > since)
        newest = recent.group_by(*columns).order_by(sa.func.max(jobs.c.ts).desc()).limit(limit)
        return [thread_of(row) for row in await connection.execute(newest)]

    @reads
    async def living_workers(self, connection: AsyncConnection) -> list[str]:
        return await living_workers(connection, database_file(self._database.engine.url), self._now())

    async def _update_if_held(self, connection: AsyncConnection, team_id: str, values: dict[str, Any]) -> bool:
        ours = listening.c.team_id == team_id, listening.c.held_by == self._worker.name
        held = {"held_until": self._now() + HOLD_S, **values}
        changed = sa.update(listening).where(*ours, listening.c.missed_from.is_not(None)).values(held)
        return (await connection.execute(changed)).rowcount > 0


async def read_message_times(connection: AsyncConnection) -> Mapping[str, float]:
    """Returns when Slack last sent a message to any process that uses this database, in seconds since 1970, keyed by
    workspace ID."""
    return {row.team_id: row.heard_at for row in await connection.execute(sa.select(listening))}


async def read_reports(connection: AsyncConnection) -> list[Report]:
    rows = await connection.scalars(sa.select(listening.c.report).where(listening.c.report.is_not(None)))
    return [Report(row["begins_at"], row["ends_at"], Tally(**row["tally"])) for row in rows if row]
