"""A model reads the channel in which it is asked: over real sockets."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.core.calls import READ_CHANNEL
from bot.core.channel_settings import ChannelSettings
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.files import Mail
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID, Message
from tests.scenarios.conftest import Stage, manifest, running, says, settings_of, shown
from tests.scenarios.tools import results_in
from tests.streams import steps
from tests.streams.server import VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

DECISION = "We launch on Friday"
ANSWER = "You decided to launch on Friday."


def reads(**arguments: Any) -> VendorResponse:
    call = steps.chat_call(index=0, id="call_1", name=READ_CHANNEL)
    return VendorResponse(steps.chat(call, *steps.fragments(json.dumps(arguments), 0)))


def is_answer(message: Message) -> bool:
    """Whether a message is the whole answer, whose footer says how much was read."""
    return ANSWER in shown(message) and "read 1 message from today" in shown(message)


async def test_model_reads_what_the_channel_said_before_the_question(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, tmp_path: Path
) -> None:
    await sandbox.say("grace", "general", DECISION)
    await sandbox.say("grace", "random", "said elsewhere")
    vendor.script(reads(), says(ANSWER))
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked = await stage.mention("what did we decide?")
        await sandbox.wait_for(lambda: any(map(is_answer, stage.bots("general", asked))))
    assert READ_CHANNEL in str(vendor.requests[0].body["tools"])
    assert DECISION not in str(vendor.requests[0].body["messages"]), "only a bare mention reads it unasked"
    [result] = results_in(vendor.requests[1])
    assert DECISION in result
    assert "Grace, " in result
    assert "elsewhere" not in result
    with closing(sqlite3.connect(tmp_path / "typist.db")) as connection:
        assert DECISION not in "\n".join(connection.iterdump()), "what others wrote isn't kept"


@pytest.mark.bot(read_channel=False)
async def test_setting_turns_the_tool_off(stage: Stage, vendor: VendorServer) -> None:
    vendor.script(says(ANSWER))
    await stage.answers("general", await stage.mention("what did we decide?"))
    assert READ_CHANNEL not in str(vendor.requests[0].body["tools"])


@pytest.mark.parametrize("text", ["what did we decide?", "?"])
async def test_channel_that_turns_it_off_is_not_read(stage: Stage, another_process: Stores, text: str) -> None:
    await stage.sandbox.say("grace", "general", DECISION)
    await another_process.channel_settings.write(TEAM_ID, "C0GENERAL", ChannelSettings(read_channel=False))
    await stage.answers("general", await stage.mention(text))
    bodies = str([request.body for request in stage.vendor.requests])
    assert READ_CHANNEL not in bodies
    assert DECISION not in bodies


@pytest.mark.parametrize("text", ["", "?", "this?", "That."])
@pytest.mark.long(after_row=2)
async def test_bare_mention_reads_the_posts_before_it_as_others_words(stage: Stage, text: str) -> None:
    for number in range(12):
        await stage.sandbox.say("alan", "general", f"post {number:02}")
    await stage.sandbox.say("grace", "general", "Which day do we launch?")
    stage.vendor.script(says(ANSWER))
    asked = await stage.mention(text)
    [answer] = await stage.answers("general", asked)
    assert ANSWER in answer
    prompt = json.dumps(stage.vendor.requests[0].body["messages"])
    assert "Which day do we launch?" in prompt
    assert re.search(r"\[\w+-\w+ Grace\]", prompt), "each message says who wrote it"
    assert [f"post {number:02}" in prompt for number in range(12)] == [False] * 3 + [True] * 9
    assert "only mentions you" in prompt


async def test_bare_mention_in_a_thread_reads_the_thread_only(stage: Stage) -> None:
    await stage.sandbox.say("grace", "general", DECISION)
    root = await stage.sandbox.say("alan", "general", "Is the build green?")
    stage.vendor.script(says(ANSWER))
    await stage.sandbox.say("ada", "general", "@typist ?", root)
    await stage.answers("general", root)
    prompt = json.dumps(stage.vendor.requests[0].body["messages"])
    assert "Is the build green?" in prompt
    assert DECISION not in prompt


@pytest.mark.parametrize("in_thread", [True, False])
async def test_mail_to_the_channels_address_is_read_in_its_thread_and_below_it(stage: Stage, in_thread: bool) -> None:
    mail = Mail("Grace <grace@mail.example>", "Invoice 12", "Please pay by Friday. <@U0ADA>")
    ts = await stage.sandbox.receive_mail("general", mail)
    await stage.sandbox.say_as_slackbot("general", "Version 1.2.0 is out")
    stage.vendor.script(says(ANSWER))
    if in_thread:
        await stage.sandbox.say("ada", "general", "@typist what is to be paid?", ts)
    else:
        ts = await stage.mention("")
    await stage.answers("general", ts)
    prompt = stage.prompts()[0][-1]["content"]
    head = f"> From: {mail.sender}\n> Subject: {mail.subject}\n> Date: {mail.date}"
    assert re.search(rf"\[\w+ attached\]\nMail:\n{re.escape(head)}\n>\n> {mail.text}\n\[\w+ end\]", prompt)
    assert ("Version 1.2.0 is out" in prompt) is not in_thread


async def test_bare_mention_in_an_agents_direct_message_reads_no_earlier_posts(vendor: VendorServer) -> None:
    vendor.script(says("Noted."), says(ANSWER))
    async with Sandbox(manifest=manifest("manifest.agent.json")) as sandbox:
        stage, direct = Stage(sandbox, vendor), sandbox.dm("ada")
        async with running(settings_of(sandbox, vendor)):
            await stage.answers(direct, await sandbox.say("ada", direct, DECISION))
            await stage.answers(direct, await sandbox.say("ada", direct, "@typist ?"))
    assert [DECISION in json.dumps(request.body["messages"]) for request in vendor.requests] == [True, False]
