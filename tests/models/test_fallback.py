"""Fallback, in simulated time: which request is made next, and when none is."""

import logging
from collections.abc import Sequence

import pytest

from bot.core import texts
from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, Retrying
from bot.models.model import Provider
from bot.models.wrappers import Fallback
from slack_pacing.tests.simulated_time import run_simulated
from tests.models.scripts import END, PROMPT, THINKING, ScriptedProvider, Step, TimedEvents, failed, receive
from tests.simulated_time import SimulatedClock

NAMES = ("openai/a", "anthropic/b", "openai/c")
ANSWER: list[Step] = ["Hello", " there", END]


def fallback(providers: Sequence[Provider]) -> Fallback:
    return Fallback(providers, jitter=lambda: 0.0)


def received_from(*providers: Provider) -> TimedEvents:
    return run_simulated(receive(fallback(providers)))


def without_retries(received: TimedEvents) -> list[object]:
    return [item for item in received.items if not isinstance(item, Retrying)]


@pytest.mark.parametrize("failure", [failure for failure in texts.models.MODEL_FAILURES if not failure.is_declined])
@pytest.mark.parametrize("before", [(), (THINKING,)], ids=["at once", "after a thought"])
def test_next_model_is_asked_whatever_failed_before_the_first_word(
    failure: EndReason, before: tuple[Step, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tries = 3 if failure.is_temporary else 1
    first = ScriptedProvider(*[[*before, failed(failure, model="openai/a")]] * tries, model="openai/a")
    second = ScriptedProvider(["Hello", END], model="anthropic/b")
    received = received_from(first, second)
    assert without_retries(received) == [*before * tries, "Hello", END]
    assert (first.prompts, second.prompts) == ([PROMPT] * tries, [PROMPT])
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == tries
    assert "openai/a" in lines[-1]
    assert "anthropic/b" in lines[-1]


@pytest.mark.parametrize("failure", [failure for failure in EndReason if failure.is_temporary])
def test_same_model_is_asked_again_after_a_failure_that_may_pass(failure: EndReason) -> None:
    model = ScriptedProvider([1.0, failed(failure)], [2.0, failed(failure)], ANSWER)
    received = received_from(model)
    is_charged = failure.is_charged_without_text
    assert received.events == [
        (1.0, Retrying(0.5, is_charged)),
        (3.5, Retrying(1.0, is_charged)),
        *[(4.5, item) for item in ANSWER],
    ]
    assert (model.prompts, model.closed) == ([PROMPT] * 3, 3)


@pytest.mark.parametrize("failure", [failure for failure in EndReason if failure.is_temporary])
@pytest.mark.parametrize("after", [(), (THINKING,)], ids=["after text", "after text and a thought"])
def test_no_request_follows_the_first_word(failure: EndReason, after: tuple[Step, ...]) -> None:
    error = failed(failure)
    first, second = ScriptedProvider(["Hello", *after, error]), ScriptedProvider(["Bye", END])
    received = received_from(first, second)
    assert (received.items, received.error) == (["Hello", *after], error)
    assert (len(first.prompts), second.prompts) == (1, [])


def test_each_request_has_its_own_beginning() -> None:
    """Thinking of the first model doesn't count as a beginning of the second."""
    stalled: list[Step] = [THINKING, failed(EndReason.STALLED)]
    overloaded: list[Step] = [THINKING, failed(EndReason.OVERLOADED)]
    first, second = ScriptedProvider(*[stalled] * 3), ScriptedProvider(*[overloaded] * 3)
    third = ScriptedProvider(["Hello", END])
    assert without_retries(received_from(first, second, third)) == [*[THINKING] * 6, "Hello", END]


def test_last_error_is_raised() -> None:
    last = failed(EndReason.BAD_KEY)
    models = [ScriptedProvider([failed(EndReason.UNKNOWN_MODEL)]), ScriptedProvider([last])]
    assert received_from(*models).error is last


def test_whole_answer_is_passed_on_as_it_comes() -> None:
    model = ScriptedProvider(["Hello", 2.0, " there", END])
    received = received_from(model)
    assert received.events == [(0.0, "Hello"), (2.0, " there"), (2.0, END)]
    assert (len(model.prompts), model.closed) == (1, 1)


@pytest.mark.parametrize(
    ("led_by", "order"),
    [
        (None, NAMES),
        ("openai/a", NAMES),
        ("openai/c", ("openai/c", "openai/a", "anthropic/b")),
        ("openai/unknown", NAMES),
    ],
)
def test_channels_own_model_is_asked_first(led_by: str | None, order: tuple[str, ...]) -> None:
    models = fallback([ScriptedProvider(model=name) for name in NAMES])
    assert models.names == NAMES
    led = models.starting_with(led_by, PROMPT)
    assert led.model == order[0]
    assert isinstance(led, Fallback)
    assert led.names == order


@pytest.mark.parametrize("failures", [0, 1])
def test_closing_closes_the_model_that_answers_at_once(failures: int) -> None:
    model = ScriptedProvider(*[[failed(EndReason.OVERLOADED)]] * failures, ["Hello", 60.0])

    async def close_early() -> float:
        stream = fallback([model]).stream(PROMPT)
        while not isinstance(await anext(stream), str):
            pass
        await stream.aclose()
        return SimulatedClock().monotonic()

    assert run_simulated(close_early()) == 0.5 * failures
    assert model.closed == failures + 1


def test_another_try_tells_why_the_one_before_failed() -> None:
    unreachable = ProviderError(EndReason.UNREACHABLE, "openai/a", detail="127.0.0.1:9: Connection refused")
    silent = failed(EndReason.OVERLOADED)
    received = received_from(ScriptedProvider([unreachable], [silent], ANSWER))
    told = [event.detail for event in received.items if isinstance(event, Retrying)]
    assert told == [unreachable.detail, silent.detail or str(EndReason.OVERLOADED)]


def test_closing_during_a_wait_asks_no_model_again() -> None:
    model = ScriptedProvider([failed(EndReason.OVERLOADED)], ANSWER)

    async def close_early() -> None:
        stream = fallback([model]).stream(PROMPT)
        assert await anext(stream) == Retrying(0.5)
        await stream.aclose()

    run_simulated(close_early())
    assert len(model.prompts) == 1


def test_each_request_is_heard_as_an_answer_or_as_the_reason_of_its_failure() -> None:
    heard: list[tuple[str, EndReason | Completion | None]] = []
    first = ScriptedProvider([THINKING, failed(EndReason.BAD_KEY)], ANSWER, model="openai/a")
    second = ScriptedProvider(["Hello", failed(EndReason.CUT)], model="anthropic/b")
    models = Fallback([first, second], on_result=lambda *one: heard.append(one))
    for _ in range(2):
        run_simulated(receive(models.starting_with("openai/a", PROMPT)))
    assert heard == [
        ("openai/a", EndReason.BAD_KEY),
        ("anthropic/b", None),
        ("anthropic/b", EndReason.CUT),
        ("openai/a", None),
        ("openai/a", END),
    ]
