"""Slack's call limits, counted over a sliding minute and learned from its 429s. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW_S = 60.0
MARGIN_S = 0.05
"""A margin that is added to the window, because our clock and Slack's might run at different speeds."""
OTHERS_MARGIN_S = 1.0
"""The margin for other processes' calls, which are recorded before they are sent."""
ASK_AGAIN_S = 0.25
"""The time after which a deadline has to be computed again, because each call and each reply changes the pace."""
LEARNED_PART = 0.1
"""The share of the guaranteed calls that progress always keeps. Each minute without a 429 restores the same share."""


@dataclass(frozen=True, slots=True)
class LearnedLimit:
    calls: float
    """Calls per minute for progress after a 429, or the number of certain posts."""
    learned_at: float
    held_until: float
    """The time until which Slack won't accept calls after a 429 or, for posts, until which longer bursts aren't
    tried."""


class LearnedRate:
    """The calls per minute that progress can use, as learned from Slack's responses. At most the guaranteed number."""

    def __init__(self, guaranteed: int) -> None:
        self._guaranteed = guaranteed
        self.learned: LearnedLimit | None = None

    def calls_at(self, now: float) -> float:
        if self.learned is None:
            return self._guaranteed
        minutes = max(0.0, now - self.learned.learned_at) // WINDOW_S
        return min(self._guaranteed, self.learned.calls + minutes * LEARNED_PART * self._guaranteed)

    def on_rate_limit(self, now: float, held_until: float) -> None:
        self.learned = LearnedLimit(max(self.calls_at(now) / 2, LEARNED_PART * self._guaranteed), now, held_until)


class RateWindow:
    """Counts the calls in a sliding minute. A call counts from `on_send`, before Slack counts it, until 60 s after
    `on_end`."""

    def __init__(self, calls_per_minute: int) -> None:
        self._calls_per_minute = calls_per_minute
        self._in_flight = 0
        self._back_at: deque[float] = deque()
        self._others_back_at: deque[float] = deque()

    def free_calls(self, now: float) -> int:
        for back_at in (self._back_at, self._others_back_at):
            while back_at and back_at[0] <= now:
                back_at.popleft()
        used = self._in_flight + len(self._back_at) + len(self._others_back_at)
        return self._calls_per_minute - used

    def calls_returning_by(self, time: float) -> int:
        return sum(back_at <= time for back_at in (*self._back_at, *self._others_back_at))

    def free_at(self, now: float, wanted_calls: int, unknown_wait_s: float = ASK_AGAIN_S) -> float:
        """Returns the time at which `wanted_calls` will be free, or a time `unknown_wait_s` from now if that isn't
        known yet."""
        missing = wanted_calls - self.free_calls(now)
        if missing <= 0:
            return now
        known = sorted((*self._back_at, *self._others_back_at))
        return known[missing - 1] if missing <= len(known) else now + unknown_wait_s

    def on_send(self) -> None:
        self._in_flight += 1

    def on_end(self, now: float) -> None:
        """Ends a call, which still counts for 60 more seconds."""
        self._in_flight -= 1
        self._back_at.append(now + WINDOW_S + MARGIN_S)

    def on_withdrawn(self) -> None:
        self._in_flight -= 1

    def set_other_calls(self, back_at: Iterable[float]) -> None:
        self._others_back_at = deque(sorted(back_at))

    def fill(self, now: float, since: float) -> None:
        """Counts every free call as used by something else, spread evenly over the minute before `since`."""
        others = self.free_calls(now)
        returns = [since + WINDOW_S * (i + 1) / others for i in range(others)]
        self._back_at = deque(sorted([*self._back_at, *returns]))
