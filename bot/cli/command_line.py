"""Parses the command line, runs one subcommand, and reports errors as sentences and an exit code.

The other modules in this package contain the subcommands. The subcommands import the rest of the bot only after reading
the settings, so that an invalid setting is reported immediately and `ask` doesn't wait for Slack's libraries.

Exit codes: 0 for success, 1 for failures, 2 for invalid settings and arguments. Ctrl-C ends a process by its signal,
which a shell reports as 130.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from bot import __version__, logs, network, settings
from bot.cli import (
    EXIT_FAILED,
    EXIT_INVALID,
    Subcommand,
    ask,
    audit,
    backup,
    check,
    forget,
    init,
    list_settings,
    mcp,
    migrate,
    probe_slack,
    replay,
    run,
    smoke,
    usage,
)
from bot.core import texts
from bot.errors import ProviderError, SettingsError, TypistError, trace_of
from bot.text import without_controls

SUBCOMMANDS: Mapping[str, Subcommand] = {
    "init": init.INIT,
    "run": run.RUN,
    "sandbox": run.SANDBOX,
    "ask": ask.SUBCOMMAND,
    "check": check.SUBCOMMAND,
    "smoke": smoke.SUBCOMMAND,
    "probe-slack": probe_slack.SUBCOMMAND,
    "replay": replay.SUBCOMMAND,
    "mcp": mcp.MCP,
    "manifest": init.MANIFEST,
    "settings": list_settings.SUBCOMMAND,
    "migrate": migrate.MIGRATE,
    "backup": backup.BACKUP,
    "restore": backup.RESTORE,
    "forget": forget.FORGET,
    "usage": usage.USAGE,
    "audit": audit.AUDIT,
    "health": run.HEALTH,
}

DESCRIPTION = """Typist streams LLM answers into Slack.

Without a command, Typist connects to Slack if SLACK_BOT_TOKEN and SLACK_APP_TOKEN are set, in the environment or in
.env. Otherwise, it starts the sandbox: a local Slack where you can try Typist."""

EPILOG = """examples:
  Connect to Slack if its tokens are set; otherwise, start the sandbox:
    %(prog)s
  Answer a question in the terminal:
    %(prog)s ask "What is a monad?"
  Answer a question about a file or piped text:
    %(prog)s ask Summarize plan.docx
    git diff | %(prog)s ask "Review this"
  Connect to Slack for the first time:
    %(prog)s init
  Check tokens, scopes, models, tools and the database:
    %(prog)s check
  Delete a person's questions and their answers from the database:
    %(prog)s forget --user U0123ABCD

Settings are environment variables or lines in .env. To list them: %(prog)s settings"""


def run_command(arguments: Sequence[str]) -> int:
    try:
        code = _run(arguments)
        # The parent process might have closed both.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        return code
    except SettingsError as error:
        return _report(EXIT_INVALID, *error.problems)
    except ProviderError as error:
        # The sentence might suggest asking a Typist admin, but the reader might be one, so the reason is added.
        return _report(
            EXIT_FAILED, texts.models.error_text(error), *([f"The reason: {error.detail}"] if error.detail else [])
        )
    except TypistError as error:
        return _report(EXIT_FAILED, texts.models.error_text(error))
    except BrokenPipeError:
        # The reader closed the pipe, as `| head` does.
        return EXIT_FAILED
    except OSError as error:
        return _report(EXIT_FAILED, f"A system call failed: {os.strerror(error.errno or 0)} ({trace_of(error)}).")
    except Exception as error:
        return _report(EXIT_FAILED, f"Unexpected error: {trace_of(error)}. Please report this.")


def _run(arguments: Sequence[str]) -> int:
    # In the environment's format until .env is read.
    logs.set_up_early(settings.log_format(os.environ))
    parser = argument_parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:
        # argparse has written help, the version or the error.
        return EXIT_INVALID if ended.code else 0
    env = settings.environment()
    logs.set_up_early(settings.log_format(env))
    network.export_settings(env)
    if options.command is None:
        # If only one of the tokens is set, `run` reports the missing one.
        has_token = settings.is_set(env, "SLACK_BOT_TOKEN") or settings.is_set(env, "SLACK_APP_TOKEN")
        options = parser.parse_args(["run" if has_token else "sandbox"])
    return SUBCOMMANDS[options.command].run(env, options)


def _report(code: int, *sentences: str) -> int:
    """Writes sentences to stderr if it is writable, and returns the exit code."""
    with suppress(OSError):
        print(*map(logs.line, map(without_controls, sentences)), sep="\n", file=sys.stderr, flush=True)
    return code


class _Once(argparse.Action):
    """An option that can be given only once. By default, argparse silently drops the first of two values."""

    _set_in: argparse.Namespace | None = None

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        if self.option_strings and self._set_in is namespace:
            raise argparse.ArgumentError(self, "can only be given once")
        self._set_in = namespace
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # Repeatable options declare another action.
        for default in (None, "store"):
            self.register("action", default, _Once)

    def error(self, message: str) -> NoReturn:
        """Reports invalid arguments, with the command's usage unless the log is JSON."""
        if settings.log_format(os.environ) == "json":
            raise SettingsError([f"{self.prog}: {message}. See --help."])
        super().error(message)


def argument_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m bot" if Path(sys.argv[0]).name == "__main__.py" else "typist",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"typist {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="command")
    for name, subcommand in SUBCOMMANDS.items():
        subparser = subparsers.add_parser(name, help=subcommand.help, description=subcommand.description)
        if subcommand.add_arguments:
            subcommand.add_arguments(subparser)
    return parser
