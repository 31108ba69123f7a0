"""Starts sample bots connected to a sandbox."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import inherited_environment, running_process, wait_for_line
from tests.other_bots import asynchronous, threaded

FOLDER = Path(__file__).parent
NODE_FOLDER = FOLDER.parents[1] / ".node"
"""The folder where `make node` installs @slack/bolt and vercel/chat."""


@asynccontextmanager
async def threaded_bot(
    sandbox: Sandbox, bot_of: Callable[[str, str], App] = threaded.sample_bot
) -> AsyncIterator[None]:
    """Runs a slack_bolt bot in threads; `bot_of` returns it for a token and the base URL."""

    def start() -> Any:
        handler: Any = SocketModeHandler(bot_of(sandbox.bot_token, sandbox.api_url), sandbox.app_token)
        handler.connect()
        return handler

    handler = await asyncio.to_thread(start)
    try:
        yield
    finally:
        # Its receiving thread would only notice the end of the connection after 3 s.
        handler.client.auto_reconnect_enabled = False
        sandbox.sockets.drop()
        try:
            await asyncio.to_thread(handler.close)
        except AttributeError:
            # Its receiving thread closed the socket at the same moment, so the second call finds it closed.
            await asyncio.to_thread(handler.close)


@asynccontextmanager
async def asynchronous_bot(sandbox: Sandbox) -> AsyncIterator[None]:
    bot = asynchronous.sample_bot(sandbox.bot_token, sandbox.api_url)
    handler: Any = AsyncSocketModeHandler(bot, sandbox.app_token)
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


@asynccontextmanager
async def node_bot(sandbox: Sandbox, program: Path = FOLDER / "bot.js", **env: str) -> AsyncIterator[None]:
    """Runs a bot in Node.js. Skips the test if Node.js or the packages are missing."""
    async with node_process(program, {**tokens(sandbox), **env}) as process:
        await wait_for_line(process.stdout, "ready")
        yield


@asynccontextmanager
async def node_process(program: Path, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a JavaScript program with @slack/bolt. Skips the test if Node.js or the package is missing."""
    node = needs_node()
    env = {**inherited_environment(), "NODE_PATH": str(NODE_FOLDER / "node_modules"), **env}
    streams = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    async with running_process(node, str(program), env=env, **streams) as process:
        yield process


def needs_node() -> str:
    """Returns the path of Node.js. Skips the test if Node.js or a package is missing."""
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "done").is_file():
        pytest.skip("needs Node.js and @slack/bolt: make node")
    return node


def tokens(sandbox: Sandbox) -> dict[str, str]:
    """Returns the environment variables that a bot needs."""
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "SLACK_API_URL": sandbox.api_url,
    }


BOTS: Mapping[str, Callable[[Sandbox], AbstractAsyncContextManager[None]]] = {
    "slack_bolt": threaded_bot,
    "slack_bolt with asyncio": asynchronous_bot,
    "@slack/bolt": node_bot,
}
