"""Tests that hang: a run of pytest with this repository's configuration ends, and names them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_RUN_S = 240
LIMITS = ("--timeout", "1", "-o", "faulthandler_timeout=2")

HANGING = """
import asyncio, time

async def test_loop_that_swallows_the_timeout():
    ended = asyncio.Event()
    ended.set()
    async def spin():
        while True:
            await ended.wait()
    asyncio.create_task(spin())
    await asyncio.Event().wait()

def test_call_that_never_returns_to_python():
    sum(iter(int, 1))

def test_plain_loop():
    while True:
        pass

def test_wait():
    time.sleep(3600)

def test_after_them():
    pass
"""
FAILING = """
import pytest

@pytest.fixture
def hanging_teardown():
    yield
    while True:
        pass

@pytest.mark.parametrize("number", range(9))
def test_fails(hanging_teardown, number):
    assert False
"""
WAITING = """
import pytest, time

@pytest.mark.parametrize("number", range(99))
def test_waits(number):
    time.sleep(3600)
"""

pytestmark = pytest.mark.wide


def run(folder: Path, tests: str, *options: str) -> str:
    """Returns what a run of `tests` wrote, with one worker. Fails if it doesn't end within MAX_RUN_S."""
    (folder / "test_hanging.py").write_text(tests)
    pytest_run = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", "-p", "tests.bounded_teardown"),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), *options, str(folder)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        written, _ = pytest_run.communicate(timeout=MAX_RUN_S)
    finally:
        # A worker that spins doesn't end with its parent.
        if pytest_run.poll() is None:
            os.killpg(pytest_run.pid, signal.SIGKILL)
            pytest_run.wait()
    return written


@pytest.mark.long
def test_run_names_each_test_that_hangs_and_goes_on_with_the_others(tmp_path: Path) -> None:
    written = run(tmp_path, HANGING, *LIMITS)
    for test in ("test_loop_that_swallows_the_timeout", "test_call_that_never_returns_to_python"):
        assert f"crashed while running 'test_hanging.py::{test}'" in written
    for test in ("test_plain_loop", "test_wait"):
        assert f"FAILED test_hanging.py::{test} - Failed: Timeout" in written
    assert "4 failed, 1 passed" in written


@pytest.mark.long
def test_run_ends_after_the_third_process_that_hangs(tmp_path: Path) -> None:
    written = run(tmp_path, FAILING, *LIMITS)
    assert "crashed while running 'test_hanging.py::test_fails[0]'" in written
    assert written.count("node down: Not properly terminated") == 3
    assert "6 failed" in written, "the test and its teardown, three times"


@pytest.mark.long
def test_run_ends_at_its_own_limit_if_many_tests_wait_for_theirs(tmp_path: Path) -> None:
    written = run(tmp_path, WAITING, *LIMITS, "--session-timeout", "3")
    assert "session-timeout: 3.0 sec exceeded" in written
