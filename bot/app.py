"""Runs the bot from startup to the last answer, and shuts it down within time limits.

`run` serves /healthz and /readyz, builds the bot (bot/wiring.py), connects, runs its loops, and drains on a signal.

Each shutdown step has its own time limit, and independent steps run concurrently: with Slack and PostgreSQL frozen,
sequential limits added up to 16 s. A shutdown is guaranteed to take at most BOT_DRAIN_S + 5 s.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from bot import __version__
from bot.clock import Clock, SystemClock, keep_running
from bot.services.operations import Probes, serving
from bot.services.ports import Tools
from bot.settings import Settings
from bot.standstill import end_long_steps
from bot.wiring import Bot, WrapModels, open_bot, open_telemetry

LAST_TASKS_S = 1.0
"""Time limit for all other tasks once live answers have ended or been handed over."""

MACHINES_CLOCK = SystemClock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shutdown:
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to stop claiming questions and let live answers end."""
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to stop waiting for live answers."""


async def run(
    settings: Settings,
    shutdown: Shutdown,
    ready: Callable[[Bot], None],
    clock: Clock = MACHINES_CLOCK,
    wrap_models: WrapModels = lambda models: models,
    tools: Tools | None = None,
) -> None:
    """Runs the bot until `shutdown`. Even during startup, /readyz reports what the bot is waiting for. `wrap_models`:
    returns the models to use instead of the settings' models; the sandbox adds its scripted model. `tools`: replaces
    the tools in BOT_MCP_CONFIG."""
    probes = Probes(is_stopping=shutdown.requested.is_set)
    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(settings))
        if settings.health_at is not None:
            await stack.enter_async_context(serving(*settings.health_at, probes, telemetry, settings.public_url))
        building = open_bot(settings, probes, clock, wrap_models, tools, telemetry)
        bot = await _build_unless_stopped(building, stack, shutdown.requested)
        if bot is not None:
            # Imported late, because importing a library takes seconds on a slow machine.
            with end_long_steps():
                await _run(bot, shutdown, ready)


async def _build_unless_stopped(
    building: AbstractAsyncContextManager[Bot], stack: AsyncExitStack, stop: asyncio.Event
) -> Bot | None:
    """Builds the bot, or returns None if a signal arrives first. Building can take hours while Slack is unavailable."""
    loop = asyncio.get_running_loop()
    patience = asyncio.timeout(None)

    async def give_up() -> None:
        await stop.wait()
        patience.reschedule(loop.time())

    try:
        async with patience:
            giving_up = asyncio.create_task(give_up())
            try:
                return await stack.enter_async_context(building)
            finally:
                giving_up.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
        log.info("startup canceled by a signal")
        return None


async def _run(bot: Bot, shutdown: Shutdown, ready: Callable[[Bot], None]) -> None:
    stop = asyncio.create_task(shutdown.requested.wait())
    opening = asyncio.create_task(bot.sockets.open())
    working = asyncio.create_task(keep_running(bot.worker.run))
    others = [asyncio.create_task(keep_running(loop)) for loop in bot.loops]
    try:
        ended, _ = await asyncio.wait((stop, opening, working, *others), return_when=asyncio.FIRST_COMPLETED)
        if opening in ended:
            opening.result()
            log.info("started: typist=%s team=%s", __version__, bot.me.team_id)
            ready(bot)
            ended, _ = await asyncio.wait((stop, working, *others), return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await _end(bot, working, [stop, opening, *others], shutdown)


async def _end(bot: Bot, working: asyncio.Task[None], others: list[asyncio.Task[Any]], shutdown: Shutdown) -> None:
    if shutdown.requested.is_set():
        log.info("stopping: live=%d", bot.worker.live)
    bot.worker.stop()
    closing = asyncio.create_task(bot.sockets.close())
    await bot.worker.drain(working, shutdown.at_once)
    if not shutdown.at_once.is_set():
        await bot.outbox.end(bot.worker.remaining_s)
    for task in (working, *others):
        task.cancel()
    # Run concurrently, because an attempt being handed over can wait for its last call, which the edit scheduler's loop
    # ends.
    await bot.worker.hand_over()
    if bot.mcp_servers is not None:
        others = [*others, asyncio.create_task(bot.mcp_servers.aclose())]
    _, late = await asyncio.wait((closing, working, *others), timeout=LAST_TASKS_S)
    for task in late:
        task.cancel()
