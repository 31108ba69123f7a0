"""A process that was paused finds its model's events waiting: its own pause is no silence of the model's."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from bot.core.conversation import Prompt
from bot.core.stream import Completion, FinishReason, StreamEvent
from bot.errors import EndReason, ProviderError
from bot.providers.stall import LATE_S, Stall

STALL_TIMEOUT_S = 0.2
WHOLE = Completion("openai/test", FinishReason.STOP, None)


class Paused:
    """A model whose second event is due during a pause of the whole process, or never comes."""

    model = "openai/test"

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        yield "Because."
        loop = asyncio.get_running_loop()
        loop.call_soon(time.sleep, STALL_TIMEOUT_S + LATE_S + 0.1)
        event = loop.create_future()
        loop.call_later(STALL_TIMEOUT_S / 2 if self._ends else 60, event.set_result, WHOLE)
        yield await event


async def test_event_that_came_during_a_pause_of_the_process_is_read() -> None:
    events = [event async for event in Stall(Paused(ends=True), STALL_TIMEOUT_S).stream(Prompt("", ()))]
    assert events == ["Because.", WHOLE]


async def test_model_that_is_silent_after_the_pause_as_well_has_stalled() -> None:
    with pytest.raises(ProviderError) as raised:
        async for _ in Stall(Paused(ends=False), STALL_TIMEOUT_S).stream(Prompt("", ())):
            pass
    assert raised.value.reason is EndReason.STALLED
