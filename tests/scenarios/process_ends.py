"""How a bot process ends: killed at one step, or by SIGTERM."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from slack_sandbox.testing.processes import WITHIN_S
from tests.forked import ForkedBot

Step = tuple[str, str, str, bool]


def die_at(step: Step) -> None:
    """Patches the process so that it is killed at this step, as by `kill -9`."""
    module, owner, name, is_after = step
    place = getattr(import_module(module), owner)
    method: Callable[..., Awaitable[Any]] = getattr(place, name)

    async def killed(*args: Any, **kwargs: Any) -> Any:
        if is_after:
            await method(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, killed)


AT_MOST_S = 8.0
"""The bot ends itself within 4.7 s (cli/run.py); the rest is what a loaded machine takes to notice."""


@dataclass(frozen=True)
class End:
    code: int
    took_s: float
    log: str


async def end_of(process: ForkedBot) -> End:
    """Sends SIGTERM and waits for the end."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        code = await process.wait()
        took_s = time.monotonic() - began
        log = await process.stdout.read() + await process.stderr.read()
    return End(code, took_s, log.decode())


def clean(log: str) -> bool:
    """Returns whether the shutdown was complete and not forced."""
    return not re.search("Traceback|Unclosed|never retrieved|was destroyed|shutdown took too long", log)
