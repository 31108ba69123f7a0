"""Requests to the sandbox that apps make."""

from collections.abc import Awaitable
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient


async def respond(url: str, **content: Any) -> tuple[int, str]:
    """Posts to a response_url and returns the response's status and text."""
    async with aiohttp.ClientSession() as session, session.post(url, json=content) as answer:
        return answer.status, await answer.text()


async def refusal(call: Awaitable[object]) -> str:
    """Returns the name of the error with which Slack refuses a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def error_of(web: AsyncWebClient, method: str, **arguments: Any) -> str:
    """Returns the name of the error with which Slack refuses a GET request."""
    return await refusal(web.api_call(method, http_verb="GET", params=arguments))
