"""`typist check`: checks tokens, scopes, Socket Mode, models, tools and the database, and suggests fixes."""

import argparse
import asyncio
import codecs
import json
import re
import signal
import sys
from collections.abc import Mapping
from io import TextIOWrapper

from bot import logs, settings
from bot.checks.report import SETTINGS, SETTINGS_FIX, CheckReport, CheckStatus, Finding
from bot.cli import EXIT_FAILED, EXIT_INVALID, Subcommand
from bot.errors import SettingsError

EXIT_INTERRUPTED = 130

PLAIN_MARKS = {"✔": "OK", "⚠": "WARNING", "✘": "FAILED", "–": "-", "→": "->", "…": "...", "·": "|"}
_CONVERSATION = re.compile(r"[CDGUW][A-Z0-9]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe",
        metavar="CHANNEL",
        help="also post a test message in this channel (an ID such as C0123ABCD), wait for its event, and delete it",
    )
    parser.add_argument(
        "--probe-models", action="store_true", help="also ask each model to call a tool, which costs 6,000 tokens"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    try:
        ours = settings.read(env, needs_slack=True, needs_model=True)
        probe: str | None = options.probe
        if probe is not None and not _CONVERSATION.fullmatch(probe):
            problem = (
                f"--probe must be a channel ID such as C0123ABCD (in Slack: in the channel's details), not {probe}."
            )
            raise SettingsError([problem])
    except SettingsError as error:
        if not options.json:
            raise
        checks = [Finding(CheckStatus.FAIL, one, SETTINGS_FIX, id=SETTINGS) for one in error.problems]
        _print(CheckReport(checks), as_json=True)
        return EXIT_INVALID
    # Imported here because it loads Slack's and the vendors' libraries.
    from bot.checks.registry import run_all

    logs.set_up_quietly(ours.log_level, ours.log_format)
    if probe is not None:
        # Elsewhere, Ctrl-C ends the process immediately. Here that would leave the test message in Slack.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        report = asyncio.run(run_all(ours, probe, probe_models=options.probe_models, env_file=settings.ENV_FILE))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    _print(report, as_json=options.json)
    return 0 if report.is_ok else EXIT_FAILED


def _print(report: CheckReport, *, as_json: bool) -> None:
    replace_unencodable_output()
    print(json.dumps(report.json(), indent=2) if as_json else report.text())


def replace_unencodable_output() -> None:
    """Makes stdout replace characters that the terminal can't encode. Marks become words, and all other characters
    become "?"."""

    def replace_marks(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        unencodable = error.object[error.start : error.end]
        return "".join(PLAIN_MARKS.get(char, "?") for char in unencodable), error.end

    codecs.register_error("typist", replace_marks)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="typist")


SUBCOMMAND = Subcommand(
    "check tokens, scopes, models, tools and the database",
    "Checks everything that Typist needs to answer, and explains how to fix problems. It doesn't change anything. "
    "Exits with 1 if something must be fixed, or 2 if the settings are invalid.",
    run,
    add_arguments,
)
