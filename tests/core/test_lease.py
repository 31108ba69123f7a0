"""The lease is never valid after a pause in which another worker may have taken over."""

from hypothesis import given
from hypothesis import strategies as st

from bot.core.lease import LEASE_S, Lease

TAKEN_OVER_S = 8.0
"""How long a heartbeat must be missing before bot/store takes over."""


def test_lease_is_invalid_before_the_first_heartbeat() -> None:
    assert not Lease().is_valid(0.0)


def test_heartbeat_renews_the_lease_for_lease_s() -> None:
    lease = Lease()
    lease.renew(10.0)
    assert lease.is_valid(10.0 + LEASE_S - 0.1)
    assert not lease.is_valid(10.0 + LEASE_S)


def test_unreachable_database_keeps_the_lease_valid() -> None:
    lease = Lease()
    lease.renew(10.0)
    for second in range(11, 40):
        lease.heartbeat_failed(second + 0.5)
        assert lease.is_valid(second + 1.0)


def test_paused_process_needs_an_answered_heartbeat_for_its_lease() -> None:
    lease = Lease()
    lease.renew(10.0)
    lease.heartbeat_failed(41.5)
    assert not lease.is_valid(41.6)
    lease.renew(42.0)
    assert lease.is_valid(42.1)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 40.0)), max_size=30))
def test_lease_expires_before_others_may_take_over(
    beats: list[tuple[bool, float]],
) -> None:
    lease, now = Lease(), 0.0
    for answered, pause_s in beats:
        began = now
        if answered:
            lease.renew(began)
        else:
            lease.heartbeat_failed(began)
        now += pause_s
        if pause_s >= TAKEN_OVER_S:
            assert not lease.is_valid(now)
