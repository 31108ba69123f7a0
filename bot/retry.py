"""Decides when to retry a call that Slack declined, with one rule for all callers.

Slack declines a call in three ways, identified by the error name (bot/slack/refusals.py):

1. A rate limit (HTTP 429): nothing was done. Typist waits as long as Retry-After says, up to `max_retry_after_s`.
2. A failure that might be temporary (`Refusal.is_temporary`): an outage, a lost connection, an unknown error name.
   Waits grow (`Backoff`). Slack might have carried out the call, so a caller whose call must not happen twice first
   checks for its result.
3. Any other refusal: the same call would be refused again, so it isn't retried.

`Retrier` applies a policy to a call and sleeps between tries. The edit scheduler applies a policy without sleeping, so
that other replies can continue in the meantime.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bot.clock import Clock
from bot.errors import Backoff, RateLimited, Refused

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    count: int = 0
    since: float = math.inf

    def plus_one(self, now: float) -> "Failures":
        return Failures(self.count + 1, min(self.since, now))


NO_FAILURES = Failures()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    backoff: Backoff
    max_tries: float = math.inf
    within_s: float = math.inf
    """Time after the first failure beyond which no failure is retried."""
    max_retry_after_s: float = math.inf
    retries_any_refusal: bool = False
    """Whether permanent refusals are retried too, because the caller handles those that are final."""
    rate_limits_only: bool = False

    def next_try_at(self, error: RateLimited | Refused, failures: Failures, now: float) -> float | None:
        """Returns when to try again, or None if the policy gives up. `failures` includes `error`."""
        if failures.count >= self.max_tries or now >= failures.since + self.within_s:
            return None
        if isinstance(error, RateLimited):
            return now + min(max(error.retry_after_s, self.backoff.first_s), self.max_retry_after_s)
        if self.rate_limits_only or not (error.reason.is_temporary or self.retries_any_refusal):
            return None
        return now + self.backoff.wait_s(failures.count)


REPLY_CALLS = RetryPolicy(Backoff(0.5, 8.0), within_s=180.0, retries_any_refusal=True)
"""For a live reply's calls. After a refusal, the reply decides what to call; after `within_s`, the outbox does."""
RECOVERY = RetryPolicy(Backoff(0.5, 8.0))
"""For reading a reply from Slack. The caller sets a timeout."""
HISTORY_PAGE = RetryPolicy(Backoff(1.0, 1.0), max_tries=3)
USER_KIND = RetryPolicy(Backoff(0.5, 6.0))
EPHEMERAL = RetryPolicy(Backoff(1.0, 8.0), max_tries=5, max_retry_after_s=60.0)
"""For an ephemeral message. Slack doesn't store it, so it appears twice if a response was lost."""
NOTICE = RetryPolicy(Backoff(1.0, 30.0), max_tries=5, max_retry_after_s=60.0, rate_limits_only=True)
"""For notifying a channel, where a missing notice is better than a duplicate."""
LOOKS = Backoff(0.5, 8.0)
MAX_LOOKS = 6
OUTSIDE_THREAD_DELETION = RetryPolicy(Backoff(0.5, 8.0), max_tries=6)
CONNECTION = RetryPolicy(Backoff(1.0, 30.0), max_retry_after_s=300.0, retries_any_refusal=True)
"""For connecting to Slack. Retries for as long as the process runs, unless Slack reports an invalid token."""


@dataclass(eq=False)
class Retrier:
    """Makes calls, retrying each call until it succeeds or the policy gives up. All calls share the policy's tries."""

    policy: RetryPolicy
    clock: Clock
    problem: str
    """Describes a failure in the log."""
    until: float = field(default=math.inf, kw_only=True)
    """When to stop retrying, on the monotonic clock."""
    _failures: Failures = field(default=NO_FAILURES, init=False)

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Returns the call's result. Raises the call's last RateLimited or Refused once the policy gives up."""
        while True:
            try:
                return await call()
            except (RateLimited, Refused) as error:
                now = self.clock.monotonic()
                self._failures = self._failures.plus_one(now)
                next_try_at = self.policy.next_try_at(error, self._failures, now)
                if next_try_at is None or next_try_at > self.until:
                    raise
                log.warning("%s: %s Next try in %.0f s.", self.problem, error, next_try_at - now)
            await self.clock.sleep(next_try_at - now)
