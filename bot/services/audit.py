"""Seals the audit's entries soon after they were written, so that later changes show (bot/store/audit.py)."""

import logging

from bot.clock import Clock
from bot.errors import StoreError
from bot.store.audit import Audit

EVERY_S = 10.0
LOGGED_EVERY_S = 3600.0

log = logging.getLogger(__name__)


async def seal_entries(audit: Audit, clock: Clock) -> None:
    """Seals what has been written, until canceled. Any process does it for all.

    The newest hash goes to the log each hour, because logs are often kept where no one can rewrite them with the
    database.
    """
    logged_at, logged = clock.monotonic(), ""
    while True:
        try:
            await audit.seal()
            if clock.monotonic() >= logged_at + LOGGED_EVERY_S:
                number, newest = await audit.newest()
                if newest != logged:
                    log.info("audit: sealed: entry=%d hash=%s", number, newest)
                logged_at, logged = clock.monotonic(), newest
        except StoreError as error:
            log.error("audit: entries not sealed, retrying in %.0f s: %s", EVERY_S, error)
        await clock.sleep(EVERY_S)
