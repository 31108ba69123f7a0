"""Questions that the bot posts for their askers, before they have a message: jobs in the state UNPOSTED (core/job.py).

A question is on record before it is posted, with an outbox entry that has it posted. That entry is the lease: one
process at a time holds it, and another one tries again if that process dies. The entry's `due_at` fences what a try
records. `post` gives a job its message, in the transaction that queues it (enqueue.py); a job has that once, whoever
comes first.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.choices import question_id
from bot.core.conversation import Question
from bot.core.job import MessageQuestion, QuotedMessage, Status
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.store import outbox
from bot.store.database import Operations, reads, writes
from bot.store.recorded_answers import close_choices
from bot.store.rows import insert_into, is_unposted, queued_values
from bot.store.schema import jobs


class UnpostedQuestions(Operations):
    """Takes questions that the bot has to post, and keeps what each try finds out."""

    @writes
    async def draft(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage
    ) -> None:
        """Stores what an open modal is about. `ask` adds the question; without one, the row stays for a day."""
        draft = insert_into(connection, jobs).values(_values(team_id, view_id, user_id, about, "", self._now()))
        await connection.execute(draft.on_conflict_do_nothing())

    @writes
    async def ask(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> bool:
        """Stores a question and has it posted; returns False if it was asked before, by whomever.

        A draft's `about` is kept.
        """
        now = self._now()
        new = insert_into(connection, jobs).values(_values(team_id, view_id, user_id, about, text, now))
        is_draft = sa.and_(is_unposted(), jobs.c.text == "")
        asked = new.on_conflict_do_update(
            index_elements=["team_id", "asked_as"], set_={"text": text, "created_at": now}, where=is_draft
        )
        job_id = await connection.scalar(asked.returning(jobs.c.id))
        if job_id is not None:
            await outbox.add(connection, OutboxKind.POST_QUESTION, [job_id], now)
        return job_id is not None

    @reads
    async def read(self, connection: AsyncConnection, entry: OutboxEntry) -> MessageQuestion | None:
        """Returns the question that an entry has posted; None if it is posted by now, or was erased."""
        this = sa.select(jobs).where(jobs.c.id == entry.job_id, is_unposted())
        row = (await connection.execute(this)).one_or_none()
        return _question(row) if row else None

    @writes
    async def record_direct_post(self, connection: AsyncConnection, entry: OutboxEntry, *, begun: bool) -> bool:
        """Records that a post in the asker's direct message is about to begin, or that it was not made.

        Returns False if another process has the question by now.
        """
        row = await _locked(connection, jobs.c.id == entry.job_id, outbox.is_held(entry))
        if row is not None:
            await _record(connection, row, elsewhere=begun)
        return row is not None

    @writes
    async def record_post(
        self, connection: AsyncConnection, team_id: str, view_id: str, channel_id: str, ts: str
    ) -> None:
        """Records where, according to Slack's event, the question was posted.

        It was posted after all, so it is queued even if its asker has read that this is unsure.
        """
        row = await _locked(connection, jobs.c.team_id == team_id, jobs.c.asked_as == view_id)
        if row is not None:
            await _record(connection, row, posted=[channel_id, ts])
            await outbox.add_missing(connection, OutboxKind.POST_QUESTION, row.id, self._now())

    @writes
    async def give_up(self, connection: AsyncConnection, entry: OutboxEntry) -> None:
        """Removes a question that surely wasn't posted, so that it can be asked again."""
        this = jobs.c.id == entry.job_id, is_unposted(), outbox.is_held(entry)
        await connection.execute(sa.delete(jobs).where(*this))


async def post(connection: AsyncConnection, job_id: int, question: Question, now: float) -> bool:
    """Queues a question that has its message now; returns False if it was posted before, or erased.

    If a choice was asked, the others beside it don't stand any more, unless its answer has a newer version by now.
    """
    row = await _locked(connection, jobs.c.id == job_id)
    if row is None:
        return False
    offered_by = row.unposted["about"]["offered_by"]
    if offered_by is not None:
        version = await connection.scalar(sa.select(jobs.c.version).where(jobs.c.id == offered_by))
        if version is not None and row.asked_as == question_id(offered_by, version):
            await close_choices(connection, offered_by, now, row.text)
    posted = sa.update(jobs).where(jobs.c.id == job_id).values(**queued_values(question, now), unposted=None)
    await connection.execute(posted)
    return True


async def _locked(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    return (await connection.execute(sa.select(jobs).where(*which, is_unposted()).with_for_update())).one_or_none()


async def _record(connection: AsyncConnection, row: sa.Row[Any], **known: Any) -> None:
    """Adds what is known of a try to post a question."""
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(unposted={**row.unposted, **known}))


def _values(team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str, now: float) -> Mapping[str, Any]:
    return {
        "team_id": team_id,
        # Its message may be posted somewhere else than in the thread of the message that it is about.
        "channel_id": "",
        "thread_ts": "",
        "asked_as": view_id,
        "unposted": {"about": asdict(about)},
        "user_id": user_id,
        "text": text,
        "status": Status.UNPOSTED.value,
        "created_at": now,
    }


def _question(row: sa.Row[Any]) -> MessageQuestion:
    known = row.unposted
    return MessageQuestion(
        team_id=row.team_id,
        view_id=row.asked_as,
        user_id=row.user_id,
        about=QuotedMessage(**known["about"]),
        text=row.text,
        created_at=row.created_at,
        elsewhere=known.get("elsewhere", False),
        posted=tuple(known["posted"]) if "posted" in known else None,
    )
