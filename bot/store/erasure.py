"""Erasure: removing questions and answers for good.

Rows of running jobs stay until their worker ends them, because only it may end the answer in Slack: they are asked to
stop, and the job's end removes the row (queue/worker.py). Rows that refer to a job are removed with it by cascade.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Entry, Kind
from bot.core.conversation import ThreadKey
from bot.core.limits.caps import Scope
from bot.core.outbox import OutboxKind
from bot.store import audit, participants, retention
from bot.store.database import completes
from bot.store.liveness.workers import WorkerOperations
from bot.store.predicates import in_thread, is_running
from bot.store.schema import (
    OF_THREADS,
    allowed_tools,
    audit_entries,
    caps,
    channel_settings,
    feedback,
    jobs,
    message_questions,
    notices,
    outbox_entries,
    pane_contexts,
    seen_events,
    thread_lines,
    tool_calls,
    usage_totals,
)


class Erasure(WorkerOperations):
    """Removes texts because of their age, and everything about a person or a thread on request.

    Neither is bounded, because both may have much to do.
    """

    @completes(bounded=False)
    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> int:
        """Removes the questions and answers of a person or a thread, or all, for good; returns how many jobs.

        Answers under way are asked to stop, and removed when they end.
        """
        async with self._database.begin_write() as connection:
            count = await _erase_jobs(connection, user_id, thread)
            await _erase_message_questions(connection, user_id, thread)
            await _erase_from_audit(connection, user_id, thread, count, self._now())
            await self._worker.wake_others(connection)
        await self._database.overwrite_deleted()
        return count

    @completes(bounded=False)
    async def expire(self, before: float) -> int:
        """Empties the texts of jobs that ended before then (seconds since the epoch); returns how many texts.

        Usage is kept. Ids of events are kept for an hour, because Slack may deliver them again.
        """
        count = await retention.expire(self._database, before)
        # Always: it also completes what a button, an edit or `forget` has erased since.
        await self._database.truncate_log()
        return count


async def _erase_jobs(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> int:
    """Removes a person's or a thread's jobs, or all; returns how many are removed now or when they end."""
    where: list[sa.ColumnElement[bool]] = []
    if user_id is not None:
        where.append(jobs.c.user_id == user_id)
    if thread is not None:
        where.append(in_thread(thread))
    # First: from here on, no worker counts usage for them.
    running = sa.update(jobs).where(*where, is_running()).values(stop_requested=True, erase_requested=True)
    count = (await connection.execute(running)).rowcount
    if thread is None:
        await _erase_person(connection, user_id)
    else:
        await connection.execute(sa.delete(notices).where(notices.c.notice.endswith(f" {thread}", autoescape=True)))
    others = *where, ~is_running()
    threads = await participants.threads_of(connection, *others) if user_id is not None else []
    count += (await connection.execute(sa.delete(jobs).where(*others))).rowcount
    if user_id is not None:
        await participants.drop_facts(connection, threads)
    else:
        for table in OF_THREADS:
            of_thread = sa.true() if thread is None else in_thread(thread, table)
            await connection.execute(sa.delete(table).where(of_thread))
    if not where:
        # An event's id names neither people nor threads, so only "all" can mean it.
        await connection.execute(sa.delete(seen_events))
    return count


async def _erase_message_questions(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> None:
    """Removes questions about messages that are not jobs yet. They quote the message, so its thread counts."""
    of_person = message_questions.c.user_id == user_id if user_id is not None else sa.true()
    of_thread: sa.ColumnElement[bool] = sa.true()
    if thread is not None:
        about = {name: message_questions.c.about[name].as_string() for name in ("channel_id", "thread_ts")}
        of_thread = sa.and_(
            message_questions.c.team_id == thread.team_id,
            about["channel_id"] == thread.channel_id,
            about["thread_ts"] == (thread.thread_ts or ""),
        )
    await connection.execute(sa.delete(message_questions).where(of_person, of_thread))


async def _erase_from_audit(
    connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None, count: int, now: float
) -> None:
    """Makes the audit forget a person or who asked in a thread, and records the erasure without a name."""
    if thread is None:
        await audit.erase_person(connection, user_id)
    else:
        by_them = audit_entries.c.user_id == user_id if user_id else sa.true()
        await audit.erase_subjects(connection, in_thread(thread, audit_entries), by_them)
    erased = "thread" if thread else "person" if user_id else "everything"
    await audit.append(connection, now, [Entry(Kind.ERASURE, {"erased": erased, "questions": count})])


async def _erase_person(connection: AsyncConnection, user_id: str | None) -> None:
    """Removes other data of a person (or of everybody) than their questions; sums without a name stay.

    What they say in recordings goes from others' questions, too.

    What a person decided about others' calls stays, without their name, and so does that somebody wrote in a thread.
    """
    for column in (usage_totals.c.scope_id, notices.c.user_id, pane_contexts.c.user_id, feedback.c.user_id):
        this = column == user_id if user_id else sa.true()
        await connection.execute(sa.delete(column.table).where(this))
    of_person = caps.c.scope == Scope.USER.value
    await connection.execute(sa.delete(caps).where(of_person, caps.c.scope_id == user_id if user_id else sa.true()))
    await _erase_settings_of_direct_messages(connection, user_id)
    # A direct message's channel is as good as a name.
    direct = sa.select(jobs.c.channel_id).where(jobs.c.user_id == user_id, jobs.c.channel_id.startswith("D"))
    await connection.execute(sa.delete(usage_totals).where(usage_totals.c.scope_id.in_(direct)))
    if user_id:
        # As it begins the values of the JSON. No index: `forget` is seldom run.
        says = sa.cast(jobs.c.transcripts, sa.Text).contains(f'["{user_id}", ', autoescape=True)
        await connection.execute(sa.update(jobs).where(says).values(transcripts={}))
        # Notices about a cap name its owner, and those about a thread its channel.
        in_direct = sa.or_(*(notices.c.notice.contains(mark + jobs.c.channel_id + mark) for mark in (" ", "/")))
        named = sa.or_(
            notices.c.notice.contains(f" {user_id} ", autoescape=True),
            sa.exists(direct.where(in_direct).correlate(notices)),
        )
        await connection.execute(sa.delete(notices).where(named))
    wants_canvas = outbox_entries.c.kind == OutboxKind.MAKE_CANVAS.value
    this = outbox_entries.c.about == user_id if user_id else sa.true()
    await connection.execute(sa.delete(outbox_entries).where(wants_canvas, this))
    for column in (tool_calls.c.decided_by, allowed_tools.c.allowed_by, thread_lines.c.user_id):
        this = column == user_id if user_id else column != ""
        await connection.execute(sa.update(column.table).where(this).values({column: ""}))


async def _erase_settings_of_direct_messages(connection: AsyncConnection, user_id: str | None) -> None:
    """Removes what a person (or everybody) has set in direct messages, such as their own system prompt.

    Only the audit says whose direct message it is if nothing was asked there.
    """
    for table in (channel_settings, allowed_tools):
        theirs = table.c.channel_id.startswith("D")
        if user_id:
            by_table = ((by.c.channel_id, by.c.user_id == user_id) for by in (jobs, audit_entries))
            theirs &= table.c.channel_id.in_(sa.union(*(sa.select(channel).where(of) for channel, of in by_table)))
        await connection.execute(sa.delete(table).where(theirs))
