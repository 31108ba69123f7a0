"""The failure detector, with plain observations at given times."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store.workers import LOCK_GRACE_S, SILENCE_S, FailureDetector, Observation

HELD, FREE = False, True


def dead_at(observations: Sequence[tuple[float, int | None, bool]], lock_grace_s: float = LOCK_GRACE_S) -> float:
    """Returns the first observation (time, heartbeat, whether the lock is free) at which the worker is dead."""
    detector = FailureDetector(lock_grace_s)
    for now_s, beat, lock_is_free in observations:
        if detector.dead_workers(now_s, {"w": Observation(beat, lock_is_free=lock_is_free)}):
            return now_s
    return math.inf


@pytest.mark.parametrize(
    ("what", "observations", "dead_s"),
    [
        ("silent", [(s, 1, HELD) for s in range(20)], 8),
        ("beating", [(s, s, HELD) for s in range(20)], math.inf),
        ("without a row", [(s, None, HELD) for s in range(20)], 8),
        ("free from the first look on", [(s / 2, 1, FREE) for s in range(20)], 1.5),
        ("free and beating", [(s / 2, s, FREE) for s in range(20)], math.inf),
        ("free for a moment", [(0, 1, FREE), (1, 1, HELD), (1.6, 1, FREE), (2, 1, FREE)], math.inf),
        ("back after a restart", [(0, 1, FREE), (1, 2, FREE), (2, 2, HELD), (3, 3, HELD)], math.inf),
        ("gone after a restart", [(0, 1, FREE), (1, 2, FREE), (2, 2, FREE), (2.5, 2, FREE)], 2.5),
        ("we were away", [(0, 1, HELD), (30, 1, HELD), (31, 1, HELD)], math.inf),
        ("we were away, all are gone", [(0, 1, HELD), *((30 + s, 1, HELD) for s in range(20))], 38),
    ],
)
def test_worker_is_dead_after_lease_or_lock_grace(
    what: str, observations: list[tuple[float, int | None, bool]], dead_s: float
) -> None:
    assert dead_at(observations) == dead_s, what


def test_free_file_lock_alone_means_dead() -> None:
    assert dead_at([(5, 1, FREE)], lock_grace_s=0.0) == 5


def test_observation_restarts_after_an_own_error() -> None:
    detector = FailureDetector()
    for now_s in range(7):
        detector.dead_workers(now_s, {"w": Observation(1)})
    detector.reset()
    assert not any(detector.dead_workers(now_s, {"w": Observation(1)}) for now_s in range(7, 15))
    assert detector.dead_workers(15, {"w": Observation(1)})


def test_checks_are_due_only_while_others_hold_jobs() -> None:
    detector = FailureDetector()
    assert detector.is_due(0)
    detector.dead_workers(0, {})
    assert detector.next_check_s(0) == math.inf
    assert not detector.is_due(0.1)
    detector.dead_workers(1, {"w": Observation(1)})
    assert detector.next_check_s(1) == 0.5
    detector.dead_workers(1.5, {"w": Observation(1, lock_is_free=True)})
    assert detector.next_check_s(1.5) == 0.5
    detector.dead_workers(2.7, {"w": Observation(1, lock_is_free=True)})
    assert detector.next_check_s(2.7) == pytest.approx(0.3)


@given(
    st.lists(st.tuples(st.floats(0.25, 4), st.integers(0, 2), st.booleans()), max_size=40),
    st.sampled_from([0.0, LOCK_GRACE_S]),
)
def test_worker_is_never_dead_without_a_reason(observations: list[tuple[float, int, bool]], grace_s: float) -> None:
    """A worker is dead if its heartbeat stood still for the lease, or for the grace period with its lock free."""
    detector, now_s, seen = FailureDetector(grace_s), 0.0, []
    for passed_s, beat, free in observations:
        now_s += passed_s
        seen.append((now_s, beat, free))
        if not detector.dead_workers(now_s, {"w": Observation(beat, lock_is_free=free)}):
            continue
        still = [look for look in reversed(seen) if look[1] == beat]
        since = min(at for at, _, _ in still)
        assert (now_s - since >= SILENCE_S) or (free and now_s - since >= grace_s)
