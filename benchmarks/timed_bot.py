"""Runs the example with plain throttling: each answer is edited once a second, regardless of other answers.

After a 429, a call waits as long as Slack asks, like Slack's SDKs. benchmarks/example.py measures it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypeVar

from slack_sdk.errors import SlackApiError

from examples import streaming_bot
from slack_pacing.budget import retry_after_s

EDIT_EVERY_S = 1.0
T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Returns a call's result. After each 429, waits as long as Slack asks and makes the call again."""
    while True:
        try:
            return await call()
        except SlackApiError as error:
            wait_s = retry_after_s(error)
            if wait_s is None:
                raise
            await asyncio.sleep(wait_s)


class Unpaced:
    @asynccontextmanager
    async def paced_call(self, method: str, channel_id: str = "") -> AsyncIterator[None]:
        yield


class TimedMessage:
    """Takes the place of LiveMessage."""

    def __init__(self, budget: object, show: Callable[[str, bool], Awaitable[object]]) -> None:
        self._show = show
        self._text = self._shown = ""
        self._is_growing = True

    def write(self, text: str) -> None:
        self._text = text

    async def __aenter__(self) -> Self:
        self._editing = asyncio.create_task(self._edit_on_a_timer())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._editing.cancel()
        with suppress(asyncio.CancelledError):
            await self._editing
        self._is_growing, self._shown = False, ""
        await self._edit()

    async def _edit_on_a_timer(self) -> None:
        while True:
            await asyncio.sleep(EDIT_EVERY_S)
            await self._edit()

    async def _edit(self) -> None:
        while self._text != self._shown:
            self._shown = await patiently(self._show_newest)

    async def _show_newest(self) -> str:
        text = self._text
        await self._show(text, self._is_growing)
        return text


class PatientThread(streaming_bot.Thread):
    """Posts again after a 429."""

    async def post(self, text: str) -> str:
        return await patiently(partial(super().post, text))


if __name__ == "__main__":
    replaced: Any = streaming_bot
    replaced.LiveMessage, replaced.RateBudget, replaced.Thread = TimedMessage, Unpaced, PatientThread
    asyncio.run(streaming_bot.main())
