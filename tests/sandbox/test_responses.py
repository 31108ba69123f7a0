"""What a response_url takes, and for what."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox
from sandbox.workspace import Json
from tests.sandbox import manifests
from tests.sandbox.bolt import actions, button, connected, new_app
from tests.sandbox.test_interactivity import respond

GENERAL = "C0GENERAL"


class Heard:
    """A Bolt app that keeps the addresses that it can answer at."""

    def __init__(self, bolt: AsyncApp) -> None:
        self.urls: list[str] = []

        async def keep(ack: Any, body: Json) -> None:
            self.urls.append(body["response_url"])
            await ack()

        bolt.action("stop")(keep)
        bolt.command("/typist")(keep)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=manifests.classic()) as sandbox:
        yield sandbox


@pytest.fixture
async def heard(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[Heard]:
    bolt = new_app(sandbox, session)
    heard = Heard(bolt)
    async with connected(bolt, sandbox):
        yield heard


async def pressed(sandbox: Sandbox, web: AsyncWebClient, heard: Heard) -> str:
    """A button's response_url."""
    ts = (await web.chat_postMessage(channel=GENERAL, text="x", blocks=[actions(button())]))["ts"]
    await sandbox.client("ada").press("general", ts, "stop")
    return heard.urls[-1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"text": "x", "blocks": [{"type": "markdown", "text": "**x**"}]}, (500, "")),
        ({"text": "x", "replace_original": True, "blocks": [{"type": "markdown", "text": "**x**"}]}, (500, "")),
        ({"markdown_text": "**x**"}, (404, '{"ok": false, "error": "no_text"}')),
    ],
)
async def test_markdown_is_not_for_a_response_url(
    sandbox: Sandbox, web: AsyncWebClient, heard: Heard, said: Json, expected: tuple[int, str]
) -> None:
    url = await pressed(sandbox, web, heard)
    before = sandbox.messages("general")
    assert await respond(url, **said) == expected
    assert (sandbox.messages("general"), len(sandbox.workspace.ephemerals)) == (before, 0)


async def test_what_answers_a_command_is_not_replaced(sandbox: Sandbox, heard: Heard) -> None:
    await sandbox.client("ada").command("general", "/typist help")
    await respond(heard.urls[-1], text="Thinking…")
    await respond(heard.urls[-1], text="Done.", replace_original=True)
    assert [said.text for said in sandbox.workspace.ephemerals] == ["Thinking…", "Done."]


async def test_the_message_of_a_button_is_replaced(sandbox: Sandbox, web: AsyncWebClient, heard: Heard) -> None:
    await respond(await pressed(sandbox, web, heard), text="Done.", replace_original=True)
    assert [said.text for said in sandbox.messages("general")] == ["Done."]
