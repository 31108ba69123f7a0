"""Tries calls to Slack again, by a retry policy: the one place that catches a failed call and sleeps.

Only lookups of people do so themselves, because all of them share one pace (users.py).
"""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.clock import Clock
from bot.errors import RateLimited, Refused
from bot.slack.retry_policy import NO_FAILURES, RetryPolicy

T = TypeVar("T")

log = logging.getLogger(__name__)


class Retrying:
    """Makes calls, each until it succeeds or the policy gives up; all of them share the policy's tries.

    `problem`: what a failure means, for the log.
    `until`: gives up rather than try again later than this, by the monotonic clock.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock, problem: str, *, until: float = math.inf) -> None:
        self._problem = problem
        self._policy = policy
        self._clock = clock
        self._until = until
        self._failures = NO_FAILURES

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Returns the call's result; raises its last RateLimited or Refused once the policy gives up."""
        while True:
            try:
                return await call()
            except (RateLimited, Refused) as error:
                now = self._clock.monotonic()
                self._failures = self._failures.and_one(now)
                next_try_at = self._policy.next_try_at(error, self._failures, now)
                if next_try_at is None or next_try_at > self._until:
                    raise
                log.warning("%s: %s Next try in %.0f s.", self._problem, error, next_try_at - now)
            await self._clock.sleep(next_try_at - now)
