"""Keeps the process's loops running: an unexpected error ends neither a loop nor the process."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from bot.errors import SlackSetupError, trace_of

RESTART_AFTER_S = 1.0

log = logging.getLogger(__name__)


async def kept_running(loop: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a loop until it returns or is canceled, and restarts it after an unexpected error.

    Raises SlackSetupError, because only an admin can act on it.
    """
    while True:
        try:
            return await loop()
        except SlackSetupError:
            raise
        except Exception as error:
            log.error("loop %s failed, restarting: %s", getattr(loop, "__qualname__", "a loop"), trace_of(error))
            await asyncio.sleep(RESTART_AFTER_S)
