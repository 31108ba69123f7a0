"""Texts are kept no longer than they are to be."""

import logging

from bot.errors import TypistError, trace_of
from bot.ports.clock import Clock
from bot.ports.retention import Retention

DAY_S = 24 * 60 * 60
EVERY_S = 60 * 60

log = logging.getLogger(__name__)


async def keep_tidy(retention: Retention, clock: Clock, retention_days: int) -> None:
    """Removes texts that are too old, now and each hour, until cancelled; several processes may."""
    while True:
        try:
            expired = await retention.expire(clock.now() - retention_days * DAY_S)
        except TypistError as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", error)
        except Exception as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", trace_of(error))
        else:
            if expired:
                log.info("retention: %d texts older than %d days erased", expired, retention_days)
        await clock.sleep(EVERY_S)
