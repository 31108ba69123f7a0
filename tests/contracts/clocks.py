"""Clocks that tests set."""

from bot.ports.clock import SystemClock


class LateClock(SystemClock):
    """Shows the machine's time, or a later one."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


class ManualClock(SystemClock):
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.time_s = 1_700_000_000.0

    def now(self) -> float:
        return self.time_s

    def monotonic(self) -> float:
        return self.time_s
