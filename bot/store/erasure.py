"""Erasure removes questions and answers for good; retention, below it, removes data that is too old to keep.

Rows of running jobs stay until their worker ends them, because only the worker can end the answer in Slack: they are
asked to stop, and the job's end removes the row (worker_queue.py). Rows that refer to a job are removed with it by
cascade.

SQLite has one writer, so a single transaction for all expired rows would block every answer. Retention therefore reads
IDs without a lock, and removes them in batches. Each batch is a separate transaction that checks its rows again, and
its size adapts to the duration of the last one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Entry, EntryKind
from bot.core.caps import Scope, day_of
from bot.core.conversation import ThreadKey
from bot.core.outbox import OutboxKind
from bot.store import audit, usage
from bot.store.account_kinds import KINDS_KEPT_S
from bot.store.database import Database, completes, one_at_a_time
from bot.store.memories import NO_TEXT
from bot.store.notifications import KEPT_S as NOTIFICATIONS_KEPT_S
from bot.store.pane import PANE_CONTEXT_KEPT_S
from bot.store.rows import (
    NO_ANSWER,
    NO_CALL_TEXTS,
    has_content,
    has_ended,
    in_thread,
    in_words,
    is_running,
    is_unposted,
)
from bot.store.schema import (
    CALL_HAS_CONTENT,
    OF_THREADS,
    TURN_HAS_CONTENT,
    account_kinds,
    accounts,
    allowed_tools,
    audit_entries,
    caps,
    channel_settings,
    charges,
    checkpoints,
    feedback,
    jobs,
    memories,
    notifications,
    outbox_entries,
    pane_contexts,
    schedules,
    seen_events,
    sign_ins,
    slack_calls,
    steps,
    thread_lines,
    tool_calls,
    turns,
)
from bot.store.threads import drop_facts, threads_of
from bot.store.workers import WorkerOperations


class Erasure(WorkerOperations):
    """Removes texts by age, and everything about a person or a thread on request, without a time limit."""

    @completes(bounded=False)
    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> Counter[str]:
        """Removes the data of a person or a thread, or all data, for good, and counts the removed `questions` and
        `memories`.

        For a person or everybody, it also counts `schedules` and `settings`. Unfinished answers are asked to stop, and
        removed when they end.
        """
        async with self._database.begin_write() as connection:
            await _erase_unposted(connection, user_id, thread)
            counts = await _erase_jobs(connection, user_id, thread)
            counts["memories"] = await _erase_memories(connection, user_id, thread)
            await _erase_from_audit(connection, user_id, thread, counts["questions"], self._now())
            await self._worker.wake_others(connection)
        await self._database.overwrite_deleted()
        return counts

    @completes(bounded=False)
    async def expire(self, before: float) -> int:
        """Empties the texts of jobs that ended before a time (seconds since the epoch), and returns how many.

        Usage is kept. Event IDs are kept for an hour, because Slack can redeliver events.
        """
        count = await expire(self._database, before)
        # Always, because this also completes erasures by buttons, edits and `forget` since then.
        await self._database.truncate_log()
        return count


async def _erase_jobs(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> Counter[str]:
    """Removes the jobs of a person or a thread, or all jobs, and counts those that are removed now or when they end."""
    counts = Counter[str]()
    where: list[sa.ColumnElement[bool]] = []
    if user_id is not None:
        where.append(jobs.c.user_id == user_id)
    if thread is not None:
        where.append(in_thread(thread))
    # First, so that from here on no worker counts usage for them.
    running = sa.update(jobs).where(*where, is_running()).values(stop_requested=True, erase_requested=True)
    count = (await connection.execute(running)).rowcount
    if thread is None:
        counts = await _erase_person(connection, user_id)
    else:
        await connection.execute(
            sa.delete(notifications).where(notifications.c.key.endswith(f" {thread}", autoescape=True))
        )
    others = *where, ~is_running()
    threads = await threads_of(connection, *others) if user_id is not None else []
    count += (await connection.execute(sa.delete(jobs).where(*others))).rowcount
    if user_id is not None:
        await drop_facts(connection, threads)
    else:
        for table in OF_THREADS:
            of_thread = sa.true() if thread is None else in_thread(thread, table)
            await connection.execute(sa.delete(table).where(of_thread))
    counts["questions"] = count
    if not where:
        # An event's ID identifies neither people nor threads, so only erasing everything removes it.
        await connection.execute(sa.delete(seen_events))
    return counts


async def _erase_unposted(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> None:
    """Removes questions without a message. They quote a message, so that message's thread counts."""
    of_person = jobs.c.user_id == user_id if user_id is not None else sa.true()
    of_thread: sa.ColumnElement[bool] = sa.true()
    if thread is not None:
        about = {name: jobs.c.unposted["about", name].as_string() for name in ("channel_id", "thread_ts")}
        of_thread = sa.and_(
            jobs.c.team_id == thread.team_id,
            about["channel_id"] == thread.channel_id,
            about["thread_ts"] == (thread.thread_ts or ""),
        )
    await connection.execute(sa.delete(jobs).where(is_unposted(), of_person, of_thread))


async def _erase_memories(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> int:
    """Removes what a person asked to remember or changed, what was said in a thread, or all, and counts the texts."""
    by_person = sa.or_(memories.c.user_id == user_id, memories.c.changed_by == user_id) if user_id else sa.true()
    of_thread = in_thread(thread, memories) if thread else sa.true()
    removed = await connection.scalars(sa.delete(memories).where(by_person, of_thread).returning(memories.c.text))
    return len(list(filter(None, removed)))


async def _erase_from_audit(
    connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None, count: int, now: float
) -> None:
    """Removes a person, or the askers in a thread, from the audit, and records the erasure without a name."""
    if thread is None:
        await audit.erase_person(connection, user_id)
    else:
        by_them = audit_entries.c.user_id == user_id if user_id else sa.true()
        await audit.erase_subjects(connection, in_thread(thread, audit_entries), by_them)
    erased = "thread" if thread else "person" if user_id else "everything"
    await audit.append(connection, now, [Entry(EntryKind.ERASURE, {"erased": erased, "questions": count})])


async def _erase_person(connection: AsyncConnection, user_id: str | None) -> Counter[str]:
    """Removes a person's (or everybody's) data other than questions. Sums without names are kept.

    Their words in recordings are also removed from other people's questions. Their decisions on other people's calls
    and the times of messages in threads are kept without their name. Returns the counts of `schedules` and `settings`.
    """
    counts = Counter[str]()
    columns = notifications.c.recipient, pane_contexts.c.user_id, feedback.c.user_id, account_kinds.c.user_id
    for column in (*columns, schedules.c.user_id, accounts.c.user_id, sign_ins.c.user_id):
        this = column == user_id if user_id else sa.true()
        counts[column.table.name] = (await connection.execute(sa.delete(column.table).where(this))).rowcount
    of_person = caps.c.scope == Scope.USER.value
    await connection.execute(sa.delete(caps).where(of_person, caps.c.scope_id == user_id if user_id else sa.true()))
    counts["settings"] = await _erase_settings_of_direct_messages(connection, user_id)
    await usage.lock_open(connection, charges.c.user_id == user_id if user_id else sa.true())
    if user_id:
        await connection.execute(sa.update(schedules).where(schedules.c.changed_by == user_id).values(changed_by=""))
        # A direct message's channel identifies a person.
        is_direct = charges.c.channel_id.startswith("D")
        nameless = {
            "user_id": "",
            "channel_id": sa.case((is_direct, usage.DIRECT_OF_ERASED), else_=charges.c.channel_id),
        }
        await connection.execute(sa.update(charges).where(charges.c.user_id == user_id).values(nameless))
        direct = sa.select(jobs.c.channel_id).where(jobs.c.user_id == user_id, jobs.c.channel_id.startswith("D"))
        # Prompts of other people's answers might contain the person's words, so they are rebuilt.
        await connection.execute(sa.update(steps).where(steps.c.beginning.is_not(None)).values(beginning=None))
        # The user ID begins the JSON values. No index, because `forget` is rarely run.
        says = sa.cast(jobs.c.transcripts, sa.Text).contains(f'["{user_id}", ', autoescape=True)
        await connection.execute(sa.update(jobs).where(says).values(transcripts={}))
        # Notifications about a cap contain its owner, and those about a thread contain its channel.
        in_direct = sa.or_(*(notifications.c.key.contains(mark + jobs.c.channel_id + mark) for mark in (" ", "/")))
        named = sa.or_(
            notifications.c.key.contains(f" {user_id} ", autoescape=True),
            sa.cast(notifications.c.content, sa.Text).contains(user_id, autoescape=True),
            sa.exists(direct.where(in_direct).correlate(notifications)),
        )
        await connection.execute(sa.delete(notifications).where(named))
    else:
        await connection.execute(sa.delete(charges))
    wants_canvas = outbox_entries.c.kind == OutboxKind.MAKE_CANVAS.value
    this = outbox_entries.c.about == user_id if user_id else sa.true()
    await connection.execute(sa.delete(outbox_entries).where(wants_canvas, this))
    for column in (tool_calls.c.decided_by, allowed_tools.c.allowed_by, thread_lines.c.user_id):
        this = column == user_id if user_id else column != ""
        await connection.execute(sa.update(column.table).where(this).values({column: ""}))
    return counts


async def _erase_settings_of_direct_messages(connection: AsyncConnection, user_id: str | None) -> int:
    """Removes the settings of a person's (or everybody's) direct messages, such as a personal prompt, and returns how
    many.

    If no questions were asked there, only the audit shows whose direct message it is.
    """
    count = 0
    for table in (channel_settings, allowed_tools):
        theirs = table.c.channel_id.startswith("D")
        if user_id:
            by_table = ((by.c.channel_id, by.c.user_id == user_id) for by in (jobs, audit_entries))
            theirs &= table.c.channel_id.in_(sa.union(*(sa.select(channel).where(of) for channel, of in by_table)))
        count += (await connection.execute(sa.delete(table).where(theirs))).rowcount
    return count


UNDO_S = 7 * 24 * 3600.0
"""The time in which something that people stopped or forgot with words can be restored."""


MEMORIES_KEPT_S = 180 * 24 * 3600.0
"""The time a memory is kept after it was said, changed or kept."""


ACCOUNTS_KEPT_S = 180 * 24 * 3600.0
"""The time a person stays signed in to a server, even after leaving the company."""


RECORDS_KEPT_S = 400 * 24 * 3600.0
"""The time a question's record is kept without texts: for usage, over a year and a month."""


CALLS_KEPT_S = 3600.0
"""Only the last minute's calls to Slack count (rate_ledger.py)."""


SLACK_RETRIES_S = 3600.0
"""The time in which Slack can redeliver an event. Without its ID, the question would be answered twice."""


UNPOSTED_KEPT_S = 24 * 3600.0
"""Longer than a modal stays open, and longer than attempts to post a question continue."""


FIRST_BATCH, MAX_BATCH = 50, 100
BATCH_S = 0.01
"""The target time for a batch to hold the write lock."""


@dataclass(frozen=True)
class Expiry:
    """Expired rows of one table, and how to remove them."""

    table: sa.Table
    which: tuple[sa.ColumnElement[bool], ...]
    emptied: dict[str, Any] | None = None
    """The columns to empty, or None to delete the rows."""

    @property
    def due(self) -> sa.Select[Any]:
        """Selects the primary keys of the rows."""
        return sa.select(*self.table.primary_key).where(*self.which)


def expiries(before: float, now: float) -> tuple[Expiry, ...]:
    """Returns retention's work: texts older than `before`, and each table's expired rows."""
    records_before = min(before, now - RECORDS_KEPT_S)
    is_old = jobs.c.created_at < before
    return (
        Expiry(jobs, (is_old, has_content(), has_ended()), {"text": "", "files": [], "transcripts": {}}),
        Expiry(turns, (turns.c.created_at < before, in_words(TURN_HAS_CONTENT)), NO_ANSWER),
        Expiry(
            tool_calls,
            (tool_calls.c.created_at < before, in_words(CALL_HAS_CONTENT), _of_job(tool_calls)),
            NO_CALL_TEXTS,
        ),
        Expiry(checkpoints, (_of_job(checkpoints, is_old, only_ended=False),)),
        Expiry(steps, (_of_job(steps, is_old),)),
        # One-time schedules whose time has passed.
        Expiry(schedules, (schedules.c.cron == "", schedules.c.next_at.is_(None), schedules.c.once_at < before)),
        Expiry(schedules, (schedules.c.stopped_at < now - UNDO_S,)),
        Expiry(jobs, (is_unposted(), jobs.c.created_at < now - UNPOSTED_KEPT_S)),
        Expiry(seen_events, (seen_events.c.seen_at < min(before, now - SLACK_RETRIES_S),)),
        # Calls are counted by channel, and many channels get no further post.
        Expiry(slack_calls, (slack_calls.c.sent_at < now - CALLS_KEPT_S,)),
        Expiry(charges, (charges.c.day < day_of(records_before),)),
        Expiry(notifications, (notifications.c.at < now - NOTIFICATIONS_KEPT_S,)),
        Expiry(memories, (memories.c.renewed_at < now - MEMORIES_KEPT_S,)),
        Expiry(memories, (memories.c.forgotten_at < now - UNDO_S, memories.c.text != ""), NO_TEXT),
        Expiry(account_kinds, (account_kinds.c.looked_up_at < now - KINDS_KEPT_S,)),
        Expiry(sign_ins, (sign_ins.c.expires_at < now,)),
        Expiry(accounts, (accounts.c.since < now - ACCOUNTS_KEPT_S,)),
        Expiry(pane_contexts, (pane_contexts.c.opened_at <= now - PANE_CONTEXT_KEPT_S,)),
        # Rows that refer to a job are deleted by cascade.
        Expiry(jobs, (jobs.c.created_at < records_before, has_ended())),
    )


def _of_job(table: sa.Table, *which: sa.ColumnElement[bool], only_ended: bool = True) -> sa.ColumnElement[bool]:
    ended = (has_ended(),) if only_ended else ()
    return sa.exists().where(jobs.c.id == table.c.job_id, *ended, *which)


async def expire(database: Database, before: float) -> int:
    """Removes everything that has expired, and returns the number of texts."""
    texts = 0
    for expiry in expiries(before, database.clock.now()):
        removed = await _apply(database, expiry)
        texts += removed if expiry.emptied is not None else 0
    return texts


async def _apply(database: Database, expiry: Expiry) -> int:
    removed, size = 0, FIRST_BATCH
    while True:
        async with database.begin_read() as connection:
            keys = (await connection.execute(expiry.due.limit(size))).all()
        if not keys:
            return removed
        async with database.begin_write() as connection:
            began = database.clock.monotonic()
            count = await _remove(connection, expiry, keys)
        took_s = max(database.clock.monotonic() - began, 0.001)
        removed += count
        if count == 0:
            # They have changed in the meantime. The next hourly run checks them again.
            return removed
        size = max(1, min(MAX_BATCH, round(len(keys) * min(2.0, BATCH_S / took_s))))


async def _remove(connection: AsyncConnection, expiry: Expiry, keys: Sequence[sa.Row[Any]]) -> int:
    # Two processes with the same rows could deadlock.
    await one_at_a_time(connection, "retention")
    columns = list(expiry.table.primary_key)
    is_single = len(columns) == 1
    these = columns[0].in_([key[0] for key in keys]) if is_single else sa.tuple_(*columns).in_([tuple(k) for k in keys])
    if expiry.emptied is not None:
        statement: sa.Update | sa.Delete = sa.update(expiry.table).where(these, *expiry.which).values(expiry.emptied)
        return (await connection.execute(statement)).rowcount
    threads = await threads_of(connection, these) if expiry.table is jobs else []
    removed = (await connection.execute(sa.delete(expiry.table).where(these, *expiry.which))).rowcount
    await drop_facts(connection, threads)
    return removed
