"""Operations on recorded answers: finding the version that a button acts on, recording feedback, and deleting
answers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import EntryKind
from bot.core.calls import SCHEDULE, has_decided_proposal
from bot.core.conversation import Question, RecordedReply, ThreadKey
from bot.core.job import ANSWER_ROLES, AnswerRecord, Checkpoint, Job, Notice, NoticeKind, state_of, ts_of
from bot.core.picture import picture
from bot.core.steps import text_to_continue
from bot.core.usage import DownReason
from bot.errors import EndReason
from bot.models.prompt import parse_origins
from bot.store import audit, outbox, side_messages, steps
from bot.store.database import Operations, reads, writes
from bot.store.rows import (
    CAN_BE_REGENERATED,
    HAS_ANSWER,
    IS_AHEAD,
    IS_BEGUN,
    IS_MIDWAY,
    NO_ANSWER,
    end_of_turn,
    has_row,
    in_thread,
    insert_into,
    job_of,
    messages_of,
    note_of,
    question_of,
    sources_of,
    thread_of,
    upsert,
)
from bot.store.schema import audit_entries, feedback, jobs, memories, schedules, seen_events, tool_calls, turns

REPLIES_READ = 500
"""Maximum number of jobs per thread whose replies are read. There is a limit because a direct message can continue for
years."""


class RecordedAnswers(Operations):
    @reads
    async def answer_in_message(
        self, connection: AsyncConnection, thread: ThreadKey, message_ts: str
    ) -> AnswerRecord | None:
        # No index: a thread has few jobs, and they are read only when a button is pressed.
        is_shown = sa.cast(jobs.c.messages, sa.Text).contains(f'"{message_ts}"', autoescape=True)
        return await _newest_answer(connection, thread, is_shown)

    @reads
    async def answer_of_job(self, connection: AsyncConnection, thread: ThreadKey, job_id: int) -> AnswerRecord | None:
        return await _newest_answer(connection, thread, jobs.c.id == job_id)

    @reads
    async def unfinished_answer(
        self, connection: AsyncConnection, thread: ThreadKey, event_id: str
    ) -> AnswerRecord | None:
        """Returns a thread's unfinished answer, or None if there isn't one or if the event has already been handled."""
        is_event_handled = await has_row(connection, seen_events.c.event_id == event_id)
        return None if is_event_handled else await _newest_answer(connection, thread, IS_BEGUN)

    @reads
    async def only_unfinished_answer(
        self, connection: AsyncConnection, user_id: str, place: ThreadKey
    ) -> AnswerRecord | None:
        """Returns a person's only unfinished answer in a channel, or None if there isn't exactly one."""
        here = jobs.c.team_id == place.team_id, jobs.c.channel_id == place.channel_id
        written = sa.select(jobs).where(*here, jobs.c.user_id == user_id, IS_AHEAD).limit(2)
        rows = (await connection.execute(written)).all()
        return await _newest_answer(connection, thread_of(rows[0]), jobs.c.id == rows[0].id) if len(rows) == 1 else None

    @reads
    async def was_answer_in_progress(self, connection: AsyncConnection, question: Question) -> bool:
        before = in_thread(question.thread), jobs.c.ts < question.ts
        ended = turns.c.created_at > float(question.ts), turns.c.end_reason != EndReason.BATCHED.value
        found = sa.select(turns.c.id).join_from(turns, jobs, jobs.c.id == turns.c.job_id).where(*before, *ended)
        return await connection.scalar(found.limit(1)) is not None

    @reads
    async def is_event_handled(self, connection: AsyncConnection, event_id: str) -> bool:
        return await has_row(connection, seen_events.c.event_id == event_id)

    @writes
    async def record_handled_event(self, connection: AsyncConnection, event_id: str) -> None:
        row = insert_into(connection, seen_events).values(event_id=event_id, seen_at=self._now())
        await connection.execute(row.on_conflict_do_nothing())

    @writes
    async def delete(self, connection: AsyncConnection, job_id: int, by: str) -> None:
        """Clears an answer's text but keeps its usage. The outbox deletes the messages once no worker is writing to
        them."""
        this = sa.update(jobs).where(jobs.c.id == job_id)
        gone = this.values(answer_deleted=True, mention_at=None)
        deleted = (await connection.execute(gone.returning(jobs))).one_or_none()
        await connection.execute(sa.update(turns).where(turns.c.job_id == job_id).values(NO_ANSWER))
        await steps.drop_progress(connection, job_id)
        await outbox.queue_updates(connection, [job_id], self._now())
        if deleted:
            await clear_calls(connection, thread_of(deleted), job_id)
            erased = audit.job_entry(deleted, EntryKind.ERASURE, {"erased": "answer"}, by=by)
            await audit.append(connection, self._now(), [erased])

    @writes
    async def switch_version(self, connection: AsyncConnection, job_id: int, *, to_next: bool) -> None:
        this = sa.select(jobs).where(jobs.c.id == job_id, CAN_BE_REGENERATED).with_for_update()
        row = (await connection.execute(this)).one_or_none()
        if row is None:
            return
        earlier, _, later = _split_at_displayed_turn(row, await _turns(connection, [job_id]))
        if not (chosen := later[:1] if to_next else earlier[-1:]):
            return
        await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(shown_turn=chosen[0].id))
        await outbox.queue_updates(connection, [job_id], self._now())

    @writes
    async def on_schedule_stopped(self, connection: AsyncConnection, job_id: int, schedule_id: int) -> bool:
        """Updates an answer after its schedule was stopped. Returns False if the answer didn't create that schedule."""
        is_of_answer = tool_calls.c.job_id == job_id, tool_calls.c.tool == SCHEDULE, tool_calls.c.made == schedule_id
        if not await has_row(connection, *is_of_answer):
            return False
        await outbox.queue_updates(connection, [job_id], self._now())
        return True

    @writes
    async def record_feedback(
        self, connection: AsyncConnection, answer: AnswerRecord, user_id: str, value: int
    ) -> None:
        """Records a person's feedback (1 or -1), replacing their earlier feedback and reason."""
        end = answer.end
        of_version = {"model": end.model, "prompt_version": end.prompt_version} if end else {}
        values = {"value": value, **of_version, "at": self._now(), "reason": None}
        await upsert(connection, feedback, {"job_id": answer.job_id, "user_id": user_id}, values)

    @writes
    async def record_reason(
        self, connection: AsyncConnection, job_id: int, user_id: str, reason: DownReason
    ) -> str | None:
        """Records a person's reason for a -1 rating. Returns the rated model, or None if the rating was withdrawn."""
        theirs = feedback.c.job_id == job_id, feedback.c.user_id == user_id, feedback.c.value == -1
        given = sa.update(feedback).where(*theirs).values(reason=reason.value).returning(feedback.c.model)
        model: str | None = await connection.scalar(given)
        return model

    @reads
    async def replies(
        self, connection: AsyncConnection, thread: ThreadKey, before_ts: str | None = None
    ) -> Mapping[str, RecordedReply]:
        """Returns the bot's messages for a thread's newest 500 questions (before `before_ts`), keyed by ts. Excludes
        answers whose text has expired. Answers that a vendor declined have no text, because the vendor would decline it
        again."""
        newest = (
            sa.select(
                jobs.c.id,
                jobs.c.user_id,
                jobs.c.ts,
                jobs.c.messages,
                jobs.c.answer_deleted,
                jobs.c.shown_turn,
                jobs.c.answered_with,
            )
            .where(in_thread(thread), jobs.c.ts < before_ts if before_ts else sa.true())
            .order_by(jobs.c.ts.desc())
            .limit(REPLIES_READ)
            .subquery()
        )
        # The displayed turn comes last, so its text replaces the others'. Turns after which the answer continued have
        # no text, and come before the one that ended the job.
        with_turns = (
            sa.select(newest, turns.c.answer, turns.c.model, turns.c.end_reason, turns.c.origins, turns.c.note)
            .outerjoin_from(newest, turns, turns.c.job_id == newest.c.id)
            .order_by(turns.c.id == newest.c.shown_turn, turns.c.id)
        )
        rows = (await connection.execute(with_turns)).all()
        questions: defaultdict[int, set[str]] = defaultdict(set)
        for row in rows:
            questions[row.answered_with or row.id].add(row.ts)
        found: dict[str, RecordedReply] = {}
        for row in rows:
            shown = ts_of(messages_of(row), *ANSWER_ROLES)
            is_refused = row.end_reason is not None and EndReason(row.end_reason).is_declined
            if _has_expired(row) and not is_refused:
                for ts in shown:
                    found.pop(ts, None)
            else:
                reply = RecordedReply(
                    row.answer or "", parse_origins(row.origins), row.user_id, row.ts or "", note_of(row.note)
                )
                reply = replace(reply, text="", refused_ts=frozenset(questions[row.id])) if is_refused else reply
                found |= dict.fromkeys(shown, RecordedReply(""))
                found |= dict.fromkeys(shown[:1], reply)
        of_newest = (await side_messages.messages_of_jobs(connection, sa.select(newest.c.id))).values()
        posted = [message.ts for messages in of_newest for message in messages if message.ts]
        return found | dict.fromkeys(posted, RecordedReply(""))


async def _newest_answer(
    connection: AsyncConnection, thread: ThreadKey, condition: sa.ColumnElement[bool]
) -> AnswerRecord | None:
    """Returns the thread's newest answer whose job meets the condition. Jobs in a batch share an answer."""
    newest = sa.select(jobs).where(in_thread(thread), condition).order_by(jobs.c.ts.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    if row is not None and row.answered_with is not None:
        row = (await connection.execute(sa.select(jobs).where(jobs.c.id == row.answered_with))).one_or_none()
    if row is None or row.end_reason == EndReason.DENIED:
        return None
    return await answer_record(connection, row)


def _split_at_displayed_turn(
    row: sa.Row[Any], versions: Sequence[sa.Row[Any]]
) -> tuple[Sequence[sa.Row[Any]], sa.Row[Any] | None, Sequence[sa.Row[Any]]]:
    if not versions:
        return (), None, ()
    *others, newest = versions
    shown = next((turn for turn in others if turn.id == row.shown_turn), newest)
    # Versions without text aren't shown again, except the newest, whose end says why there is none.
    worth = [turn for turn in versions if turn.answer or turn is newest]
    return [turn for turn in worth if turn.id < shown.id], shown, [turn for turn in worth if turn.id > shown.id]


async def answer_record(connection: AsyncConnection, row: sa.Row[Any]) -> AnswerRecord:
    earlier, shown, later = _split_at_displayed_turn(row, await _turns(connection, [row.id]))
    end = end_of_turn(shown) if shown else None
    notices = end.notices if end else ()
    undone, over = (
        await _outdated_notices(connection, row, notices) if notices else (frozenset[Notice](), frozenset[int]())
    )
    newest_calls = await steps.read_calls(connection, row.id, row.version)
    edited = -1 if row.edited_version is None else row.edited_version
    return AnswerRecord(
        row.id,
        question_of(row),
        state_of(row.status, row.attempts, row.end_reason),
        is_deleted=row.answer_deleted,
        messages=messages_of(row),
        version=row.version,
        text=shown.answer if shown else "",
        end=end,
        ended_at=shown.created_at if shown else None,
        is_emptied=shown is not None and shown.end is None,
        waits_until=row.waits_until,
        calls=await steps.read_calls(connection, row.id, shown.version) if shown and later else newest_calls,
        has_previous=bool(earlier),
        has_next=bool(later),
        has_acted=row.end_reason == EndReason.COMMAND or has_decided_proposal(newest_calls),
        is_edited=shown is not None and bool(shown.version <= edited),
        is_followed=await has_row(connection, in_thread(thread_of(row)), jobs.c.ts > row.ts, HAS_ANSWER),
        undone_notices=undone,
        finished_schedules=over,
        chosen_choice=shown.end.get("chosen") if shown and shown.end else None,
    )


async def finished_job(connection: AsyncConnection, row: sa.Row[Any]) -> Job | None:
    """Returns a finished job with the record of its answer, or None if there is no answer. Excludes other questions
    that share the answer."""
    record = await answer_record(connection, row)
    if record.end is None:
        return None
    return replace(job_of(row), checkpoint=Checkpoint(record.text, record.end, record.end.sources), record=record)


async def _outdated_notices(
    connection: AsyncConnection, row: sa.Row[Any], notices: Sequence[Notice]
) -> tuple[frozenset[Notice], frozenset[int]]:
    kinds = NoticeKind.SCHEDULED, NoticeKind.STOPPED, NoticeKind.REMEMBERED, NoticeKind.FORGOTTEN
    made, ended, remembered, forgotten = ([one for one in notices if one.kind is kind] for kind in kinds)
    ids = [one.number for one in (*made, *ended)]
    has_run = sa.and_(schedules.c.next_at.is_(None), schedules.c.paused == "").label("has_run")
    standing = schedules.c.id.in_(ids), schedules.c.stopped_at.is_(None)
    rows = (await connection.execute(sa.select(schedules.c.id, has_run).where(*standing))).all() if ids else ()
    stopped = frozenset(ids) - {row.id for row in rows}
    undone = [one for one in made if one.number in stopped] + [one for one in ended if one.number not in stopped]
    if forgotten:
        back = await _memories_in_effect(connection, row, memories.c.number.in_([one.number for one in forgotten]))
        undone += [one for one in forgotten if one.number in back]
    if remembered and not await _memories_in_effect(connection, row, memories.c.ts == row.ts):
        undone += remembered
    return frozenset(undone), frozenset(row.id for row in rows if row.has_run)


async def _memories_in_effect(
    connection: AsyncConnection, row: sa.Row[Any], condition: sa.ColumnElement[bool]
) -> frozenset[int]:
    in_place = memories.c.team_id == row.team_id, memories.c.channel_id == row.channel_id
    these = sa.select(memories.c.number).where(*in_place, memories.c.forgotten_at.is_(None), condition)
    return frozenset((await connection.scalars(these)).all())


async def close_choices(connection: AsyncConnection, job_id: int, now: float, choice: str) -> None:
    """Records which choice a person clicked below a finished answer, and withdraws the others."""
    row = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).one_or_none()
    if row is None or not picture(await answer_record(connection, row)).choices:
        return
    newest = turns.c.id == _newest_turn(job_id)
    end = await connection.scalar(sa.select(turns.c.end).where(newest))
    await connection.execute(sa.update(turns).where(newest).values(end={**(end or {}), "chosen": choice}))
    await outbox.queue_updates(connection, [job_id], now)


async def jobs_with_versions(connection: AsyncConnection, claimed_jobs: Sequence[Job]) -> list[Job]:
    """Returns claimed jobs with `has_previous` and with the text that they will continue."""
    again = [job.id for job in claimed_jobs if job.version > 0]
    if not again:
        return list(claimed_jobs)
    of_jobs: dict[int, list[sa.Row[Any]]] = {job.id: [] for job in claimed_jobs}
    for turn in await _turns(connection, again):
        of_jobs[turn.job_id].append(turn)
    return [_job_with_version(job, of_jobs[job.id]) for job in claimed_jobs]


def _job_with_version(job: Job, earlier_turns: Sequence[sa.Row[Any]]) -> Job:
    so_far = earlier_turns[-1] if earlier_turns and job.wish.continues else None
    # An answer that the job continues isn't an earlier version.
    job = replace(job, has_previous=any(turn.answer for turn in earlier_turns if turn is not so_far))
    if so_far is None:
        return job
    text = text_to_continue(so_far.answer, EndReason(so_far.end_reason))
    origins = parse_origins(so_far.origins)
    return replace(job, continued_text=text, sources=sources_of(so_far.sources), continued_origins=origins)


async def _turns(connection: AsyncConnection, job_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Returns the jobs' turns, oldest first. Excludes turns that a later turn continues."""
    of_jobs = sa.select(turns).where(turns.c.job_id.in_(job_ids), ~IS_MIDWAY).order_by(turns.c.id)
    return (await connection.execute(of_jobs)).all()


def _has_expired(row: sa.Row[Any]) -> bool:
    """Returns whether a model's text was removed from the database. An answer also looks like this if the model wrote
    nothing, but then Slack has nothing to show either."""
    is_empty = row.answer == "" and row.model is not None
    return is_empty and not EndReason(row.end_reason).is_midway and not row.answer_deleted


async def clear_calls(connection: AsyncConnection, thread: ThreadKey, job_id: int) -> None:
    await steps.clear_call_texts(connection, job_id)
    of_calls = audit_entries.c.job_id == job_id, audit_entries.c.arguments_hash != ""
    await audit.erase_subjects(connection, in_thread(thread, audit_entries), *of_calls)


async def clear_continued_turn(connection: AsyncConnection, job: Job) -> None:
    """Clears the text of the job's newest turn. The turn that continues it will contain the text of both."""
    await connection.execute(sa.update(turns).where(turns.c.id == _newest_turn(job.id)).values(NO_ANSWER))


def _newest_turn(job_id: int) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.max(turns.c.id)).where(turns.c.job_id == job_id, ~IS_MIDWAY).scalar_subquery()
