"""Keeps the process's loops running: one fault that nobody foresaw ends neither a loop nor the process."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from bot.errors import SlackSetupError, trace_of

AGAIN_S = 1.0

log = logging.getLogger(__name__)


async def kept_running(loop: Callable[[], Coroutine[None, None, None]], again_s: float = AGAIN_S) -> None:
    """Runs a loop until it returns or is cancelled; after an unforeseen error it begins again.

    Raises SlackSetupError, which an admin has to act on.
    """
    while True:
        try:
            return await loop()
        except SlackSetupError:
            raise
        except Exception as error:
            log.error("loop %s failed, restarting: %s", getattr(loop, "__qualname__", "a loop"), trace_of(error))
            await asyncio.sleep(again_s)
