"""The Store on SQLAlchemy Core: one code for SQLite and PostgreSQL."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.core.conversation import Job, Question, ThreadKey
from bot.ports import Clock, Enqueued, Outcome, Status
from bot.store.engine import create_engine, database_errors
from bot.store.migrate import migrate
from bot.store.schema import jobs, seen_events, turns

P = ParamSpec("P")
T = TypeVar("T")

_REPLIES_READ = 500
"""Jobs of a thread whose replies are read: a direct message goes on for years, a prompt does not."""

# Written into the statements, not bound: only then do SQLite and PostgreSQL see that a partial index will do.
_TODO = sa.literal(Status.TODO.value, sa.Text, literal_execute=True)
_DOING = sa.literal(Status.DOING.value, sa.Text, literal_execute=True)


def _to_its_end(
    method: Callable[Concatenate["SqlStore", P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["SqlStore", P], Coroutine[Any, Any, T]]:
    """Lets a transaction end though its caller is cancelled: breaking it off would cost the connection."""

    @functools.wraps(method)
    async def shielded(self: "SqlStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(method(self, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with database_errors():
            return await asyncio.shield(task)

    return shielded


class SqlStore:
    """bot.ports.Store in a database. Each method is one transaction, and StoreError where that fails."""

    def __init__(self, engine: AsyncEngine, worker: str, clock: Clock) -> None:
        self.engine = engine
        self._worker = worker
        self._clock = clock
        self._running: set[asyncio.Task[Any]] = set()
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    @classmethod
    async def open(cls, database_url: str, worker: str, clock: Clock) -> "SqlStore":
        """Connects and migrates. `worker` names this process among all that share the database."""
        engine = create_engine(database_url)
        try:
            with database_errors():
                await migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, worker, clock)

    @_to_its_end
    async def enqueue(self, event_id: str, question: Question) -> Enqueued | None:
        async with self.engine.begin() as connection:
            if not await self._sees_first(connection, event_id):
                return None
            job_id = await self._add_job(connection, question)
            if job_id is None:
                return None
            before = sa.or_(jobs.c.status == _DOING, sa.and_(jobs.c.status == _TODO, jobs.c.ts < question.ts))
            waiting = sa.exists().where(_in_thread(question.thread), before)
            return Enqueued(job_id, bool(await connection.scalar(sa.select(waiting))))

    async def _sees_first(self, connection: AsyncConnection, event_id: str) -> bool:
        seen = self._insert(seen_events).on_conflict_do_nothing().returning(seen_events.c.event_id)
        values = {"event_id": event_id, "seen_at": self._clock.now()}
        return await connection.scalar(seen, values) is not None

    async def _add_job(self, connection: AsyncConnection, question: Question) -> int | None:
        """None where the twin event brought the message before: the loser waits for the winner's commit."""
        values = {
            **_thread_values(question.thread),
            "ts": question.ts,
            "user_id": question.user_id,
            "text": question.text,
            "status": Status.TODO.value,
            "created_at": self._clock.now(),
        }
        added = self._insert(jobs).on_conflict_do_nothing().returning(jobs.c.id)
        job_id: int | None = await connection.scalar(added, values)
        return job_id

    @_to_its_end
    async def claim(self, limit: int) -> list[Job]:
        now = self._clock.now()
        taken = (
            sa.update(jobs)
            .where(jobs.c.id.in_(_ready(limit)))
            .values(
                status=Status.DOING.value,
                worker=self._worker,
                attempts=jobs.c.attempts + 1,
                heartbeat_at=now,
                started_at=now,
            )
            .returning(jobs)
        )
        try:
            async with self.engine.begin() as connection:
                rows = (await connection.execute(taken)).all()
        except IntegrityError:
            # Another worker took a job of one of the threads in the same moment: next time.
            return []
        return sorted((_job(row) for row in rows), key=lambda job: job.id)

    @_to_its_end
    async def heartbeat(self, claimed: Sequence[Job]) -> set[int]:
        if not claimed:
            return set()
        held = [(job.id, job.attempts) for job in claimed]
        beat = (
            sa.update(jobs)
            .where(sa.tuple_(jobs.c.id, jobs.c.attempts).in_(held), *self._ours())
            .values(heartbeat_at=self._clock.now())
            .returning(jobs.c.id)
        )
        async with self.engine.begin() as connection:
            return set((await connection.scalars(beat)).all())

    @_to_its_end
    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        pages = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.worker == self._worker).values(page_ts=list(page_ts))
        async with self.engine.begin() as connection:
            await connection.execute(pages)

    @_to_its_end
    async def finish(self, job: Job, outcome: Outcome) -> bool:
        now = self._clock.now()
        ended = (
            sa.update(jobs)
            .where(jobs.c.id == job.id, jobs.c.attempts == job.attempts, *self._ours())
            .values(status=outcome.status.value, finished_at=now)
        )
        async with self.engine.begin() as connection:
            if (await connection.execute(ended)).rowcount == 0:
                return False
            await connection.execute(sa.insert(turns), _turn_values(job, outcome, now))
            return True

    def _ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        """The fence, with the job's attempt: a late worker writes nothing."""
        return jobs.c.worker == self._worker, jobs.c.status == _DOING

    @_to_its_end
    async def takes_part(self, thread: ThreadKey) -> bool:
        async with self.engine.begin() as connection:
            return bool(await connection.scalar(sa.select(sa.exists().where(_in_thread(thread)))))

    @_to_its_end
    async def replies(self, thread: ThreadKey) -> Mapping[str, str]:
        newest = (
            sa.select(jobs.c.id, jobs.c.page_ts)
            .where(_in_thread(thread))
            .order_by(jobs.c.ts.desc())
            .limit(_REPLIES_READ)
            .subquery()
        )
        said = (
            sa.select(newest.c.page_ts, turns.c.answer)
            .outerjoin_from(newest, turns, turns.c.job_id == newest.c.id)
            .order_by(turns.c.id)
        )
        async with self.engine.begin() as connection:
            rows = (await connection.execute(said)).all()
        replies: dict[str, str] = {}
        for page_ts, answer in rows:
            replies |= dict.fromkeys(page_ts, "")
            replies |= dict.fromkeys(page_ts[:1], answer or "")
        return replies

    async def close(self) -> None:
        """Waits for transactions under way, then disconnects."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.engine.dispose()


def _in_thread(thread: ThreadKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(jobs.c[name] == value for name, value in _thread_values(thread).items()))


def _thread_values(thread: ThreadKey) -> dict[str, str]:
    return {
        "team_id": thread.team_id,
        "channel_id": thread.channel_id,
        "thread_ts": thread.thread_ts or "",
    }


def _ready(limit: int) -> sa.Select[tuple[int]]:
    """The oldest job of each thread in which none is being done; two workers never wait for the same rows."""
    other = jobs.alias()
    before = sa.exists().where(
        other.c.team_id == jobs.c.team_id,
        other.c.channel_id == jobs.c.channel_id,
        other.c.thread_ts == jobs.c.thread_ts,
        sa.or_(other.c.status == _DOING, sa.and_(other.c.status == _TODO, other.c.ts < jobs.c.ts)),
    )
    # In a CTE, for PostgreSQL may run a plain subquery more than once, and then lock more than the limit.
    ready = (
        sa.select(jobs.c.id)
        .where(jobs.c.status == _TODO, ~before)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    return sa.select(ready.c.id)


def _job(row: sa.Row[Any]) -> Job:
    thread = ThreadKey(row.team_id, row.channel_id, row.thread_ts or None)
    question = Question(thread, row.ts, row.user_id, row.text)
    return Job(row.id, question, row.attempts, tuple(row.page_ts))


def _turn_values(job: Job, outcome: Outcome, now: float) -> dict[str, Any]:
    usage = outcome.usage
    return {
        "job_id": job.id,
        "answer": outcome.answer,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cached_input_tokens": usage and usage.cached_input_tokens,
        "created_at": now,
    }
