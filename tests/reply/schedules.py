"""A ledger, records and a transport for the edit scheduler, in simulated time (tests/simulated_time.py)."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from bot.clock import Clock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import ANSWER_ROLES, PENDING_ROLES, Job, Piece, RecordedMessage, ts_of
from bot.core.lease import Lease
from bot.core.surfaces import Visibility
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.reply.answer import Answer
from bot.reply.carriers import METHODS
from bot.reply.delivery import MessageDelivery, MessageTransport, choose_stream
from bot.reply.messages import Call, VisibleReply
from bot.reply.outcomes import CallDone, CallLost, CallRefused, Outcome, refusal_of
from bot.reply.reply import Reply
from bot.reply.scheduler import EditScheduler, ScheduledReply
from bot.reply.streams import StreamChooser
from bot.store.account_kinds import AccountKind, AccountKinds
from bot.store.schema import KINDS_KEPT_S
from bot.store.worker_queue import WorkerQueue
from slack_pacing.budget import RateBudget
from slack_pacing.carriers import CarrierName
from slack_pacing.tests.ledgers import LoneLedger
from tests.core.conversations import recorded_pages
from tests.simulated_time import SimulatedClock


@dataclass
class KindsInMemory(AccountKinds):
    """Kinds of accounts that a restart keeps: `clock` times them."""

    clock: Clock
    kinds: dict[str, AccountKind] = field(default_factory=dict)

    async def record(self, found: AccountKind) -> None:
        self.kinds[found.user_id] = found

    async def read(self, team_id: str, user_id: str) -> AccountKind | None:
        found = self.kinds.get(user_id)
        return found if found and self.clock.monotonic() - found.looked_up_at < KINDS_KEPT_S else None


@dataclass
class RecordsInMemory(WorkerQueue):
    """Records replies; `delay_s` is how long the database takes."""

    delay_s: float = 0.0
    pages_delay_s: float = 0.0
    pages: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """The messages on record that readers see, each time that they change."""
    writes: int = 0
    texts: dict[int, str] = field(default_factory=dict)
    messages: dict[int, tuple[RecordedMessage, ...]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    """The jobs that another worker has taken over."""
    is_away: bool = False
    asked_while_away: int = 0
    begun_at: list[float] = field(default_factory=list)
    begins_s: float = 0.0

    async def record_messages(self, job: Job, messages: Sequence[RecordedMessage]) -> None:
        self._look()
        self.writes += 1
        if ts_of(messages, *PENDING_ROLES):
            await asyncio.sleep(self.delay_s)
        else:
            await asyncio.sleep(self.pages_delay_s)
        shown = job.id, ts_of(messages, *ANSWER_ROLES)
        if shown != (job.id, dict(self.pages).get(job.id, ())):
            self.pages.append(shown)
        self.messages[job.id] = tuple(messages)

    async def begin_placeholder(self, job: Job) -> bool:
        self._look()
        self.begun_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.begins_s)
        return job.id not in self.lost

    async def record_placeholder(self, job: Job, messages: Sequence[RecordedMessage]) -> None:
        await self.record_messages(job, messages)

    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> bool:
        self._look()
        await asyncio.sleep(self.delay_s)
        if self.lost.intersection(job.id for job in pieces):
            return False
        for job, piece in pieces.items():
            self.texts[job.id] = self.texts.get(job.id, "")[: piece.start] + piece.text
        return True

    def _look(self) -> None:
        if self.is_away:
            self.asked_while_away += 1
            raise StoreError("the database is away")


@dataclass(frozen=True)
class Sent:
    at: float
    job_id: int
    call: Call


@dataclass
class SimulatedDelivery(MessageDelivery):
    transport: "SimulatedTransport"
    reply: Reply

    async def send(self, call: Call, can_send: Callable[[], bool]) -> Outcome:
        outcome = await super().send(call, can_send)
        if isinstance(outcome, CallRefused | CallLost):
            self.transport.refused.append((call, refusal_of(outcome)))
            return self.transport.on_refusal(outcome)
        return outcome

    async def deliver(self, call: Call, can_send: Callable[[], bool]) -> Outcome:
        transport = self.transport
        await asyncio.sleep(transport.connecting_s)
        if not can_send():
            transport.withheld += 1
            raise Refused(METHODS[type(call)], "Withheld", Refusal.TRANSIENT)
        transport.sent.append(Sent(asyncio.get_running_loop().time(), self.reply.job.id, call))
        try:
            await (asyncio.Event().wait() if transport.latency_s == math.inf else asyncio.sleep(transport.latency_s))
        except asyncio.CancelledError:
            await asyncio.sleep(transport.closing_s)
            transport.cut_off += 1
            raise
        if (error := transport.error_of(call)) is not None:
            raise error
        return CallDone(getattr(call, "ts", f"{len(transport.sent)}.0"))

    def _on_outcome(self, call: Call, outcome: Outcome) -> None:
        """Does nothing: each post is made again."""

    async def clean_up(self) -> Outcome:
        self.transport.cleaned_up.append(self.reply.job.id)
        return CallDone() if self.transport.is_clean else CallLost()


@dataclass
class SimulatedTransport(MessageTransport):
    """A transport to a Slack that takes `latency_s` for each call and fails with `error_of` the call."""

    latency_s: float = 0.1
    connecting_s: float = 0.0
    closing_s: float = 0.0
    """How long the end of a call takes that is cut off."""
    error_of: Callable[[Call], RateLimited | Refused | Exception | None] = lambda call: None
    is_clean: bool = True
    """Whether a reply's late messages can be deleted."""
    streams_for: frozenset[str] = frozenset({"U1"})
    """Slack starts streams for these people only."""
    sent: list[Sent] = field(default_factory=list)
    on_refusal: Callable[[Outcome], Outcome] = lambda outcome: outcome
    """Returns the outcome of a call that was refused or lost."""
    refused: list[tuple[Call, Refusal]] = field(default_factory=list)
    withheld: int = 0
    cut_off: int = 0
    cleaned_up: list[int] = field(default_factory=list)
    recovered: list[tuple[int, bool]] = field(default_factory=list)
    """Jobs, each with whether Slack shows its own Stop."""

    async def recover(self, job: Job, *, has_stop: bool = False) -> VisibleReply:
        self.recovered.append((job.id, has_stop))
        return VisibleReply(job.page_ts)

    def stream_chooser(
        self, question: Question, budget: RateBudget, key: Hashable, forced: CarrierName | None
    ) -> StreamChooser | None:
        return partial(choose_stream, budget, key, forced) if question.user_id in self.streams_for else None

    def delivery(self, reply: Reply) -> SimulatedDelivery:
        return SimulatedDelivery(self, reply)


def job_of(job_id: int, pages: Sequence[str] = (), channel_id: str = "C1") -> Job:
    thread = ThreadKey("T1", channel_id, f"{job_id}.0")
    return Job(job_id, Question(thread, f"{job_id}.0", "U1", "why?"), 1, recorded_pages(*pages))


@dataclass
class Schedule:
    scheduler: EditScheduler
    budget: RateBudget
    transport: SimulatedTransport
    records: RecordsInMemory
    ledger: LoneLedger
    lease: Lease

    async def open(self, job_id: int, page_ts: Sequence[str] = (), channel_id: str = "C1") -> ScheduledReply:
        return await self.scheduler.open(Answer(job_of(job_id, page_ts, channel_id)))

    async def open_in_pane(self, job_id: int, *, allowed: bool = True, page_ts: Sequence[str] = ()) -> ScheduledReply:
        """Opens a reply where Slack shows a status and its own Stop; `allowed`: a native stream may carry it."""
        job = job_of(job_id, page_ts)
        reply = await self.scheduler.open(Answer(job), visibility=Visibility.SEEN, has_stop=True)
        if allowed:
            self.scheduler.allow_stream(job)
        return reply

    def use(self, method: str, calls: int = 1, channel_id: str = "") -> None:
        """Uses calls of a method's budget, as other replies do."""
        for _ in range(calls):
            self.budget.on_send(method, asyncio.get_running_loop().time(), None, channel_id)
            self.budget.on_end(method, channel_id)

    def calls(self) -> list[tuple[int, str]]:
        return [(sent.job_id, type(sent.call).__name__) for sent in self.transport.sent]

    def times(self, kind: type[Call]) -> list[float]:
        return [sent.at for sent in self.transport.sent if isinstance(sent.call, kind)]


@asynccontextmanager
async def scheduling(
    transport: SimulatedTransport | None = None,
    *,
    ledger: LoneLedger | None = None,
    keep_lease: bool = True,
    carrier: CarrierName | None = "edit",
) -> AsyncIterator[Schedule]:
    """Runs an edit scheduler; with `keep_lease`, a heartbeat is sent each second."""
    clock, lease = SimulatedClock(), Lease()
    transport, records, ledger = transport or SimulatedTransport(), RecordsInMemory(), ledger or LoneLedger()
    budget = RateBudget(ledger, clock)
    scheduler = EditScheduler(transport, budget, lease, clock, records, carrier)

    async def beat() -> None:
        while True:
            lease.renew(clock.monotonic())
            await clock.sleep(1.0)

    lease.renew(clock.monotonic())
    tasks = [asyncio.create_task(loop()) for loop in ((scheduler.run, beat) if keep_lease else (scheduler.run,))]
    try:
        yield Schedule(scheduler, budget, transport, records, ledger, lease)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
