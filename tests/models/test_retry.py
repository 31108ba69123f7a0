"""RetryPlan: which request follows one that failed before the first word, and when."""

import math
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import EndReason, ProviderError
from bot.models.wrappers import BACKOFF, LOADS_WITHIN_S, MAX_RETRIES, MAX_WAIT_S, PATIENCE_S, NextRequest, RetryPlan
from tests.models.scripts import failed

PASSING = [reason for reason in EndReason if reason.is_temporary]
LASTING = [EndReason.BAD_KEY, EndReason.UNKNOWN_MODEL, EndReason.OUT_OF_CREDIT, EndReason.CONTEXT_TOO_LONG]
LASTING += [EndReason.EMPTY, EndReason.ONLY_THOUGHT, EndReason.UNEXPECTED]


def unjittered(models: int) -> RetryPlan:
    return RetryPlan(models, jitter=lambda: 0.0)


def asked_at(reason: EndReason, models: int = 1, retry_after_s: float | None = None) -> list[tuple[int, float]]:
    """Returns which model is asked when, if each request fails at once."""
    tries, now_s, asked = unjittered(models), 0.0, [(0, 0.0)]
    while (following := tries.next_request(failed(reason, retry_after_s), now_s)) is not None:
        now_s += following.wait_s
        asked.append((following.model, now_s))
    return asked


@pytest.mark.parametrize("reason", [EndReason.OVERLOADED, EndReason.RATE_LIMITED, EndReason.SERVER_ERROR])
def test_only_model_is_asked_for_a_minute_at_growing_waits(reason: EndReason) -> None:
    times_s = [at_s for _, at_s in asked_at(reason)]
    assert times_s == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5, 39.5, 47.5, 55.5]


@pytest.mark.parametrize(
    ("detail", "until_s"),
    [
        ("503 unavailable_error Loading model", LOADS_WITHIN_S),
        ("503 Model is currently loading", LOADS_WITHIN_S),
        ("503 busy", PATIENCE_S),
    ],
    ids=["llama.cpp", "Hugging Face", "another server"],
)
def test_server_that_says_it_is_loading_is_asked_for_five_minutes(detail: str, until_s: float) -> None:
    tries, now_s = unjittered(1), 0.0
    error = ProviderError(EndReason.OVERLOADED, "openai/m", detail=detail)
    while following := tries.next_request(error, now_s):
        now_s += following.wait_s
    assert until_s - BACKOFF.max_s < now_s <= until_s


@pytest.mark.parametrize("reason", [EndReason.STALLED, EndReason.CUT])
def test_failure_that_is_charged_has_two_further_tries(reason: EndReason) -> None:
    assert asked_at(reason) == [(0, 0), (0, 0.5), (0, 1.5)]


@pytest.mark.parametrize("reason", PASSING)
def test_next_model_is_asked_after_two_further_tries(reason: EndReason) -> None:
    assert asked_at(reason, models=2)[:4] == [(0, 0), (0, 0.5), (0, 1.5), (1, 1.5)]


@pytest.mark.parametrize("reason", LASTING)
def test_lasting_failure_leads_to_the_next_model_at_once(reason: EndReason) -> None:
    assert asked_at(reason, models=3) == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("reason", [EndReason.REFUSED, EndReason.MISALIGNED])
def test_refusal_is_an_answer_and_no_other_model_is_asked(reason: EndReason) -> None:
    assert asked_at(reason, models=3) == [(0, 0)]


def test_models_take_turns_once_all_have_failed() -> None:
    asked = asked_at(EndReason.OVERLOADED, models=2)
    assert asked[6:] == [(0, 3.5), (1, 5.0), (0, 7.5), (1, 9.0), (0, 15.5), (1, 17.0), *asked[12:]]
    assert {model for model, _ in asked[12:]} == {0, 1}
    assert asked[-1][1] <= PATIENCE_S


def test_model_whose_failure_lasts_is_not_asked_again() -> None:
    tries = unjittered(2)
    assert tries.next_request(failed(EndReason.BAD_KEY), 0.0) == NextRequest(1, 0.0)
    assert tries.next_request(failed(EndReason.OVERLOADED), 1.0) == NextRequest(1, 0.5)
    assert tries.next_request(failed(EndReason.OVERLOADED), 1.5) == NextRequest(1, 1.0)
    assert tries.next_request(failed(EndReason.BAD_KEY), 2.5) is None


@pytest.mark.parametrize(
    ("retry_after_s", "waits_s"),
    [(0.0, 0.5), (0.2, 0.5), (2.0, 2.0), (MAX_WAIT_S, MAX_WAIT_S), (30.0, 30.0), (PATIENCE_S, PATIENCE_S)],
)
def test_wait_that_the_vendor_asks_for_is_kept(retry_after_s: float, waits_s: float) -> None:
    assert asked_at(EndReason.RATE_LIMITED, retry_after_s=retry_after_s)[1] == (0, waits_s)


def test_longer_wait_than_the_patience_of_an_asker_is_a_failure() -> None:
    assert asked_at(EndReason.RATE_LIMITED, retry_after_s=PATIENCE_S + 1) == [(0, 0)]


def test_model_that_asks_for_a_long_wait_is_left_to_the_next_one() -> None:
    tries = unjittered(2)
    assert tries.next_request(failed(EndReason.RATE_LIMITED, MAX_WAIT_S + 1), 0.0) == NextRequest(1, 0.0)
    assert tries.next_request(failed(EndReason.BAD_KEY), 2.0) == NextRequest(0, MAX_WAIT_S - 1), "once the wait is over"


def test_other_model_is_asked_even_after_a_minute() -> None:
    tries = unjittered(2)
    assert tries.next_request(failed(EndReason.STALLED), 0.0) == NextRequest(0, 0.5)
    assert tries.next_request(failed(EndReason.STALLED), 600.0) == NextRequest(1, 0.0)
    assert tries.next_request(failed(EndReason.STALLED), 1200.0) is None


def test_jitter_shortens_a_wait_by_a_quarter_at_most_and_never_one_of_the_vendor() -> None:
    tries = RetryPlan(1, jitter=lambda: 1.0)
    assert tries.next_request(failed(EndReason.OVERLOADED), 0.0) == NextRequest(0, 0.375)
    assert tries.next_request(failed(EndReason.OVERLOADED, 4.0), 1.0) == NextRequest(0, 5.0)


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from([*PASSING, *LASTING]), st.none() | st.floats(0, 1e6), st.floats(0, 300)), max_size=60
    ),
    st.floats(0, 1),
)
def test_whatever_fails_requests_are_bounded_in_number_and_time(
    models: int, failures: list[tuple[EndReason, float | None, float]], jitter: float
) -> None:
    tries, now_s, first_s, asked = RetryPlan(models, lambda: jitter), 0.0, math.inf, {0}
    for requests, (reason, retry_after_s, took_s) in zip(count(1), failures, strict=False):
        now_s += took_s
        first_s = min(first_s, now_s)
        following = tries.next_request(failed(reason, retry_after_s), now_s)
        if following is None:
            return
        assert 0 <= following.model < models
        assert following.wait_s >= 0
        now_s += following.wait_s
        assert following.model not in asked or now_s <= first_s + PATIENCE_S
        asked.add(following.model)
        most = PATIENCE_S / (0.75 * BACKOFF.max_s) + 6 + MAX_RETRIES
        assert requests <= models * most
