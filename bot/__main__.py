"""The command line: `python -m bot`."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from bot import __version__, logs, settings
from bot.core import texts
from bot.errors import SettingsError, TypistError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.app import Shutdown

EXIT_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
END_WITHIN_S = 4.7
"""After BOT_DRAIN_S. The bounds of all parts are 4.1 s together; platforms kill 30 s after SIGTERM."""

ABOUT = """Typist streams LLM answers into Slack.

With no command, it connects to Slack if SLACK_BOT_TOKEN and SLACK_APP_TOKEN are set (in the environment or in
.env); without them it starts the sandbox, a Slack on this machine to try it in."""

CLOSING = """examples:
  python -m bot                               the sandbox, or Slack once its tokens are set
  python -m bot ask "What is a monad?"        an answer in the terminal
  git diff | python -m bot ask "Review this"  what is piped in comes after the question
  python -m bot forget --user U0123ABCD       what a person asked is removed, with the answers

Settings are environment variables or lines of .env; .env.example lists them all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        env = settings.environment()
        command = options.command or _default_command(env)
        return _COMMANDS[command](env, options)
    except SettingsError as error:
        print(*(f"typist: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return EXIT_UNUSABLE
    except TypistError as error:
        print(f"typist: {texts.for_error(error)}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads us has seen enough, as `| head` has; nothing may be flushed there at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot",
        description=ABOUT,
        epilog=CLOSING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"typist {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="connect to Slack and answer there")
    sandbox = commands.add_parser("sandbox", help="start a Slack on this machine, with the bot in it")
    sandbox.add_argument("--port", type=int, help="where its page is served (3000, or the next free port)")
    sandbox.add_argument("--model", help="local, scripted, or vendor/model such as openai/gpt-6-luna")
    asking = commands.add_parser("ask", help="ask one question and read the answer here")
    asking.add_argument("question", nargs="?", help="the question; without it, what is piped in")
    asking.add_argument("--model", help="vendor/model, instead of BOT_MODELS")
    asking.add_argument("--no-stream", action="store_true", help="show the answer once it is whole")
    _add_upkeep(commands)
    return parser


def _add_upkeep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("migrate", help="bring the database to the newest schema, as a start does, too")
    forgetting = commands.add_parser("forget", help="remove questions and answers for good")
    whose = forgetting.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="ID", help="a person's, by member id: U0123ABCD")
    whose.add_argument("--thread", help="a thread's: CHANNEL/THREAD_TS, or a message's link")
    whose.add_argument("--all", action="store_true", help="everybody's")
    forgetting.add_argument("--yes", action="store_true", help="do not ask first")
    using = commands.add_parser("usage", help="what was answered, used and spent, as a table")
    using.add_argument("--by", choices=["day", "user", "channel", "model"], default="day", help="a line for each")
    using.add_argument("--since", metavar="DATE", help="from this day of UTC on: 2026-11-20 (30 days)")
    using.add_argument("--csv", action="store_true", help="for a spreadsheet")
    commands.add_parser("health", help="ask the running bot (BOT_HEALTH_PORT); exits 1 if it can't do its work")


def _default_command(env: dict[str, str]) -> str:
    """One of the two tokens alone is a slip worth an error, not a reason for the sandbox."""
    return "run" if env.get("SLACK_BOT_TOKEN") or env.get("SLACK_APP_TOKEN") else "sandbox"


# Each command imports what it runs once its settings are good: a slip is told at once, not after all the imports.


def _run(env: dict[str, str], options: argparse.Namespace) -> int:
    _leave_when_told()
    ours = settings.read(env, needs_slack=True, needs_model=True)
    from bot import app

    logs.set_up(ours.log_level)

    def ready(bot: app.Bot) -> None:
        models = ", then ".join(settings.models_in_use(ours))
        print(
            f"Typist {__version__} is connected to Slack (team {bot.me.team_id}) and answers with {models}.",
            flush=True,
        )

    asyncio.run(_until_signalled(lambda shutdown: app.run(ours, shutdown, ready), ours.drain_s))
    return 0


def _sandbox(env: dict[str, str], options: argparse.Namespace) -> int:
    _leave_when_told()
    port, model = getattr(options, "port", None), getattr(options, "model", None)
    ours = settings.read(env)
    from bot.cli.sandbox import demo

    logs.set_up(ours.log_level)
    in_memory = replace(ours, database_url="sqlite://") if "DATABASE_URL" not in env else ours
    asyncio.run(_until_signalled(lambda shutdown: demo(in_memory, shutdown, port, model), ours.drain_s))
    return 0


def _ask(env: dict[str, str], options: argparse.Namespace) -> int:
    ours = _for_asking(env, options)
    logs.set_up("error" if ours.log_level == "info" else ours.log_level)
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    question = "\n\n".join(part for part in (options.question, piped.strip()) if part)
    if not question:
        raise SettingsError(['There is no question: python -m bot ask "your question".'])
    from bot.cli.ask import ask

    asyncio.run(ask(ours, question))
    return 0


def _for_asking(env: dict[str, str], options: argparse.Namespace) -> Settings:
    if options.model:
        env = {**env, "BOT_MODELS": options.model}
    ours = settings.read(env, needs_model=True)
    return replace(ours, streaming=ours.streaming and not options.no_stream)


def _migrate(env: dict[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    from bot.cli import upkeep

    logs.set_up(ours.log_level)
    asyncio.run(upkeep.migrate(ours))
    return 0


def _forget(env: dict[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    from bot.cli import upkeep

    logs.set_up(ours.log_level)
    whose = upkeep.whose(options.user, options.thread)
    if not options.yes and not upkeep.confirmed(whose):
        print("Nothing was removed.", file=sys.stderr)
        return EXIT_FAILED
    asyncio.run(upkeep.forget(ours, whose))
    return 0


def _usage(env: dict[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    from bot.cli import usage
    from bot.core.limits.usage import By

    logs.set_up(ours.log_level)
    asyncio.run(usage.show(ours, By(options.by), usage.since_of(options.since), options.csv))
    return 0


def _health(env: dict[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    from bot.services import health

    if ours.health_port is None:
        raise SettingsError(["BOT_HEALTH_PORT is not set: a bot without it does not tell its health."])
    well, told = health.ask(ours.health_port)
    print(told)
    return 0 if well else EXIT_FAILED


_COMMANDS = {
    "run": _run,
    "sandbox": _sandbox,
    "ask": _ask,
    "migrate": _migrate,
    "forget": _forget,
    "usage": _usage,
    "health": _health,
}


def _leave_when_told() -> None:
    """Until the loop takes SIGTERM over: who is told to end while it starts has nothing to lose."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


async def _until_signalled(run: "Callable[[Shutdown], Awaitable[None]]", drain_s: float) -> None:
    """SIGTERM and the first Ctrl-C ask for an end; the second does not wait for it."""
    from bot.app import Shutdown

    shutdown = Shutdown()

    def on_signal() -> None:
        at_once = shutdown.asked.is_set()
        if at_once:
            shutdown.at_once.set()
        shutdown.asked.set()
        _end_at_the_latest(0 if at_once else drain_s)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await run(shutdown)
    # All is done: a late signal is not to make a failure of it.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _end_at_the_latest(drain_s: float) -> None:
    """Ends the process though something does not end: a thread that looks a name up, a driver, a loop that is stuck.

    Nothing is lost by it: whoever takes our jobs over does so as after a crash.
    """

    def end() -> None:
        sys.stderr.write("typist: something did not end in time. The next start takes over what was left.\n")
        sys.stderr.flush()
        os._exit(EXIT_FAILED)

    last = threading.Timer(drain_s + END_WITHIN_S, end)
    last.daemon = True
    last.start()


def _exit(code: int) -> NoReturn:
    """Without taking the interpreter apart: on a busy machine that takes seconds, of the five that an end has."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit(main())
