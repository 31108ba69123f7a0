"""What holds the event loop is ended: one step that computes for too long, and a process that stands still."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import standstill
from bot.errors import Stuck
from bot.standstill import beat, end_long_steps

pytestmark = pytest.mark.wide

ENDLESS = re.compile("(a|a)*b")
TICK_S = 0.05
STEP_S = 0.15


@pytest.fixture(autouse=True)
def short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "TICK_S", TICK_S)
    monkeypatch.setattr(standstill, "MAX_STEP_S", STEP_S)


def spin(cpu_s: float) -> None:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def backtrack() -> None:
    ENDLESS.match("a" * 60)


def search() -> None:
    re.search("x*x*x*y", "x" * 6_000)


def loop_forever() -> None:
    while True:
        pass


def recurse() -> None:
    def fibonacci(number: int) -> int:
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    fibonacci(90)


def swallow_errors() -> None:
    for _ in range(3):
        try:
            loop_forever()
        except Exception:
            continue
    loop_forever()


@pytest.mark.parametrize("hold", [backtrack, search, loop_forever, recurse, swallow_errors])
async def test_step_that_computes_for_too_long_is_ended_with_an_error(hold: Callable[[], None]) -> None:
    async def task() -> None:
        await asyncio.sleep(0)
        hold()

    with end_long_steps():
        ends = await asyncio.gather(task(), asyncio.sleep(0, "another"), return_exceptions=True)
    assert isinstance(ends[0], Stuck)
    assert ends[1] == "another"


async def test_log_has_the_stack_of_an_ended_step_without_any_value(caplog: pytest.LogCaptureFixture) -> None:
    with end_long_steps(), pytest.raises(Stuck):
        await asyncio.create_task(asyncio.wait_for(_search_for("a secret"), 10))
    (record,) = caplog.records
    assert re.search(r"tests/test_standstill\.py:\d+ _search_for", record.getMessage())
    assert "secret" not in record.getMessage()


async def _search_for(secret: str) -> None:
    ENDLESS.match("a" * 60 + secret)


async def test_many_steps_in_a_row_are_no_long_step() -> None:
    async def task() -> None:
        for _ in range(6):
            spin(STEP_S / 3)
            await asyncio.sleep(0)

    with end_long_steps():
        await asyncio.gather(*(task() for _ in range(3)))


async def test_time_without_computing_does_not_count() -> None:
    with end_long_steps():
        time.sleep(2 * STEP_S)  # noqa: ASYNC251


async def test_threads_that_compute_end_no_step() -> None:
    with end_long_steps():
        await asyncio.gather(*(asyncio.to_thread(spin, 2 * STEP_S) for _ in range(2)))


def test_code_outside_an_event_loop_may_take_long() -> None:
    with end_long_steps():
        spin(2 * STEP_S)


async def test_nothing_is_ended_afterwards() -> None:
    with end_long_steps():
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    spin(2 * STEP_S)


FROZEN = """
import asyncio, re, signal, threading, time
from bot import standstill

standstill.STANDSTILL_S, standstill.BEAT_S = 4.0, 0.2

def hold_the_interpreter(secret):
    endless = re.compile("(a|a)*b").match
    threading.Thread(target=endless, args=("a" * 60,), daemon=True).start()
    time.sleep(60)

def wait_for_a_lock(secret):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
    beating = asyncio.create_task(standstill.beat(""))
    await asyncio.sleep(4.5)
    print("beats", flush=True)
    {hold}("a secret")

asyncio.run(main())
"""
"""A program that beats for longer than the bound, and then stands still."""


@pytest.mark.parametrize("hold", ["hold_the_interpreter", "wait_for_a_lock"])
@pytest.mark.long(after_row=1)
def test_process_that_stands_still_ends_with_its_stacks_also_after_sigterm(hold: str) -> None:
    command = (sys.executable, "-c", FROZEN.format(hold=hold))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "beats\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == ""
    assert "Timeout (0:00:04)!" in err
    assert re.search(rf"line \d+ in {hold}\n", err)
    assert "secret" not in err


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_systemd_hears_each_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool) -> None:
    monkeypatch.setattr(standstill, "BEAT_S", 0.01)
    # pytest's own limit uses the same clock of faulthandler's.
    monkeypatch.setattr(standstill, "faulthandler", _NoFaultHandler)
    name = f"@{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name[1:]}" if is_abstract else name)
        systemd.setblocking(False)
        beating = asyncio.create_task(beat(name))
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(systemd, 100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


class _NoFaultHandler:
    @staticmethod
    def dump_traceback_later(*_: object, **__: object) -> None: ...

    @staticmethod
    def cancel_dump_traceback_later() -> None: ...
