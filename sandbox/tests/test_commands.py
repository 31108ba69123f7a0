"""Slash commands and shortcuts: the app's payloads, and its responses."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import connected, new_app
from slack_sandbox.testing.requests import error_name
from slack_sandbox.workspace import Json

ESCAPED = {**manifests.COMMAND, "command": "/bot-who", "should_escape": True}
pytestmark = pytest.mark.slack(manifest=manifests.classic(slash_commands=[manifests.COMMAND, ESCAPED]))


@pytest.fixture
async def bolt(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[AsyncApp]:
    bolt = new_app(sandbox, session)
    async with connected(bolt, sandbox):
        yield bolt


async def test_command_reaches_the_app_and_responses_are_ephemeral(sandbox: Sandbox, bolt: AsyncApp) -> None:
    received: list[Json] = []

    @bolt.command("/bot")
    async def answer(ack: Any, command: Json, respond: Any) -> None:
        received.append(command)
        await ack("At once.")
        await respond("And later.")

    await sandbox.client("ada").command("general", "/bot model  @grace large ")
    await sandbox.wait_for(lambda: len(sandbox.workspace.ephemerals) == 2)
    expected = {
        "command": "/bot",
        "text": "model  @grace large",
        "user_id": "U0ADA",
        "user_name": "ada",
        "channel_id": "C0GENERAL",
        "channel_name": "general",
        "team_id": sandbox.team_id,
    }
    assert expected.items() <= received[0].items()
    assert received[0]["trigger_id"]
    assert {(message.text, message.ephemeral_to) for message in sandbox.workspace.ephemerals} == {
        ("At once.", "U0ADA"),
        ("And later.", "U0ADA"),
    }
    assert sandbox.messages("general") == []


async def test_names_in_a_command_become_ids_with_should_escape(sandbox: Sandbox, bolt: AsyncApp) -> None:
    received: list[str] = []

    @bolt.command("/bot-who")
    async def answer(ack: Any, command: Json) -> None:
        received.append(command["text"])
        await ack()

    await sandbox.client("ada").command("general", "/bot-who @grace #random <b> @nobody")
    assert received == ["<@U0GRACE|grace> <#C0RANDOM|random> &lt;b&gt; @nobody"]


async def test_unknown_and_unanswered_commands_raise_errors(sandbox: Sandbox) -> None:
    assert await error_name(sandbox.client("ada").command("general", "/tea")) == "unknown_command"
    assert await error_name(sandbox.client("ada").command("general", "/bot help")) == "app_not_responding"


async def test_shortcut_payload_has_the_message_for_message_shortcuts_only(sandbox: Sandbox, bolt: AsyncApp) -> None:
    received: list[Json] = []

    @bolt.shortcut("ask_about")
    @bolt.shortcut("ask_anything")
    async def record(ack: Any, body: Json) -> None:
        received.append(body)
        await ack()

    ts = await sandbox.say("grace", "general", "What does this mean?")
    assert await sandbox.client("ada").use_message_shortcut("general", ts, "ask_about")
    assert await sandbox.client("ada").use_global_shortcut("ask_anything")
    message_payload, global_payload = received
    assert (message_payload["type"], message_payload["callback_id"], message_payload["message_ts"]) == (
        "message_action",
        "ask_about",
        ts,
    )
    assert (message_payload["message"]["text"], message_payload["user"]["id"]) == ("What does this mean?", "U0ADA")
    assert message_payload["channel"] == {"id": "C0GENERAL", "name": "general"}
    assert message_payload["trigger_id"] != global_payload["trigger_id"]
    assert global_payload["type"] == "shortcut"
    assert "channel" not in global_payload
    assert await error_name(sandbox.client("ada").use_global_shortcut("ask_about")) == "unknown_shortcut"


def not_interactive() -> Json:
    manifest = manifests.classic(shortcuts=[])
    manifest["settings"]["interactivity"]["is_enabled"] = False
    return manifest


@pytest.mark.slack(manifest=not_interactive())
async def test_without_interactivity_a_press_is_refused(sandbox: Sandbox) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    assert await error_name(sandbox.client("ada").press("general", ts, "stop", "forged")) == "interactivity_not_enabled"
