"""A Slack that may refuse any call for any reason, with or without doing it, and the editor's part in told time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core.reply.attachments import AttachedFile
from bot.core.reply.state import Call, Delete, Post, Reply, Update, Upload, View
from bot.errors import Refusal
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
class ToldEditor:
    """What bot.slack.edit_scheduler does for one reply, in told time and with one call after the other."""

    reply: Reply
    slack: FaithlessSlack
    now: float = 0.0
    calls: int = 0
    slot: ScheduledReply = field(init=False)

    def __post_init__(self) -> None:
        self.slot = ScheduledReply(1, self.reply)

    def step(self) -> bool:
        """Sends one call, or lets the time pass until it may go; returns whether there was one."""
        if self.slot.settled.is_set():
            return False
        call = self.slot.due(self.now)
        if call is None:
            self._after()
            return False
        self.now = max(self.now, self.slot.not_before)
        self.calls += 1
        self._send(call)
        self._after()
        return True

    def run(self, most_calls: int) -> None:
        """Until nothing is left to be sent."""
        for _ in range(most_calls):
            self.slot.dirty = True
            if not self.step():
                return
        raise AssertionError(f"{most_calls} calls, and no end")

    def _send(self, call: Call) -> None:
        if isinstance(call, Post) and self.slot.lost_post:
            self.slot.lost_post = False
            if found := self.slack.find(call, self.reply.page_ts + self.reply.orphans):
                self.reply.found(found)
                self.slot.worked()
                return
        fares = self.slack.mood(call)
        ts = self.slack.take(call) if fares.reason is None or fares.done else ""
        if fares.reason is None:
            self.reply.confirmed(call, ts)
            self.slot.worked()
            return
        if fares.reason is Refusal.ASTRAY and isinstance(call, Post):
            self.reply.went_astray(ts or self.slack.take(call))
            return
        self.reply.refused(call, fares.reason)
        if fares.reason.may_pass:
            self.slot.lost_post = self.slot.lost_post or isinstance(call, Post)
            self.slot.wait(self.now)
            if self.slot.failed(self.now):
                self.reply.give_up()
                self.slot.worked()

    def _after(self) -> None:
        self.slot.dirty = True
        if self.slot.is_over:
            self.slot.settled.set()
