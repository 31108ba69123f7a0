"""The loops of tests fail a test that asks again and again without waiting, or that leaves a connection open."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from slack_pacing.tests.simulated_time import run_simulated
from tests import fast
from tests.fast import UsualLoop, run_fast


async def hot() -> None:
    while True:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def busy() -> None:
    for _ in range(20):
        for _ in range(1_000):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("run", [run_simulated, run_fast])
def test_loop_that_never_waits_fails(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    with pytest.raises(RuntimeError, match="asks without waiting"):
        run(hot())


@pytest.mark.parametrize("run", [run_simulated, run_fast])
def test_work_with_waits_between_is_done(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    run(busy())


async def connect(mine: socket.socket) -> None:
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=mine)


def test_connection_that_stays_open_fails_the_test_that_opened_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "LEFT_OPEN_S", 0.01)
    mine, theirs = socket.socketpair()
    with theirs, pytest.raises(AssertionError, match="connections left open"):
        run_fast(connect(mine))


def test_loop_ends_when_the_other_side_has_closed_its_connection() -> None:
    mine, theirs = socket.socketpair()
    with asyncio.Runner(loop_factory=UsualLoop) as runner:
        runner.run(connect(mine))
        runner.get_loop().call_later(0.01, theirs.close)
    assert mine.fileno() == -1
