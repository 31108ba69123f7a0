"""A Slack that may refuse any call, even one that it did, and a simulated edit scheduler for one reply."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.errors import Refusal
from bot.reply.attachments import AttachedFile
from bot.reply.delivery import MessageDelivery
from bot.reply.edits import Post, Update
from bot.reply.messages import Begin, Call, Delete, PageView, Upload
from bot.reply.outcomes import CallDone, CallFound, Outcome
from bot.reply.reply import Reply
from bot.reply.scheduler import EditScheduler, ScheduledReply
from tests.clocks import ManualClock
from tests.reply.outcomes import refusal


@dataclass(frozen=True)
class CallEffect:
    """What Slack does with a call: `reason` is None if it succeeds; with `done`, Slack does a call that it refuses."""

    reason: Refusal | None = None
    done: bool = False


SUCCESS = CallEffect()


@dataclass
class UnreliableSlack:
    """The messages of one thread as readers see them; `result_of` decides for each call whether Slack refuses it."""

    result_of: Callable[[Call], CallEffect] = lambda call: SUCCESS
    pages: dict[str, tuple[int, PageView]] = field(default_factory=dict)
    files: dict[str, tuple[AttachedFile, ...]] = field(default_factory=dict)
    posted: int = 0

    def take(self, call: Call) -> str:
        match call:
            case Post(page=page, view=view):
                self.posted += 1
                self.pages[f"{self.posted}.0"] = page, view
                return f"{self.posted}.0"
            case Upload(files=files):
                self.posted += 1
                self.files[f"{self.posted}.0"] = files
                return f"{self.posted}.0"
            case Update(page=page, ts=ts, view=view):
                if ts in self.pages:
                    self.pages[ts] = page, view
            case Delete(ts=ts):
                self.pages.pop(ts, None)
                self.files.pop(ts, None)
        assert not isinstance(call, Begin), "no page may be streamed here"
        return call.ts

    def find(self, post: Post, known: tuple[str, ...]) -> str | None:
        return next((ts for ts, (page, _) in self.pages.items() if page == post.page and ts not in known), None)


@dataclass
class UnreliableDelivery(MessageDelivery):
    reply: Reply
    slack: UnreliableSlack
    has_lost_post: bool = field(default=False, init=False)

    async def send(self, call: Call, can_send: Callable[[], bool]) -> Outcome:
        assert can_send()
        return self.outcome_of(call)

    def outcome_of(self, call: Call) -> Outcome:
        if isinstance(call, Post) and self.has_lost_post:
            self.has_lost_post = False
            if ts := self.slack.find(call, tuple(message.ts for message in self.reply.messages)):
                return CallFound(ts)
        result = self.slack.result_of(call)
        is_outside_thread = result.reason is Refusal.OUTSIDE_THREAD and isinstance(call, Post)
        ts = self.slack.take(call) if result.reason is None or result.done or is_outside_thread else ""
        if result.reason is not None:
            self.has_lost_post = self.has_lost_post or (result.reason.is_temporary and isinstance(call, Post))
            return refusal(call, result.reason, ts)
        return CallDone(ts)

    async def clean_up(self) -> Outcome:
        """Does nothing: no post arrives late here."""
        return CallDone()


class IdleScheduler(EditScheduler):
    """The scheduler of a reply whose calls a test sends."""

    def __init__(self) -> None:
        """Needs no Slack."""
        self.clock = ManualClock()

    def on_changed(self, live: ScheduledReply) -> None:
        """Does nothing: the test looks by itself."""


@dataclass
class SimulatedScheduler:
    """Schedules one reply's calls as bot.reply.scheduler does, in simulated time and one after another."""

    reply: Reply
    slack: UnreliableSlack
    now: float = 0.0
    calls: int = 0
    scheduled: ScheduledReply = field(init=False)
    delivery: UnreliableDelivery = field(init=False)

    def __post_init__(self) -> None:
        self.delivery = UnreliableDelivery(self.reply, self.slack)
        self.scheduled = ScheduledReply(IdleScheduler(), self.reply, self.delivery)

    def step(self) -> bool:
        """Sends the next call at its time; returns False if there is none."""
        if self.scheduled.reply.life.is_over:
            return False
        call = self.scheduled.next_call()
        if call is not None:
            self.now = max(self.now, self.scheduled.not_before)
            self.calls += 1
            self._send(call)
        if self.reply.life.is_over:
            self.scheduled.idle.set()
        return call is not None

    def run(self, max_calls: int) -> None:
        for _ in range(max_calls):
            if not self.step():
                return
        raise AssertionError(f"the reply still has calls after {max_calls}")

    def _send(self, call: Call) -> None:
        self.reply.on_send(call)
        self.scheduled.on_outcome(call, self.delivery.outcome_of(call), self.now)
