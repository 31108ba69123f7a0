"""The machine's clock: what counts while it sleeps, and what its steps don't change. And people's turns."""

import asyncio
import time

import pytest

from bot.clock import AnchoredClock, SystemClock, Turns
from bot.errors import StoreError
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


async def test_a_persons_work_is_done_in_turn_and_unfinished_work_isnt_repeated() -> None:
    turns, began, go = Turns(), list[str](), asyncio.Event()

    async def press(person: str, what: str) -> None:
        async def work() -> None:
            began.append(f"{person} {what}")
            await go.wait()

        await turns.run_once(person, what, work)

    presses = [("U1", "table"), ("U1", "table"), ("U1", "canvas"), ("U2", "table"), ("U1", "canvas")]
    waiting = [asyncio.create_task(press(*one)) for one in presses]
    await asyncio.sleep(0.01)
    assert began == ["U1 table", "U2 table"]
    go.set()
    await asyncio.gather(*waiting)
    assert began == ["U1 table", "U2 table", "U1 canvas"]
    await press("U1", "table")
    assert began[3:] == ["U1 table"]


async def test_failed_work_ends_a_persons_turn() -> None:
    turns = Turns()

    async def fail() -> None:
        raise StoreError("away")

    for _ in range(2):
        with pytest.raises(StoreError):
            await turns.run_once("U1", "table", fail)
