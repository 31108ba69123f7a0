"""A loop that asks again and again without waiting fails its test, in simulated time and where waits are skipped."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.fast import run_fast
from tests.simulated_time import run_simulated


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
