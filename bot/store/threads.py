"""Stores a thread's participants: whether Typist or several people have written in the thread, and who wrote last."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.job import Status
from bot.core.triage import MAX_LINES, Line, Participants
from bot.errors import EndReason
from bot.store.database import Operations, reads, writes
from bot.store.rows import IS_DENIED, in_thread, insert_into, same_thread, thread_columns, thread_values
from bot.store.schema import THREAD_TABLES, group_threads, jobs, quiet_threads, thread_lines, turns

THREADS_AT_ONCE = 100
LINES_KEPT = 3 * MAX_LINES
"""The number of lines kept per thread. Slack can redeliver a message after later ones have been recorded."""


class ThreadParticipants(Operations):
    @reads
    async def participants_at(
        self, connection: AsyncConnection, thread: ThreadKey, user_id: str, ts: str
    ) -> Participants:
        """Returns a thread's participants at the time when `user_id` wrote the message `ts`. Excludes later messages,
        even if Slack delivers this one late. The result is the same if the message is delivered again, even if it is a
        question, because a question makes the bot a participant only from then on."""
        asked = in_thread(thread), ~IS_DENIED
        facts = sa.select(
            sa.exists().where(*asked, jobs.c.ts < ts),
            sa.exists().where(*asked, jobs.c.ts <= ts),
            sa.exists().where(in_thread(thread), jobs.c.user_id != user_id, jobs.c.ts < ts),
            _starter(thread),
            sa.select(quiet_threads.c.quiet)
            .where(in_thread(thread, quiet_threads), quiet_threads.c.switched_ts < ts)
            .scalar_subquery(),
            sa.select(group_threads.c.since_ts).where(in_thread(thread, group_threads)).scalar_subquery(),
        )
        takes_part, is_asked, other_asked, starter, quiet, since_ts = (await connection.execute(facts)).one()
        is_group = since_ts is not None and since_ts <= ts
        others = is_asked and (other_asked or is_group)
        lines = await _lines_before(connection, thread, ts) if others else ()
        return Participants(takes_part, others, others and not is_group, starter or "", bool(quiet), lines)

    @reads
    async def last_answer(self, connection: AsyncConnection, thread: ThreadKey, ts: str) -> str | None:
        """Returns the text of the last answer before `ts`. Returns "" while that answer is being written, and None if
        there is no such answer or it is waiting for a person."""
        answered = jobs.outerjoin(turns, turns.c.job_id == sa.func.coalesce(jobs.c.answered_with, jobs.c.id))
        last = sa.select(jobs.c.status, jobs.c.end_reason, turns.c.answer).select_from(answered)
        last = last.where(in_thread(thread), ~IS_DENIED, jobs.c.ts < ts)
        row = (await connection.execute(last.order_by(jobs.c.ts.desc(), turns.c.id.desc()).limit(1))).one_or_none()
        if row is None or row.status == Status.AWAITING_APPROVAL or row.end_reason == EndReason.OFFERED:
            return None
        return row.answer or ""

    @writes
    async def mark_group(
        self, connection: AsyncConnection, thread: ThreadKey, ts: str, starter: str | None = None
    ) -> None:
        """Records that several people have written in a thread, starting with the message `ts`. Keeps the earlier start
        if one is recorded. `starter`: the author of the thread's first message, if a person wrote it and it isn't a
        question."""
        if starter is not None:
            await _add_line(connection, thread, starter, thread.thread_ts or "")
        row = insert_into(connection, group_threads).values(**thread_values(thread), since_ts=ts)
        earlier = row.on_conflict_do_update(
            index_elements=list(group_threads.primary_key), set_={"since_ts": ts}, where=group_threads.c.since_ts > ts
        )
        await connection.execute(earlier)

    @writes
    async def record_line(self, connection: AsyncConnection, thread: ThreadKey, user_id: str, ts: str) -> None:
        """Records a person's message that isn't a question. Questions are already recorded as jobs."""
        await _add_line(connection, thread, user_id, ts)
        of_thread = in_thread(thread, thread_lines)
        newest = sa.select(thread_lines.c.ts).where(of_thread).order_by(thread_lines.c.ts.desc())
        too_old = thread_lines.c.ts <= newest.offset(LINES_KEPT).limit(1).scalar_subquery()
        is_first = thread_lines.c.ts == thread_lines.c.thread_ts
        await connection.execute(sa.delete(thread_lines).where(of_thread, too_old, ~is_first))

    @reads
    async def starter(self, connection: AsyncConnection, thread: ThreadKey) -> str:
        return await connection.scalar(sa.select(_starter(thread))) or ""

    @writes
    async def set_quiet(self, connection: AsyncConnection, thread: ThreadKey, *, quiet: bool, ts: str) -> bool:
        """Records whether the bot is quiet, starting with the message or click `ts`. Returns False if `ts` is
        outdated."""
        values = {"quiet": quiet, "switched_ts": ts}
        row = insert_into(connection, quiet_threads).values(**thread_values(thread), **values)
        newer = row.on_conflict_do_update(
            index_elements=list(quiet_threads.primary_key), set_=values, where=quiet_threads.c.switched_ts < ts
        )
        return await connection.scalar(newer.returning(quiet_threads.c.quiet)) is not None


async def _add_line(connection: AsyncConnection, thread: ThreadKey, user_id: str, ts: str) -> None:
    row = insert_into(connection, thread_lines).values(**thread_values(thread), ts=ts, user_id=user_id)
    await connection.execute(row.on_conflict_do_nothing())


def _starter(thread: ThreadKey) -> sa.ColumnElement[Any]:
    is_first = thread_lines.c.ts == thread_lines.c.thread_ts
    wrote = sa.select(thread_lines.c.user_id).where(in_thread(thread, thread_lines), is_first)
    asked = sa.select(jobs.c.user_id).where(in_thread(thread), ~IS_DENIED, ~jobs.c.from_bot)
    first_asker = asked.order_by(jobs.c.ts).limit(1).scalar_subquery()
    return sa.func.coalesce(sa.func.nullif(wrote.scalar_subquery(), ""), first_asker)


async def _lines_before(connection: AsyncConnection, thread: ThreadKey, ts: str) -> tuple[Line, ...]:
    """Returns the last lines before a message. As in Slack, an answer comes right after its question."""
    written = sa.select(thread_lines.c.ts, thread_lines.c.user_id).where(
        in_thread(thread, thread_lines), thread_lines.c.ts < ts
    )
    asked = sa.select(jobs.c.ts, jobs.c.user_id, IS_DENIED).where(in_thread(thread), jobs.c.ts < ts)
    by_ts = {}
    for row in await connection.execute(written.order_by(thread_lines.c.ts.desc()).limit(MAX_LINES)):
        by_ts[row.ts] = [Line(row.user_id)]
    for asked_ts, user_id, denied in await connection.execute(asked.order_by(jobs.c.ts.desc()).limit(MAX_LINES)):
        by_ts[asked_ts] = [Line(user_id)] if denied else [Line(user_id), Line("", asker_id=user_id)]
    return tuple(line for _, lines in sorted(by_ts.items()) for line in lines)[-MAX_LINES:]


async def threads_of_jobs(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> list[tuple[str, ...]]:
    threads = sa.select(*thread_columns()).where(*which).distinct()
    return [tuple(row) for row in await connection.execute(threads)]


async def delete_unused_facts(connection: AsyncConnection, threads: Sequence[tuple[str, ...]]) -> None:
    for first in range(0, len(threads), THREADS_AT_ONCE):
        for table in THREAD_TABLES:
            these = sa.tuple_(*thread_columns(table)).in_(threads[first : first + THREADS_AT_ONCE])
            is_empty = ~sa.exists().where(same_thread(jobs, table))
            await connection.execute(sa.delete(table).where(these, is_empty))
