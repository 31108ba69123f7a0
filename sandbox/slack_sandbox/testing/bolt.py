"""Bolt apps connected to a sandbox through Socket Mode, and block builders."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Json


def new_app(sandbox: Sandbox, session: aiohttp.ClientSession | None = None) -> AsyncApp:
    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=sandbox.team_id,
            bot_token=sandbox.bot_token,
            bot_id="B0BOT",
            bot_user_id=sandbox.bot_user_id,
        )

    return AsyncApp(
        name="bot",
        client=AsyncWebClient(base_url=sandbox.api_url, session=session),
        authorize=authorize,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
    )


@asynccontextmanager
async def connected(app: AsyncApp, sandbox: Sandbox) -> AsyncIterator[None]:
    handler: Any = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()
    try:
        await sandbox.wait_for_bot()
        yield
    finally:
        await handler.close_async()


def button(action_id: str = "stop", value: str | None = "job-1", **fields: Any) -> Json:
    value_field = {} if value is None else {"value": value}
    return {"type": "button", "action_id": action_id, "text": plain("Stop"), **value_field, **fields}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": True}


def option(value: str) -> Json:
    return {"text": plain(value.title()), "value": value}


def actions(*elements: Json, block_id: str = "controls") -> Json:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}
