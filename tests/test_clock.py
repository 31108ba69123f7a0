"""The machine's clock: what counts while it sleeps, and what its steps don't change."""

import time

import pytest

from bot.clock import AnchoredClock, SystemClock
from tests.clocks import ManualClock


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux tells how long it slept")
def test_monotonic_time_counts_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s = 8 * 3600.0
    clock = SystemClock()
    before = clock.monotonic()
    boottime = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda id_: boottime(id_) + slept_s * (id_ == time.CLOCK_BOOTTIME))
    assert clock.monotonic() - before >= slept_s


def test_anchored_clock_shows_the_given_time_and_grows_with_monotonic_time() -> None:
    source = ManualClock(100.0)
    clock = AnchoredClock(source, 5_000.0)
    assert clock.now() == 5_000.0
    source.now_s += 7.0
    assert (clock.now(), clock.monotonic()) == (5_007.0, 107.0)
