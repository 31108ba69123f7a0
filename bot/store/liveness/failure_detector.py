"""The failure detector: decides which other workers are dead. The caller passes in the time; there is no I/O.

A dead worker can't say that it is dead, and a living one may be paused, cut off from the database, or slow. So the
detector watches all workers that hold jobs and suspects a worker for one of two reasons:

- Its lock is free. The operating system or the server releases a process's lock at its death, so this is quick. On
  PostgreSQL a restart of the server releases all locks, so a free lock counts only after a grace period, in which a
  living worker reconnects and sends a heartbeat. A file's lock has no such doubt and needs no grace.
- It is silent: its heartbeat has not changed for SILENCE_S. This also holds for a paused process, and for one that
  can't reach the database. Such a worker stops editing after half that time (core/job.py), so two never edit one reply.

Times are this process's own, from a clock that only grows: no clock is compared with another machine's. A worker's
silence therefore counts from the moment at which this process first saw the current heartbeat. A detector that has not
observed for MAX_GAP_S may have been paused itself, or the database may have been away: it forgets what it saw and
gives all workers their full time again.

The verdict is not final. The take-over checks each heartbeat once more, with the row locked (queue/claim.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

SILENCE_S = 8.0
"""A worker is considered dead if its heartbeat has not changed for this long."""
LOCK_GRACE_S = 1.5
"""A living worker reconnects to a restarted PostgreSQL and sends a heartbeat within this time."""
OBSERVE_EVERY_S = 0.25
CHECK_EVERY_S = 0.5
"""How often to check while others hold jobs: the sooner a death is seen, the sooner their jobs continue."""
MAX_GAP_S = 3.0
"""A process that observes less often may have been paused, and all others beside it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One query's result for a worker that holds jobs."""

    beat: int | None
    """Its heartbeat counter; None if its row is missing."""
    lock_is_free: bool = False


@dataclass(slots=True)
class _Watched:
    observation: Observation
    unchanged_since_s: float
    free_since_s: float


class FailureDetector:
    """Watches the other workers through one observation after another."""

    def __init__(self, lock_grace_s: float = LOCK_GRACE_S) -> None:
        self._lock_grace_s = lock_grace_s
        self._watched: dict[str, _Watched] = {}
        self._observed_at_s = -math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for another observation."""
        return now_s - self._observed_at_s >= OBSERVE_EVERY_S

    def reset(self) -> None:
        """Forgets all observations, because this process could not observe for a while."""
        self._watched.clear()

    def dead_workers(self, now_s: float, observations: Mapping[str, Observation]) -> dict[str, Observation]:
        """Returns the workers that are dead by now. A worker that is no longer observed holds no jobs."""
        if now_s - self._observed_at_s > MAX_GAP_S:
            self.reset()
        self._observed_at_s = now_s
        self._watched = {worker: self._watch(worker, seen, now_s) for worker, seen in observations.items()}
        return {
            worker: watched.observation for worker, watched in self._watched.items() if self._is_dead(watched, now_s)
        }

    def _watch(self, worker: str, observation: Observation, now_s: float) -> _Watched:
        known = self._watched.get(worker)
        if known is None or known.observation.beat != observation.beat:
            return _Watched(observation, now_s, now_s if observation.lock_is_free else math.inf)
        free_since_s = min(known.free_since_s, now_s) if observation.lock_is_free else math.inf
        return _Watched(observation, known.unchanged_since_s, free_since_s)

    def _is_dead(self, watched: _Watched, now_s: float) -> bool:
        is_silent = now_s - watched.unchanged_since_s >= SILENCE_S
        return is_silent or now_s - watched.free_since_s >= self._lock_grace_s

    def next_check_s(self, now_s: float) -> float:
        """Returns how long until the next observation is worth it; infinite while nobody else holds a job."""
        if not self._watched:
            return math.inf
        suspected_s = min(watched.free_since_s for watched in self._watched.values()) + self._lock_grace_s - now_s
        return min(CHECK_EVERY_S, max(OBSERVE_EVERY_S, suspected_s))
