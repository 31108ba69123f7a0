"""Requests that apps make to the sandbox."""

from collections.abc import Awaitable
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.web_api.http import FORM_ONLY
from slack_sandbox.workspace import SlackError


async def respond(url: str, **content: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=content) as answer:
        return answer.status, await answer.text()


async def error_response(call: Awaitable[object]) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


async def error_name(call: Awaitable[object]) -> str:
    with pytest.raises((SlackApiError, SlackError)) as caught:
        await call
    error = caught.value
    return str(error.response["error"]) if isinstance(error, SlackApiError) else str(error)


async def error_of(web: AsyncWebClient, method: str, **arguments: Any) -> str:
    """Makes a call, in JSON if the method accepts JSON, and returns its error name."""
    if method in FORM_ONLY:
        return await error_name(web.api_call(method, params=arguments))
    return await error_name(web.api_call(method, json=arguments))
