"""When a failed call to Slack is retried."""

import asyncio
import math

import pytest

from bot import retry
from bot.errors import Backoff, RateLimited, Refusal, Refused
from bot.retry import CONNECTION, NO_FAILURES, NOTICE, Failures, Retrier, RetryPolicy
from slack_pacing.tests.simulated_time import run_simulated
from tests.simulated_time import SimulatedClock

TRANSIENT = Refused("chat.update", "fatal_error", Refusal.TRANSIENT)
POLICY = RetryPolicy(Backoff(0.5, 8.0), max_tries=7, within_s=60.0, max_retry_after_s=30.0)
POLICIES = {name: policy for name, policy in vars(retry).items() if isinstance(policy, RetryPolicy)}


@pytest.mark.parametrize(("count", "wait_s"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8)])
def test_waits_double_up_to_the_longest(count: int, wait_s: float) -> None:
    assert POLICY.next_try_at(TRANSIENT, Failures(count, 100.0), 100.0) == 100 + wait_s


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(0, 0.5), (10, 10), (30, 30), (600, 30)])
def test_wait_of_a_rate_limit_is_obeyed_within_bounds(retry_after_s: float, wait_s: float) -> None:
    limited = RateLimited("chat.update", retry_after_s)
    assert POLICY.next_try_at(limited, Failures(3, 100.0), 100.0) == 100 + wait_s


@pytest.mark.parametrize("reason", Refusal)
def test_only_refusals_that_may_pass_are_retried(reason: Refusal) -> None:
    refused = Refused("chat.update", "name", reason)
    assert (POLICY.next_try_at(refused, Failures(1, 0.0), 0.0) is not None) == reason.is_temporary
    assert CONNECTION.next_try_at(refused, Failures(1, 0.0), 0.0) == 1.0


def test_notice_that_slack_may_have_posted_is_not_posted_again() -> None:
    assert NOTICE.next_try_at(TRANSIENT, Failures(1, 0.0), 0.0) is None
    assert NOTICE.next_try_at(RateLimited("chat.postMessage", 90.0), Failures(4, 0.0), 0.0) == 60.0
    assert NOTICE.next_try_at(RateLimited("chat.postMessage", 0.5), Failures(1, 5.0), 5.0) == 6.0


@pytest.mark.parametrize("error", [TRANSIENT, RateLimited("chat.update", 1.0)], ids=["refused", "429"])
@pytest.mark.parametrize(
    ("count", "now", "is_last"),
    [(6, 10.0, False), (7, 10.0, True), (2, 69.9, False), (2, 70.0, True)],
    ids=["another try", "no more tries", "within the time", "after the time"],
)
def test_policy_gives_up_after_its_tries_or_its_time(
    error: RateLimited | Refused, count: int, now: float, is_last: bool
) -> None:
    assert (POLICY.next_try_at(error, Failures(count, 10.0), now) is None) is is_last


def test_failures_count_from_the_first_one() -> None:
    assert NO_FAILURES.plus_one(5.0).plus_one(9.0) == Failures(2, 5.0)


@pytest.mark.parametrize("name", POLICIES)
def test_every_wait_is_positive_and_bounded(name: str) -> None:
    policy = POLICIES[name]
    for count in range(1, 2_000):
        next_try_at = policy.next_try_at(TRANSIENT, Failures(count, 0.0), 0.0)
        assert next_try_at is None or 0 < next_try_at <= policy.backoff.max_s


async def tries_of(*results: Exception | str, until: float = math.inf) -> tuple[list[float], str]:
    """Makes a call with these results; returns the times of its tries, and the result or the last error."""
    clock, times, remaining = SimulatedClock(), list[float](), list(results)

    async def call() -> str:
        times.append(clock.monotonic())
        result = remaining.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    try:
        return times, await Retrier(POLICY, clock, "not done yet", until=until).call(call)
    except (RateLimited, Refused) as error:
        return times, str(error)


def test_call_is_retried_until_it_succeeds() -> None:
    limited = RateLimited("chat.update", 10.0)
    assert run_simulated(tries_of(TRANSIENT, limited, TRANSIENT, "done")) == ([0, 0.5, 10.5, 12.5], "done")


def test_last_error_is_raised_once_the_policy_gives_up() -> None:
    times, error = run_simulated(tries_of(*[TRANSIENT] * 10))
    assert (len(times), error) == (7, str(TRANSIENT))


def test_call_is_not_retried_after_its_until() -> None:
    assert run_simulated(tries_of(TRANSIENT, RateLimited("chat.update", 10.0), "late", until=10.4))[0] == [0, 0.5]
    assert run_simulated(tries_of(TRANSIENT, RateLimited("chat.update", 10.0), "done", until=10.5))[1] == "done"


def test_calls_that_share_a_policy_share_its_tries() -> None:
    async def pages() -> int:
        retrying, calls = Retrier(POLICY, SimulatedClock(), "not done yet"), 0

        async def call() -> None:
            nonlocal calls
            calls += 1
            if calls % 2:
                raise TRANSIENT

        for _ in range(6):
            await retrying.call(call)
        with pytest.raises(Refused):
            await retrying.call(call)
        return calls

    assert run_simulated(asyncio.wait_for(pages(), 100)) == 13
