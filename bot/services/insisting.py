"""Repeats what must happen in the database, however long the database is away."""

import logging
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import TypeVar

from bot.clock import Clock
from bot.errors import StoreError, trace_of

RETRIES_S = (0.5, 1.0, 2.0, 5.0)
"""Pauses between tries; the last one repeats."""

T = TypeVar("T")

log = logging.getLogger(__name__)


async def insist(
    operation: Callable[[], Awaitable[T]], clock: Clock, what: str, failures: type[Exception] = StoreError
) -> T:
    """Returns the operation's result, and repeats the operation until it has one.

    `what`: what has failed, for the log. `failures`: the errors after which the operation is repeated.
    """
    for delay_s in chain(RETRIES_S, repeat(RETRIES_S[-1])):
        try:
            return await operation()
        except failures as error:
            log.error("%s, retrying: %s", what, error if isinstance(error, StoreError) else trace_of(error))
        await clock.sleep(delay_s)
    raise AssertionError("the pauses never end")
