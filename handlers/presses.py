"""Handles each person's clicks one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from slack_bolt.async_app import AsyncAck

from bot.clock import Background, Turns
from handlers.payloads import presser_of

WITHIN_S = 2.5
"""Time limit for acknowledging input. Slack waits three seconds, and a trigger expires after the same time."""


def press_listener(
    turns: Turns, work: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
) -> Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]:
    """Returns a click listener that works in the background, because Bolt acknowledges only after a listener returns.
    Clicking a button again before the first click is finished has no effect, because the first click's outcome will be
    shown."""
    background = Background()

    async def on_press(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        working = asyncio.create_task(turns.run_once(*presser_of(body), lambda: work(body)))
        await asyncio.wait({working}, timeout=WITHIN_S)
        if working.done():
            await working
        else:
            background.start(_end_of(working), "what a click asked for isn't done")

    return on_press


async def _end_of(working: Awaitable[None]) -> None:
    await working
