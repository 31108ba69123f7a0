"""`typist sandbox`: starts the bot in a Slack on this machine (sandbox/typist), or that Slack alone.

The image has no package `sandbox`, so this module imports it only where it is used.
"""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.cli import Subcommand
from bot.cli.run import exit_on_sigterm, until_signaled
from bot.errors import SettingsError
from bot.settings import Settings, install_command
from bot.slack.manifest import app_manifest

if TYPE_CHECKING:
    from bot.app import Shutdown

LAST_PORT = 65_535
TOKEN_PREFIXES = {"bot": "xoxb-", "app": "xapp-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the port, the model, the rule for posts and the app's manifest."""
    parser.add_argument("--port", help="port of the sandbox's page (default: 3000, or the next free port)")
    parser.add_argument("--model", help="local, scripted, or vendor/model such as openai/gpt-6-luna")
    parser.add_argument("--agent", action="store_true", help="run as a Slack agent (manifest.agent.json)")
    parser.add_argument("--no-bot", action="store_true", help="don't start Typist; connect a bot of your own")
    for kind, prefix in TOKEN_PREFIXES.items():
        help_text = f"with --no-bot: the {kind} token that your bot has, {prefix}… (default: a new one at each start)"
        parser.add_argument(f"--{kind}-token", metavar="TOKEN", help=help_text)
    parser.add_argument(
        "--posts",
        choices=("generous", "strict"),
        default="generous",
        help="the rate limit for posts to one channel (default: generous)",
    )
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="the app's manifest, as JSON (default: Typist's)")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Runs the sandbox until the process gets a signal to stop, and returns the exit code. Raises SettingsError."""
    exit_on_sigterm()
    try:
        import sandbox.server  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            [f"The sandbox needs the package {error.name}. Install its packages: {install_command('sandbox')}"]
        ) from error
    from sandbox import emulator

    try:
        return _run(env, options)
    except emulator.EmulatorError as error:
        raise SettingsError(error.problems) from error


def _run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    from sandbox import emulator

    port, model = options.port, options.model
    strict_posts = options.posts == "strict"
    manifest = emulator.read_manifest(options.manifest) if options.manifest else app_manifest(agent=options.agent)
    given = {kind: getattr(options, f"{kind}_token") for kind in TOKEN_PREFIXES}
    tokens = {kind: token for kind, token in given.items() if token is not None}
    if tokens and not options.no_bot:
        raise SettingsError(["--bot-token and --app-token are for a bot of your own: add --no-bot."])
    if options.no_bot:
        if model is not None:
            raise SettingsError(["--model chooses Typist's model: leave it out with --no-bot."])
        own_port = None if port is None else parse_port(port)

        async def serve_only(shutdown: "Shutdown") -> None:
            await emulator.serve(own_port, manifest, tokens, shutdown.requested, strict_posts=strict_posts)

        asyncio.run(until_signaled(serve_only, drain_s=0))
        return 0
    ours = settings.read(env)
    port = None if port is None else parse_port(port)
    logs.set_up(ours.log_level, ours.log_format)
    # A copy of .env.example names the default, too. Each sandbox is a new workspace: an old one's rows would be read.
    if ours.database_url == Settings().database_url:
        ours = replace(ours, database_url="sqlite://")

    # Only now: it imports the packages of the sandbox.
    from sandbox.typist.serve import serve

    async def run_bot(shutdown: "Shutdown") -> None:
        await serve(ours, shutdown, port, model, manifest, strict_posts=strict_posts)

    asyncio.run(until_signaled(run_bot, ours.drain_s))
    return 0


def parse_port(text: str) -> int:
    """Returns the port that --port names. Raises SettingsError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise SettingsError([f"--port must be a whole number from 1 to {LAST_PORT:,}, not {text}."])
    return int(text)


SUBCOMMAND = Subcommand(
    "start the sandbox: a Slack on this machine, with the bot in it",
    "Starts a Slack on this machine, with the bot in it. Answers come from the models in your settings, from Ollama, "
    "LM Studio or llama.cpp on its default port, from a small bundled model, or from a script. With --no-bot, the "
    "Slack is for a bot of your own.",
    run,
    add_arguments,
)
