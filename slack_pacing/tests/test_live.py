"""Live messages: what Slack shows while texts grow, with several messages on one budget, in simulated time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from slack_pacing.budget import REPLIES, RateBudget
from slack_pacing.live import FINAL_WITHIN_S, FIRST_WAIT_S, MAX_FAILURES, LiveMessage
from slack_pacing.tests.edited_messages import EDITS_A_MINUTE, LATENCY_S, EditedMessages, RateLimited, time_s
from slack_pacing.tests.simulated_time import SimulatedClock, run_simulated

RETRY_AFTER_S = 5.0


async def stream(slack: EditedMessages, budget: RateBudget, message: int, words: int = 100) -> None:
    """Writes an answer with ten words a second."""

    async def show(text: str, is_growing: bool) -> None:
        await slack.edit(message, text)

    async with LiveMessage(budget, show) as live:
        for number in range(1, words + 1):
            await asyncio.sleep(0.1)
            live.write(f"word {number}")


def simulate(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(1_000):
            await work

    run_simulated(bounded())


@pytest.mark.parametrize("count", [1, 8, 20, 40])
def test_each_message_ends_with_its_last_text_and_slack_refuses_no_edit(count: int) -> None:
    async def test() -> None:
        slack, budget = EditedMessages(), RateBudget(clock=SimulatedClock())
        await asyncio.gather(*(stream(slack, budget, number) for number in range(count)))
        assert {slack.last(number) for number in range(count)} == {"word 100"}
        assert slack.refused == 0

    simulate(test())


def test_last_text_is_shown_at_once_though_others_still_grow() -> None:
    async def test() -> None:
        slack, budget = EditedMessages(), RateBudget(clock=SimulatedClock())
        others = [asyncio.create_task(stream(slack, budget, number, words=600)) for number in range(15)]
        await stream(slack, budget, 99, words=150)
        assert slack.shown[99][-1] == (time_s(), "word 150")
        assert time_s() <= 15 + 2 * LATENCY_S + 0.25, "an edit in flight, and then the last one"
        await asyncio.gather(*others)

    simulate(test())


@pytest.mark.parametrize("numbers", [{1}, {2}, {1, 2, 3}, set(range(2, 2 + MAX_FAILURES - 1))])
def test_failed_edit_is_followed_by_the_newest_text(numbers: set[int]) -> None:
    async def test() -> None:
        slack = EditedMessages(fails=lambda number: ConnectionResetError() if number in numbers else None)
        await stream(slack, RateBudget(clock=SimulatedClock()), 1)
        assert slack.last(1) == "word 100"

    simulate(test())


def test_edits_wait_as_long_as_slack_asks() -> None:
    async def test() -> None:
        slack = EditedMessages(fails=lambda number: RateLimited(RETRY_AFTER_S) if number == 3 else None)
        await stream(slack, RateBudget(clock=SimulatedClock()), 1)
        times = [at for at, _ in slack.shown[1]]
        assert times[2] - times[1] > RETRY_AFTER_S
        assert slack.last(1) == "word 100"

    simulate(test())


@pytest.mark.parametrize("retry_after_s", [0.0, RETRY_AFTER_S])
def test_method_without_a_budget_is_not_called_again_at_once_after_a_429(retry_after_s: float) -> None:
    async def test() -> None:
        slack, budget = (
            EditedMessages(fails=lambda number: RateLimited(retry_after_s)),
            RateBudget(clock=SimulatedClock()),
        )

        async def show(text: str, is_growing: bool) -> None:
            await slack.edit(1, text)

        with pytest.raises(TimeoutError):
            async with LiveMessage(budget, show, method="chat.invented") as live:
                live.write("word")
        assert slack.tried <= FINAL_WITHIN_S / FIRST_WAIT_S + 1

    simulate(test())


def test_message_that_slack_never_accepts_raises_its_error_and_reserves_nothing() -> None:
    async def test() -> None:
        slack, budget = EditedMessages(fails=lambda number: ConnectionResetError()), RateBudget(clock=SimulatedClock())
        with pytest.raises(ConnectionResetError):
            await stream(slack, budget, 1)
        assert slack.tried == MAX_FAILURES
        assert budget.spare_calls(REPLIES) == EDITS_A_MINUTE - MAX_FAILURES

    simulate(test())


def test_endless_rate_limits_end_in_a_timeout() -> None:
    async def test() -> None:
        slack = EditedMessages(fails=lambda number: RateLimited(RETRY_AFTER_S))
        with pytest.raises(TimeoutError):
            await stream(slack, RateBudget(clock=SimulatedClock()), 1)
        assert time_s() == pytest.approx(10 + FINAL_WITHIN_S)

    simulate(test())


def test_model_that_fails_midway_leaves_its_last_text() -> None:
    async def test() -> None:
        slack, budget = EditedMessages(), RateBudget(clock=SimulatedClock())

        async def show(text: str, is_growing: bool) -> None:
            await slack.edit(1, text)

        async def broken_answer() -> None:
            async with LiveMessage(budget, show) as message:
                message.write("half an")
                message.write("half an answer")
                raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await broken_answer()
        assert slack.last(1) == "half an answer"

    simulate(test())


def test_message_without_text_is_never_edited() -> None:
    async def test() -> None:
        slack = EditedMessages()
        await stream(slack, RateBudget(clock=SimulatedClock()), 1, words=0)
        assert slack.tried == 0

    simulate(test())
