"""The one place that talks to Slack about replies: one loop sends the most urgent call of all live ones."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.core.conversation import Job, Question
from bot.core.pacing import Pacer, Urgency
from bot.core.reply import Call, Ending, Post, Reply, Update
from bot.errors import RateLimited, Refusal, Refused, TypistError
from bot.ports import Clock
from bot.slack.poster import Poster, method_of

BUDGETS = {"chat.update": 50, "chat.postMessage": 240, "chat.delete": 50}
"""Calls a minute; facts/slack.md. Posts are several hundred a minute: this is a careful few."""
IN_FLIGHT = 4
"""Calls of one method under way at once."""
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0

Record = Callable[[int, tuple[str, ...]], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Slot:
    """A live reply and where its calls stand."""

    job_id: int
    reply: Reply
    dirty: bool = True
    """Something may have to be sent."""
    in_flight: bool = False
    last_sent: float = -math.inf
    not_before: float = -math.inf
    failures: int = 0
    lost_post: bool = False
    """Slack may have taken a post whose answer never came."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class EditedReply:
    """The LiveReply port: text in, edits out when the pace allows."""

    def __init__(self, editor: "Editor", slot: Slot) -> None:
        self._editor = editor
        self._slot = slot

    @property
    def gone(self) -> bool:
        return self._slot.reply.gone

    def append(self, delta: str) -> None:
        self._slot.reply.append(delta)
        if not self._slot.dirty:
            self._editor.touch(self._slot)

    async def finish(self, ending: Ending) -> None:
        self._slot.reply.finish(ending)
        self._editor.touch(self._slot)
        await self._slot.settled.wait()


class Editor:
    """One for a workspace: all its replies share the workspace's budgets.

    `record` is told the messages of a job's reply whenever a page was posted.
    """

    def __init__(self, poster: Poster, clock: Clock, record: Record) -> None:
        self._poster = poster
        self._clock = clock
        self._record = record
        self._pacers = {method: Pacer(budget) for method, budget in BUDGETS.items()}
        self._slots: list[Slot] = []
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    def open(self, job: Job) -> EditedReply:
        """Begins a reply; its placeholder goes out at once."""
        slot = Slot(job.id, Reply(job.question, job.page_ts))
        self._pacers["chat.update"].opened(slot, self._clock.monotonic())
        self._slots.append(slot)
        self.touch(slot)
        return EditedReply(self, slot)

    async def announce(self, job_id: int, question: Question) -> tuple[str, ...]:
        """Posts the placeholder of a reply that begins later; returns its messages."""
        slot = Slot(job_id, Reply(question, waiting=True))
        self._slots.append(slot)
        self.touch(slot)
        await slot.settled.wait()
        return slot.reply.page_ts

    def touch(self, slot: Slot) -> None:
        """A reply has something to show."""
        slot.dirty = True
        self._wake.set()

    async def run(self) -> None:
        """Sends until cancelled; a call under way is let end."""
        try:
            while True:
                self._wake.clear()
                await self._pause(self._send_what_is_due())
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send_what_is_due(self) -> float:
        """Starts each call whose time has come; returns when to look again."""
        while True:
            now = self._clock.monotonic()
            due, again_at = self._most_urgent(now)
            if due is None:
                return again_at
            slot, call = due
            slot.in_flight, slot.dirty = True, False
            self._in_flight[method_of(call)] += 1
            self._pacers[method_of(call)].sent(now, slot)
            task = asyncio.create_task(self._send(slot, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pause(self, until: float) -> None:
        timeout_s = None if until == math.inf else max(0.0, until - self._clock.monotonic())
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_s)
        except TimeoutError:
            return

    def _most_urgent(self, now: float) -> tuple[tuple[Slot, Call] | None, float]:
        """Finals, then first words, then the stalest; else the time at which something may go."""
        best: tuple[tuple[int, float], Slot, Call] | None = None
        again_at = math.inf
        for slot in self._slots:
            if slot.in_flight or not slot.dirty:
                continue
            call = slot.reply.next_call()
            if call is None:
                slot.dirty = False
                continue
            urgency = _urgency(slot.reply, call)
            if self._in_flight[method_of(call)] >= IN_FLIGHT:
                continue
            ready_at = max(self._pacers[method_of(call)].ready_at(now, urgency, slot), slot.not_before)
            if ready_at > now:
                again_at = min(again_at, ready_at)
            elif best is None or (urgency, slot.last_sent) < best[0]:
                best = ((urgency, slot.last_sent), slot, call)
        return (None if best is None else (best[1], best[2])), again_at

    async def _send(self, slot: Slot, call: Call) -> None:
        method = method_of(call)
        try:
            slot.reply.confirmed(call, await self._sent(slot, call))
            slot.failures = 0
            if not isinstance(call, Update):
                await self._keep(slot)
        except RateLimited as error:
            self._pacers[method].limited(self._clock.monotonic(), error.retry_after_s)
            log.warning("%s", error)
        except Refused as error:
            self._refused(slot, call, error)
        finally:
            now = self._clock.monotonic()
            self._pacers[method].answered(now)
            self._in_flight[method] -= 1
            slot.in_flight, slot.last_sent = False, now
        self._after(slot)

    async def _keep(self, slot: Slot) -> None:
        """Has the reply's messages recorded; an answer goes on without, too."""
        try:
            await self._record(slot.job_id, slot.reply.page_ts)
        except TypistError as error:
            log.error("job %d: its messages are not on record: %s", slot.job_id, error)

    async def _sent(self, slot: Slot, call: Call) -> str:
        """Sends, unless an earlier post of the same page turns out to have arrived."""
        if isinstance(call, Post) and slot.lost_post:
            found = await self._poster.find(call)
            slot.lost_post = False
            if found is not None:
                return found
        return await self._poster.send(call)

    def _refused(self, slot: Slot, call: Call, error: Refused) -> None:
        log.warning("job %d: %s", slot.job_id, error)
        slot.reply.refused(call, error.reason)
        if error.reason is Refusal.TRANSIENT:
            slot.lost_post = isinstance(call, Post)
            back_off_s = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2**slot.failures)
            slot.failures += 1
            slot.not_before = self._clock.monotonic() + back_off_s

    def _after(self, slot: Slot) -> None:
        """Lets go of a reply that needs nothing more; else looks at it again."""
        announced = slot.reply.announced
        if slot.reply.finished or announced:
            self._slots.remove(slot)
            if not announced:
                self._pacers["chat.update"].closed(slot, self._clock.monotonic())
            slot.settled.set()
        self.touch(slot)


def _urgency(reply: Reply, call: Call) -> Urgency:
    if reply.ended:
        return Urgency.FINAL
    if isinstance(call, Update) and reply.begun:
        return Urgency.PROGRESS
    return Urgency.FIRST
