"""When a process may take its jobs for its own: never after a pause in which another may have taken them over."""

from hypothesis import given
from hypothesis import strategies as st

from bot.core.lease import LEASE_S, Lease

TAKEN_OVER_S = 8.0
"""How long bot/store waits before it takes over from a process that does not beat."""


def test_nobody_is_sure_before_the_first_heartbeat() -> None:
    assert not Lease().is_valid(0.0)


def test_a_heartbeat_makes_sure_for_a_while() -> None:
    lease = Lease()
    lease.renew(10.0)
    assert lease.is_valid(10.0 + LEASE_S - 0.1)
    assert not lease.is_valid(10.0 + LEASE_S)


def test_a_database_that_is_away_keeps_us_sure() -> None:
    lease = Lease()
    lease.renew(10.0)
    for second in range(11, 40):
        lease.heartbeat_failed(second + 0.5)
        assert lease.is_valid(second + 1.0)


def test_who_was_paused_is_not_sure_until_a_heartbeat_came_back() -> None:
    lease = Lease()
    lease.renew(10.0)
    lease.heartbeat_failed(41.5)
    assert not lease.is_valid(41.6)
    lease.renew(42.0)
    assert lease.is_valid(42.1)


def test_a_heartbeat_that_failed_over_a_pause_does_not_make_sure() -> None:
    lease = Lease()
    lease.renew(10.0)
    lease.heartbeat_failed(41.0)
    assert not lease.is_valid(41.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 40.0)), max_size=30))
def test_nobody_is_sure_who_did_not_even_try_for_as_long_as_it_takes_to_be_taken_over(
    beats: list[tuple[bool, float]],
) -> None:
    lease, now = Lease(), 0.0
    for came_back, pause_s in beats:
        began = now
        if came_back:
            lease.renew(began)
        else:
            lease.heartbeat_failed(began)
        now += pause_s
        if pause_s >= TAKEN_OVER_S:
            assert not lease.is_valid(now)
