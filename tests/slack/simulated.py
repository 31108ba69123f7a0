"""Tests of the edit scheduler in simulated time."""

import asyncio
from collections.abc import Callable, Coroutine

from tests.simulated_time import run_simulated

WITHIN_S = 1_000.0


def simulated(test: Callable[[], Coroutine[object, object, None]]) -> Callable[[], None]:
    """Runs a test in simulated time."""

    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await test()

    def run() -> None:
        run_simulated(bounded())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
