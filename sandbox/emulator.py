"""Serves a Slack for a bot that somebody else wrote: `typist sandbox --no-bot`. docs/emulator.md explains it.

The command line imports this module at each start, so it imports the rest of the sandbox only where that is used.
"""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


class EmulatorError(Exception):
    """The sandbox can't start. `problems`: a sentence for each reason, which says what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_manifest(path: Path) -> Any:
    """Returns the manifest in a file. Raises EmulatorError with a line for each problem."""
    from sandbox import manifest
    from sandbox.workspace import SlackError

    try:
        manifest_json = json.loads(path.read_text(encoding="utf-8"))
        manifest.read_manifest(manifest_json)
    except OSError as error:
        raise EmulatorError([f"{path}: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise EmulatorError([f"{path} is not UTF-8 text."]) from error
    except json.JSONDecodeError as error:
        raise EmulatorError([f"{path} is not JSON (line {error.lineno}: {error.msg}). {YAML_HINT}"]) from error
    except SlackError as refused:
        lines = [f"{path}: {problem['pointer']} {problem['message']}." for problem in refused.fields["errors"]]
        raise EmulatorError(lines) from refused
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
    """Serves a sandbox until the stack closes, at the port or the first free one. Raises EmulatorError.

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
        raise EmulatorError([f"Can't listen on port {sandbox.port}: {reason}. Choose another --port."]) from error


async def serve(
    port: int | None, manifest: Any, given: Mapping[str, str], stop: asyncio.Event, *, strict_posts: bool = False
) -> None:
    """Serves until `stop` is set. Prints the addresses, and then what the bot does that Slack doesn't take.

    `given`: the tokens that the bot has, by kind: bot, app. Others are random. Raises EmulatorError.
    """
    wrong = [
        f"--{kind}-token must be {prefix} and at least 8 letters, digits or hyphens."
        for kind, prefix in TOKEN_PREFIXES.items()
        if kind in given and not re.fullmatch(prefix + r"[A-Za-z0-9-]{8,}", given[kind])
    ]
    if wrong:
        raise EmulatorError(wrong)
    from sandbox.manifest import NEVER_SENT
    from sandbox.web_api.http import Tokens

    async with AsyncExitStack() as stack:
        sandbox = await start(stack, port, manifest, note=NOTE, strict_posts=strict_posts, tokens=Tokens(**given))
        addresses = {"url": sandbox.url, "api_url": sandbox.api_url}
        named = {"bot_token": sandbox.bot_token, "app_token": sandbox.app_token}
        sandbox.problems.added.append(lambda text: print(text, flush=True))
        print(READY.format(app=sandbox.config.app_name, **addresses, **named), flush=True)
        if unsent := sorted(sandbox.config.events & NEVER_SENT):
            print(f"The sandbox never sends these events of the manifest: {', '.join(unsent)}.", flush=True)
        await stop.wait()
