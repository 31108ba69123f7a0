"""`typist run` connects to Slack and answers there until a signal. `typist health` asks it whether it is ready."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from bot import __version__, isolation, logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.errors import SettingsError

if TYPE_CHECKING:
    from bot.app import Shutdown
    from bot.wiring import Bot

END_WITHIN_S = 4.7
"""How long shutdown may take after BOT_DRAIN_S. Its steps are bounded by 4.1 s in all; platforms kill after 30 s."""

log = logging.getLogger(__name__)


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Runs the bot and returns the exit code."""
    exit_on_sigterm()
    ours = settings.read(env, needs_slack=True, needs_model=True)
    from bot import app

    logs.set_up(ours.log_level, ours.log_format)
    _warn_of_exposure(ours.database_url)

    def ready(bot: "Bot") -> None:
        models = ", then ".join(settings.models_in_use(ours))
        print(
            f"Typist {__version__} is connected to Slack (team {bot.me.team_id}) and answers with {models}.", flush=True
        )
        # What is there by now stays: modules, tables, connections. Each full collection would look at all of it, and
        # hold up every answer for a tenth of a second.
        gc.freeze()

    asyncio.run(until_signaled(lambda shutdown: app.run(ours, shutdown, ready), ours.drain_s))
    return 0


def _warn_of_exposure(database_url: str) -> None:
    """Logs what this machine doesn't keep from other programs and users. `typist check` has the remedies."""
    from bot.store.engine import create_engine, database_file

    if isolation.landlock_abi() < isolation.TRUNCATE_ABI:
        log.warning("documents are read without full isolation: landlock=%d", isolation.landlock_abi())
    for file in (settings.ENV_FILE, database_file(create_engine(database_url).url)):
        if file is not None and isolation.others_may_read(file):
            log.warning("every user of this machine can read %s", file.absolute())


def exit_on_sigterm() -> None:
    """Makes SIGTERM exit at once, until the event loop handles it: a process that is starting has nothing to lose."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


async def until_signaled(run: "Callable[[Shutdown], Awaitable[None]]", drain_s: float) -> None:
    """Runs the bot until it ends. SIGTERM or Ctrl-C drains it; a second signal doesn't wait for live answers."""
    from bot.app import Shutdown

    shutdown = Shutdown()

    def on_signal() -> None:
        at_once = shutdown.requested.is_set()
        if at_once:
            shutdown.at_once.set()
        shutdown.requested.set()
        _exit_after(END_WITHIN_S if at_once else drain_s + END_WITHIN_S)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await run(shutdown)
    # The work is done, so a late signal must not turn success into failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _exit_after(delay_s: float) -> None:
    """Exits the process after a delay, even if something still runs: a DNS lookup's thread, a driver, a stuck loop.

    Nothing is lost: another process, or the next start, takes the jobs over as after a crash.
    """

    def exit_now() -> None:
        sys.stderr.write("typist: shutdown took too long; exiting. The next start resumes unfinished answers.\n")
        sys.stderr.flush()
        os._exit(EXIT_FAILED)

    timer = threading.Timer(delay_s, exit_now)
    timer.daemon = True
    timer.start()


RUN = Subcommand(
    "connect to Slack and answer there",
    "Connects to Slack and answers there. SIGTERM or Ctrl-C lets live answers finish for BOT_DRAIN_S seconds.",
    run,
)


def _health(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the response and returns the exit code. Raises TypistError if no process answers."""
    ours = settings.read(env)
    from bot.services import operations

    if ours.health_port is None:
        raise SettingsError(["BOT_HEALTH_PORT is not set. Set it to the same port for the bot and for this command."])
    is_ready, body = operations.ask(ours.health_host, ours.health_port)
    print(body)
    return 0 if is_ready else EXIT_FAILED


HEALTH = Subcommand(
    "check the running bot; exits with 1 if it isn't ready",
    "Prints what GET /readyz on BOT_HEALTH_PORT returns. Exits with 1 unless the bot runs and is ready.",
    _health,
)
