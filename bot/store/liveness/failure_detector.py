"""Who of the workers that hold jobs is gone: by the lock that a process's death sets free, or by its silence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LEASE_S = 8.0
"""Who did not beat for so long is gone, or might as well be: it was paused, or can't reach the database."""
LOCK_GRACE_S = 1.5
"""A PostgreSQL that is restarted sets all locks free: who lives needs this long to come back and beat."""
LOOK_EVERY_S = 0.25
WATCH_EVERY_S = 0.5
"""While others hold jobs: they are taken over sooner, the sooner their end is seen."""
LONGEST_GAP_S = 3.0
"""Who looks less often may have been paused, with all others beside it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a worker that holds jobs."""

    beat: int | None
    """None where it has no row: it is of schema 0001, or has only just begun."""
    heartbeat_at: float | None = None
    """The beat of schema 0001's workers."""
    lock_is_free: bool = False


@dataclass(slots=True)
class _Watched:
    sight: Sight
    unchanged_since_s: float
    free_since_s: float


class FailureDetector:
    """Tells who is gone from looks at all others. It is told the time, by a clock that only grows."""

    def __init__(self, lock_grace_s: float = LOCK_GRACE_S) -> None:
        self._lock_grace_s = lock_grace_s
        self._watched: dict[str, _Watched] = {}
        self._looked_at_s = -math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether to look again."""
        return now_s - self._looked_at_s >= LOOK_EVERY_S

    def reset(self) -> None:
        """We could not see for a while: all are watched from anew."""
        self._watched.clear()

    def look(self, now_s: float, sights: Mapping[str, Sight]) -> dict[str, Sight]:
        """Those among them that are gone. Who has no job any more is no longer watched."""
        if now_s - self._looked_at_s > LONGEST_GAP_S:
            self.reset()
        self._looked_at_s = now_s
        self._watched = {worker: self._watch(worker, sight, now_s) for worker, sight in sights.items()}
        return {worker: each.sight for worker, each in self._watched.items() if self._is_gone(each, now_s)}

    def _watch(self, worker: str, sight: Sight, now_s: float) -> _Watched:
        known = self._watched.get(worker)
        if known is None or (known.sight.beat, known.sight.heartbeat_at) != (sight.beat, sight.heartbeat_at):
            return _Watched(sight, now_s, now_s if sight.lock_is_free else math.inf)
        free_since_s = min(known.free_since_s, now_s) if sight.lock_is_free else math.inf
        return _Watched(sight, known.unchanged_since_s, free_since_s)

    def _is_gone(self, watched: _Watched, now_s: float) -> bool:
        silent = now_s - watched.unchanged_since_s >= LEASE_S
        return silent or now_s - watched.free_since_s >= self._lock_grace_s

    def next_look_s(self, now_s: float) -> float:
        """How long until the next look is worth it; infinite while nobody else holds a job."""
        if not self._watched:
            return math.inf
        suspected_s = min(each.free_since_s for each in self._watched.values()) + self._lock_grace_s - now_s
        return min(WATCH_EVERY_S, max(LOOK_EVERY_S, suspected_s))
