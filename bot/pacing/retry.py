"""When a call that Slack did not do is tried again: one rule for all callers.

Slack declines a call in three ways:

1. A rate limit (HTTP 429): nothing was done, and Retry-After says how long to wait. The wait is obeyed, up to
   `max_retry_after_s`.
2. A failure that may pass (`Refusal.may_pass`): an outage, a lost connection, an error name that Typist doesn't know.
   Waits grow (`Backoff`). The call may have been done, so a caller whose call must not happen twice looks for its
   result first.
3. Any other refusal: the same call would be refused again, so it isn't retried.

Each caller only sets its bounds: the policies below. `Retrier` applies a policy to a call and sleeps in between: only
it does, and lookups of people, which share one pace (bot/slack/users.py). The edit scheduler applies a policy to a
reply's calls without sleeping, because other replies go on meanwhile.

Which way it is, Slack's error name says (bot/slack/refusals.py).
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.clock import Clock
from bot.errors import Backoff, RateLimited, Refused

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    """A call's failures in a row."""

    count: int = 0
    since: float = math.inf
    """When the first of them happened, by the monotonic clock."""

    def and_one(self, now: float) -> "Failures":
        """Returns these failures and one that happens now."""
        return Failures(self.count + 1, min(self.since, now))


NO_FAILURES = Failures()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failing call is tried, and the waits in between. Times are in seconds."""

    backoff: Backoff
    max_tries: float = math.inf
    within_s: float = math.inf
    """The time after the first failure at which the next one is the last."""
    max_retry_after_s: float = math.inf
    retries_any_refusal: bool = False
    """Refusals that can't pass are retried as well: the caller has sorted out those that are final."""
    rate_limits_only: bool = False
    """Nothing is retried that Slack may have done."""

    def next_try_at(self, error: RateLimited | Refused, failures: Failures, now: float) -> float | None:
        """Returns when to try again, or None to give up; `failures` include the one that `error` reports."""
        if failures.count >= self.max_tries or now >= failures.since + self.within_s:
            return None
        if isinstance(error, RateLimited):
            return now + min(max(error.retry_after_s, self.backoff.first_s), self.max_retry_after_s)
        if self.rate_limits_only or not (error.reason.may_pass or self.retries_any_refusal):
            return None
        return now + self.backoff.wait_s(failures.count)


REPLY_CALLS = RetryPolicy(Backoff(0.5, 8.0), within_s=180.0, retries_any_refusal=True)
"""A live reply's posts, updates, uploads and deletions. After a refusal the reply says which call is next. After these
minutes the outbox shows the answer's end later."""
RECOVERY = RetryPolicy(Backoff(0.5, 8.0))
"""Reading what Slack shows of a reply; the caller bounds it by a timeout."""
HISTORY_PAGE = RetryPolicy(Backoff(1.0, 1.0), max_tries=3)
"""A page of a conversation; the caller bounds the whole conversation by a timeout."""
USER_KIND = RetryPolicy(Backoff(0.5, 6.0))
"""users.info where access depends on it. Each caller has a timeout of its own."""
EPHEMERAL = RetryPolicy(Backoff(1.0, 8.0), max_tries=5, max_retry_after_s=60.0)
"""Telling one person something that is told once. Slack keeps no such message: one whose response was lost is shown
twice."""
NOTICE = RetryPolicy(Backoff(1.0, 30.0), max_tries=5, max_retry_after_s=60.0, rate_limits_only=True)
"""Telling a channel something. It is better missing than there twice."""
LOOKS = Backoff(0.5, 8.0)
"""The waits between looks for a message that Slack may have posted."""
MAX_LOOKS = 6
OUTSIDE_THREAD_DELETION = RetryPolicy(Backoff(0.5, 8.0), max_tries=6)
"""Deleting a post that Slack put outside its thread."""
CONNECTION = RetryPolicy(Backoff(1.0, 30.0), max_retry_after_s=300.0, retries_any_refusal=True)
"""Connecting to Slack: tried for as long as the process runs, unless Slack says that a token is bad."""


class Retrier:
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
