"""A Slack workspace in simulated time that accepts so many edits in any 60 s, and nothing else."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

LATENCY_S = 0.12
WINDOW_S = 60.0
EDITS_A_MINUTE = 50


class RateLimited(Exception):
    """HTTP 429: the edit wasn't made."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s


def time_s() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class EditedMessages:
    """Messages that can be edited. Edits beyond EDITS_A_MINUTE get a 429 with the time until one is free again."""

    fails: Callable[[int], Exception | None] = lambda number: None
    """Returns the error of the edit with this number, if any."""
    tried: int = 0
    refused: int = 0
    shown: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    """By message: its texts, with the times from which they were shown."""
    _accepted_at: deque[float] = field(default_factory=deque)

    async def edit(self, message: int, text: str) -> None:
        """Shows a text after LATENCY_S. Raises RateLimited, or the error from `fails`."""
        await asyncio.sleep(LATENCY_S)
        self.tried += 1
        if error := self.fails(self.tried):
            raise error
        while self._accepted_at and self._accepted_at[0] <= time_s() - WINDOW_S:
            self._accepted_at.popleft()
        if len(self._accepted_at) >= EDITS_A_MINUTE:
            self.refused += 1
            raise RateLimited(max(1.0, self._accepted_at[0] + WINDOW_S - time_s()))
        self._accepted_at.append(time_s())
        self.shown[message].append((time_s(), text))

    def last(self, message: int) -> str:
        return self.shown[message][-1][1]
