"""Retention: removes what is older than BOT_RETENTION_DAYS and BOT_AUDIT_DAYS."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.clock import Clock
from bot.errors import TypistError, trace_of

DAY_S = 24 * 60 * 60
EVERY_S = 60 * 60
CLOCKS_AGREE_S = 60 * 60
"""A clock that differs more from Slack's is wrong: by it, all texts might be too old."""

SlackTime = Callable[[], Awaitable[float | None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """What is kept for some days."""

    name: str
    expire: Callable[[float], Awaitable[int]]
    """Removes what is older than a time, in seconds since 1970, and returns how many."""
    days: int


async def expire_old(kept: Sequence[Kept], clock: Clock, slack_time: SlackTime) -> None:
    """Removes what is too old now and every hour, until canceled. Several processes may do it at once.

    `slack_time` returns Slack's clock, in seconds since 1970. Nothing is removed while it is unknown.
    """
    while True:
        try:
            if await _is_right(clock, slack_time):
                for each in kept:
                    await _expire(each, clock)
        except TypistError as error:
            log.error("retention: too old, not removed, retrying in an hour: %s", error)
        except Exception as error:
            log.error("retention: too old, not removed, retrying in an hour: %s", trace_of(error))
        await clock.sleep(EVERY_S)


async def _expire(kept: Kept, clock: Clock) -> None:
    if count := await kept.expire(clock.now() - kept.days * DAY_S):
        log.info("retention: removed: what=%s count=%d older_than_days=%d", kept.name, count, kept.days)


async def _is_right(clock: Clock, slack_time: SlackTime) -> bool:
    slack_s = await slack_time()
    if slack_s is not None and abs(clock.now() - slack_s) <= CLOCKS_AGREE_S:
        return True
    log.error(
        "retention: nothing removed, retrying in an hour: this clock and Slack's differ: by_hours=%s. "
        "Set the clock of the machine, or of the PostgreSQL server, and restart Typist.",
        "unknown" if slack_s is None else f"{(clock.now() - slack_s) / 3600:.1f}",
    )
    return False
