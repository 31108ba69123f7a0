"""StallTimeout, in simulated time: when exactly a silent model is hung up on, and whose waiting counts."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from bot.errors import EndReason
from bot.models.events import Loading, Searching, StreamEvent, Thinking
from bot.models.prompt import Prompt
from bot.models.wrappers import StallTimeout, max_silence_s
from slack_pacing.tests.simulated_time import SimulatedLoop, run_simulated
from tests.models.scripts import END, PROMPT, THINKING, ScriptedProvider, Step, TimedEvents, receive
from tests.simulated_time import SimulatedClock

TIMEOUT_S = 10.0
OVER = Thinking(ended=True)


LOADS = Loading()


def loaded_from(*steps: Step) -> TimedEvents:
    return run_simulated(receive(StallTimeout(ScriptedProvider(steps), TIMEOUT_S, can_load=True)))


@pytest.mark.parametrize(
    ("steps", "ends_s"),
    [
        ([70.0, "a", END], None),
        ([299.0, THINKING, 99.0, "a", END], None),
        ([400.0, "a", END], 300),
        # Only the first event gets that long.
        ([70.0, "a", 60.0], 80),
        ([70.0, THINKING, OVER, 60.0], 80),
    ],
)
def test_model_that_may_be_loading_gets_five_minutes_for_its_first_event(
    steps: list[Step], ends_s: float | None
) -> None:
    received = loaded_from(*steps)
    assert received.items[0] == LOADS
    assert received.failure is (None if ends_s is None else EndReason.STALLED)
    assert ends_s is None or received.ended_s == pytest.approx(ends_s, abs=1e-3)


def received_from(*steps: Step, reader_s: float = 0.0) -> TimedEvents:
    return run_simulated(receive(StallTimeout(ScriptedProvider(steps), TIMEOUT_S), reader_s))


@pytest.mark.parametrize(
    ("steps", "ends_s", "limit_s"),
    [
        ([60.0], 10, 10),
        (["a", 60.0], 10, 10),
        ([9.0, "a", 60.0], 19, 10),
        ([9.0, "a", 9.0, "b", 9.0, "c", 60.0], 37, 10),
        # A thinking model may be silent for ten times as long.
        ([THINKING, 500.0], 100, 100),
        ([9.0, THINKING, 500.0], 109, 100),
        ([9.0, THINKING, 99.0, THINKING, 500.0], 208, 100),
        # After its last thought, the usual time applies.
        ([THINKING, 50.0, OVER, 60.0], 60, 10),
        ([THINKING, 50.0, "a", 60.0], 60, 10),
        ([THINKING, 95.0, "a", 9.0, THINKING, 500.0], 204, 100),
        (["a", 5.0, THINKING, 3.0, "b", 60.0], 18, 10),
    ],
)
def test_silent_model_is_hung_up_on_when_its_time_is_over(steps: list[Step], ends_s: float, limit_s: float) -> None:
    model = ScriptedProvider(steps)
    received = run_simulated(receive(StallTimeout(model, TIMEOUT_S)))
    assert received.failure is EndReason.STALLED
    assert received.error is not None
    assert (received.error.model, received.error.detail) == ("openai/m", f"nothing for {limit_s:g} s")
    assert received.ended_s == pytest.approx(ends_s, abs=1e-3)
    assert received.items == [step for step in steps if not isinstance(step, float)]
    assert model.closed == 1


@pytest.mark.parametrize(
    "steps",
    [
        [9.9, "a", 9.9, "b", 9.9, END],
        [THINKING, 99.0, THINKING, 99.0, OVER, 9.9, "a", END],
        [THINKING, 99.0, "a", 9.9, END],
        ["a", THINKING, 99.0, END],
    ],
)
def test_model_with_signs_of_work_is_never_hung_up_on(steps: list[Step]) -> None:
    received = received_from(*steps)
    assert received.error is None
    assert received.items == [step for step in steps if not isinstance(step, float)]


@pytest.mark.parametrize(
    ("signs", "ends_s"),
    [
        ([Thinking()], 600),
        ([Thinking(), OVER], 600),
        ([Searching("words")], 600),
        # Each tells something else.
        ([Thinking(), Thinking(1)], None),
        ([Searching("words"), Searching("words", done=True)], None),
        ([Thinking(), "a"], None),
    ],
    ids=str,
)
def test_signs_that_carry_nothing_end_after_ten_minutes(signs: list[StreamEvent], ends_s: float | None) -> None:
    steps = [step for sign in signs for step in (sign, 9.0)] * 100
    received = received_from(*steps, END)
    assert (received.failure, received.error and received.error.detail) == (
        (EndReason.STALLED, "only pings for 600 s") if ends_s else (None, None)
    )
    assert ends_s is None or received.ended_s == pytest.approx(ends_s, abs=1e-3)


@pytest.mark.parametrize("reader_s", [9.0, 11.0, 25.0, 1000.0])
def test_readers_own_time_is_no_stall(reader_s: float) -> None:
    received = received_from("a", 5.0, "b", 9.0, "c", END, reader_s=reader_s)
    assert (received.items, received.error) == (["a", "b", "c", END], None)


def test_stall_is_noticed_in_time_after_a_slow_reader() -> None:
    received = received_from("a", "b", 60.0, reader_s=25.0)
    assert received.failure is EndReason.STALLED
    assert received.ended_s == pytest.approx(60.0, abs=1e-3)


@pytest.mark.parametrize(
    ("steps", "ends_s"),
    [
        # What came during the pause is read.
        (["a", 6.0, "b", END], None),
        # Nothing came: its time begins again after the pause.
        (["a", 200.0], 75.0),
    ],
)
def test_pause_of_the_process_is_no_stall(steps: list[Step], ends_s: float | None) -> None:
    async def paused() -> TimedEvents:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        loop.call_at(5.0, loop.pause, 60.0)
        return await receive(StallTimeout(ScriptedProvider(steps), TIMEOUT_S))

    received = run_simulated(paused())
    assert received.failure is (None if ends_s is None else EndReason.STALLED)
    if ends_s is not None:
        assert received.ended_s == pytest.approx(ends_s, abs=1e-3)


def test_readers_cancellation_is_no_stall() -> None:
    """Even at the moment when the model's time is over."""

    async def canceled_after(seconds: float) -> bool:
        task = asyncio.create_task(receive(StallTimeout(ScriptedProvider([60.0]), TIMEOUT_S)))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run_simulated(canceled_after(5.0))
    assert run_simulated(canceled_after(TIMEOUT_S))


def test_cancellation_that_comes_with_a_stall_is_not_swallowed() -> None:
    """The loop cancels the reader in the same iteration that finds the stall: both count."""

    async def both() -> bool:
        task = asyncio.create_task(receive(StallTimeout(ScriptedProvider([60.0]), TIMEOUT_S)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(TIMEOUT_S, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run_simulated(both())


def test_task_that_was_canceled_before_still_notices_a_stall() -> None:
    """A reader that outlived a cancellation keeps its count: the stall takes back only its own."""

    async def outlived() -> tuple[EndReason | None, int]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            received = await receive(StallTimeout(ScriptedProvider([60.0]), TIMEOUT_S))
        cancellations = task.cancelling()
        task.uncancel()
        return received.failure, cancellations

    assert run_simulated(outlived()) == (EndReason.STALLED, 1)


def test_reader_is_left_alone_after_the_end() -> None:
    async def reads_and_waits() -> float:
        await receive(StallTimeout(ScriptedProvider(["a", END]), TIMEOUT_S))
        await asyncio.sleep(1000.0)
        return SimulatedClock().monotonic()

    assert run_simulated(reads_and_waits()) == pytest.approx(1000.0, abs=1e-3)


def test_closing_closes_the_model_at_once() -> None:
    model = ScriptedProvider(["a", 60.0])

    async def close_early() -> None:
        stream = StallTimeout(model, TIMEOUT_S).stream(PROMPT)
        assert await anext(stream) == "a"
        await stream.aclose()

    run_simulated(close_early())
    assert model.closed == 1


def test_stall_has_the_name_of_its_model() -> None:
    assert StallTimeout(ScriptedProvider(model="openai/x"), TIMEOUT_S).model == "openai/x"


@pytest.mark.parametrize(("timeout_s", "longest_s"), [(1, 10), (59, 590), (60, 600), (61, 600), (1800, 1800)])
def test_silence_of_a_thinking_model_is_bounded(timeout_s: float, longest_s: float) -> None:
    assert max_silence_s(timeout_s) == longest_s


def test_model_that_answers_in_spite_of_the_limit_leaves_no_cancellation_behind() -> None:
    """A connection may hand over what came at the very end of a wait."""

    class Stubborn:
        model = "openai/m"

        async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                yield "a"
            yield END

    async def heard() -> tuple[list[StreamEvent], int]:
        task = asyncio.current_task()
        assert task is not None
        received = await receive(StallTimeout(Stubborn(), TIMEOUT_S))
        return received.items, task.cancelling()

    assert run_simulated(heard()) == (["a", END], 0)


def test_stream_leaves_no_timer_behind() -> None:
    async def timers() -> int:
        await receive(StallTimeout(ScriptedProvider(["a", 5.0, "b", END]), TIMEOUT_S))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        return loop.timers

    assert run_simulated(timers()) == 0
