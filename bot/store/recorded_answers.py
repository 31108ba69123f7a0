"""Recorded answers: the texts that buttons act on, feedback, and deletion."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job, ThreadKey
from bot.core.job import EndReason, State, state_of
from bot.core.outbox import OutboxKind
from bot.core.reply.actions import AnswerState, RecordedAnswer, Vote
from bot.ports.clock import Clock
from bot.store import checkpoints, outbox
from bot.store.database import Database
from bot.store.predicates import in_thread, is_batched_with, is_begun
from bot.store.rows import insert_into, question_of
from bot.store.schema import feedback, jobs, seen_events, turns

REPLIES_READ = 500
"""The most jobs of a thread whose replies are read: a direct message may go on for years."""


class SqlRecordedAnswers:
    """Implements the ports RecordedAnswers and ThreadReplies."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def shown_by(self, thread: ThreadKey, message_ts: str) -> RecordedAnswer | None:
        """Returns the answer that has a page in this message."""
        return await self._database.read(newest_answer, thread, shows(message_ts))

    async def of_job(self, thread: ThreadKey, job_id: int) -> RecordedAnswer | None:
        """Returns the answer of a job, None if the thread has no such job."""
        return await self._database.read(newest_answer, thread, jobs.c.id == job_id)

    async def written_in(self, thread: ThreadKey, event_id: str) -> RecordedAnswer | None:
        """Returns the answer that is being written in a thread; None if the event was handled before."""
        return await self._database.read(written_unless_handled, thread, event_id)

    async def event_handled(self, event_id: str) -> None:
        """Records that an event was handled."""
        await self._database.write(record_event, event_id, self._clock.now())

    async def delete(self, job_id: int) -> None:
        """Empties the texts of an answer at once, and has the outbox delete its messages."""
        await self._database.write(delete, job_id, self._clock.now())

    async def vote(self, about: RecordedAnswer, user_id: str, value: Vote) -> None:
        """Records a person's feedback in place of their earlier one."""
        await self._database.write(vote, about, user_id, value, self._clock.now())

    async def replies(self, thread: ThreadKey, before_ts: str | None = None) -> Mapping[str, str]:
        """Returns the bot's messages in a thread, as a map from ts to text."""
        return await self._database.read(replies, thread, before_ts)


async def written_unless_handled(
    connection: AsyncConnection, thread: ThreadKey, event_id: str
) -> RecordedAnswer | None:
    """Returns the answer that is being written in a thread; None if the event was handled before."""
    if await connection.scalar(sa.select(sa.exists().where(seen_events.c.event_id == event_id))):
        return None
    return await newest_answer(connection, thread, is_begun())


async def record_event(connection: AsyncConnection, event_id: str, now: float) -> None:
    """Records that an event was handled, like one that brought a question."""
    row = insert_into(connection, seen_events).values(event_id=event_id, seen_at=now)
    await connection.execute(row.on_conflict_do_nothing())


def shows(message_ts: str) -> sa.ColumnElement[bool]:
    """Whether a message is one of a reply's. No index: of one thread's jobs few are read, and only at a press."""
    return sa.cast(jobs.c.page_ts, sa.Text).contains(f'"{message_ts}"', autoescape=True)


async def newest_answer(
    connection: AsyncConnection, thread: ThreadKey, condition: sa.ColumnElement[bool]
) -> RecordedAnswer | None:
    """Returns the newest answer in a thread whose job meets the condition; for a batched job, its batch's answer."""
    newest = sa.select(jobs).where(in_thread(thread), condition).order_by(jobs.c.ts.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    if row is not None and row.answered_with is not None:
        row = (await connection.execute(sa.select(jobs).where(jobs.c.id == row.answered_with))).one_or_none()
    if row is None or row.end_reason == EndReason.DENIED:
        return None
    others = await connection.scalars(sa.select(jobs.c.user_id).where(is_batched_with(row.id)))
    versions = await _turns(connection, [row.id])
    last = versions[-1] if versions else None
    return RecordedAnswer(
        job_id=row.id,
        question=question_of(row),
        state=_state(row),
        askers=frozenset((row.user_id, *others)),
        page_ts=tuple(row.page_ts),
        version=row.version,
        answer=last.answer if last else "",
        previous=next((turn.answer for turn in versions[-2::-1] if turn.answer), ""),
        model=last.model if last else None,
        end_reason=EndReason(last.end_reason) if last else None,
        prompt_version=last.prompt_version if last else None,
    )


def _state(row: sa.Row[Any]) -> AnswerState:
    if row.answer_deleted:
        return AnswerState.DELETED
    state = state_of(row.status, row.attempts, row.end_reason)
    if state is State.QUEUED:
        return AnswerState.QUEUED
    if state.is_live:
        return AnswerState.GROWING
    return AnswerState.STOPPED if EndReason(row.end_reason).is_stop else AnswerState.ENDED


async def with_so_far(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs, with the recorded answer of those that continue it."""
    again = [job.id for job in claimed if job.version > 0]
    if not again:
        return list(claimed)
    going_on = (await connection.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(again), jobs.c.continues))).all()
    so_far = {turn.job_id: turn.answer for turn in await _turns(connection, going_on)}
    return [replace(job, so_far=so_far.get(job.id, "")) for job in claimed]


async def _turns(connection: AsyncConnection, job_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Returns the jobs' turns, oldest first, without those of interrupted attempts."""
    interrupted = turns.c.end_reason == EndReason.INTERRUPTED.value
    of_jobs = sa.select(turns).where(turns.c.job_id.in_(job_ids), ~interrupted).order_by(turns.c.id)
    return (await connection.execute(of_jobs)).all()


async def replies(connection: AsyncConnection, thread: ThreadKey, before_ts: str | None) -> dict[str, str]:
    """Returns the texts of the bot's messages in a thread by ts (ThreadReplies.replies)."""
    newest = (
        sa.select(jobs.c.id, jobs.c.page_ts, jobs.c.mention_ts, jobs.c.answer_deleted)
        .where(in_thread(thread), jobs.c.ts < before_ts if before_ts else sa.true())
        .order_by(jobs.c.ts.desc())
        .limit(REPLIES_READ)
        .subquery()
    )
    # Turns of interrupted attempts have no text, and come before the one that ended the job.
    with_turns = (
        sa.select(newest, turns.c.answer, turns.c.model, turns.c.end_reason)
        .outerjoin_from(newest, turns, turns.c.job_id == newest.c.id)
        .order_by(turns.c.id)
    )
    texts: dict[str, str] = {}
    for row in await connection.execute(with_turns):
        if _has_expired(row):
            for ts in row.page_ts:
                texts.pop(ts, None)
        else:
            texts |= dict.fromkeys(row.page_ts, "")
            texts |= dict.fromkeys(row.page_ts[:1], row.answer or "")
        texts |= {row.mention_ts: ""} if row.mention_ts else {}
    return texts


def _has_expired(row: sa.Row[Any]) -> bool:
    """Whether a model's text is no longer stored. If a model wrote nothing, Slack shows nothing either."""
    is_empty = row.answer == "" and row.model is not None
    return is_empty and row.end_reason != EndReason.INTERRUPTED and not row.answer_deleted


async def join(connection: AsyncConnection, job: Job) -> None:
    """Empties the turn that a continued answer began with: the new turn holds both parts."""
    part = sa.update(turns).where(turns.c.job_id == job.id, turns.c.answer == job.so_far)
    await connection.execute(part.values(answer=""))


async def delete(connection: AsyncConnection, job_id: int, now: float) -> None:
    """Deletes an answer's texts and keeps its usage; its messages go once no worker writes them."""
    await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(answer_deleted=True))
    await connection.execute(sa.update(turns).where(turns.c.job_id == job_id).values(answer=""))
    await checkpoints.drop(connection, jobs.c.id == job_id)
    await outbox.add(connection, OutboxKind.DELETE_REPLY, [job_id], now)


async def vote(connection: AsyncConnection, about: RecordedAnswer, user_id: str, value: Vote, now: float) -> None:
    """Records a person's feedback in place of their earlier one."""
    values = {
        "value": 1 if value is Vote.UP else -1,
        "model": about.model,
        "prompt_version": about.prompt_version,
        "at": now,
    }
    new = insert_into(connection, feedback).values(job_id=about.job_id, user_id=user_id, **values)
    await connection.execute(new.on_conflict_do_update(index_elements=["job_id", "user_id"], set_=values))
