"""Enqueueing: questions become jobs, many in one commit.

A commit waits for the disk, so questions that arrive during one share the next (group_commit.py). Each gets its answer
as if it had come alone: whether its event or its message was seen before, and whether it has to wait behind others.

Measured with 100 questions in a second beside their answers: one transaction after another, each of which also waits
for its turn among the transactions of live answers, left 73 without an acknowledgment within Slack's three seconds.
Together, all had one within 2 s (docs/scaling.md).
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.access import MAX_BOT_QUESTIONS_AN_HOUR, MAX_BOT_QUESTIONS_IN_A_ROW, BotQuestions
from bot.core.audit import question_entry
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Enqueued
from bot.store import audit
from bot.store.engine import one_at_a_time
from bot.store.queue import unposted
from bot.store.rows import (
    THREAD,
    in_thread,
    insert_into,
    is_ahead,
    is_queued,
    is_running,
    queued_values,
    thread_of,
    thread_values,
)
from bot.store.schema import jobs, seen_events

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event with a question in it."""

    event_id: str
    question: Question
    full: bool
    """Whether the process has no room for another answer."""
    offered: bool = False
    """Whether the asker is offered an answer first."""
    job_id: int | None = None
    """Its job, if the bot has posted the question for its asker; else it gets a new one."""


async def write_arrivals(
    connection: AsyncConnection, batch: Sequence[Arrival], max_per_user: int, now: float
) -> list[Enqueued | None]:
    """Writes questions as if each came alone, in their order."""
    seen = await _first_seen(connection, batch, now)
    first_events: dict[str, Arrival] = {}
    first_messages: dict[tuple[str, str, str], Arrival] = {}
    for arrival in batch:
        if arrival.event_id in seen and first_events.setdefault(arrival.event_id, arrival) is arrival:
            first_messages.setdefault(_message(arrival.question), arrival)
    for message in await _deleted(connection, first_messages):
        log.debug("message %s ignored: it was deleted before it arrived", message[2])
        del first_messages[message]
    for message in await _of_eager_bots(connection, [arrival.question for arrival in first_messages.values()], now):
        log.warning("message %s ignored: bot %s asks too often", message[2], first_messages[message].question.user_id)
        del first_messages[message]
    if not first_messages:
        return [None] * len(batch)
    queue = await _queue_before(connection, first_messages.values(), max_per_user)
    ids = await _add_jobs(connection, first_messages.values(), now)
    asked = [(ids[message], arrival.question) for message, arrival in first_messages.items() if message in ids]
    await audit.append(connection, now, [question_entry(question, job_id) for job_id, question in asked])
    taken: dict[str, Enqueued] = {}
    for message, arrival in first_messages.items():
        if message in ids:
            taken[arrival.event_id] = Enqueued(ids[message], queue.is_behind(arrival))
    waiting = [enqueued.job_id for enqueued in taken.values() if enqueued.needs_placeholder]
    if waiting:
        await connection.execute(sa.update(jobs).where(jobs.c.id.in_(waiting)).values(placeholder_due_since=now))
    return [taken.get(arrival.event_id) if first_events.get(arrival.event_id) is arrival else None for arrival in batch]


def _message(question: Question) -> tuple[str, str, str]:
    return question.thread.team_id, question.thread.channel_id, question.ts


def deletion_of(team_id: str, channel_id: str, ts: str) -> str:
    """Returns under which ID a message's deletion is recorded among the events, if it came before the message."""
    return f"deletion {team_id} {channel_id} {ts}"


async def _deleted(connection: AsyncConnection, messages: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Returns the messages that were deleted before they arrived."""
    by_id = {deletion_of(*message): message for message in messages}
    found = await connection.scalars(sa.select(seen_events.c.event_id).where(seen_events.c.event_id.in_(by_id)))
    return [by_id[event_id] for event_id in found]


async def _of_eager_bots(
    connection: AsyncConnection, questions: Sequence[Question], now: float
) -> list[tuple[str, str, str]]:
    """Returns the messages of bots that ask so much that they may be answering our answers.

    The same transaction writes the others, and those of a workspace's bots take turns: else questions that come at once
    would all be within the limits.
    """
    for team_id in sorted({question.thread.team_id for question in questions if question.from_bot}):
        await one_at_a_time(connection, f"bots {team_id}")
    refused: list[tuple[str, str, str]] = []
    taken: list[Question] = []
    for question in questions:
        if question.from_bot and (await _bot_questions(connection, question, taken, now)).too_many:
            refused.append(_message(question))
        else:
            taken.append(question)
    return refused


async def _bot_questions(
    connection: AsyncConnection, question: Question, taken: Sequence[Question], now: float
) -> BotQuestions:
    """Returns how much bots ask: on record, and by `taken`, which are about to be. Exact only up to the limits."""
    newest = sa.select(jobs.c.ts, jobs.c.from_bot).where(in_thread(question.thread)).order_by(jobs.c.ts.desc())
    of_thread = {row.ts: row.from_bot for row in await connection.execute(newest.limit(MAX_BOT_QUESTIONS_IN_A_ROW))}
    of_thread |= {other.ts: other.from_bot for other in taken if other.thread == question.thread}
    in_a_row = takewhile(lambda ts: of_thread[ts], sorted(of_thread, reverse=True))
    of_bot = jobs.c.team_id == question.thread.team_id, jobs.c.user_id == question.user_id, jobs.c.from_bot
    lately = sa.select(jobs.c.id).where(*of_bot, jobs.c.created_at > now - 3600).limit(MAX_BOT_QUESTIONS_AN_HOUR)
    person = question.thread.team_id, question.user_id
    now_taken = sum((other.thread.team_id, other.user_id) == person for other in taken)
    return BotQuestions(len(list(in_a_row)), len((await connection.scalars(lately)).all()) + now_taken)


@dataclass(frozen=True, slots=True)
class _QueueBefore:
    """The jobs ahead of arriving questions. Each arrival may be ahead of the next."""

    oldest: dict[ThreadKey, str]
    """The ts of the oldest queued job in each thread, '' where one is ahead of them."""
    threads: Counter[tuple[str, str]]
    """In how many threads a person, by team and user, has live jobs."""
    max_per_user: int

    def is_behind(self, arrival: Arrival) -> bool:
        question = arrival.question
        person = (question.thread.team_id, question.user_id)
        first = self.oldest.get(question.thread)
        self.oldest[question.thread] = question.ts if first is None else min(first, question.ts)
        full = arrival.full or self.threads[person] >= self.max_per_user
        if first is None:
            self.threads[person] += 1
        return full or (first is not None and first < question.ts)


async def must_wait(connection: AsyncConnection, question: Question, full: bool, max_per_user: int) -> bool:
    """Whether a question whose answer is regenerated must wait behind others, or for room."""
    arrival = Arrival("", question, full)
    return (await _queue_before(connection, [arrival], max_per_user)).is_behind(arrival)


async def _queue_before(connection: AsyncConnection, arrivals: Collection[Arrival], max_per_user: int) -> _QueueBefore:
    questions = [arrival.question for arrival in arrivals]
    oldest = await _oldest(connection, {question.thread for question in questions})
    people = {(question.thread.team_id, question.user_id) for question in questions}
    return _QueueBefore(oldest, await _threads(connection, people), max_per_user)


async def _first_seen(connection: AsyncConnection, batch: Sequence[Arrival], now: float) -> Collection[str]:
    """Records the events and returns the new ones.

    Written in one order by all processes: otherwise two transactions with the same events could wait for each other.
    """
    event_ids = sorted({arrival.event_id for arrival in batch})
    new = insert_into(connection, seen_events).on_conflict_do_nothing().returning(seen_events.c.event_id)
    rows = await connection.scalars(new, [{"event_id": event_id, "seen_at": now} for event_id in event_ids])
    return set(rows.all())


async def _oldest(connection: AsyncConnection, threads: Collection[ThreadKey]) -> dict[ThreadKey, str]:
    """Returns the ts of the oldest queued job in each thread, '' where one is ahead of them."""
    columns = [jobs.c[name] for name in THREAD]
    among = sa.tuple_(*columns).in_([tuple(thread_values(thread).values()) for thread in threads])
    queued = sa.select(*columns, sa.func.min(jobs.c.ts).label("ts")).where(is_queued(), among).group_by(*columns)
    begun = sa.select(*columns, sa.literal("")).where(is_ahead(), among)
    oldest: dict[ThreadKey, str] = {}
    for row in await connection.execute(sa.union_all(queued, begun)):
        thread = thread_of(row)
        oldest[thread] = min(row.ts, oldest.get(thread, row.ts))
    return oldest


async def _threads(connection: AsyncConnection, people: Collection[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Counts the threads in which each person has live jobs: so many could be running at once."""
    columns = (jobs.c.team_id, jobs.c.user_id, jobs.c.channel_id, jobs.c.thread_ts)
    theirs = sa.tuple_(jobs.c.team_id, jobs.c.user_id).in_(list(people))
    held = sa.union(*(sa.select(*columns).where(is_in, theirs) for is_in in (is_queued(), is_running()))).subquery()
    counted = sa.select(held.c.team_id, held.c.user_id, sa.func.count()).group_by(held.c.team_id, held.c.user_id)
    return Counter({(team_id, user_id): number for team_id, user_id, number in await connection.execute(counted)})


async def _add_jobs(
    connection: AsyncConnection, arrivals: Iterable[Arrival], now: float
) -> dict[tuple[str, str, str], int]:
    """Adds jobs and returns the ids of the new ones; a twin event's transaction waits for this one's commit.

    Written in one order by all processes, that of the messages.
    """
    in_order = sorted(arrivals, key=lambda arrival: (arrival.question.ts, _message(arrival.question)))
    added = {}
    if values := [
        queued_values(arrival.question, now) | {"offered": arrival.offered}
        for arrival in in_order
        if arrival.job_id is None
    ]:
        columns = (jobs.c.id, jobs.c.team_id, jobs.c.channel_id, jobs.c.ts)
        new = insert_into(connection, jobs).on_conflict_do_nothing().returning(*columns)
        added = {(row.team_id, row.channel_id, row.ts): row.id for row in await connection.execute(new, values)}
    for arrival in in_order:
        if arrival.job_id is not None and await unposted.post(connection, arrival.job_id, arrival.question, now):
            added[_message(arrival.question)] = arrival.job_id
    return added
