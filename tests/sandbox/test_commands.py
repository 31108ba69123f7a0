"""Slash commands and shortcuts: what the app hears of them, and what people see."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp

from sandbox.server import Sandbox
from sandbox.workspace import Json, SlackError
from tests.sandbox import manifests
from tests.sandbox.bolt import connected, new_app


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    escaped = {**manifests.COMMAND, "command": "/typist-who", "should_escape": True}
    async with Sandbox(manifest=manifests.classic(slash_commands=[manifests.COMMAND, escaped])) as sandbox:
        yield sandbox


@pytest.fixture
async def bolt(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[AsyncApp]:
    bolt = new_app(sandbox, session)
    async with connected(bolt, sandbox):
        yield bolt


async def test_a_command_is_told_and_its_answer_is_for_who_typed_it(sandbox: Sandbox, bolt: AsyncApp) -> None:
    heard: list[Json] = []

    @bolt.command("/typist")
    async def answer(ack: Any, command: Json, respond: Any) -> None:
        heard.append(command)
        await ack("At once.")
        await respond("And later.")

    await sandbox.client("ada").command("general", "/typist model  @grace large ")
    await sandbox.wait_for(lambda: len(sandbox.workspace.ephemerals) == 2)
    expected = {
        "command": "/typist",
        "text": "model  @grace large",
        "user_id": "U0ADA",
        "user_name": "ada",
        "channel_id": "C0GENERAL",
        "channel_name": "general",
        "team_id": sandbox.team_id,
    }
    assert expected.items() <= heard[0].items()
    assert heard[0]["trigger_id"]
    assert {(said.text, said.ephemeral_to) for said in sandbox.workspace.ephemerals} == {
        ("At once.", "U0ADA"),
        ("And later.", "U0ADA"),
    }
    assert sandbox.messages("general") == []


async def test_names_in_a_command_are_ids_where_the_manifest_says_so(sandbox: Sandbox, bolt: AsyncApp) -> None:
    heard: list[str] = []

    @bolt.command("/typist-who")
    async def answer(ack: Any, command: Json) -> None:
        heard.append(command["text"])
        await ack()

    await sandbox.client("ada").command("general", "/typist-who @grace #random <b> @nobody")
    assert heard == ["<@U0GRACE|grace> <#C0RANDOM|random> &lt;b&gt; @nobody"]


async def test_commands_that_go_wrong_are_said(sandbox: Sandbox) -> None:
    with pytest.raises(SlackError, match="unknown_command"):
        await sandbox.client("ada").command("general", "/tea")
    with pytest.raises(SlackError, match="app_not_responding"):
        await sandbox.client("ada").command("general", "/typist help")


async def test_a_message_shortcut_tells_the_message(sandbox: Sandbox, bolt: AsyncApp) -> None:
    heard: list[Json] = []

    @bolt.shortcut("ask_about")
    @bolt.shortcut("ask_anything")
    async def keep(ack: Any, body: Json) -> None:
        heard.append(body)
        await ack()

    ts = await sandbox.say("grace", "general", "What does this mean?")
    assert await sandbox.client("ada").use_message_shortcut("general", ts, "ask_about")
    assert await sandbox.client("ada").use_global_shortcut("ask_anything")
    about, anything = heard
    assert (about["type"], about["callback_id"], about["message_ts"]) == ("message_action", "ask_about", ts)
    assert (about["message"]["text"], about["user"]["id"]) == ("What does this mean?", "U0ADA")
    assert about["channel"] == {"id": "C0GENERAL", "name": "general"}
    assert about["trigger_id"] != anything["trigger_id"]
    assert anything["type"] == "shortcut"
    assert "channel" not in anything
    with pytest.raises(SlackError, match="unknown_shortcut"):
        await sandbox.client("ada").use_global_shortcut("ask_about")


async def test_without_interactivity_nothing_is_told() -> None:
    manifest = manifests.classic(shortcuts=[])
    manifest["settings"]["interactivity"]["is_enabled"] = False
    async with Sandbox(manifest=manifest) as sandbox:
        ts = await sandbox.say("ada", "general", "hi")
        with pytest.raises(SlackError, match="interactivity_not_enabled"):
            await sandbox.client("ada").press("general", ts, "stop", "forged")
