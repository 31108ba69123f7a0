"""The entry of `typist` and `python -m bot`: parses the command line, runs one subcommand, exits with its code.

Each subcommand is a module of bot/cli. These modules import the rest of the bot only after the settings are read, so
that an invalid setting is reported at once and `ask` doesn't wait for Slack's libraries.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from bot import __version__, settings
from bot.cli import Subcommand, ask, forget, health, migrate, run, sandbox, usage
from bot.core import texts
from bot.errors import SettingsError, TypistError

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_INTERRUPTED = 130

SUBCOMMANDS: Mapping[str, Subcommand] = {
    "run": run,
    "sandbox": sandbox,
    "ask": ask,
    "migrate": migrate,
    "forget": forget,
    "usage": usage,
    "health": health,
}

DESCRIPTION = """Typist streams LLM answers into Slack.

Without a command, Typist connects to Slack if SLACK_BOT_TOKEN and SLACK_APP_TOKEN are set, in the environment or in
.env. Without these tokens it starts the sandbox: a Slack on this machine to try Typist in."""

EPILOG = """examples:
  Start the sandbox, or connect to Slack if its tokens are set:
    %(prog)s
  Answer a question in the terminal:
    %(prog)s ask "What is a monad?"
  Answer a question about piped text:
    git diff | %(prog)s ask "Review this"
  Delete a person's questions and their answers from the database:
    %(prog)s forget --user U0123ABCD

Settings are environment variables or lines of .env. See .env.example for all of them."""


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
    code = run_command(sys.argv[1:])
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    # A normal interpreter exit can take seconds on a busy machine, and shutdown has five seconds in all.
    os._exit(code)


def run_command(arguments: Sequence[str]) -> int:
    """Runs one subcommand and returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        env = settings.environment()
        return SUBCOMMANDS[options.command or _default_subcommand(env)].run(env, options)
    except SettingsError as error:
        print(*(f"typist: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return EXIT_INVALID
    except TypistError as error:
        print(f"typist: {texts.for_error(error)}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe, as `| head` does. Flushing stdout at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot" if Path(sys.argv[0]).name == "__main__.py" else "typist",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"typist {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="command")
    for name, subcommand in SUBCOMMANDS.items():
        subparser = subparsers.add_parser(name, help=subcommand.HELP, description=subcommand.DESCRIPTION)
        subcommand.add_arguments(subparser)
    return parser


def _default_subcommand(env: dict[str, str]) -> str:
    """Returns "run" if either token is set: with only one of them, `run` reports the missing one."""
    return "run" if env.get("SLACK_BOT_TOKEN") or env.get("SLACK_APP_TOKEN") else "sandbox"


if __name__ == "__main__":
    main()
