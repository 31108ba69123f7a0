"""Retention: what is too old to keep, found by an index and removed in short transactions.

SQLite has one writer, so a transaction over all that is due would hold up every answer. Ids are read without a lock;
a batch of them is then removed in a transaction of its own, which looks at its rows once more. Batches grow and shrink
with the time that the last one took.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.caps import Period, day_of, first_day
from bot.store import participants
from bot.store.database import Database
from bot.store.notices import NOTICES_KEPT_S
from bot.store.pane_context import KEPT_S as PANE_CONTEXT_KEPT_S
from bot.store.postgresql import one_at_a_time
from bot.store.predicates import has_ended
from bot.store.schema import (
    CALL_HAS_CONTENT,
    JOB_HAS_CONTENT,
    TURN_HAS_CONTENT,
    checkpoints,
    jobs,
    message_questions,
    notices,
    pane_contexts,
    seen_events,
    slack_calls,
    steps,
    tool_calls,
    turns,
    usage_totals,
)
from bot.store.usage_totals import DAYS_KEPT

RECORDS_KEPT_S = 400 * 24 * 3600.0
"""How long a question's record without texts is kept: for usage, over a year and a month."""
CALLS_KEPT_S = 3600.0
"""Of calls to Slack, only the last minute counts (rate_ledger.py)."""
SLACK_RETRIES_S = 3600.0
"""How long Slack may send an event again. Its id must be known, or the question would be answered twice."""
MESSAGE_QUESTIONS_KEPT_S = 24 * 3600.0
"""Longer than a modal stays open, and longer than a question about a message is retried. Of a question that is a job,
no text is left. It is known for as long as texts are kept, so that an emoji asks about a message once."""

FIRST_BATCH, MAX_BATCH = 50, 100
"""Also when the last batch took no time: the commit syncs all of it to disk, and the next one's rows may lie apart."""
BATCH_S = 0.01
"""How long a batch should hold the write lock."""


@dataclass(frozen=True)
class Rule:
    """Rows of one table that are too old, and what becomes of them."""

    table: sa.Table
    which: tuple[sa.ColumnElement[bool], ...]
    emptied: dict[str, Any] | None = None
    """The columns that are emptied; None if the rows are deleted."""

    @property
    def due(self) -> sa.Select[Any]:
        """Selects the primary keys of the rows."""
        return sa.select(*self.table.primary_key).where(*self.which)


def rules(before: float, now: float) -> tuple[Rule, ...]:
    """Returns what retention removes: texts older than `before`, and each table's rows when their time is over."""
    oldest_day = min(day_of(now) - DAYS_KEPT, first_day(Period.MONTH, now))
    day_ago = now - MESSAGE_QUESTIONS_KEPT_S
    is_old = jobs.c.created_at < before
    no_content = {"arguments": "", "result": "", "binding": ""}
    return (
        Rule(jobs, (is_old, _has(JOB_HAS_CONTENT), has_ended()), {"text": "", "files": [], "transcripts": {}}),
        Rule(turns, (turns.c.created_at < before, _has(TURN_HAS_CONTENT)), {"answer": "", "sources": None}),
        Rule(tool_calls, (tool_calls.c.created_at < before, _has(CALL_HAS_CONTENT), _of_job(tool_calls)), no_content),
        Rule(checkpoints, (_of_job(checkpoints, is_old, only_ended=False),)),
        Rule(steps, (_of_job(steps, is_old),)),
        Rule(message_questions, (~message_questions.c.done, message_questions.c.created_at < day_ago)),
        Rule(message_questions, (message_questions.c.done, message_questions.c.created_at < min(before, day_ago))),
        Rule(seen_events, (seen_events.c.seen_at < min(before, now - SLACK_RETRIES_S),)),
        # Posts are counted by channel, and many a channel gets no other post.
        Rule(slack_calls, (slack_calls.c.sent_at < now - CALLS_KEPT_S,)),
        Rule(usage_totals, (usage_totals.c.day < oldest_day,)),
        Rule(notices, (notices.c.given_at < now - NOTICES_KEPT_S,)),
        Rule(pane_contexts, (pane_contexts.c.opened_at <= now - PANE_CONTEXT_KEPT_S,)),
        # Rows that refer to a job go with it by cascade.
        Rule(jobs, (jobs.c.created_at < min(before, now - RECORDS_KEPT_S), has_ended())),
    )


def _has(content: str) -> sa.ColumnElement[bool]:
    # In the words of the partial index, or no database would use it.
    return sa.literal_column(f"({content})")


def _of_job(table: sa.Table, *which: sa.ColumnElement[bool], only_ended: bool = True) -> sa.ColumnElement[bool]:
    ended = (has_ended(),) if only_ended else ()
    return sa.exists().where(jobs.c.id == table.c.job_id, *ended, *which)


async def expire(database: Database, before: float) -> int:
    """Removes all that is due; returns how many texts."""
    texts = 0
    for rule in rules(before, database.clock.now()):
        removed = await _apply(database, rule)
        texts += removed if rule.emptied is not None else 0
    return texts


async def _apply(database: Database, rule: Rule) -> int:
    removed, size = 0, FIRST_BATCH
    while True:
        async with database.begin_read() as connection:
            keys = (await connection.execute(rule.due.limit(size))).all()
        if not keys:
            return removed
        async with database.begin_write() as connection:
            began = database.clock.monotonic()
            count = await _remove(connection, rule, keys)
        took_s = max(database.clock.monotonic() - began, 0.001)
        removed += count
        if count == 0:
            # They have changed meanwhile. The next hour looks again.
            return removed
        size = max(1, min(MAX_BATCH, round(len(keys) * min(2.0, BATCH_S / took_s))))


async def _remove(connection: AsyncConnection, rule: Rule, keys: Sequence[sa.Row[Any]]) -> int:
    # Two processes with the same rows could wait for each other.
    await one_at_a_time(connection, "retention")
    columns = list(rule.table.primary_key)
    is_single = len(columns) == 1
    these = columns[0].in_([key[0] for key in keys]) if is_single else sa.tuple_(*columns).in_([tuple(k) for k in keys])
    if rule.emptied is not None:
        statement: sa.Update | sa.Delete = sa.update(rule.table).where(these, *rule.which).values(rule.emptied)
        return (await connection.execute(statement)).rowcount
    threads = await participants.threads_of(connection, these) if rule.table is jobs else []
    removed = (await connection.execute(sa.delete(rule.table).where(these, *rule.which))).rowcount
    await participants.drop_facts(connection, threads)
    return removed
