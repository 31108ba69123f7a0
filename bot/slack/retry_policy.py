"""When a call that Slack did not do is tried again: one rule for all callers. Pure: the caller passes in the time.

Slack declines a call in three ways:

1. A rate limit (HTTP 429): nothing was done, and Retry-After says how long to wait. The wait is obeyed, up to
   `max_retry_after_s`.
2. A failure that may pass (`Refusal.may_pass`): an outage, a lost connection, an error name that Typist doesn't know.
   Waits grow (core/backoff.py). The call may have been done, so a caller whose call must not
   happen twice looks for its result first.
3. Any other refusal: the same call would be refused again, so it isn't retried.

Each caller only sets its bounds: the policies below. `retrying.py` applies a policy to a call and sleeps in between.
The edit scheduler applies one to a reply's calls without sleeping, because other replies go on meanwhile.
"""

import math
from dataclasses import dataclass

from bot.core.backoff import Backoff
from bot.errors import RateLimited, Refused


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

    def next_try_at(self, error: RateLimited | Refused, failures: Failures, now: float) -> float | None:
        """Returns when to try again, or None to give up; `failures` include the one that `error` reports."""
        if failures.count >= self.max_tries or now >= failures.since + self.within_s:
            return None
        if isinstance(error, RateLimited):
            return now + min(max(error.retry_after_s, self.backoff.first_s), self.max_retry_after_s)
        if not (error.reason.may_pass or self.retries_any_refusal):
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
LOOKS = Backoff(0.5, 8.0)
"""The waits between looks for a message that Slack may have posted."""
MAX_LOOKS = 6
OUTSIDE_THREAD_DELETION = RetryPolicy(Backoff(0.5, 8.0), max_tries=6)
"""Deleting a post that Slack put outside its thread."""
CONNECTION = RetryPolicy(Backoff(1.0, 30.0), max_retry_after_s=300.0, retries_any_refusal=True)
"""Connecting to Slack: tried for as long as the process runs, unless Slack says that a token is bad."""
