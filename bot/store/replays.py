"""Finds recorded questions that can be asked again because their text and answers are still stored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Entry, EntryKind, call_entry, subject_of
from bot.core.calls import CallState, RecordedCall
from bot.core.conversation import Note
from bot.core.job import Job
from bot.core.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store import audit
from bot.store.claim import jobs_with_batched_questions
from bot.store.database import Operations, reads, writes
from bot.store.rows import HAS_CONTENT, HAS_ENDED, IS_MIDWAY, job_of, known_fields, note_of
from bot.store.schema import audit_entries, feedback, jobs, tool_calls, turns
from bot.store.usage import attempt_usages, thumbs

# Its text exists and it needs a model: it was neither erased nor deleted, and hasn't expired.
_CAN_BE_REPLAYED = HAS_ENDED, HAS_CONTENT, ~jobs.c.is_command, ~jobs.c.answer_deleted, jobs.c.answered_with.is_(None)


@dataclass(frozen=True, slots=True)
class Given:
    text: str = field(repr=False)
    end: EndReason
    seconds: float | None
    uses: Sequence[AnswerUsage]
    tools: tuple[str, ...] = ()
    """The full names of the tools whose calls succeeded, in order."""


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    job: Job
    original: Given
    ended_at: float
    note: Note | None = field(repr=False)
    """The part of the prompt that applies only to this question, or None if it isn't stored."""
    thumbs: Sequence[Thumb]


class Replays(Operations):
    @reads
    async def question_ids(self, connection: AsyncConnection, since: float) -> dict[int, str]:
        """Returns the channel of each job that has called a model since a time (in seconds since the epoch), keyed by
        job ID, oldest first."""
        asked = sa.exists().where(turns.c.job_id == jobs.c.id, turns.c.created_at >= since, turns.c.model.is_not(None))
        found = sa.select(jobs.c.id, jobs.c.channel_id).where(*_CAN_BE_REPLAYED, asked).order_by("id")
        return {row.id: row.channel_id for row in await connection.execute(found)}

    @reads
    async def read(self, connection: AsyncConnection, job_id: int, since: float) -> RecordedQuestion | None:
        """Returns a question with usage and feedback since a time, or None if it can't be asked anymore."""
        row = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id, *_CAN_BE_REPLAYED))).one_or_none()
        of_job = turns.c.job_id == job_id
        newest = sa.select(turns).where(of_job, ~IS_MIDWAY).order_by(turns.c.id.desc()).limit(1)
        if row is None or (last := (await connection.execute(newest)).one_or_none()) is None:
            return None
        [job] = await jobs_with_batched_questions(connection, [job_of(row)])
        follow_ups = tuple(replace(one, step_no=0) for one in job.follow_ups)
        job = replace(job, attempts=1, version=0, follow_ups=follow_ups, is_offer=False, is_late=False)
        job = replace(job, stop_requested=False, asked_at=row.created_at)
        seconds = None if row.started_at is None else last.created_at - row.started_at
        uses = await attempt_usages(connection, since, of_job)
        is_done = tool_calls.c.state == CallState.DONE.value
        called = sa.select(tool_calls.c.tool).where(tool_calls.c.job_id == job_id, is_done)
        in_order = called.order_by(tool_calls.c.version, tool_calls.c.step_no, tool_calls.c.index)
        tools = tuple((await connection.scalars(in_order)).all())
        then = Given(last.answer, EndReason(last.end_reason), seconds, uses, tools)
        note = note_of(last.note) if last.answer else None
        said = await thumbs(connection, since, feedback.c.job_id == job_id)
        return RecordedQuestion(job, then, last.created_at, note, said)

    @reads
    async def uses(self, connection: AsyncConnection, job_ids: Sequence[int]) -> list[AnswerUsage]:
        return await attempt_usages(connection, 0.0, turns.c.job_id.in_(job_ids))

    @writes
    async def record_question(self, connection: AsyncConnection, job: Job, model: str) -> None:
        await audit.append(connection, self._now(), [_replay_entry(job, {"model": model})])

    @writes
    async def record_usage(self, connection: AsyncConnection, job: Job, use: AnswerUsage) -> None:
        used = {"input_tokens": use.input_tokens, "output_tokens": use.output_tokens, "cost_usd": use.cost_usd}
        facts = {"model": use.model, "end": use.end_reason.value, **used}
        await audit.append(connection, self._now(), [_replay_entry(job, facts)])

    @writes
    async def record_call(self, connection: AsyncConnection, job: Job, call: RecordedCall) -> None:
        # Not as a call entry, because the audit would look up the texts of the original answer's call.
        await audit.append(connection, self._now(), [replace(call_entry(job, call), kind=EntryKind.REPLAY)])


def _replay_entry(job: Job, facts: Mapping[str, Any]) -> Entry:
    return Entry(EntryKind.REPLAY, facts, job.question.thread.team_id, job.id, subject_of(job.question))


async def replay_usages(connection: AsyncConnection, since: float) -> list[AnswerUsage]:
    """Returns the usage of replayed answers since a time, as recorded in the audit."""
    entries = sa.select(audit_entries).where(audit_entries.c.at >= since, audit_entries.c.kind == EntryKind.REPLAY)
    used = [(row, json.loads(row.facts)) for row in await connection.execute(entries)]
    return [
        AnswerUsage(
            **known_fields(AnswerUsage, {**row._mapping, **facts}),
            end_reason=EndReason(facts["end"]),
            first_token_s=None,
        )
        for row, facts in used
        if "end" in facts
    ]
