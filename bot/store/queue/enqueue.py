"""Questions become jobs: what arrives while a transaction is under way goes into the next one together."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question, ThreadKey
from bot.core.job import Enqueued, Status
from bot.store.rows import DOING, TODO, file_values, in_thread, insert_into, thread_values
from bot.store.schema import jobs, seen_events

LARGEST_BATCH = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event with a question in it."""

    event_id: str
    question: Question
    full: bool
    """The process has no room for it now."""


Taken = Enqueued | None


class Arrivals:
    """One commit for all that came during the last one: a sync of the disk is what an enqueue costs."""

    def __init__(self, write: Callable[[Sequence[Arrival]], Awaitable[Sequence[Taken]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Arrival, asyncio.Future[Taken]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, arrival: Arrival) -> Taken:
        """What became of it; raises what its batch's transaction raised. It is written though the caller is gone."""
        taken: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, taken))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await taken

    async def end(self) -> None:
        """Returns when all is written."""
        if self._writing is not None:
            await self._writing

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: Sequence[tuple[Arrival, asyncio.Future[Taken]]]) -> None:
        try:
            results = await self._write([arrival for arrival, _ in batch])
        except Exception as error:
            for _, taken in batch:
                if not taken.done():
                    taken.set_exception(error)
            return
        for (_, taken), result in zip(batch, results, strict=True):
            if not taken.done():
                taken.set_result(result)


async def write_arrivals(
    connection: AsyncConnection, batch: Sequence[Arrival], most_per_user: int, now: float
) -> list[Taken]:
    """As if each came alone, in the order of the batch."""
    seen = await _first_seen(connection, batch, now)
    first_events: dict[str, Arrival] = {}
    first_messages: dict[tuple[str, str, str], Arrival] = {}
    for arrival in batch:
        if arrival.event_id in seen and first_events.setdefault(arrival.event_id, arrival) is arrival:
            first_messages.setdefault(_message(arrival.question), arrival)
    if not first_messages:
        return [None] * len(batch)
    line = await _line(connection, first_messages.values(), most_per_user)
    ids = await _add_jobs(connection, first_messages.values(), now)
    taken: dict[str, Enqueued] = {}
    for message, arrival in first_messages.items():
        if message in ids:
            taken[arrival.event_id] = Enqueued(ids[message], line.waits(arrival))
    waiting = [enqueued.job_id for enqueued in taken.values() if enqueued.waiting]
    if waiting:
        await connection.execute(sa.update(jobs).where(jobs.c.id.in_(waiting)).values(announced_at=now))
    return [taken.get(each.event_id) if first_events.get(each.event_id) is each else None for each in batch]


def _message(question: Question) -> tuple[str, str, str]:
    return question.thread.team_id, question.thread.channel_id, question.ts


@dataclass(frozen=True, slots=True)
class _Line:
    """What is before those who arrive; each of them may be before the next."""

    oldest: dict[ThreadKey, str]
    """The ts of the oldest job to do in each thread, '' where one was begun."""
    threads: Counter[tuple[str, str]]
    """In how many threads a person, by team and user, has jobs to do or being done."""
    most_per_user: int

    def waits(self, arrival: Arrival) -> bool:
        question = arrival.question
        person = (question.thread.team_id, question.user_id)
        first = self.oldest.get(question.thread)
        self.oldest[question.thread] = question.ts if first is None else min(first, question.ts)
        full = arrival.full or self.threads[person] >= self.most_per_user
        if first is None:
            self.threads[person] += 1
        return full or (first is not None and first < question.ts)


async def must_wait(connection: AsyncConnection, question: Question, full: bool, most_per_user: int) -> bool:
    """Whether one that is to be answered again has others before it, or no room."""
    arrival = Arrival("", question, full)
    return (await _line(connection, [arrival], most_per_user)).waits(arrival)


async def _line(connection: AsyncConnection, arrivals: Collection[Arrival], most_per_user: int) -> _Line:
    questions = [arrival.question for arrival in arrivals]
    oldest = await _oldest(connection, {question.thread for question in questions})
    people = {(question.thread.team_id, question.user_id) for question in questions}
    return _Line(oldest, await _threads(connection, people), most_per_user)


async def _first_seen(connection: AsyncConnection, batch: Sequence[Arrival], now: float) -> Collection[str]:
    """In one order for all processes: else two batches with the same events could wait for each other."""
    event_ids = sorted({arrival.event_id for arrival in batch})
    new = insert_into(connection, seen_events).on_conflict_do_nothing().returning(seen_events.c.event_id)
    rows = await connection.scalars(new, [{"event_id": event_id, "seen_at": now} for event_id in event_ids])
    return set(rows.all())


async def _oldest(connection: AsyncConnection, threads: Collection[ThreadKey]) -> dict[ThreadKey, str]:
    """The ts of the oldest job to do in each thread, '' where one was begun."""
    columns = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)
    among = sa.tuple_(*columns).in_([tuple(thread_values(thread).values()) for thread in threads])
    todo = sa.select(*columns, sa.func.min(jobs.c.ts)).where(jobs.c.status == TODO, among).group_by(*columns)
    begun = sa.or_(jobs.c.status == DOING, sa.and_(jobs.c.status == TODO, jobs.c.attempts > 0))
    doing = sa.select(*columns, sa.literal("")).where(begun, among)
    oldest: dict[ThreadKey, str] = {}
    for team_id, channel_id, thread_ts, ts in await connection.execute(sa.union_all(todo, doing)):
        thread = ThreadKey(team_id, channel_id, thread_ts or None)
        oldest[thread] = min(ts, oldest.get(thread, ts))
    return oldest


async def _threads(connection: AsyncConnection, people: Collection[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """In how many threads each has jobs to do or being done: so many may be under way at once."""
    columns = (jobs.c.team_id, jobs.c.user_id, jobs.c.channel_id, jobs.c.thread_ts)
    theirs = sa.tuple_(jobs.c.team_id, jobs.c.user_id).in_(list(people))
    held = sa.union(
        *(sa.select(*columns).where(jobs.c.status == status, theirs) for status in (TODO, DOING))
    ).subquery()
    counted = sa.select(held.c.team_id, held.c.user_id, sa.func.count()).group_by(held.c.team_id, held.c.user_id)
    return Counter({(team_id, user_id): number for team_id, user_id, number in await connection.execute(counted)})


async def _add_jobs(
    connection: AsyncConnection, arrivals: Iterable[Arrival], now: float
) -> dict[tuple[str, str, str], int]:
    """Ids of those that are new: where a twin event brought it, the loser waits for the winner's commit.

    In the order of writing, which is the same for all processes.
    """
    values = [
        {
            **thread_values(arrival.question.thread),
            "ts": arrival.question.ts,
            "user_id": arrival.question.user_id,
            "text": arrival.question.text,
            "files": file_values(arrival.question),
            "from_bot": arrival.question.from_bot,
            "status": Status.TODO.value,
            "created_at": now,
        }
        for arrival in sorted(arrivals, key=lambda arrival: (arrival.question.ts, _message(arrival.question)))
    ]
    columns = (jobs.c.id, jobs.c.team_id, jobs.c.channel_id, jobs.c.ts)
    added = insert_into(connection, jobs).on_conflict_do_nothing().returning(*columns)
    rows = await connection.execute(added, values)
    return {(row.team_id, row.channel_id, row.ts): row.id for row in rows}


async def may_post_placeholder(connection: AsyncConnection, question: Question) -> bool:
    """As Store.may_post_placeholder."""
    before = sa.exists().where(
        in_thread(question.thread),
        sa.or_(jobs.c.status == TODO, jobs.c.status == DOING),
        jobs.c.ts < question.ts,
        sa.cast(jobs.c.page_ts, sa.Text) == "[]",
    )
    return not await connection.scalar(sa.select(before))
