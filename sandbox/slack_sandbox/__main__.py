"""Serves a local Slack for a bot: `slack-sandbox`, or `python -m slack_sandbox`, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from slack_sandbox.start import StartError, read_manifest, start

LAST_PORT = 65_535
TOKEN_PREFIXES = {"bot": "xoxb-", "app": "xapp-"}
NOTE = "a bot of your own"
READY = """\
The sandbox is at {url}, with the app “{app}”. Start your bot with:

SLACK_BOT_TOKEN={bot_token}
SLACK_APP_TOKEN={app_token}
SLACK_API_URL={api_url}

Pass the URL to the client in your code. In slack_bolt: App(client=WebClient(token, base_url=SLACK_API_URL)).
In @slack/bolt: new App({{..., clientOptions: {{slackApiUrl: SLACK_API_URL}}}}).
"""


def main() -> int:
    options = _parser().parse_args()
    try:
        asyncio.run(_serve(options))
    except StartError as error:
        print(*(f"slack-sandbox: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("slack-sandbox", description="Runs a local Slack for testing your own bot.")
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="the app's manifest as JSON (default: all scopes)"
    )
    parser.add_argument(
        "--port", type=_parse_port, help="port of the sandbox's page (default: 3000, or the next free port)"
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="PATH",
        help="a Slack export (ZIP or folder) to use instead of the sample workspace",
    )
    for kind, prefix in TOKEN_PREFIXES.items():
        help_text = f"your bot's {kind} token, {prefix}… (default: a new one at each start)"
        parser.add_argument(f"--{kind}-token", metavar="TOKEN", help=help_text)
    parser.add_argument(
        "--posts",
        choices=("generous", "strict"),
        default="generous",
        help="rate limit for posts to one channel (default: generous)",
    )
    return parser


def _parse_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LAST_PORT:,}, not {text}")
    return int(text)


async def _serve(options: argparse.Namespace) -> None:
    """Serves until a signal. Prints the URLs, and then each of the bot's calls that Slack would reject.

    Raises StartError.
    """
    manifest = read_manifest(options.manifest) if options.manifest else None
    tokens = _tokens(options)
    export = _open_export(options.export) if options.export else None
    from slack_sandbox.manifest import NEVER_SENT

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        strict_posts = options.posts == "strict"
        sandbox = await start(
            stack, options.port, manifest, note=NOTE, strict_posts=strict_posts, tokens=tokens, export=export
        )
        addresses = {"url": sandbox.url, "api_url": sandbox.api_url}
        named = {"bot_token": sandbox.bot_token, "app_token": sandbox.app_token}
        sandbox.problems.on_added.append(lambda text: print(text, flush=True))
        print(READY.format(app=sandbox.config.app_name, **addresses, **named), flush=True)
        if unsent := sorted(sandbox.config.events & NEVER_SENT):
            print(f"The sandbox never sends these events from the manifest: {', '.join(unsent)}.", flush=True)
        await stop.wait()


def _open_export(path: Path) -> Any:
    """Opens the export and prints what was read. Raises StartError."""
    from slack_sandbox.export.archive import ExportError
    from slack_sandbox.export.opened import open_export

    try:
        export = open_export(path, path.stem.partition(" Slack export")[0])
    except ExportError as error:
        raise StartError([str(error)]) from None
    print(*export.report.lines(), sep="\n", flush=True)
    return export


def _tokens(options: argparse.Namespace) -> Any:
    """Returns the bot's tokens, either as given or random. Raises StartError."""
    from slack_sandbox.web_api.http import Tokens

    given: Mapping[str, str | None] = {kind: getattr(options, f"{kind}_token") for kind in TOKEN_PREFIXES}
    chosen = {kind: token for kind, token in given.items() if token is not None}
    wrong = [
        f"--{kind}-token must be {TOKEN_PREFIXES[kind]} followed by at least 8 letters, digits or hyphens."
        for kind, token in chosen.items()
        if not re.fullmatch(TOKEN_PREFIXES[kind] + r"[A-Za-z0-9-]{8,}", token)
    ]
    if wrong:
        raise StartError(wrong)
    return Tokens(**chosen)


if __name__ == "__main__":
    sys.exit(main())
