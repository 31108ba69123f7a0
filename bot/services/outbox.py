"""Runs errands: small things that are to be done in Slack about answers that have ended."""

import asyncio
import logging
from dataclasses import dataclass, field

from bot.core.outbox import MOST_TRIES, OUTBOX_HOLD_S, OutboxEntry, OutboxKind, wait_s
from bot.core.reply.draft import Draft
from bot.errors import NotShown, RateLimited, Refused, StoreError, trace_of
from bot.ports import Clock, OutboxSender, Replies, Store
from bot.services.answering import ending_of

LOOK_S = 1.0
AT_ONCE = 20
AWAY_S = 5.0
"""After the database did not answer."""
WITHIN_S = OUTBOX_HOLD_S - 5.0
"""Sooner than another process takes it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outbox:
    """Looks each second for what is due."""

    store: Store
    courier: OutboxSender
    replies: Replies
    clock: Clock
    _running: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def run(self) -> None:
        """Until cancelled; what is under way then is done again by whoever looks next."""
        try:
            while True:
                await self.clock.sleep(LOOK_S if await self._begin() else AWAY_S)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _begin(self) -> bool:
        """Begins what is due; one that takes long holds no other up. Returns False where the database is away."""
        try:
            taken = await self.store.take_errands(AT_ONCE - len(self._running))
        except StoreError as error:
            log.error("errands are left undone: %s", error)
            return False
        except Exception as error:
            log.error("errands are left undone: %s", trace_of(error))
            return False
        for errand in taken:
            task = asyncio.create_task(self._run(errand))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return True

    async def _run(self, errand: OutboxEntry) -> None:
        """What fails for now is tried again later, and for about a day."""
        about = f"errand {errand.kind} about {errand.question.ts}"
        try:
            is_done, posted_ts = await self._tried(errand, about)
            if is_done:
                await self.store.errand_done(errand, posted_ts)
            elif errand.tries >= MOST_TRIES:
                log.error("%s is given up after %d tries", about, errand.tries)
                await self.store.errand_done(errand)
            else:
                await self.store.errand_later(errand, wait_s(errand.tries))
        except StoreError as error:
            log.error("%s is taken again: %s", about, error)
        except Exception as error:
            log.error("%s is taken again: %s", about, trace_of(error))

    async def _tried(self, errand: OutboxEntry, about: str) -> tuple[bool, str | None]:
        """Whether it needs no other try, and the ts of a message that it left."""
        try:
            async with asyncio.timeout(WITHIN_S):
                return True, await self._do(errand)
        except Refused as refused:
            log.warning("%s: %s", about, refused)
            return not refused.reason.may_pass, None
        except (RateLimited, TimeoutError, NotShown) as error:
            log.warning("%s is done later: %s", about, str(error) or type(error).__name__)
        except Exception as error:
            log.error("%s is done later: %s", about, trace_of(error))
        return False, None

    async def _do(self, errand: OutboxEntry) -> str | None:
        """The ts of a message that it leaves."""
        until = self.clock.monotonic() + WITHIN_S
        match errand.kind:
            case OutboxKind.CLEAR:
                await self.courier.clear(errand)
            case OutboxKind.DELETE:
                await self.courier.delete(errand)
            case OutboxKind.REMOVE:
                await self.courier.remove(errand)
            case OutboxKind.OFFER:
                await self.courier.offer(errand)
            case OutboxKind.SHOW:
                await self._show(errand, until)
            case OutboxKind.PING:
                # A process that was paused in between finds its time over, and another one has done it.
                return await self.courier.ping(errand, lambda: self.clock.monotonic() < until)
        return None

    async def _show(self, errand: OutboxEntry, until: float) -> None:
        """Shows an end on record that Slack did not take, in the messages that are there."""
        job = await self.store.to_show(errand)
        if job is None or job.checkpoint.closing is None:
            return
        reply = await self.replies.open(Draft(job), until=until)
        try:
            if not reply.shown.ended:
                await reply.finish(ending_of(job, job.checkpoint.closing))
        finally:
            await reply.leave()
        if reply.undone is not None:
            raise NotShown
