"""Commands that run until a signal (`typist run`, `typist sandbox`), and `typist health`, which checks readiness.

`run` connects to Slack and answers there. `sandbox` starts the bot in a simulated Slack on this machine
(demo/serve.py). A clone with only the pinned packages has no `slack_sandbox`, so it is imported only where it is used.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot import __version__, logs, settings, standstill
from bot.cli import EXIT_FAILED, Subcommand
from bot.clock import Background
from bot.errors import SettingsError
from bot.settings import Settings, pip_install_command
from bot.slack.manifest import app_manifest

if TYPE_CHECKING:
    from bot.app import Shutdown
    from bot.wiring import Bot

log = logging.getLogger(__name__)

END_WITHIN_S = 4.7
"""Time limit for shutdown after BOT_DRAIN_S. The steps take at most 4.1 s in total, and platforms kill a process after
30 s."""


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    exit_on_sigterm()
    ours = settings.read(env, needs_slack=True, needs_model=True)
    from bot import app
    from bot.checks.registry import log_findings
    from bot.checks.report import Occasion

    background = Background()
    logs.set_up(ours.log_level, ours.log_format)

    def ready(bot: "Bot") -> None:
        models = ", then ".join(settings.models_in_use(ours))
        connected = f"Typist {__version__} is connected to Slack (team {bot.me.team_id}) and answers with {models}."
        if ours.log_format == "json":
            log.info("%s", connected)
        else:
            print(connected, flush=True)
        # Modules, tables and connections that exist now stay. A full garbage collection would scan them and delay every
        # answer by a tenth of a second.
        gc.freeze()
        background.start(log_findings(ours, Occasion.CONNECTED), "models not looked up")

    async def run_bot(shutdown: "Shutdown") -> None:
        beating = asyncio.create_task(standstill.beat(env.get("NOTIFY_SOCKET", "")))
        background.start(log_findings(ours, Occasion.RUN, settings.ENV_FILE), "machine not checked")
        try:
            await app.run(ours, shutdown, ready)
        finally:
            beating.cancel()

    asyncio.run(until_signaled(run_bot, ours.drain_s))
    return 0


def exit_on_sigterm() -> None:
    """Makes SIGTERM exit immediately until the event loop handles signals. A process that is still starting has nothing
    to lose."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


async def until_signaled(run: "Callable[[Shutdown], Awaitable[None]]", drain_s: float) -> None:
    """Runs the bot until it ends. The first signal drains the bot; after a second one, it no longer waits for live
    answers."""
    from bot.app import Shutdown

    shutdown = Shutdown()

    def on_signal() -> None:
        at_once = shutdown.requested.is_set()
        if at_once:
            shutdown.at_once.set()
        shutdown.requested.set()
        _exit_after(END_WITHIN_S if at_once else drain_s + END_WITHIN_S)

    loop, ending = asyncio.get_running_loop(), ending_signals()
    for number in ending:
        loop.add_signal_handler(number, on_signal)
    await run(shutdown)
    # The work is done, so a late signal must not turn success into failure.
    for number in ending:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Returns the signals that end the bot. SIGHUP means that the terminal was closed. It is excluded if `nohup` blocks
    it."""
    is_kept_away = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if is_kept_away else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _exit_after(delay_s: float) -> None:
    """Exits the process after a delay, even if a DNS lookup's thread, a driver or a loop is stuck. Nothing is lost:
    another process, or the next start, takes over the jobs, just as it would after a crash."""

    def exit_now() -> None:
        late = logs.line("shutdown took too long; exiting. Unfinished answers will be resumed at the next start.")
        try:
            sys.stderr.write(f"{late}\n")
            sys.stderr.flush()
        finally:
            # If the terminal is closed, the write fails.
            os._exit(EXIT_FAILED)

    timer = threading.Timer(delay_s, exit_now)
    timer.daemon = True
    timer.start()


RUN = Subcommand(
    "connect to Slack and answer questions",
    "Connects to Slack and answers questions. After SIGTERM or Ctrl-C, answers in progress have BOT_DRAIN_S seconds "
    "to finish.",
    run,
)


def _health(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    from bot.services import operations

    if ours.health_at is None:
        raise SettingsError(["BOT_HEALTH_PORT isn't set. Set it to the same port for the bot and for this command."])
    is_ready, body = operations.ask_readiness(*ours.health_at)
    print(body)
    return 0 if is_ready else EXIT_FAILED


HEALTH = Subcommand(
    "check the running bot; exits with 1 if it isn't ready",
    "Prints the response of GET /readyz on BOT_HEALTH_PORT. Exits with 1 unless the bot is running and ready.",
    _health,
)

LAST_PORT = 65_535
MAX_ECHOED_CHARS = 100


def _add_sandbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", help="port of the sandbox's page (default: 3000, or the next free port)")
    parser.add_argument("--model", help="local, scripted, or vendor/model such as openai/gpt-6-luna")
    parser.add_argument("--agent", action="store_true", help="run as a Slack agent")
    parser.add_argument(
        "--posts",
        choices=("generous", "strict"),
        default="generous",
        help="rate limit for posts to one channel (default: generous)",
    )
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="the app's manifest, as JSON (default: Typist's)")


def _start_sandbox(env: Mapping[str, str], options: argparse.Namespace) -> int:
    exit_on_sigterm()
    try:
        import slack_sandbox.server  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            [f"The sandbox needs the package {error.name}. Install it in a clone: {pip_install_command()} --editable ."]
        ) from error
    from slack_sandbox.start import StartError

    try:
        return _run_sandbox(env, options)
    except StartError as error:
        raise SettingsError(error.problems) from error


def _run_sandbox(env: Mapping[str, str], options: argparse.Namespace) -> int:
    from slack_sandbox.start import read_manifest

    port = None if options.port is None else parse_port(options.port)
    ours = settings.read(env)
    manifest = (
        read_manifest(options.manifest)
        if options.manifest
        else app_manifest(agent=options.agent, extra=settings.extra_scopes(ours))
    )
    logs.set_up(ours.log_level, ours.log_format)
    # .env can include the default too. Each sandbox is a new workspace, which must not read an old one's rows.
    if ours.database_url == Settings().database_url:
        ours = replace(ours, database_url="sqlite://")

    # Imported here because it loads the sandbox's packages.
    from demo.serve import serve

    async def run_bot(shutdown: "Shutdown") -> None:
        await serve(ours, shutdown, port, options.model, manifest, strict_posts=options.posts == "strict")

    asyncio.run(until_signaled(run_bot, ours.drain_s))
    return 0


def parse_port(text: str) -> int:
    try:
        return settings.whole_number(1, LAST_PORT)(text)
    except ValueError as problem:
        raise SettingsError([f"--port {problem}, not {text[:MAX_ECHOED_CHARS]}."]) from problem


SANDBOX = Subcommand(
    "start the sandbox: a local Slack with the bot in it",
    "Starts a local Slack with the bot in it. Answers come from the models in your settings, from Ollama, LM Studio "
    "or llama.cpp on its default port, or else from a script. --model local asks a small bundled model, which is often "
    "wrong. To test your own bot, run slack-sandbox instead.",
    _start_sandbox,
    _add_sandbox_arguments,
)
