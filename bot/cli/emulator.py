"""`typist sandbox --no-bot`: serves a Slack for a bot that somebody else wrote. docs/emulator.md explains it."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.cli.run import until_signaled
from bot.errors import SettingsError
from bot.settings import install_command

if TYPE_CHECKING:
    from bot.app import Shutdown
    from sandbox.page.guide import Guide
    from sandbox.server import Sandbox
    from sandbox.web_api.http import Tokens

PREFERRED_PORT = 3000
TOKEN_PREFIXES = {"bot": "xoxb-", "app": "xapp-"}
NOTE = "a bot of your own"
READY = """\
The sandbox is at {url}, with the app “{app}”. Start your bot with:

SLACK_BOT_TOKEN={bot_token}
SLACK_APP_TOKEN={app_token}
SLACK_API_URL={api_url}

Pass the address to the client in your code. In slack_bolt: App(client=WebClient(token, base_url=SLACK_API_URL)).
In @slack/bolt: new App({{..., clientOptions: {{slackApiUrl: SLACK_API_URL}}}}).
"""
YAML_HINT = "Slack's app settings show a YAML manifest as JSON, too."


def require_packages() -> None:
    """Raises SettingsError if a package that the sandbox needs is missing."""
    try:
        import sandbox.server  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            [f"The sandbox needs the package {error.name}. Install its packages: {install_command('sandbox')}"]
        ) from error


def read_manifest(path: Path) -> Any:
    """Returns the manifest in a file. Raises SettingsError with a line for each problem."""
    from sandbox import manifest
    from sandbox.workspace import SlackError

    try:
        manifest_json = json.loads(path.read_text(encoding="utf-8"))
        manifest.read_manifest(manifest_json)
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path} is not UTF-8 text."]) from error
    except json.JSONDecodeError as error:
        raise SettingsError([f"{path} is not JSON (line {error.lineno}: {error.msg}). {YAML_HINT}"]) from error
    except SlackError as refused:
        lines = [f"{path}: {problem['pointer']} {problem['message']}." for problem in refused.fields["errors"]]
        raise SettingsError(lines) from refused
    return manifest_json


async def start(
    stack: AsyncExitStack,
    port: int | None,
    manifest: Any,
    *,
    note: str = "",
    guide: "Guide | None" = None,
    strict_posts: bool = False,
    tokens: "Tokens | None" = None,
) -> "Sandbox":
    """Serves a sandbox until the stack closes, at the port or the first free one. Raises SettingsError.

    `note` and `guide` are texts on its page. `strict_posts` starts the fault of this name. Without
    `tokens`, the bot's tokens are random.
    """
    from sandbox.files import SHARED_AFTER_S
    from sandbox.page.guide import Guide
    from sandbox.server import Sandbox, find_port
    from sandbox.web_api.http import Tokens
    from sandbox.web_api.search import INDEX_DELAY_S

    sandbox = Sandbox(
        port=port or find_port(PREFERRED_PORT),
        note=note,
        guide=guide or Guide(),
        shared_after_s=SHARED_AFTER_S,
        index_delay_s=INDEX_DELAY_S,
        keep_revisions=False,
        manifest=manifest,
        tokens=tokens or Tokens(),
    )
    if strict_posts:
        sandbox.faults.start("strict_posts")
    try:
        return await stack.enter_async_context(sandbox)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError([f"Can't listen on port {sandbox.port}: {reason}. Choose another --port."]) from error


def run(port: int | None, manifest: Any, tokens: Mapping[str, str], *, strict_posts: bool = False) -> int:
    """Serves until the process gets a signal to stop, and returns the exit code.

    `tokens`: those that the bot has, by kind: bot, app. Others are random. Raises SettingsError.
    """
    wrong = [
        f"--{kind}-token must be {prefix} and at least 8 letters, digits or hyphens."
        for kind, prefix in TOKEN_PREFIXES.items()
        if kind in tokens and not re.fullmatch(prefix + r"[A-Za-z0-9-]{8,}", tokens[kind])
    ]
    if wrong:
        raise SettingsError(wrong)

    async def serve(shutdown: "Shutdown") -> None:
        from sandbox.web_api.http import Tokens

        await _serve(port, manifest, shutdown, strict_posts, Tokens(**tokens))

    asyncio.run(until_signaled(serve, drain_s=0))
    return 0


async def _serve(port: int | None, manifest: Any, shutdown: "Shutdown", strict_posts: bool, tokens: "Tokens") -> None:
    from sandbox.manifest import NEVER_SENT

    async with AsyncExitStack() as stack:
        sandbox = await start(stack, port, manifest, note=NOTE, strict_posts=strict_posts, tokens=tokens)
        addresses = {"url": sandbox.url, "api_url": sandbox.api_url}
        named = {"bot_token": sandbox.bot_token, "app_token": sandbox.app_token}
        sandbox.problems.added.append(lambda text: print(text, flush=True))
        print(READY.format(app=sandbox.config.app_name, **addresses, **named), flush=True)
        if unsent := sorted(sandbox.config.events & NEVER_SENT):
            print(f"The sandbox never sends these events of the manifest: {', '.join(unsent)}.", flush=True)
        await shutdown.requested.wait()
