"""Stores questions that the bot posts for their askers.

Until such a question is posted, it is an UNPOSTED job, and an outbox entry posts it. The entry also serves as a lease:
only one process at a time posts the question, and if that process dies, another tries again. Writes fail once the
entry's `due_at` has changed. Both the process that posted the question and the process that receives Slack's event
about the post try to queue the job. Whichever is first also records the message, in the same transaction, and the other
changes nothing.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.choices import question_id
from bot.core.conversation import Question, ThreadKey
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.store import outbox
from bot.store.answers import close_choices
from bot.store.database import Operations, reads, writes
from bot.store.rows import IS_UNPOSTED, insert_into, known_fields, queued_values, unposted_values
from bot.store.schema import jobs


async def erase(connection: AsyncConnection, user_id: str | None, thread: ThreadKey | None) -> None:
    of_person = jobs.c.user_id == user_id if user_id is not None else sa.true()
    of_thread: sa.ColumnElement[bool] = sa.true()
    if thread is not None:
        about = {name: jobs.c.unposted["about", name].as_string() for name in ("channel_id", "thread_ts")}
        of_thread = sa.and_(
            jobs.c.team_id == thread.team_id,
            about["channel_id"] == thread.channel_id,
            about["thread_ts"] == (thread.thread_ts or ""),
        )
    await connection.execute(sa.delete(jobs).where(IS_UNPOSTED, of_person, of_thread))


class UnpostedQuestions(Operations):
    @writes
    async def draft(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage
    ) -> None:
        """Stores the message that an open modal is about. The row is deleted after a day unless `ask` has added the
        question."""
        draft = insert_into(connection, jobs).values(unposted_values(team_id, view_id, user_id, about, "", self._now()))
        await connection.execute(draft.on_conflict_do_nothing())

    @writes
    async def ask(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> bool:
        """Stores a question for the outbox to post. If a draft exists, its `about` is kept. Returns False if the
        question has already been asked."""
        now = self._now()
        new = insert_into(connection, jobs).values(unposted_values(team_id, view_id, user_id, about, text, now))
        is_draft = sa.and_(IS_UNPOSTED, jobs.c.text == "")
        asked = new.on_conflict_do_update(
            index_elements=["team_id", "asked_as"], set_={"text": text, "created_at": now}, where=is_draft
        )
        job_id = await connection.scalar(asked.returning(jobs.c.id))
        if job_id is not None:
            await outbox.add(connection, OutboxKind.POST_QUESTION, [job_id], now)
        return job_id is not None

    @reads
    async def read(self, connection: AsyncConnection, entry: OutboxEntry) -> MessageQuestion | None:
        """Returns the question that an entry will post, or None if the question has already been posted or was
        erased."""
        this = sa.select(jobs).where(jobs.c.id == entry.job_id, IS_UNPOSTED)
        row = (await connection.execute(this)).one_or_none()
        if row is None:
            return None
        known = row.unposted
        converted = {
            "view_id": row.asked_as,
            "about": QuotedMessage(**known["about"]),
            "text": known.get("words", row.text),
            "has_begun_direct_post": known.get("elsewhere", False),
            "posted_message": tuple(known["posted"]) if "posted" in known else None,
            "is_held": row.held is True,
            "has_worked": row.held is False,
        }
        return MessageQuestion(**{**known_fields(MessageQuestion, row._mapping), **converted})

    @writes
    async def record_direct_post(self, connection: AsyncConnection, entry: OutboxEntry, *, has_begun: bool) -> bool:
        """Records that posting a question in a direct message has begun, or that nothing was sent after all. Returns
        False if another process has claimed the entry."""
        row = await _lock_job(connection, jobs.c.id == entry.job_id, outbox.is_taken(entry))
        if row is not None:
            await _update_unposted(connection, row, elsewhere=has_begun)
        return row is not None

    @writes
    async def record_post(
        self, connection: AsyncConnection, team_id: str, view_id: str, channel_id: str, ts: str
    ) -> None:
        """Records where a question was posted, and queues it, even if the asker was told that posting it might have
        failed."""
        row = await _lock_job(connection, jobs.c.team_id == team_id, jobs.c.asked_as == view_id)
        if row is not None:
            await _update_unposted(connection, row, posted=[channel_id, ts])
            await outbox.add_missing(connection, OutboxKind.POST_QUESTION, row.id, self._now())

    @writes
    async def give_up(self, connection: AsyncConnection, entry: OutboxEntry) -> None:
        this = jobs.c.id == entry.job_id, IS_UNPOSTED, outbox.is_taken(entry)
        await connection.execute(sa.delete(jobs).where(*this))


async def queue_posted(connection: AsyncConnection, job_id: int, question: Question, now: float) -> bool:
    """Queues a question after its message was posted. Returns False if the question is already queued or was erased."""
    row = await _lock_job(connection, jobs.c.id == job_id)
    if row is None:
        return False
    offered_by = row.unposted["about"]["offered_by"]
    if offered_by is not None:
        # The answer's other choices are no longer offered, unless it has a newer version.
        version = await connection.scalar(sa.select(jobs.c.version).where(jobs.c.id == offered_by))
        if version is not None and row.asked_as == question_id(offered_by, version):
            await close_choices(connection, offered_by, now, row.text)
    # A run that works first keeps its own words for its post.
    kept = {**row.unposted, "words": row.text} if question.is_held else None
    values = {**queued_values(question, now), "unposted": kept, "held": row.held}
    await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(values))
    return True


async def _lock_job(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    return (await connection.execute(sa.select(jobs).where(*which, IS_UNPOSTED).with_for_update())).one_or_none()


async def _update_unposted(connection: AsyncConnection, row: sa.Row[Any], **known: Any) -> None:
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(unposted={**row.unposted, **known}))
