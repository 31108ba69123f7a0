"""Runs errands: small things that are to be done in Slack about answers that have ended."""

import asyncio
import logging
from dataclasses import dataclass

from bot.core.errand import ERRAND_S, Errand, ErrandKind
from bot.errors import RateLimited, Refused, StoreError
from bot.ports import Clock, Courier, Store

LOOK_S = 1.0
AT_ONCE = 20
AWAY_S = 5.0
"""After the database did not answer."""
WITHIN_S = ERRAND_S - 5.0
"""Sooner than another process takes it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Errands:
    """Looks each second for what is due."""

    store: Store
    courier: Courier
    clock: Clock

    async def run(self) -> None:
        """Until cancelled; what is under way then is done again by whoever looks next."""
        while True:
            try:
                taken = await self.store.take_errands(AT_ONCE)
                await asyncio.gather(*map(self._run, taken))
            except StoreError as error:
                log.error("errands are left undone: %s", error)
                await self.clock.sleep(AWAY_S)
            await self.clock.sleep(LOOK_S)

    async def _run(self, errand: Errand) -> None:
        """What fails for now is left on the list."""
        try:
            async with asyncio.timeout(WITHIN_S):
                posted_ts = await self._do(errand)
        except Refused as refused:
            log.warning("errand %s about %s: %s", errand.kind, errand.question.ts, refused)
            if refused.reason.may_pass:
                return
            posted_ts = None
        except (RateLimited, TimeoutError) as error:
            log.warning("errand %s about %s is done later: %s", errand.kind, errand.question.ts, error)
            return
        await self.store.errand_done(errand, posted_ts)

    async def _do(self, errand: Errand) -> str | None:
        """The ts of a message that it leaves."""
        until = self.clock.monotonic() + WITHIN_S
        match errand.kind:
            case ErrandKind.CLEAR:
                await self.courier.clear(errand)
            case ErrandKind.DELETE:
                await self.courier.delete(errand)
            case ErrandKind.REMOVE:
                await self.courier.remove(errand)
            case ErrandKind.OFFER:
                await self.courier.offer(errand)
            case ErrandKind.PING:
                # A process that was paused in between finds its time over, and another one has done it.
                return await self.courier.ping(errand, lambda: self.clock.monotonic() < until)
        return None
