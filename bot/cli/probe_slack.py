"""`typist probe-slack`: checks the sandbox's and the bot's assumptions about Slack in a real workspace, and writes a
report."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.check import EXIT_INTERRUPTED, replace_unencodable_output
from bot.cli.connections import open_slack
from bot.cli.smoke import dollars
from bot.cli.terminal import has_terminal, print_note
from bot.clock import SystemClock
from bot.errors import SettingsError
from bot.settings import Settings, model_prices, model_setup, system_prompt_in_use

if TYPE_CHECKING:
    from bot.cli.smoke_conversations import SmokeResult
    from slack_probe.report import Report

LIMIT_USD = 0.5
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channel", required=True, help="ID of a channel named typist-probe… with only you and the app"
    )
    parser.add_argument("--yes", action="store_true", help="run all groups of checks, and ask nothing")
    parser.add_argument(
        "--limit",
        metavar="USD",
        type=dollars,
        default=LIMIT_USD,
        help="maximum to spend on models (default: %(default)s)",
    )


class Terminal:
    """Asks questions without blocking the event loop, so that Ctrl-C works while a question is open."""

    def __init__(self) -> None:
        self._typed = b""

    async def ask(self, question: str, choices: str = "y/n, or Enter if you can't tell") -> bool | None:
        print_note(f"{question} [{choices}]")
        return _ANSWERS.get((await self._read_line()).strip().lower())

    async def _read_line(self) -> str:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        file = sys.stdin.fileno()
        loop.add_reader(file, readable.set)
        try:
            while b"\n" not in self._typed:
                readable.clear()
                await readable.wait()
                if not (more := os.read(file, 4_096)):
                    raise EOFError
                self._typed += more
        finally:
            loop.remove_reader(file)
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace")


def _run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env, needs_slack=True, needs_model=True)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not (options.yes or has_terminal()):
        raise SettingsError(["There's no terminal for the questions. Use --yes to run all checks without questions."])
    # Elsewhere, Ctrl-C ends the process immediately. Here that would leave posts in Slack.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from slack_probe.report import Report

    report, code = Report(), 0
    try:
        asyncio.run(_probe(ours, options, report))
    except (KeyboardInterrupt, EOFError):
        code = EXIT_INTERRUPTED
    host = urlsplit(ours.slack_api_url).hostname or ""
    where = "Slack" if host == "slack.com" else "GovSlack" if host.endswith("slack-gov.com") else "a simulated Slack"
    replace_unencodable_output()
    print(report.markdown(f"{datetime.now(UTC):%Y-%m-%d}, {where}"))
    return code or (0 if report.is_complete else EXIT_FAILED)


async def _probe(ours: Settings, options: argparse.Namespace, report: "Report") -> None:
    from bot.cli.smoke_conversations import run_smoke
    from slack_probe.bench import Bench
    from slack_probe.checks import GROUPS
    from slack_probe.report import run_checks

    terminal = Terminal()

    async def try_models() -> "Sequence[SmokeResult]":
        found = await run_smoke(model_setup(ours), model_prices(ours), system_prompt_in_use(ours), options.limit)
        for one in found:
            print_note("\n".join(one.lines()))
        return found

    async def skip(question: str) -> None:
        return None

    groups = [
        name
        for name, words in GROUPS.items()
        if options.yes or await terminal.ask(f"{name}: {words} Run these checks?", "y/N")
    ]
    async with open_slack(ours) as bot, open_slack(ours, ours.slack_app_token) as app:
        bench = Bench(bot, app, SystemClock(), options.channel, skip if options.yes else terminal.ask, try_models)
        await run_checks(bench, groups, report)


SUBCOMMAND = Subcommand(
    "compare a real Slack with the sandbox, and write a report",
    "Checks in a developer workspace how Slack behaves: forms, rate limits, statuses, streams, buttons, the pane and "
    "the models. It asks before each group of checks, posts only in one channel, and deletes its posts. Prints a "
    "Markdown report without names, text, IDs and tokens.",
    _run,
    _add_arguments,
)
