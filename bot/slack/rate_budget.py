"""Slack's budgets for our calls: paced here, and counted together with those of all other processes."""

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from bot.core.pacing import ASK_AGAIN_S, Pacer, Urgency
from bot.errors import RateLimited, StoreError
from bot.ports.clock import Clock
from bot.ports.rate_ledger import RateLedger

CALLS_PER_MINUTE = {
    "chat.update": 50,
    "chat.postMessage": 240,
    "chat.delete": 50,
    "conversations.replies": 50,
    "conversations.history": 50,
    "files.completeUploadExternal": 100,
    "files.delete": 50,
    "views.publish": 100,
    "agents.sessions.setStatus": 50,
    "assistant.threads.setTitle": 50,
    "assistant.threads.setSuggestedPrompts": 50,
}
"""facts/slack.md. Posts are several hundred a minute: this is a careful few."""
REPLIES = "chat.update"
"""The method whose calls live replies share."""
LOOK_S = 1.0
AWAY_S = 3.0
"""After the ledger was away: until all processes have told it of their calls."""
UNHEARD_CALLS = 4
"""Counted by each process to which the database comes back, for one that can't tell of its calls: it died or stands."""
UNHEARD_AGAIN_S = 20.0
WHATEVER = 1_000_000
"""More than any budget: such a call is counted and never refused."""

log = logging.getLogger(__name__)


class RateBudget:
    """A workspace's: when a call may go, by the pacers; whether it still may, by the ledger."""

    def __init__(self, ledger: RateLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pacers = {method: Pacer(calls) for method, calls in CALLS_PER_MINUTE.items()}
        self._live = 0
        self._uncounted: Counter[str] = Counter()
        """Calls that left while the ledger could not be asked."""
        self._made_up_at: dict[str, float] = {}
        """When the calls that others could not tell of were counted."""
        self._away_until: dict[str, float] = {}
        self._denied_until: dict[str, float] = {}
        """The ledger knew of calls that we did not: not to be asked again at once."""

    def opened(self, key: Hashable) -> None:
        """A reply begins."""
        self._live += 1
        self._pacers[REPLIES].opened(key, self._clock.monotonic())

    def closed(self, key: Hashable) -> None:
        """It needs no more calls."""
        self._live -= 1
        self._pacers[REPLIES].closed(key, self._clock.monotonic())

    def ready_at(self, method: str, now: float, urgency: Urgency, key: Hashable) -> float:
        """When a call may go: at once if not later than now."""
        return max(self._pacers[method].ready_at(now, urgency, key), self._denied_until.get(method, now))

    def sent(self, method: str, now: float, key: Hashable) -> None:
        """A call is under way, from asking the ledger on."""
        self._pacers[method].sent(now, key)

    def answered(self, method: str) -> None:
        """It has ended, in whatever way."""
        self._pacers[method].answered(self._clock.monotonic())

    def withdrawn(self, method: str) -> None:
        """It did not leave."""
        self._pacers[method].withdrawn()

    def limited(self, method: str, retry_after_s: float) -> None:
        """Slack answered 429."""
        self._pacers[method].limited(self._clock.monotonic(), retry_after_s)

    async def take(self, method: str) -> bool:
        """Takes a call, which was `sent`, from what all processes share. A ledger that is away holds nothing up."""
        granted = await self._ask(method, CALLS_PER_MINUTE[method])
        if not granted:
            self._denied_until[method] = self._clock.monotonic() + ASK_AGAIN_S
        return granted

    @asynccontextmanager
    async def turn(self, method: str) -> AsyncIterator[None]:
        """Waits until a call that isn't a live reply's may go, and counts it; a method without a budget goes at once.

        A RateLimited that is raised inside has later calls wait for as long as Slack says.
        """
        if method not in CALLS_PER_MINUTE:
            yield
            return
        while True:
            now = self._clock.monotonic()
            ready_at = self.ready_at(method, now, Urgency.FINAL, None)
            if ready_at <= now and await self._taken(method, now):
                break
            await self._clock.sleep(max(0.0, ready_at - now))
        try:
            yield
        except RateLimited as error:
            self.limited(method, error.retry_after_s)
            raise
        finally:
            self.answered(method)

    async def _taken(self, method: str, now: float) -> bool:
        self.sent(method, now, None)
        granted = False
        try:
            granted = await self.take(method)
        finally:
            if not granted:
                self.withdrawn(method)
        return granted

    async def watch(self) -> None:
        """Keeps an eye on what other processes do while replies are live. Until cancelled: then it tells the last."""
        try:
            while True:
                await self._clock.sleep(LOOK_S)
                await self._settle()
                if self._live:
                    await self._ask(REPLIES, 0)
        finally:
            await self._settle()

    async def _settle(self) -> None:
        """Tells the ledger what left without it, as far as it can be told now."""
        try:
            for method in list(self._uncounted):
                await self._count_late(method)
        except StoreError as error:
            log.debug("calls are still to be counted: %s", error)

    async def _ask(self, method: str, calls_per_minute: int) -> bool:
        pacer = self._pacers[method]
        try:
            await self._count_late(method)
            await self._make_up(method)
            reservation = await self._ledger.reserve(method, calls_per_minute)
        except StoreError as error:
            return self._alone(method, calls_per_minute, error)
        now, others = self._clock.monotonic(), reservation.others
        if now < self._away_until.get(method, -math.inf):
            pacer.unseen(now)
            return reservation.granted and pacer.fits(now)
        pacer.shared(now, others.call_ages_s, others.live_ages_s if method == REPLIES else ())
        return reservation.granted

    def _alone(self, method: str, calls_per_minute: int, error: StoreError) -> bool:
        """Goes by what is known of the others, and leaves them their share."""
        now = self._clock.monotonic()
        if now >= self._away_until.get(method, -math.inf):
            log.warning("calls of %s are not counted with other processes' now: %s", method, error)
        self._away_until[method] = now + AWAY_S
        self._pacers[method].unseen(now)
        granted = self._pacers[method].fits(now)
        self._uncounted[method] += granted and calls_per_minute > 0
        return granted

    async def _count_late(self, method: str) -> None:
        """Tells the ledger of calls that left without it; they count from now, which errs on the safe side."""
        while self._uncounted[method] > 0:
            self._uncounted[method] -= 1
            try:
                await self._ledger.reserve(method, WHATEVER)
            except StoreError:
                self._uncounted[method] += 1
                raise

    async def _make_up(self, method: str) -> None:
        """Once for each time that the database was away, also where this process had no call to make then."""
        made_up_at, now = self._made_up_at.get(method, -math.inf), self._clock.monotonic()
        if self._ledger.failed_at > made_up_at and now > made_up_at + UNHEARD_AGAIN_S:
            for _ in range(UNHEARD_CALLS):
                await self._ledger.reserve(method, WHATEVER)
            self._made_up_at[method] = now
