"""What is removed for good, and which texts are kept no longer."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.core.conversation import ThreadKey
from bot.core.limits.caps import Scope
from bot.ports.clock import Clock
from bot.store import checkpoints, pane_context, usage_totals
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness
from bot.store.notices import expire as expire_notices
from bot.store.queue import batch
from bot.store.rows import DOING, TODO, in_thread, thread_values, wake_others
from bot.store.schema import asks, feedback, jobs, looks, notices, seen_events, shared_threads, spending, turns

SLACK_RETRIES_S = 3600.0
"""For so long, and some more, Slack may send an event again; forgotten, it would be answered again."""

ASKS_KEPT_S = 24 * 3600.0
"""Longer than a modal stays open, and than a question about a message is tried again."""


class SqlErasure:
    """Implements the ports Retention and Erasure. Both may have much to do, so that neither is bounded."""

    def __init__(self, database: Database, worker: WorkerLiveness, clock: Clock) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock

    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> int:
        """Removes the questions and answers of a person or a thread, or all, for good; returns how many jobs."""
        return await self._database.complete(self._erase(user_id, thread), bounded=False)

    async def expire(self, before: float) -> int:
        """Empties the texts of jobs that ended before then; returns how many texts."""
        return await self._database.complete(self._expire(before), bounded=False)

    async def _erase(self, user_id: str | None, thread: ThreadKey | None) -> int:
        async with self._database.begin_write() as connection:
            count = await erase(connection, user_id, thread)
            await wake_others(connection, self._worker.name)
        await overwrite(self._database.engine)
        return count

    async def _expire(self, before: float) -> int:
        async with self._database.begin_write() as connection:
            now = self._clock.now()
            await usage_totals.expire(connection, now)
            await expire_notices(connection, now)
            await pane_context.expire(connection, now)
            return await expire(connection, before, now)


async def erase(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> int:
    """Jobs with their turns; those being done are asked to stop, and their end removes them.

    Other people's questions that would have ended with them are answered all the same.
    """
    where: list[sa.ColumnElement[bool]] = []
    if user_id is not None:
        where.append(jobs.c.user_id == user_id)
    if thread is not None:
        where.append(in_thread(thread))
    if user_id is not None:
        begun = sa.select(jobs.c.id).where(*where, jobs.c.status.in_([TODO, DOING]), jobs.c.attempts > 0)
        for job_id in (await connection.scalars(begun)).all():
            await batch.part(connection, job_id, but_of=user_id)
    live = sa.update(jobs).where(*where, jobs.c.status == DOING).values(stop_asked=True, forget_asked=True)
    ended = sa.delete(jobs).where(*where, jobs.c.status != DOING)
    count = (await connection.execute(live)).rowcount + (await connection.execute(ended)).rowcount
    if user_id is None:
        of_thread = [] if thread is None else [shared_threads.c[n] == v for n, v in thread_values(thread).items()]
        await connection.execute(sa.delete(shared_threads).where(*of_thread))
    if thread is None:
        await _forget_person(connection, user_id)
    if not where:
        # An event's id names neither people nor threads, so that only "all" can mean it.
        await connection.execute(sa.delete(seen_events))
    return count


async def _forget_person(connection: AsyncConnection, user_id: str | None) -> None:
    """What is kept of a person beside what they asked, or of everybody; sums without a name stay."""
    person = sa.and_(spending.c.scope == Scope.USER.value, spending.c.scope_id == user_id)
    await connection.execute(sa.delete(spending).where(person if user_id else sa.true()))
    await connection.execute(sa.delete(notices).where(notices.c.user_id == user_id if user_id else sa.true()))
    await connection.execute(sa.delete(looks).where(looks.c.user_id == user_id if user_id else sa.true()))
    await connection.execute(sa.delete(asks).where(asks.c.user_id == user_id if user_id else sa.true()))
    await connection.execute(sa.delete(feedback).where(feedback.c.user_id == user_id if user_id else sa.true()))


async def overwrite(engine: AsyncEngine) -> None:
    """SQLite leaves what was deleted in its file and its log until they are written over; nothing elsewhere."""
    if engine.dialect.name == "sqlite":
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]


async def expire(connection: AsyncConnection, before: float, now: float) -> int:
    """Empties texts, and drops events that Slack won't send again."""
    ended = jobs.c.status.not_in([TODO, DOING])
    kept = sa.or_(jobs.c.text != "", sa.cast(jobs.c.files, sa.Text) != "[]")
    questions = sa.update(jobs).where(jobs.c.created_at < before, kept, ended).values(text="", files=[])
    answers = sa.update(turns).where(turns.c.created_at < before, turns.c.answer != "").values(answer="")
    oldest = min(before, now - SLACK_RETRIES_S)
    count = (await connection.execute(questions)).rowcount + (await connection.execute(answers)).rowcount
    await checkpoints.drop(connection, jobs.c.created_at < before)
    await connection.execute(sa.delete(asks).where(asks.c.created_at < now - ASKS_KEPT_S))
    await connection.execute(sa.delete(seen_events).where(seen_events.c.seen_at < oldest))
    return count
