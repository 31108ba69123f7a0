"""Retention: removes texts that are older than BOT_RETENTION_DAYS."""

import logging

from bot.errors import TypistError, trace_of
from bot.ports.clock import Clock
from bot.ports.retention import Retention

DAY_S = 24 * 60 * 60
EVERY_S = 60 * 60

log = logging.getLogger(__name__)


async def expire_texts(retention: Retention, clock: Clock, retention_days: int) -> None:
    """Removes old texts now and every hour, until canceled. Several processes may do it at once."""
    while True:
        try:
            expired = await retention.expire(clock.now() - retention_days * DAY_S)
        except TypistError as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", error)
        except Exception as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", trace_of(error))
        else:
            if expired:
                log.info("retention: texts erased: count=%d older_than_days=%d", expired, retention_days)
        await clock.sleep(EVERY_S)
