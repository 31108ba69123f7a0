"""The queue's operations for services, which add questions and request changes to their jobs.

**Enqueueing.** A commit waits for the disk, so questions that arrive during a commit share the next one
(`GroupCommit`). Each question gets the same result as if it had come alone, namely whether its event or message was
seen before and whether it must wait. At 100 questions a second, while answers were running, 73 questions weren't
acknowledged within Slack's three seconds if each had a separate transaction. With shared transactions, all were
acknowledged within 2 s (benchmarks.md).

**Changes.** A queued job is changed immediately. If a job has begun, the request and the new version are stored for its
worker, which changes the job now or at the next attempt (core/job.py). If a job has ended, outbox entries are added.
All methods lock the job's row first, so that a concurrent claim or end happens either before or after the change.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.access import MAX_BOT_QUESTIONS_AN_HOUR, MAX_BOT_QUESTIONS_IN_A_ROW, BotQuestions
from bot.core.alerts import BURST_S, MAX_VERSIONS, is_resolved, with_later_alert
from bot.core.audit import EntryKind, question_entry
from bot.core.caps import DAY_S
from bot.core.conversation import Question, ThreadKey
from bot.core.job import ANSWER_ROLES, NO_WISH, EnqueueResult, State, Status, Wish, state_of, ts_of
from bot.core.notifications import Notification
from bot.errors import EndReason
from bot.store import audit, claim, memories, notifications, outbox, side_messages, steps
from bot.store.calls import deny_by_reply, release
from bot.store.database import Database, GroupCommit, acquire_lock, completes, limit_time, reads, writes
from bot.store.rows import (
    CAN_BE_REGENERATED,
    HAS_CONTENT,
    IS_AHEAD,
    IS_BEGUN,
    IS_LIVE,
    file_values,
    has_row,
    in_thread,
    insert_into,
    is_batched_with,
    is_queued,
    is_running,
    messages_of,
    question_of,
    queued_values,
    same_thread,
    thread_columns,
    thread_of,
    thread_values,
    wish_of,
)
from bot.store.schema import group_threads, jobs, seen_events, thread_lines
from bot.store.unposted import queue_posted
from bot.store.workers import WorkerLiveness, WorkerOperations


@dataclass(frozen=True, slots=True)
class Arrival:
    event_id: str
    question: Question
    is_queue_full: bool
    is_offer: bool = False
    job_id: int | None = None
    """The existing job if the bot posted the question for its asker (`UnpostedQuestions`), or None for a new job."""


class QuestionQueue(WorkerOperations):
    def __init__(self, database: Database, worker: WorkerLiveness, max_per_user: int) -> None:
        super().__init__(database, worker)
        self._max_per_user = max_per_user
        self._arrivals = GroupCommit(self._write_arrivals)

    @completes(bounded=False)
    async def enqueue(
        self,
        event_id: str,
        question: Question,
        *,
        full: bool = False,
        offered: bool = False,
        job_id: int | None = None,
    ) -> EnqueueResult | None:
        """Stores a question as a job. Returns None if its event or message is already stored.

        Also returns None if a bot's question exceeds the limits in core/access.py. `Arrival` documents the arguments.
        The job needs a placeholder if an earlier question in its thread isn't answered, if the asker has the maximum
        number of running answers, or if this process is `full`. The caller posts it, between
        `WorkerQueue.begin_placeholder` and `record_placeholder`.
        """
        # Each batch has a time limit, but the wait for a question's own batch doesn't.
        return await self._arrivals.add(Arrival(event_id, question, full, offered, job_id))

    @writes
    async def enqueue_alert(
        self,
        connection: AsyncConnection,
        event_id: str,
        question: Question,
        runs_a_day: int,
        limit_notice: Notification,
        *,
        full: bool = False,
    ) -> EnqueueResult | None:
        """Stores an alert as a job, like `enqueue`. Returns None if the alert was added to its burst's first alert, or
        if the channel's alerts have started `runs_a_day` answers within a day, and then queues `limit_notice`."""
        now, team_id, channel_id = self._now(), *question.thread.place
        # Until the commit, because concurrent transactions wouldn't see each other's alerts.
        await acquire_lock(connection, f"alerts {team_id}")
        in_channel = jobs.c.team_id == team_id, jobs.c.channel_id == channel_id, jobs.c.alert_kind != ""
        same = jobs.c.alert_kind == question.alert_kind, jobs.c.created_at > now - BURST_S
        first = (await connection.execute(sa.select(jobs).where(*in_channel, *same).limit(1))).one_or_none()
        if first is not None:
            if first.ts != question.ts:
                await _add_alert(connection, first, question, now)
            return None
        today = sa.select(sa.func.count()).select_from(jobs).where(*in_channel, jobs.c.created_at > now - DAY_S)
        if (await connection.scalar(today) or 0) >= runs_a_day:
            log.warning("alert %s ignored: the channel's limit for today is used up", question.ts)
            await notifications.add(connection, now, team_id, limit_notice)
            return None
        [taken] = await write_arrivals(connection, [Arrival(event_id, question, full)], self._max_per_user, now)
        await self._worker.wake_others(connection)
        return taken

    @reads
    async def can_post_placeholder(self, connection: AsyncConnection, question: Question) -> bool:
        """Returns whether all earlier questions in the thread already have messages, in which case the new placeholder
        will come last."""
        before = sa.select(jobs.c.messages).where(in_thread(question.thread), IS_LIVE, jobs.c.ts < question.ts)
        return all(ts_of(messages_of(row), *ANSWER_ROLES) for row in await connection.execute(before))

    @reads
    async def status(self, connection: AsyncConnection, job_id: int) -> Status | None:
        found = await connection.scalar(sa.select(jobs.c.status).where(jobs.c.id == job_id))
        return None if found is None else Status(found)

    @reads
    async def count_queued(self, connection: AsyncConnection) -> int:
        count = await connection.scalar(sa.select(sa.func.count()).select_from(jobs).where(is_queued()))
        return int(count or 0)

    @writes
    async def request_stop(self, connection: AsyncConnection, job_id: int) -> bool:
        """Asks the job's worker to stop, or ends the job if no worker has claimed it. Returns False if the job has
        already ended."""
        now = self._now()
        this = sa.update(jobs).where(jobs.c.id == job_id)
        queued = this.where(is_queued(), jobs.c.attempts == 0).values(_ended_values(EndReason.STOPPED))
        stopped = (await connection.execute(queued.returning(jobs))).all()
        await claim.record_queue_ends(connection, stopped, EndReason.STOPPED, now)
        changed = bool(stopped) or await release(connection, job_id, now, stop_requested=True)
        if changed:
            await self._worker.wake_all(connection)
        return changed

    @writes
    async def regenerate(
        self,
        connection: AsyncConnection,
        job_id: int,
        wish: Wish = NO_WISH,
        *,
        full: bool = False,
    ) -> EnqueueResult | None:
        """Requeues a job that has ended, so that it is answered again in the same messages. The old answer is kept as
        an earlier turn.

        `wish`: the wish for the new version. A version that continues the previous one inherits the other wishes.
        Returns None if the job hasn't ended, or if its question was deleted or has expired. As with `enqueue`, a job
        that must wait needs a placeholder.
        """
        row = await _lock_for_regeneration(connection, job_id)
        if row is None:
            return None
        again = Arrival("", question_of(row), full)
        waits = (await _queue_state(connection, [again], self._max_per_user)).must_wait(again)
        wish = replace(wish_of(row), continues=True) if wish.continues else wish
        await _requeue(connection, row, self._now(), wish)
        if full or not waits:
            await self._worker.wake_all(connection)
        return EnqueueResult(job_id, waits, row.attempts)

    @writes
    async def edit(self, connection: AsyncConnection, question: Question, edited_ts: str) -> bool:
        """Stores a question's new text. Returns False if the message isn't a question or was deleted.

        A running answer restarts in its messages; its worker learns about the edit from a heartbeat. A finished answer
        also restarts, unless somebody else has written in the thread or another question has arrived since then. In
        that case, the reply says that the question was edited. Commands always run again.
        """
        thread = question.thread
        row = await _lock_job_by_ts(connection, thread.team_id, thread.channel_id, question.ts)
        if row is None or _is_no_longer_question(row):
            return False
        await self._worker.wake_all(connection)
        # Two edits within a second can have the same time.
        if edited_ts < (row.edited_ts or ""):
            return True
        values = {"text": question.text, "files": file_values(question), "attached_chars": question.attached_chars}
        values |= {"is_command": question.is_command, "had_sign_in": question.had_sign_in, "edited_ts": edited_ts}
        await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(values))
        is_same = (row.text, row.files) == (question.text, file_values(question))
        if is_same or (row.alert_kind and row.version >= MAX_VERSIONS):
            return True
        now, answered_by = self._now(), row.answered_with or row.id
        await audit.append(connection, now, [question_entry(question, row.id, edited=True)])
        if await _restart_answer(connection, answered_by, now):
            begun = sa.update(jobs).where(jobs.c.id == answered_by)
            await connection.execute(begun.values(edited_version=jobs.c.version - 1))
        elif not _state_of(row).is_live:
            await _requeue_edited(connection, answered_by, now)
        return True

    @writes
    async def delete(self, connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> bool:
        """Removes a question and its memories, so that it won't be answered. Also removes its reply, unless a person
        has written after the reply. Returns False if the message isn't a question. Slack can deliver a message after
        its deletion, so a message without a job is recorded as deleted and can't become a question later."""
        await memories.forget_message(connection, (team_id, channel_id), ts, self._now())
        row = await _lock_job_by_ts(connection, team_id, channel_id, ts)
        if row is None:
            values = {"event_id": deletion_event_id(team_id, channel_id, ts), "seen_at": self._now()}
            await connection.execute(insert_into(connection, seen_events).values(values).on_conflict_do_nothing())
            return False
        if _is_no_longer_question(row):
            return False
        await self._worker.wake_all(connection)
        now = self._now()
        this = sa.update(jobs).where(jobs.c.id == row.id)
        await connection.execute(this.values(text="", files=[], transcripts={}, question_deleted=True))
        await audit.append(connection, now, [audit.job_entry(row, EntryKind.ERASURE, {"erased": "question"})])
        state = _state_of(row)
        if row.answered_with is not None:
            await connection.execute(this.values(end_reason=EndReason.QUESTION_DELETED.value))
            await _restart_answer(connection, row.answered_with, now)
        elif state is State.QUEUED:
            await connection.execute(this.values(_ended_values(EndReason.QUESTION_DELETED)))
            await claim.record_queue_ends(connection, [row], EndReason.QUESTION_DELETED, now)
        elif state.is_live:
            await release(connection, row.id, now, stop_requested=True)
            await claim.unbatch(connection, row.id, now)
            await outbox.queue_updates(connection, [row.id], now)
        elif not await has_row(connection, is_batched_with(row.id)):
            await connection.execute(this.values(mention_at=None))
            await outbox.queue_updates(connection, [row.id], now)
        return True

    async def _write_arrivals(self, arrivals: Sequence[Arrival]) -> Sequence[EnqueueResult | None]:
        async with limit_time(self._database.limit_s), self._database.begin_write() as connection:
            now = self._now()
            taken = await write_arrivals(connection, arrivals, self._max_per_user, now)
            asked = [arrival.question for arrival, enqueued in zip(arrivals, taken, strict=True) if enqueued]
            replied = await deny_by_reply(connection, asked, now)
            queued = [
                (enqueued, arrival.is_queue_full) for enqueued, arrival in zip(taken, arrivals, strict=True) if enqueued
            ]
            # Another process might have room when this one is full.
            if replied or any(full or not enqueued.needs_placeholder for enqueued, full in queued):
                await self._worker.wake_others(connection)
            return taken


async def _lock_job_by_ts(connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> sa.Row[Any] | None:
    of_message = sa.select(jobs).where(jobs.c.team_id == team_id, jobs.c.channel_id == channel_id, jobs.c.ts == ts)
    return (await connection.execute(of_message.with_for_update())).one_or_none()


def _state_of(row: sa.Row[Any]) -> State:
    return state_of(row.status, row.attempts, row.end_reason)


def _is_no_longer_question(row: sa.Row[Any]) -> bool:
    """Returns whether a message no longer counts as a question, because the asker was denied or because the message was
    deleted or has expired."""
    state = _state_of(row)
    is_empty = row.text == "" and not row.files
    return state is State.DENIED or bool(is_empty and (row.stop_requested or not state.is_live))


def _ended_values(reason: EndReason) -> dict[str, Any]:
    return {"status": Status.ENDED.value, "end_reason": reason.value, "stop_requested": True}


async def _add_alert(connection: AsyncConnection, first: sa.Row[Any], later: Question, now: float) -> None:
    """Adds a later alert to the first alert of its burst. Restarts the answer if the later alert reports that the
    problem is resolved."""
    text = with_later_alert(first.text, later.text)
    if first.question_deleted or text == first.text:
        return
    attached_chars = first.attached_chars + len(text) - len(first.text)
    values = {"text": text, "attached_chars": attached_chars}
    await connection.execute(sa.update(jobs).where(jobs.c.id == first.id).values(values))
    if is_resolved(first.text) or not is_resolved(later.text) or first.version >= MAX_VERSIONS:
        return
    if not await _restart_answer(connection, first.id, now) and not _state_of(first).is_live:
        await _requeue_edited(connection, first.id, now)


async def _restart_answer(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """Increments the version of a begun job, so that its answer restarts. Queued jobs need no restart."""
    this = sa.select(jobs).where(jobs.c.id == job_id, IS_BEGUN, ~jobs.c.stop_requested)
    row = (await connection.execute(this.with_for_update())).one_or_none()
    if row is None:
        return False
    # The existing text answers the old question.
    await release(connection, job_id, now, **_next_version(row, replace(wish_of(row), continues=False), now))
    await steps.drop_progress(connection, job_id)
    await claim.add_follow_ups_to_prompt(connection, job_id)
    return True


def _next_version(row: sa.Row[Any], wish: Wish, now: float) -> dict[str, Any]:
    return {
        "version": row.version + 1,
        "stop_requested": False,
        "asked_at": now,
        "shown_turn": None,
        "wish": asdict(wish),
    }


async def _lock_for_regeneration(connection: AsyncConnection, job_id: int) -> sa.Row[Any] | None:
    this = sa.select(jobs).where(jobs.c.id == job_id, CAN_BE_REGENERATED, HAS_CONTENT)
    return (await connection.execute(this.with_for_update())).one_or_none()


async def _requeue(connection: AsyncConnection, row: sa.Row[Any], now: float, wish: Wish = NO_WISH) -> None:
    values: dict[str, Any] = {
        "status": Status.QUEUED.value,
        "end_reason": None,
        "interruptions": 0,
        # The placeholder of a job that ended in the queue might not be recorded yet.
        "placeholder_due_since": None if row.attempts else row.placeholder_due_since,
        "mention_at": None,
        **_next_version(row, wish, now),
    }
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(values))
    await side_messages.queue_updates(connection, [row.id], now)
    await claim.keep_placeholders(connection, [row.id], now)
    await claim.add_follow_ups_to_prompt(connection, row.id)


async def _requeue_edited(connection: AsyncConnection, job_id: int, now: float) -> None:
    """Records an edit to the question of a job that has ended. Requeues the job unless other people have written since
    then."""
    row = await _lock_for_regeneration(connection, job_id)
    if row is None:
        return
    await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(edited_version=row.version))
    # A command must match its text, no matter what was written since.
    if row.end_reason == EndReason.COMMAND or await _is_last_in_thread(connection, job_id):
        await _requeue(connection, row, now)
    elif row.attempts:
        await outbox.queue_updates(connection, [job_id], now)


async def _is_last_in_thread(connection: AsyncConnection, job_id: int) -> bool:
    """Returns whether a job's question is the last message in its thread, apart from the bot's own."""
    later = jobs.alias()
    lines = thread_lines
    after = sa.or_(
        sa.exists().where(same_thread(later, jobs), later.c.ts > jobs.c.ts),
        sa.exists().where(same_thread(lines, jobs), lines.c.ts > jobs.c.ts, lines.c.user_id != jobs.c.user_id),
        sa.exists().where(same_thread(group_threads, jobs), group_threads.c.since_ts > jobs.c.ts),
    )
    return await has_row(connection, jobs.c.id == job_id, ~after)


log = logging.getLogger(__name__)


async def write_arrivals(
    connection: AsyncConnection, arrivals: Sequence[Arrival], max_per_user: int, now: float
) -> list[EnqueueResult | None]:
    """Writes questions in order, with the same results as in separate transactions."""
    seen = await _record_events(connection, arrivals, now)
    first_events: dict[str, Arrival] = {}
    first_messages: dict[tuple[str, str, str], Arrival] = {}
    for arrival in arrivals:
        if arrival.event_id in seen and first_events.setdefault(arrival.event_id, arrival) is arrival:
            first_messages.setdefault(_message_key(arrival.question), arrival)
    for message in await _deleted_messages(connection, first_messages):
        log.debug("message %s ignored: it was deleted before it arrived", message[2])
        del first_messages[message]
    for message in await _messages_of_overactive_bots(
        connection, [arrival.question for arrival in first_messages.values()], now
    ):
        log.warning("message %s ignored: bot %s asks too often", message[2], first_messages[message].question.user_id)
        del first_messages[message]
    if not first_messages:
        return [None] * len(arrivals)
    queue = await _queue_state(connection, first_messages.values(), max_per_user)
    ids = await _add_jobs(connection, first_messages.values(), now)
    asked = [(ids[message], arrival.question) for message, arrival in first_messages.items() if message in ids]
    await audit.append(connection, now, [question_entry(question, job_id) for job_id, question in asked])
    taken: dict[str, EnqueueResult] = {}
    for message, arrival in first_messages.items():
        if message in ids:
            taken[arrival.event_id] = EnqueueResult(ids[message], queue.must_wait(arrival))
    return [
        taken.get(arrival.event_id) if first_events.get(arrival.event_id) is arrival else None for arrival in arrivals
    ]


def _message_key(question: Question) -> tuple[str, str, str]:
    return question.thread.team_id, question.thread.channel_id, question.ts


def deletion_event_id(team_id: str, channel_id: str, ts: str) -> str:
    return f"deletion {team_id} {channel_id} {ts}"


async def _deleted_messages(
    connection: AsyncConnection, messages: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str, str]]:
    by_id = {deletion_event_id(*message): message for message in messages}
    found = await connection.scalars(sa.select(seen_events.c.event_id).where(seen_events.c.event_id.in_(by_id)))
    return [by_id[event_id] for event_id in found]


async def _messages_of_overactive_bots(
    connection: AsyncConnection, questions: Sequence[Question], now: float
) -> list[tuple[str, str, str]]:
    """Returns the messages of bots that ask so often that they might be responding to our answers."""
    # Until their commit, because concurrent transactions wouldn't count each other's questions.
    for team_id in sorted({question.thread.team_id for question in questions if question.is_from_bot}):
        await acquire_lock(connection, f"bots {team_id}")
    refused: list[tuple[str, str, str]] = []
    accepted: list[Question] = []
    for question in questions:
        is_bots = question.is_from_bot and not question.alert_kind
        if is_bots and (await _bot_questions(connection, question, accepted, now)).is_over_limit:
            refused.append(_message_key(question))
        else:
            accepted.append(question)
    return refused


async def _bot_questions(
    connection: AsyncConnection, question: Question, accepted: Sequence[Question], now: float
) -> BotQuestions:
    """Counts a bot's questions, in a row and per hour, up to the limits. `accepted`: questions that are about to be
    stored."""
    newest = sa.select(jobs.c.ts, jobs.c.from_bot).where(in_thread(question.thread)).order_by(jobs.c.ts.desc())
    of_thread = {row.ts: row.from_bot for row in await connection.execute(newest.limit(MAX_BOT_QUESTIONS_IN_A_ROW))}
    of_thread |= {other.ts: other.is_from_bot for other in accepted if other.thread == question.thread}
    in_a_row = takewhile(lambda ts: of_thread[ts], sorted(of_thread, reverse=True))
    of_bot = jobs.c.team_id == question.thread.team_id, jobs.c.user_id == question.user_id, jobs.c.from_bot
    lately = sa.select(jobs.c.id).where(*of_bot, jobs.c.created_at > now - 3600).limit(MAX_BOT_QUESTIONS_AN_HOUR)
    person = question.thread.team_id, question.user_id
    now_taken = sum((other.thread.team_id, other.user_id) == person for other in accepted)
    return BotQuestions(len(list(in_a_row)), len((await connection.scalars(lately)).all()) + now_taken)


@dataclass(frozen=True, slots=True)
class _QueueState:
    oldest: dict[ThreadKey, str]
    threads: Counter[tuple[str, str, bool]]
    """The number of threads with live jobs, keyed by the team, the user, and whether the jobs are runs."""
    max_per_user: int

    def must_wait(self, arrival: Arrival) -> bool:
        question = arrival.question
        person = (question.thread.team_id, question.user_id, question.schedule_id is not None)
        first = self.oldest.get(question.thread)
        self.oldest[question.thread] = question.ts if first is None else min(first, question.ts)
        full = arrival.is_queue_full or self.threads[person] >= self.max_per_user
        if first is None:
            self.threads[person] += 1
        return full or (first is not None and first < question.ts)


async def _queue_state(connection: AsyncConnection, arrivals: Collection[Arrival], max_per_user: int) -> _QueueState:
    questions = [arrival.question for arrival in arrivals]
    oldest = await _oldest_queued(connection, {question.thread for question in questions})
    people = {(question.thread.team_id, question.user_id) for question in questions}
    return _QueueState(oldest, await _live_threads(connection, people), max_per_user)


async def _record_events(connection: AsyncConnection, arrivals: Sequence[Arrival], now: float) -> Collection[str]:
    """Records events, and returns the IDs of the new ones. Events are inserted in a fixed order so that two
    transactions can't deadlock."""
    event_ids = sorted({arrival.event_id for arrival in arrivals})
    new = insert_into(connection, seen_events).on_conflict_do_nothing().returning(seen_events.c.event_id)
    rows = await connection.scalars(new, [{"event_id": event_id, "seen_at": now} for event_id in event_ids])
    return set(rows.all())


async def _oldest_queued(connection: AsyncConnection, threads: Collection[ThreadKey]) -> dict[ThreadKey, str]:
    """Returns the ts of each thread's oldest queued job, or '' if a begun job is ahead of that job."""
    columns = thread_columns()
    among = sa.tuple_(*columns).in_([tuple(thread_values(thread).values()) for thread in threads])
    queued = sa.select(*columns, sa.func.min(jobs.c.ts).label("ts")).where(is_queued(), among).group_by(*columns)
    begun = sa.select(*columns, sa.literal("")).where(IS_AHEAD, among)
    oldest: dict[ThreadKey, str] = {}
    for row in await connection.execute(sa.union_all(queued, begun)):
        thread = thread_of(row)
        oldest[thread] = min(row.ts, oldest.get(thread, row.ts))
    return oldest


async def _live_threads(
    connection: AsyncConnection, people: Collection[tuple[str, str]]
) -> Counter[tuple[str, str, bool]]:
    """Returns the number of each person's threads with live runs or questions, which is the maximum number that could
    run at once."""
    is_run = jobs.c.schedule_id.is_not(None).label("is_run")
    columns = (jobs.c.team_id, jobs.c.user_id, is_run, jobs.c.channel_id, jobs.c.thread_ts)
    theirs = sa.tuple_(jobs.c.team_id, jobs.c.user_id).in_(list(people))
    held = sa.union(*(sa.select(*columns).where(is_in, theirs) for is_in in (is_queued(), is_running()))).subquery()
    person = (held.c.team_id, held.c.user_id, held.c.is_run)
    counted = await connection.execute(sa.select(*person, sa.func.count()).group_by(*person))
    return Counter({(team_id, user_id, bool(is_run)): number for team_id, user_id, is_run, number in counted})


async def _add_jobs(
    connection: AsyncConnection, arrivals: Iterable[Arrival], now: float
) -> dict[tuple[str, str, str], int]:
    """Adds jobs and returns their IDs. Another transaction that contains one of these events waits for this
    transaction."""
    # All processes write jobs in the same order, that of the messages.
    in_order = sorted(arrivals, key=lambda arrival: (arrival.question.ts, _message_key(arrival.question)))
    added = {}
    if values := [
        queued_values(arrival.question, now) | {"offered": arrival.is_offer}
        for arrival in in_order
        if arrival.job_id is None
    ]:
        columns = (jobs.c.id, jobs.c.team_id, jobs.c.channel_id, jobs.c.ts)
        new = insert_into(connection, jobs).on_conflict_do_nothing().returning(*columns)
        added = {(row.team_id, row.channel_id, row.ts): row.id for row in await connection.execute(new, values)}
    for arrival in in_order:
        if arrival.job_id is not None and await queue_posted(connection, arrival.job_id, arrival.question, now):
            added[_message_key(arrival.question)] = arrival.job_id
    return added
