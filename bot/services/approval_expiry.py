"""Denies the calls that nobody decided about in time, so that their answers go on without them."""

import logging

from bot.clock import Clock
from bot.errors import StoreError
from bot.store.approvals import Approvals

EVERY_S = 30.0

log = logging.getLogger(__name__)


async def expire_approvals(approvals: Approvals, clock: Clock) -> None:
    """Looks for calls whose time is over, until canceled. Any process does it for all."""
    while True:
        try:
            if released := await approvals.expire():
                log.info("approvals: expired, answers continue without them: %d", released)
        except StoreError as error:
            log.error("approvals: database unavailable, retrying in %.0f s: %s", EVERY_S, error)
        await clock.sleep(EVERY_S)
