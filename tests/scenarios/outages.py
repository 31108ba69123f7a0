"""Long answers, and waits that outlast an outage of Slack."""

from collections.abc import Callable
from typing import TypeVar

from tests import clocks

CODE_LINES = 420
CODE = "```python\n" + "".join(f"print({n})  # a line of the code\n" for n in range(CODE_LINES)) + "```"
GIVE_UP_S = 600.0
"""More time than the bot needs to give up on an answer that can't be shown, and to show it once Slack is back."""


T = TypeVar("T")


async def until(condition: Callable[[], T], what: object) -> T:
    """Polls a condition (tests.clocks). Polls seldom, because each poll keeps the loop's time from running."""
    return await clocks.until(condition, what, GIVE_UP_S, look_s=1.0)
