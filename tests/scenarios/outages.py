"""Long answers, and waits that outlast an outage of Slack."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

CODE_LINES = 420
CODE = "```python\n" + "".join(f"print({n})  # a line of the code\n" for n in range(CODE_LINES)) + "```"
GIVE_UP_S = 600.0
"""More time than the bot needs to give up on an answer that can't be shown, and to show it once Slack is back."""


T = TypeVar("T")


async def until(predicate: Callable[[], T], what: object) -> T:
    """Polls a condition and returns its value. Polls seldom, because each poll keeps the loop's time from running."""
    for _ in range(int(GIVE_UP_S)):
        if value := predicate():
            return value
        await asyncio.sleep(1)
    raise AssertionError(f"waited {GIVE_UP_S:.0f} s for {what}")
