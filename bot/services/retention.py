"""Retention: removes texts that are older than BOT_RETENTION_DAYS."""

import logging
from collections.abc import Awaitable, Callable

from bot.clock import Clock
from bot.errors import TypistError, trace_of
from bot.store.erasure import Erasure

DAY_S = 24 * 60 * 60
EVERY_S = 60 * 60
CLOCKS_AGREE_S = 60 * 60
"""A clock that differs more from Slack's is wrong: by it, all texts might be too old."""

SlackTime = Callable[[], Awaitable[float | None]]

log = logging.getLogger(__name__)


async def expire_texts(retention: Erasure, clock: Clock, slack_time: SlackTime, retention_days: int) -> None:
    """Removes old texts now and every hour, until canceled. Several processes may do it at once.

    `slack_time` returns Slack's clock, in seconds since 1970. Nothing is erased while it is unknown.
    """
    while True:
        try:
            if await _is_right(clock, slack_time):
                expired = await retention.expire(clock.now() - retention_days * DAY_S)
                if expired:
                    log.info("retention: texts erased: count=%d older_than_days=%d", expired, retention_days)
        except TypistError as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", error)
        except Exception as error:
            log.error("retention: old texts not erased, retrying in an hour: %s", trace_of(error))
        await clock.sleep(EVERY_S)


async def _is_right(clock: Clock, slack_time: SlackTime) -> bool:
    slack_s = await slack_time()
    if slack_s is not None and abs(clock.now() - slack_s) <= CLOCKS_AGREE_S:
        return True
    log.error(
        "retention: old texts not erased, retrying in an hour: this clock and Slack's differ: by_hours=%s. "
        "Set the clock of the machine, or of the PostgreSQL server, and restart Typist.",
        "unknown" if slack_s is None else f"{(clock.now() - slack_s) / 3600:.1f}",
    )
    return False
