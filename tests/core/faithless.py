"""A Slack that may refuse any call, with or without doing it, and the edit scheduler's part in told time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core.reply.attachments import AttachedFile
from bot.core.reply.state import Call, Delete, Post, Reply, Update, Upload, View
from bot.errors import Refusal, Refused
from bot.slack.scheduled_reply import ScheduledReply


@dataclass(frozen=True)
class Refusing:
    """How a call fares: `reason` None is done; `done` is done though Slack says that it is not."""

    reason: Refusal | None = None
    done: bool = False


DOES_ALL = Refusing()


@dataclass
class FaithlessSlack:
    """What the readers of one thread see, and whether calls are refused: `mood` decides at each call."""

    mood: Callable[[Call], Refusing] = lambda call: DOES_ALL
    pages: dict[str, tuple[int, View]] = field(default_factory=dict)
    files: dict[str, tuple[AttachedFile, ...]] = field(default_factory=dict)
    posted: int = 0

    def take(self, call: Call) -> str:
        """Does a call."""
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
        return call.ts

    def find(self, post: Post, known: tuple[str, ...]) -> str | None:
        """The message of a post whose answer was lost."""
        return next((ts for ts, (page, _) in self.pages.items() if page == post.page and ts not in known), None)


@dataclass
class FaithlessDelivery:
    """The ReplyDelivery port on a FaithlessSlack, whose answers come at once."""

    reply: Reply
    slack: FaithlessSlack
    has_lost_post: bool = field(default=False, init=False)

    def method_of(self, call: Call) -> str:
        return {Post: "chat.postMessage", Update: "chat.update", Delete: "chat.delete"}.get(type(call), "files")

    async def send(self, call: Call, may_send: Callable[[], bool]) -> None:
        assert may_send()
        self.try_to_send(call)

    def try_to_send(self, call: Call) -> None:
        """Sends a call; raises Refused as Slack's mood is."""
        if isinstance(call, Post) and self.has_lost_post:
            self.has_lost_post = False
            if ts := self.slack.find(call, self.reply.page_ts + self.reply.replaced_ts):
                self.reply.found(ts)
                return
        fares = self.slack.mood(call)
        is_outside_thread = fares.reason is Refusal.OUTSIDE_THREAD and isinstance(call, Post)
        ts = self.slack.take(call) if fares.reason is None or fares.done or is_outside_thread else ""
        if fares.reason is not None:
            raise Refused(self.method_of(call), fares.reason, fares.reason, ts)
        self.reply.confirmed(call, ts)

    def refused(self, call: Call, error: Refused) -> None:
        if error.reason is Refusal.OUTSIDE_THREAD and isinstance(call, Post):
            self.reply.posted_outside_thread(error.ts)
            return
        self.reply.refused(call, error.reason)
        self.has_lost_post = self.has_lost_post or (error.reason.may_pass and isinstance(call, Post))

    async def clean_up(self) -> None:
        """Nothing arrives late here."""


@dataclass
class ToldScheduler:
    """What bot.slack.edit_scheduler does for one reply, in told time and with one call after the other."""

    reply: Reply
    slack: FaithlessSlack
    now: float = 0.0
    calls: int = 0
    scheduled: ScheduledReply = field(init=False)
    delivery: FaithlessDelivery = field(init=False)

    def __post_init__(self) -> None:
        self.delivery = FaithlessDelivery(self.reply, self.slack)
        self.scheduled = ScheduledReply(1, self.reply, self.delivery)

    def step(self) -> bool:
        """Sends one call, or lets the time pass until it may go; returns whether there was one."""
        if self.scheduled.settled.is_set():
            return False
        call = self.scheduled.next_call(self.now)
        if call is not None:
            self.now = max(self.now, self.scheduled.not_before)
            self.calls += 1
            self._send(call)
        if self.scheduled.is_over:
            self.scheduled.settled.set()
        return call is not None

    def run(self, most_calls: int) -> None:
        """Until nothing is left to be sent."""
        for _ in range(most_calls):
            if not self.step():
                return
        raise AssertionError(f"{most_calls} calls, and no end")

    def _send(self, call: Call) -> None:
        try:
            self.delivery.try_to_send(call)
        except Refused as error:
            self.delivery.refused(call, error)
            if error.reason.may_pass and not self.scheduled.failed(error, self.now):
                self.scheduled.give_up()
        else:
            self.scheduled.succeeded()
