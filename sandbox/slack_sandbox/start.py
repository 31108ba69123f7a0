"""Starts a sandbox for a command: reads the app's manifest, and reports problems that prevent the start.

Command-line programs import this module at each start, so it imports the rest of the sandbox only where needed.
"""

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slack_sandbox.export.opened import Export
    from slack_sandbox.page.guide import Guide
    from slack_sandbox.server import Sandbox
    from slack_sandbox.web_api.http import Tokens

PREFERRED_PORT = 3000
LISTEN_ON = "SLACK_SANDBOX_LISTEN_ON"
"""The environment variable that makes a container's sandbox listen on all addresses."""
YAML_HINT = "Slack's app settings can also show a YAML manifest as JSON."


class StartError(Exception):
    """The sandbox can't start. `problems`: a sentence for each reason, including what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_manifest(path: Path) -> Any:
    """Returns the manifest in a file. Raises StartError with a line for each problem."""
    from slack_sandbox import manifest
    from slack_sandbox.workspace import SlackError

    try:
        manifest_json = json.loads(path.read_text(encoding="utf-8"))
        manifest.read_manifest(manifest_json)
    except OSError as error:
        raise StartError([f"{path}: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise StartError([f"{path} is not UTF-8 text."]) from error
    except json.JSONDecodeError as error:
        raise StartError([f"{path} is not JSON (line {error.lineno}: {error.msg}). {YAML_HINT}"]) from error
    except SlackError as refused:
        lines = [f"{path}: {problem['pointer']} {problem['message']}." for problem in refused.fields["errors"]]
        raise StartError(lines) from refused
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
    export: "Export | None" = None,
) -> "Sandbox":
    """Serves a sandbox until the stack closes, at the port or the first free one. Raises StartError.

    `note` and `guide` are text for its page. `strict_posts`: whether to start the fault of that name, which limits
    posts strictly. Without `tokens`, the bot's tokens are random. `export` replaces the sample workspace.
    """
    from slack_sandbox.files import SHARE_DELAY_S
    from slack_sandbox.page.guide import Guide
    from slack_sandbox.server import HOST, Sandbox, find_port
    from slack_sandbox.web_api.http import Tokens
    from slack_sandbox.web_api.search import INDEX_DELAY_S

    sandbox = Sandbox(
        port=port or find_port(PREFERRED_PORT),
        listen_on=os.environ.get(LISTEN_ON, HOST),
        note=note,
        guide=guide or Guide(),
        share_delay_s=SHARE_DELAY_S,
        index_delay_s=INDEX_DELAY_S,
        keep_revisions=False,
        manifest=manifest,
        tokens=tokens or Tokens(),
        export=export,
    )
    if strict_posts:
        sandbox.faults.start("strict_posts")
    try:
        return await stack.enter_async_context(sandbox)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise StartError([f"Can't listen on port {sandbox.port}: {reason}. Choose another --port."]) from error
