"""Requests to the sandbox that apps make."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient


async def respond(url: str, **content: Any) -> tuple[int, str]:
    """Posts to a response_url and returns the response's status and text."""
    async with aiohttp.ClientSession() as session, session.post(url, json=content) as answer:
        return answer.status, await answer.text()


async def error_of(web: AsyncWebClient, method: str, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await web.api_call(method, http_verb="GET", params=arguments)
    return str(caught.value.response["error"])
