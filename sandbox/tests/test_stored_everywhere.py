"""Responses, events and payloads show a message's stored blocks, never the blocks that the app sent."""

import json
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.bolt import actions, button
from slack_sandbox.workspace import Json
from tests.conftest import SdkApp

GENERAL = "C0GENERAL"
SENT = "# Title\n\n**so** it goes\n\n---"
BLOCKS: list[Json] = [{"type": "markdown", "text": SENT, "block_id": "mine"}, actions(button())]
KINDS = ["header", "rich_text", "divider", "actions"]


def kinds(message: Json) -> list[str]:
    """Returns the types of a message's blocks. Asserts that each has an ID and none is as it was sent."""
    assert all(block["block_id"] for block in message["blocks"])
    assert '"mine"' not in json.dumps(message)
    assert "**so**" not in json.dumps(message["blocks"])
    return [block["type"] for block in message["blocks"]]


async def test_web_api_responses_show_stored_blocks(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "question")
    posted = await web.chat_postMessage(channel=GENERAL, thread_ts=root, text="short", blocks=BLOCKS)
    updated = await web.chat_update(channel=GENERAL, ts=posted["ts"], text="short", blocks=BLOCKS)
    thread = await web.conversations_replies(channel=GENERAL, ts=root)
    at_root = await web.chat_postMessage(channel=GENERAL, text="short", blocks=BLOCKS)
    history = await web.conversations_history(channel=GENERAL, limit=1)
    messages = [
        posted["message"],
        updated["message"],
        thread["messages"][1],
        at_root["message"],
        history["messages"][0],
    ]
    assert [kinds(message) for message in messages] == [KINDS] * 5
    assert {message["text"] for message in messages} == {"short"}


async def test_text_and_markdown_text_are_stored_as_blocks(web: AsyncWebClient) -> None:
    plain = await web.chat_postMessage(channel=GENERAL, text="Processing...")
    (block,) = plain["message"]["blocks"]
    assert block["elements"] == [{"type": "rich_text_section", "elements": [{"type": "text", "text": "Processing..."}]}]
    markdown = await web.api_call("chat.postMessage", json={"channel": GENERAL, "markdown_text": SENT})
    assert kinds(markdown["message"]) == KINDS[:-1]


async def test_events_and_payloads_show_stored_blocks(sandbox: Sandbox, web: AsyncWebClient, app: SdkApp) -> None:
    await app.connect()
    ts = (await web.chat_postMessage(channel=GENERAL, text="short", blocks=BLOCKS))["ts"]
    (posted,) = await app.events(1)
    await web.chat_update(channel=GENERAL, ts=ts, text="other", blocks=BLOCKS)
    changed = (await app.events(2))[-1]
    assert await sandbox.client("ada").press("general", ts, "stop")
    press = app.requests[-1].payload
    messages = [posted, changed["message"], changed["previous_message"], press["message"]]
    assert [kinds(message) for message in messages] == [KINDS] * 4
    assert press["actions"][0]["block_id"] == "controls"


@pytest.mark.parametrize("content", [{"text": "x", "blocks": BLOCKS}, {"text": "x"}])
async def test_sent_blocks_are_visible_only_inside_the_sandbox(
    sandbox: Sandbox, web: AsyncWebClient, content: dict[str, Any]
) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, **content)
    (message,) = sandbox.messages("general")
    assert list(message.sent_blocks) == content.get("blocks", [])
    assert sandbox.revisions("general", message.ts)[0].sent_blocks == message.sent_blocks
    assert "sent_blocks" not in posted["message"]
