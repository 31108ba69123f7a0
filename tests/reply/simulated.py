"""Tests of the edit scheduler in simulated time."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import ParamSpec

from slack_pacing.tests.simulated_time import run_simulated

WITHIN_S = 1_000.0

P = ParamSpec("P")


def simulated(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    async def bounded(*args: P.args, **kwargs: P.kwargs) -> None:
        async with asyncio.timeout(WITHIN_S):
            await test(*args, **kwargs)

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_simulated(bounded(*args, **kwargs))

    return run
