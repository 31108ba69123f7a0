"""The content that a response_url accepts, and the message that it changes."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, button, connected, new_app
from slack_sandbox.testing.requests import respond
from slack_sandbox.workspace import Json

pytestmark = pytest.mark.slack(manifest=manifests.classic())

GENERAL = "C0GENERAL"


class UrlRecorder:
    """A Bolt app that records the response_urls it receives."""

    def __init__(self, bolt: AsyncApp) -> None:
        self.urls: list[str] = []

        async def record(ack: Any, body: Json) -> None:
            self.urls.append(body["response_url"])
            await ack()

        bolt.action("stop")(record)
        bolt.command("/bot")(record)
        bolt.shortcut("ask_about")(record)


@pytest.fixture
async def recorder(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[UrlRecorder]:
    bolt = new_app(sandbox, session)
    recorder = UrlRecorder(bolt)
    async with connected(bolt, sandbox):
        yield recorder


async def press_button(sandbox: Sandbox, web: AsyncWebClient, recorder: UrlRecorder) -> str:
    """Presses a button and returns its response_url."""
    ts = (await web.chat_postMessage(channel=GENERAL, text="x", blocks=[actions(button())]))["ts"]
    await sandbox.client("ada").press("general", ts, "stop")
    return recorder.urls[-1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"text": "x", "blocks": [{"type": "markdown", "text": "**x**"}]}, (500, "")),
        ({"text": "x", "replace_original": True, "blocks": [{"type": "markdown", "text": "**x**"}]}, (500, "")),
        ({"markdown_text": "**x**"}, (404, '{"ok": false, "error": "no_text"}')),
    ],
)
async def test_response_url_refuses_markdown(
    sandbox: Sandbox, web: AsyncWebClient, recorder: UrlRecorder, content: Json, expected: tuple[int, str]
) -> None:
    url = await press_button(sandbox, web, recorder)
    before = sandbox.messages("general")
    assert await respond(url, **content) == expected
    assert (sandbox.messages("general"), len(sandbox.workspace.ephemerals)) == (before, 0)


async def test_response_to_a_command_is_not_replaced(sandbox: Sandbox, recorder: UrlRecorder) -> None:
    await sandbox.client("ada").command("general", "/bot help")
    await respond(recorder.urls[-1], text="Thinking…")
    await respond(recorder.urls[-1], text="Done.", replace_original=True)
    assert [message.text for message in sandbox.workspace.ephemerals] == ["Thinking…", "Done."]


@pytest.mark.parametrize("change", ["replace_original", "delete_original"])
async def test_response_to_a_message_shortcut_leaves_the_message_alone(
    sandbox: Sandbox, recorder: UrlRecorder, change: str
) -> None:
    ts = await sandbox.say("grace", "general", "mine")
    await sandbox.client("ada").use_message_shortcut("general", ts, "ask_about")
    await respond(recorder.urls[-1], text="Done.", **{change: True})
    assert [message.text for message in sandbox.messages("general")] == ["mine"]
