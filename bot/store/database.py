"""The Store on SQLAlchemy Core: one code for SQLite and PostgreSQL."""

import asyncio
import functools
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings
from bot.core.inbound.triage import Participants
from bot.core.job import Enqueued, Outcome, Piece, Pulse, Reservation, Spent, Status
from bot.core.limits.access import BotQuestions
from bot.core.limits.caps import Amount, Cap, CapRoom, CapWindow, Spender
from bot.core.outbox import Leftover, OutboxEntry
from bot.errors import StoreError
from bot.ports import Clock
from bot.store import (
    channel_settings,
    checkpoints,
    erasure,
    notices,
    outbox,
    pane_context,
    rate_ledger,
    recorded_answers,
    unshown_ends,
    usage_report,
    usage_totals,
)
from bot.store.engine import READS, answered_within, create_engine, database_errors
from bot.store.liveness.workers import WorkerLiveness
from bot.store.migrate import migrate
from bot.store.participants import company, share
from bot.store.queue import batch, claim, edit, finish
from bot.store.queue.enqueue import Arrival, Arrivals, may_post_placeholder, write_arrivals
from bot.store.queue.finish import Held
from bot.store.rows import TODO, wake_others
from bot.store.schema import jobs
from bot.store.transactions import UnderWay

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

NO_LIMIT = 1_000_000
NO_PIECES: Mapping[Job, Piece] = {}
ANSWER_WITHIN_S = 10.0
"""Longer than what a lock is waited for."""
CLOSE_WITHIN_S = 0.8
"""On a server; a file is on this machine, and is waited for. A process that ends has 5 s for everything."""
LET_GO_S = 0.3
DISPOSE_WITHIN_S = 0.3


Method = Callable[Concatenate["SqlStore", P], Coroutine[Any, Any, T]]


def _shielded(method: Method[P, T], *, limited: bool) -> Method[P, T]:
    @functools.wraps(method)
    async def shielded(self: "SqlStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._under_way.see_to(method(self, *args, **kwargs), self._limit_s if limited else None)
        except StoreError:
            # What we did not see of the others must not count against them.
            self._presence.watch.reset()
            self.failed_at = self._clock.monotonic()
            raise

    return shielded


def _to_its_end(method: Method[P, T]) -> Method[P, T]:
    """Lets a transaction end though its caller is cancelled."""
    return _shielded(method, limited=True)


def _however_long(method: Method[P, T]) -> Method[P, T]:
    """The same for what may have much to do, or is limited elsewhere."""
    return _shielded(method, limited=False)


class SqlStore:
    """bot.ports.Store and Ledger in a database. Each method is one transaction, and StoreError where that fails."""

    def __init__(self, engine: AsyncEngine, worker: str, clock: Clock, most_per_user: int = NO_LIMIT) -> None:
        """Of workers made so, and not by `open`, others know by their silence only that they are gone."""
        self.engine = engine
        self.failed_at = -math.inf
        self._reader = engine.execution_options(**{READS: True})
        self._worker = worker
        self._clock = clock
        self._most_per_user = most_per_user
        self._limit_s = ANSWER_WITHIN_S if engine.dialect.name == "postgresql" else None
        self._under_way = UnderWay()
        self._arrivals = Arrivals(self._write_arrivals)
        self._changed = asyncio.Event()
        self._presence = WorkerLiveness(engine, worker, clock, self._changed.set)
        self._spent: Mapping[Job, Spent] = {}
        self._claiming = asyncio.Lock()
        self._reserving = asyncio.Lock()
        self._handed_out: set[tuple[int, int]] = set()
        self._unsure = False

    @classmethod
    async def open(cls, database_url: str, worker: str, clock: Clock, most_per_user: int = NO_LIMIT) -> "SqlStore":
        """Connects and migrates. `worker` names this process among all that share the database.

        `most_per_user`: how many jobs of one person may be under way at once, in all of them.
        """
        store = cls(create_engine(database_url), worker, clock, most_per_user)
        try:
            with database_errors():
                await migrate(store.engine)
                await store._presence.appear()
        except BaseException:
            await store.close()
            raise
        return store

    @_however_long
    async def enqueue(self, event_id: str, question: Question, *, full: bool = False) -> Enqueued | None:
        return await self._arrivals.add(Arrival(event_id, question, full))

    async def _write_arrivals(self, batch: Sequence[Arrival]) -> Sequence[Enqueued | None]:
        async with answered_within(self._limit_s), self.engine.begin() as connection:
            taken = await write_arrivals(connection, batch, self._most_per_user, self._clock.now())
            if any(enqueued and not enqueued.waiting for enqueued in taken):
                await wake_others(connection, self._worker)
            return taken

    @_to_its_end
    async def claim(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        async with self._claiming:
            claimed = await self._strays() if self._unsure else []
            if not claimed:
                # A commit whose answer was lost may have taken jobs that nobody knows of.
                self._unsure = True
                claimed = await self._take_over(limit)
                claimed += await self._claim_ready(limit - len(claimed))
                self._unsure = False
            self._handed_out |= {(job.id, job.attempts) for job in claimed[:limit]}
            return claimed[:limit]

    async def _strays(self) -> list[Job]:
        """Jobs that are ours, and were never handed out."""
        async with self._reader.begin() as connection:
            ours = await claim.held_by(connection, self._worker)
        return [job for job in ours if (job.id, job.attempts) not in self._handed_out]

    async def _claim_ready(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        try:
            async with self.engine.begin() as connection:
                ready = await claim.claim_ready(connection, self._worker, limit, self._most_per_user, self._clock.now())
                if ready:
                    # Who is at work must not look silent, even if each of its jobs ends before it beats.
                    await self._presence.beat(connection, claim.spent_values(self._spent))
                return ready
        except IntegrityError:
            # Another worker took a job of one of the threads in the same moment: next time.
            return []

    async def _take_over(self, limit: int) -> list[Job]:
        gone = await self._presence.gone()
        if not gone:
            return []
        async with self.engine.begin() as connection:
            return await claim.take_over(connection, self._worker, gone, limit, self._clock.now())

    @_to_its_end
    async def heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece] = NO_PIECES) -> Pulse:
        self._spent = dict(claimed)
        if not claimed:
            return Pulse()
        async with self.engine.begin() as connection:
            await self._presence.beat(connection, claim.spent_values(claimed))
            await checkpoints.append(connection, self._worker, pieces)
            return await claim.pulse(connection, self._worker, claimed)

    @_to_its_end
    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> None:
        async with self.engine.begin() as connection:
            await checkpoints.append(connection, self._worker, pieces)

    @_to_its_end
    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        # A job that nobody claimed is nobody's: who enqueued it records the message that says so.
        ours = sa.or_(jobs.c.worker == self._worker, jobs.c.attempts == 0, jobs.c.status == TODO)
        pages = sa.update(jobs).where(jobs.c.id == job_id, ours).values(page_ts=list(page_ts), announced_at=None)
        async with self.engine.begin() as connection:
            kept = pages.returning(jobs.c.id, jobs.c.status, jobs.c.attempts, jobs.c.page_ts, jobs.c.announced_at)
            row = (await connection.execute(kept)).one_or_none()
            if row is not None and row.status == Status.TODO:
                await wake_others(connection, self._worker)
            elif row is not None and row.attempts == 0:
                await batch.clear_signs(connection, [row], self._clock.now())

    @_to_its_end
    async def finish(self, job: Job, outcome: Outcome, *, ping: bool = False, leftover: Leftover | None = None) -> bool:
        left = finish.Left(ping, leftover)
        async with self.engine.begin() as connection:
            ended = await finish.finish(connection, self._held(job), outcome, self._clock.now(), left)
        self._handed_out.discard((job.id, job.attempts))
        return ended

    @_to_its_end
    async def release(self, job: Job, piece: Piece | None = None) -> bool:
        spent = self._spent.get(job, Spent())
        async with self.engine.begin() as connection:
            await checkpoints.append(connection, self._worker, {job: piece} if piece else NO_PIECES)
            released = await finish.release(connection, self._held(job), spent, self._clock.now())
        self._handed_out.discard((job.id, job.attempts))
        return released

    def _held(self, job: Job) -> Held:
        return Held(job, self._worker)

    @_to_its_end
    async def request_stop(self, job_id: int) -> bool:
        async with self.engine.begin() as connection:
            return await self._revised(connection, await edit.stop(connection, job_id, self._clock.now()))

    @_to_its_end
    async def take_outbox_entries(self, limit: int) -> list[OutboxEntry]:
        now = self._clock.now()
        async with self._reader.begin() as connection:
            if not await connection.scalar(sa.select(outbox.due(now).exists())):
                return []
        async with self.engine.begin() as connection:
            return await outbox.take(connection, limit, now)

    @_to_its_end
    async def complete_outbox_entry(self, entry: OutboxEntry, posted_ts: str | None = None) -> None:
        async with self.engine.begin() as connection:
            await unshown_ends.done(connection, entry, posted_ts)

    @_to_its_end
    async def postpone_outbox_entry(self, entry: OutboxEntry, delay_s: float) -> None:
        async with self.engine.begin() as connection:
            await outbox.later(connection, entry, self._clock.now() + delay_s)

    @_to_its_end
    async def unshown_end(self, entry: OutboxEntry) -> Job | None:
        async with self._reader.begin() as connection:
            return await unshown_ends.unshown_end(connection, entry)

    @_to_its_end
    async def edit(self, question: Question, edited_ts: str) -> bool:
        async with self.engine.begin() as connection:
            known = await edit.edit(connection, question, edited_ts, self._clock.now())
            return await self._revised(connection, known)

    @_to_its_end
    async def delete_question(self, team_id: str, channel_id: str, ts: str) -> bool:
        async with self.engine.begin() as connection:
            known = await edit.delete_question(connection, team_id, channel_id, ts, self._clock.now())
            return await self._revised(connection, known)

    @_to_its_end
    async def regenerate(self, job_id: int, *, continues: bool = False, full: bool = False) -> Enqueued | None:
        anew = edit.Anew(job_id, continues, full)
        async with self.engine.begin() as connection:
            again = await edit.regenerate(connection, anew, self._most_per_user, self._clock.now())
            await self._revised(connection, again is not None and not again.waiting)
            return again

    @_to_its_end
    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """One transaction of another part of the store."""
        async with self.engine.begin() as connection:
            return await work(connection)

    async def _revised(self, connection: AsyncConnection, changed: bool) -> bool:
        """Whoever answers it beats soon, we ourselves too."""
        if changed:
            await wake_others(connection, self._worker)
            self._changed.set()
        return changed

    async def wait(self, timeout_s: float) -> None:
        """SQLite wakes nobody: it has one process, but for a moment at deployments."""
        try:
            async with asyncio.timeout(min(timeout_s, self._presence.next_look_s())):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    @_to_its_end
    async def may_post_placeholder(self, question: Question) -> bool:
        async with self._reader.begin() as connection:
            return await may_post_placeholder(connection, question)

    @_to_its_end
    async def participants(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        async with self._reader.begin() as connection:
            found, since_ts = await company(connection, thread, user_id, ts)
        if found.others and (since_ts is None or ts < since_ts):
            async with self.engine.begin() as connection:
                await share(connection, thread, ts)
        return found

    @_to_its_end
    async def mark_group_thread(self, thread: ThreadKey, ts: str) -> None:
        async with self.engine.begin() as connection:
            await share(connection, thread, ts)

    @_to_its_end
    async def replies(self, thread: ThreadKey, before_ts: str | None = None) -> Mapping[str, str]:
        async with self._reader.begin() as connection:
            return await recorded_answers.replies(connection, thread, before_ts)

    @_to_its_end
    async def reserve(self, method: str, calls_per_minute: int) -> Reservation:
        async with self.engine.begin() as connection:
            return await rate_ledger.reserve(connection, self._worker, method, calls_per_minute, self._clock.now())

    @_to_its_end
    async def reserve_tokens(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapRoom:
        # One after another anyway: who waits for a lock of the database's must not keep all our connections.
        async with self._reserving, self.engine.begin() as connection:
            room = await usage_totals.room_for(connection, job, caps, self._clock.now())
            if room == CapRoom():
                held = {"reserved_tokens": most.tokens, "reserved_usd": most.cost_usd}
                await connection.execute(self._held(job).fenced.values(**held))
            return room

    @_to_its_end
    async def spent(self, spender: Spender, windows: Collection[CapWindow]) -> Mapping[CapWindow, Amount]:
        async with self._reader.begin() as connection:
            return await usage_totals.spent_in(connection, spender, windows, self._clock.now())

    @_to_its_end
    async def claim_notice(self, team_id: str, user_id: str, notice: str, every_s: float = math.inf) -> bool:
        async with self.engine.begin() as connection:
            return await notices.claim_notice(connection, (team_id, user_id), notice, every_s, self._clock.now())

    @_to_its_end
    async def bot_questions(self, question: Question) -> BotQuestions:
        async with self._reader.begin() as connection:
            return await notices.bot_questions(connection, question, self._clock.now())

    @_to_its_end
    async def channel_settings(self, team_id: str, channel_id: str) -> ChannelSettings:
        async with self._reader.begin() as connection:
            return await channel_settings.read(connection, team_id, channel_id)

    @_to_its_end
    async def set_channel_settings(self, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
        async with self.engine.begin() as connection:
            await channel_settings.write(connection, team_id, channel_id, settings)

    @_to_its_end
    async def set_pane_context(self, team_id: str, user_id: str, channel_id: str) -> None:
        async with self.engine.begin() as connection:
            await pane_context.write(connection, (team_id, user_id), channel_id, self._clock.now())

    @_to_its_end
    async def pane_context(self, team_id: str, user_id: str) -> str:
        async with self._reader.begin() as connection:
            return await pane_context.read(connection, (team_id, user_id), self._clock.now())

    @_to_its_end
    async def used_by_model(self, team_id: str, since: float) -> Mapping[str, Amount]:
        async with self._reader.begin() as connection:
            return await usage_report.by_model(connection, team_id, since)

    @_however_long
    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> int:
        async with self.engine.begin() as connection:
            count = await erasure.erase(connection, user_id, thread)
            await wake_others(connection, self._worker)
        await erasure.overwrite(self.engine)
        return count

    @_however_long
    async def expire(self, before: float) -> int:
        async with self.engine.begin() as connection:
            now = self._clock.now()
            await usage_totals.expire(connection, now)
            await notices.expire(connection, now)
            await pane_context.expire(connection, now)
            return await erasure.expire(connection, before, now)

    @_to_its_end
    async def ping(self) -> None:
        async with self._reader.begin() as connection:
            await connection.execute(sa.select(1))

    async def close(self) -> None:
        """Lets transactions under way end, disconnects and lets go of the lock; what stands still is not waited for."""
        self._under_way.close()
        try:
            async with answered_within(self._limit_s and CLOSE_WITHIN_S, LET_GO_S):
                await self._arrivals.end()
                await self._under_way.end()
                with database_errors():
                    await self._presence.disappear()
        except (StoreError, TimeoutError) as error:
            log.warning("our jobs are taken over a little later: %s", str(error) or "the database does not answer")
            self._under_way.break_off()
            self._presence.break_off()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limit_s and DISPOSE_WITHIN_S):
                await self.engine.dispose()
