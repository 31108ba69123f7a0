"""Deletes questions and answers on request (erasure), and deletes data that is too old to keep (retention).

Column types declare what belongs to a person and when rows expire (bot/store/schema.py). This module applies those
declarations, and contains the rules for jobs. Feature modules contain any rules that a column type can't express.

Only a running job's worker can end the job's answer in Slack. Erasure therefore asks the worker to stop, and the row is
deleted when the job ends (worker_queue.py), with all rows that refer to it.

SQLite has one writer, so a single transaction for all expired rows would block every answer. Retention therefore reads
IDs without a lock and deletes them in batches. Each batch is a transaction that checks its rows again. The batch size
adapts to the duration of the last batch.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Entry, EntryKind
from bot.core.caps import day_of
from bot.core.conversation import ThreadKey
from bot.store import audit, canvases, notifications, unposted, usage
from bot.store.database import Database, acquire_lock, completes
from bot.store.memories import NO_TEXT
from bot.store.rows import (
    HAS_CONTENT,
    HAS_ENDED,
    IS_UNPOSTED,
    NO_ANSWER,
    NO_CALL_TEXTS,
    in_thread,
    is_running,
    verbatim_condition,
)
from bot.store.schema import (
    CALL_HAS_CONTENT,
    TURN_HAS_CONTENT,
    UNDO_S,
    ExpiryTime,
    MemberId,
    Noun,
    OwnChannelId,
    OwnerId,
    SafeText,
    audit_entries,
    charges,
    checkpoints,
    jobs,
    kept_tests,
    memories,
    metadata,
    schedules,
    seen_events,
    steps,
    tool_calls,
    turns,
)
from bot.store.threads import delete_unused_facts, threads_of_jobs
from bot.store.workers import WorkerOperations

QUESTION: Noun = ("question and its answer", "questions and their answers")
SETTING: Noun = ("setting of a direct message", "settings of direct messages")
_Type = TypeVar("_Type")


class Erasure(WorkerOperations):
    @completes(bounded=False)
    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> Counter[Noun]:
        """Deletes the data of a person or a thread, or all data. Returns the number of deleted rows by noun. Running
        jobs are stopped first."""
        async with self._database.begin_write() as connection:
            await unposted.erase(connection, user_id, thread)
            counts = await _erase_jobs(connection, user_id, thread)
            await _erase_from_audit(connection, user_id, thread, counts[QUESTION], self._now())
            await self._worker.wake_others(connection)
        await self._database.overwrite_deleted_rows()
        return counts

    @completes(bounded=False)
    async def expire(self, before: float) -> int:
        """Clears the text of jobs that ended before a time (in seconds since the epoch), but keeps their usage. Returns
        the number of jobs. Event IDs are kept for an hour, because Slack can redeliver events."""
        count = 0
        for expiry in expiries(before, self._now()):
            removed = await _apply_expiry(self._database, expiry)
            count += removed if expiry.empty_values is not None else 0
        # Always, because this also completes erasures by buttons, edits and `forget` since then.
        await self._database.truncate_log()
        return count

    @completes(bounded=False)
    async def expire_audit(self, before: float) -> int:
        """Deletes audit entries older than a time (in seconds since the epoch). Returns the number of entries."""
        return await _apply_expiry(self._database, Expiry(audit_entries, (audit_entries.c.at < before,)))


def nouns(*, of_thread: bool) -> list[Noun]:
    tables = (table for table in metadata.tables.values() if _is_about_threads(table) or not of_thread)
    owned = {noun for table in tables if (noun := _noun(table))}
    return [QUESTION, *sorted(owned), *([] if of_thread else [SETTING])]


async def _erase_jobs(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> Counter[Noun]:
    """Deletes the jobs of a person or a thread, or all jobs. Returns their number, including running jobs, which will
    be deleted when they end."""
    where: list[sa.ColumnElement[bool]] = []
    if user_id is not None:
        where.append(jobs.c.user_id == user_id)
    if thread is not None:
        where.append(in_thread(thread))
    # First, so that from here on no worker counts usage for them.
    running = sa.update(jobs).where(*where, is_running()).values(stop_requested=True, erase_requested=True)
    count = (await connection.execute(running)).rowcount
    counts = await _erase_rows(connection, user_id, thread)
    if thread is None:
        counts[SETTING] = await _erase_person(connection, user_id)
    else:
        await notifications.erase_thread(connection, thread)
    others = *where, ~is_running()
    threads = await threads_of_jobs(connection, *others) if user_id is not None else []
    counts[QUESTION] = count + (await connection.execute(sa.delete(jobs).where(*others))).rowcount
    await delete_unused_facts(connection, threads)
    if not where:
        # An event's ID identifies neither people nor threads, so only erasing everything removes it.
        await connection.execute(sa.delete(seen_events))
    return counts


async def _erase_rows(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> Counter[Noun]:
    """Deletes rows that belong to a person or to everybody, or that are about a thread. Returns the number of deleted
    rows with text, by noun."""
    counts = Counter(dict.fromkeys(nouns(of_thread=thread is not None), 0))
    for table in metadata.tables.values():
        if (which := _erasure_condition(table, user_id, thread)) is not None:
            texts = [column for column, _ in _columns_of_type(SafeText, table)]
            removed = sa.delete(table).where(which).returning(*(texts or table.primary_key))
            count = sum(1 for row in await connection.execute(removed) if any(row))
            if noun := _noun(table):
                counts[noun] += count
    return counts


def _erasure_condition(table: sa.Table, user_id: str | None, thread: ThreadKey | None) -> sa.ColumnElement[bool] | None:
    of_person = [column == user_id if user_id else sa.true() for column, _ in _columns_of_type(OwnerId, table)]
    of_thread = [in_thread(thread, table) if thread else sa.true()] if _is_about_threads(table) else []
    if user_id and thread:
        return sa.and_(sa.or_(*of_person), *of_thread) if of_person and of_thread else None
    which = [*([] if thread else of_person), *([] if user_id else of_thread)]
    return sa.or_(*which) if which else None


def _is_about_threads(table: sa.Table) -> bool:
    return "thread_ts" in table.columns and table not in (jobs, audit_entries)


def _noun(table: sa.Table) -> Noun | None:
    return next((owner.noun for _, owner in _columns_of_type(OwnerId, table) if owner.noun), None)


def _columns_of_type(column_type: type[_Type], *tables: sa.Table) -> Iterator[tuple[sa.Column[Any], _Type]]:
    for table in tables or metadata.tables.values():
        yield from ((column, column.type) for column in table.columns if isinstance(column.type, column_type))


async def _erase_person(connection: AsyncConnection, user_id: str | None) -> int:
    """Removes the names of a person, or of everybody, from rows that belong to others. Returns the number of deleted
    direct-message settings."""
    settings = await _erase_settings_of_direct_messages(connection, user_id)
    await usage.erase_person(connection, user_id)
    if user_id:
        # Prompts of other people's answers might contain the person's words, so they are rebuilt.
        await connection.execute(sa.update(steps).where(steps.c.beginning.is_not(None)).values(beginning=None))
        # The user ID begins the values in `transcripts`. No index, because `forget` is rarely run.
        has_spoken = sa.cast(jobs.c.transcripts, sa.Text).contains(f'["{user_id}", ', autoescape=True)
        await connection.execute(sa.update(jobs).where(has_spoken).values(transcripts={}))
        await notifications.erase_person(connection, user_id)
    await canvases.erase_requests(connection, user_id)
    for column, _ in _columns_of_type(MemberId):
        this = column == user_id if user_id else column != ""
        await connection.execute(sa.update(column.table).where(this).values({column: ""}))
    return settings


async def _erase_settings_of_direct_messages(connection: AsyncConnection, user_id: str | None) -> int:
    """Deletes the settings of direct messages with a person, or with everybody. Returns the number of settings."""
    count = 0
    for column, _ in _columns_of_type(OwnChannelId):
        theirs = column.startswith("D")
        if user_id:
            # If no questions were asked there, only the audit shows whose direct message it is.
            by_table = ((by.c.channel_id, by.c.user_id == user_id) for by in (jobs, audit_entries))
            theirs &= column.in_(sa.union(*(sa.select(channel).where(of) for channel, of in by_table)))
        count += (await connection.execute(sa.delete(column.table).where(theirs))).rowcount
    return count


async def _erase_from_audit(
    connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None, count: int, now: float
) -> None:
    if thread is None:
        await audit.erase_person(connection, user_id)
    else:
        by_them = audit_entries.c.user_id == user_id if user_id else sa.true()
        await audit.erase_subjects(connection, in_thread(thread, audit_entries), by_them)
    erased = "thread" if thread else "person" if user_id else "everything"
    await audit.append(connection, now, [Entry(EntryKind.ERASURE, {"erased": erased, "questions": count})])


RECORDS_KEPT_S = 400 * 24 * 3600.0
"""The period for which a question's record is kept without its text, to report usage. It is longer than a year and a
month."""
SLACK_RETRIES_S = 3600.0
"""The period in which Slack can redeliver an event. If the event's ID were deleted earlier, its question could be
answered twice."""
UNPOSTED_KEPT_S = 24 * 3600.0
"""The period for which an unposted question is kept. It is longer than a modal stays open, and longer than Typist tries
to post a question."""
FIRST_BATCH, MAX_BATCH = 50, 100
BATCH_S = 0.01


@dataclass(frozen=True)
class Expiry:
    table: sa.Table
    conditions: tuple[sa.ColumnElement[bool], ...]
    empty_values: dict[str, Any] | None = None

    @property
    def due_rows(self) -> sa.Select[Any]:
        return sa.select(*self.table.primary_key).where(*self.conditions)


def expiries(before: float, now: float) -> tuple[Expiry, ...]:
    records_before = min(before, now - RECORDS_KEPT_S)
    is_old, is_kept = jobs.c.created_at < before, sa.exists().where(kept_tests.c.job_id == jobs.c.id)
    turn_is_kept = sa.exists().where(kept_tests.c.job_id == turns.c.job_id)
    return (
        Expiry(jobs, (is_old, HAS_CONTENT, HAS_ENDED, ~is_kept), {"text": "", "files": [], "transcripts": {}}),
        Expiry(turns, (turns.c.created_at < before, verbatim_condition(TURN_HAS_CONTENT), ~turn_is_kept), NO_ANSWER),
        Expiry(
            tool_calls,
            (tool_calls.c.created_at < before, verbatim_condition(CALL_HAS_CONTENT), _has_job(tool_calls)),
            NO_CALL_TEXTS,
        ),
        Expiry(checkpoints, (_has_job(checkpoints, is_old, only_ended=False),)),
        Expiry(steps, (_has_job(steps, is_old),)),
        Expiry(kept_tests, (_has_job(kept_tests, sa.or_(jobs.c.answer_deleted, ~HAS_CONTENT)),)),
        # One-time schedules whose time has passed.
        Expiry(schedules, (schedules.c.cron == "", schedules.c.next_at.is_(None), schedules.c.once_at < before)),
        Expiry(jobs, (IS_UNPOSTED, jobs.c.created_at < now - UNPOSTED_KEPT_S)),
        Expiry(seen_events, (seen_events.c.seen_at < min(before, now - SLACK_RETRIES_S),)),
        Expiry(charges, (charges.c.day < day_of(records_before),)),
        Expiry(memories, (memories.c.forgotten_at < now - UNDO_S, memories.c.text != ""), NO_TEXT),
        *(Expiry(column.table, (column <= now - expiry.kept_s,)) for column, expiry in _columns_of_type(ExpiryTime)),
        # Rows that refer to a job are deleted by cascade.
        Expiry(jobs, (jobs.c.created_at < records_before, HAS_ENDED)),
    )


def _has_job(table: sa.Table, *which: sa.ColumnElement[bool], only_ended: bool = True) -> sa.ColumnElement[bool]:
    ended = (HAS_ENDED,) if only_ended else ()
    return sa.exists().where(jobs.c.id == table.c.job_id, *ended, *which)


async def _apply_expiry(database: Database, expiry: Expiry) -> int:
    removed, size = 0, FIRST_BATCH
    while True:
        async with database.begin_read() as connection:
            keys = (await connection.execute(expiry.due_rows.limit(size))).all()
        if not keys:
            return removed
        async with database.begin_write() as connection:
            began = database.clock.monotonic()
            count = await _expire_rows(connection, expiry, keys)
        took_s = max(database.clock.monotonic() - began, 0.001)
        removed += count
        if count == 0:
            # They have changed in the meantime. The next hourly run checks them again.
            return removed
        size = max(1, min(MAX_BATCH, round(len(keys) * min(2.0, BATCH_S / took_s))))


async def _expire_rows(connection: AsyncConnection, expiry: Expiry, keys: Sequence[sa.Row[Any]]) -> int:
    # Two processes with the same rows could deadlock.
    await acquire_lock(connection, "retention")
    columns = list(expiry.table.primary_key)
    is_single = len(columns) == 1
    these = columns[0].in_([key[0] for key in keys]) if is_single else sa.tuple_(*columns).in_([tuple(k) for k in keys])
    if expiry.empty_values is not None:
        statement: sa.Update | sa.Delete = (
            sa.update(expiry.table).where(these, *expiry.conditions).values(expiry.empty_values)
        )
        return (await connection.execute(statement)).rowcount
    threads = await threads_of_jobs(connection, these) if expiry.table is jobs else []
    removed = (await connection.execute(sa.delete(expiry.table).where(these, *expiry.conditions))).rowcount
    await delete_unused_facts(connection, threads)
    return removed
