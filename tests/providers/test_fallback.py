"""Fallback, in simulated time: which model is asked next, and when none is."""

import logging

import pytest

from bot.core import texts
from bot.errors import EndReason
from bot.providers.fallback import Fallback
from tests.providers.scripts import END, PROMPT, THINKING, ScriptedProvider, failed, receive
from tests.simulated_time import run_simulated

NAMES = ("openai/a", "anthropic/b", "openai/c")


@pytest.mark.parametrize("failure", [failure for failure in texts.MODEL_FAILURES if failure is not EndReason.REFUSED])
@pytest.mark.parametrize("before", [(), (THINKING,)], ids=["at once", "after a thought"])
def test_next_model_is_asked_whatever_failed_before_the_first_word(
    failure: EndReason, before: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = ScriptedProvider([*before, failed(failure, model="openai/a")], model="openai/a")  # type: ignore[list-item]
    second = ScriptedProvider(["Hello", END], model="anthropic/b")
    received = run_simulated(receive(Fallback([first, second])))
    assert received.items == [*before, "Hello", END]
    assert (first.prompts, second.prompts) == ([PROMPT], [PROMPT])
    [line] = [record.getMessage() for record in caplog.records]
    assert "openai/a" in line
    assert "anthropic/b" in line


def test_answer_that_has_begun_does_not_fall_back() -> None:
    error = failed(EndReason.CUT)
    first, second = ScriptedProvider(["Hello", THINKING, error]), ScriptedProvider(["Bye", END])
    received = run_simulated(receive(Fallback([first, second])))
    assert (received.items, received.error, second.prompts) == (["Hello", THINKING], error, [])


def test_each_model_has_its_own_beginning() -> None:
    """Thinking of the first model doesn't count as a beginning of the second."""
    first = ScriptedProvider([THINKING, failed(EndReason.STALLED)])
    second = ScriptedProvider([THINKING, failed(EndReason.OVERLOADED)])
    third = ScriptedProvider(["Hello", END])
    assert run_simulated(receive(Fallback([first, second, third]))).items == [THINKING, THINKING, "Hello", END]


def test_refusal_is_an_answer_and_no_other_model_is_asked() -> None:
    first, second = ScriptedProvider([failed(EndReason.REFUSED)]), ScriptedProvider(["Hello", END])
    received = run_simulated(receive(Fallback([first, second])))
    assert (received.failure, second.prompts) == (EndReason.REFUSED, [])


def test_last_models_error_is_raised() -> None:
    last = failed(EndReason.BAD_KEY)
    models = [ScriptedProvider([failed(EndReason.CUT)]), ScriptedProvider([last])]
    assert run_simulated(receive(Fallback(models))).error is last


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
    models = Fallback([ScriptedProvider(model=name) for name in NAMES])
    assert models.names == NAMES
    led = models.led_by(led_by, PROMPT)
    assert led.model == order[0]
    assert isinstance(led, Fallback)
    assert led.names == order


def test_closing_closes_the_model_that_answers() -> None:
    model = ScriptedProvider(["Hello", 60.0])

    async def close_early() -> None:
        stream = Fallback([model]).stream(PROMPT)
        assert await anext(stream) == "Hello"
        await stream.aclose()

    run_simulated(close_early())
    assert model.closed == 1
