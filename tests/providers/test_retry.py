"""Retry, in simulated time: which requests are sent again, and when."""

import pytest

from bot.core import texts
from bot.errors import EndReason
from bot.providers.retry import Retry
from tests.providers.scripts import END, PROMPT, THINKING, ScriptedProvider, Step, TimedEvents, failed, receive
from tests.simulated_time import SimulatedClock, run_simulated

ANSWER: list[Step] = ["Hello", " there", END]


def received_from(model: ScriptedProvider) -> TimedEvents:
    return run_simulated(receive(Retry(model, SimulatedClock())))


PASSING = ("rate_limited", "overloaded", "unreachable", "unexpected")


@pytest.mark.parametrize(
    ("failure", "retry_after_s", "waits_s"),
    [
        (EndReason.RATE_LIMITED, 0.0, 0.0),
        (EndReason.RATE_LIMITED, 2.0, 2.0),
        (EndReason.RATE_LIMITED, 5.0, 5.0),
        (EndReason.OVERLOADED, None, 0.5),
        (EndReason.OVERLOADED, 0.0, 0.0),
        (EndReason.OVERLOADED, 3.0, 3.0),
        (EndReason.OVERLOADED, 5.0, 5.0),
        (EndReason.UNREACHABLE, None, 0.5),
        (EndReason.UNREACHABLE, 9.0, 0.5),
        (EndReason.UNEXPECTED, 0.0, 0.0),
        (EndReason.UNEXPECTED, 5.0, 5.0),
    ],
)
def test_failure_that_may_pass_is_retried_once_after_its_wait(
    failure: EndReason, retry_after_s: float | None, waits_s: float
) -> None:
    model = ScriptedProvider([1.0, failed(failure, retry_after_s)], ANSWER)
    received = received_from(model)
    assert received.items == ["Hello", " there", END]
    assert {at_s for at_s, _ in received.events} == {1.0 + waits_s}
    assert model.prompts == [PROMPT, PROMPT]
    assert model.closed == 2


@pytest.mark.parametrize(
    ("failure", "retry_after_s"),
    [
        (EndReason.RATE_LIMITED, None),
        (EndReason.RATE_LIMITED, 5.01),
        (EndReason.OVERLOADED, 5.01),
        (EndReason.UNEXPECTED, None),
        (EndReason.UNEXPECTED, 5.01),
        *((failure, 1.0) for failure in texts.MODEL_FAILURES if failure not in PASSING),
    ],
)
def test_failure_that_lasts_is_raised_at_once(failure: EndReason, retry_after_s: float | None) -> None:
    error = failed(failure, retry_after_s)
    model = ScriptedProvider([error], ANSWER)
    received = received_from(model)
    assert received.error is error
    assert (received.items, received.ended_s, len(model.prompts)) == ([], 0.0, 1)


def test_second_failure_is_raised() -> None:
    second = failed(EndReason.UNREACHABLE)
    model = ScriptedProvider([failed(EndReason.OVERLOADED)], [second], ANSWER)
    received = received_from(model)
    assert received.error is second
    assert len(model.prompts) == 2


@pytest.mark.parametrize("failure", [EndReason.OVERLOADED, EndReason.UNREACHABLE, EndReason.RATE_LIMITED])
@pytest.mark.parametrize("after", [(), (THINKING,)], ids=["after text", "after text and a thought"])
def test_answer_that_has_begun_is_never_retried(failure: EndReason, after: tuple[Step, ...]) -> None:
    error = failed(failure, 1.0)
    model = ScriptedProvider(["Hello", *after, error], ANSWER)
    received = received_from(model)
    assert received.items == ["Hello", *after]
    assert received.error is error
    assert len(model.prompts) == 1


def test_request_is_retried_if_the_model_only_thought() -> None:
    model = ScriptedProvider([THINKING, failed(EndReason.OVERLOADED)], ANSWER)
    assert received_from(model).items == [THINKING, "Hello", " there", END]


def test_whole_answer_is_passed_on_as_it_comes() -> None:
    model = ScriptedProvider(["Hello", 2.0, " there", END])
    received = received_from(model)
    assert received.events == [(0.0, "Hello"), (2.0, " there"), (2.0, END)]
    assert {"requests": len(model.prompts), "closed": model.closed} == {"requests": 1, "closed": 1}


def test_retry_has_the_name_of_its_model() -> None:
    assert Retry(ScriptedProvider(model="openai/x"), SimulatedClock()).model == "openai/x"


@pytest.mark.parametrize("first", [[], [failed(EndReason.OVERLOADED)]], ids=["first request", "second request"])
def test_closing_closes_the_model_at_once(first: list[Step]) -> None:
    scripts = [[*first], ["Hello", 60.0]] if first else [["Hello", 60.0]]
    model = ScriptedProvider(*scripts)

    async def close_early() -> float:
        stream = Retry(model, SimulatedClock()).stream(PROMPT)
        assert await anext(stream) == "Hello"
        await stream.aclose()
        return SimulatedClock().monotonic()

    assert run_simulated(close_early()) == (0.5 if first else 0.0)
    assert model.closed == len(scripts)
