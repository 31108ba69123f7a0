"""The clock of simulated time (slack_pacing/tests/simulated_time.py). tests/fast.py is for code with sockets."""

from bot.clock import AnchoredClock, Clock
from slack_pacing.tests import simulated_time


class SimulatedClock(simulated_time.SimulatedClock):
    def now(self) -> float:
        return self.monotonic()

    def anchored_at(self, now_s: float) -> Clock:
        return AnchoredClock(self, now_s)
