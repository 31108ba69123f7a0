"""The message shortcut: a question about any message, asked in its thread for everyone to see and answered there."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.settings import Settings
from bot.slack.views.question import ASK_ABOUT
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Channel
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import last_notice
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.slack(redelivery_delays_s=Sandbox.redelivery_delays_s)]


async def ask(stage: Stage, ts: str, words: str = "", channel: str = "general", user: str = "ada") -> dict[str, str]:
    client = stage.sandbox.client(user)
    assert await client.use_message_shortcut(channel, ts, ASK_ABOUT)
    assert client.modal
    return await client.submit({"question": words} if words else {})


async def test_message_is_asked_about_in_its_thread(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "The <deploy> failed: disk full")
    assert await ask(stage, ts, "What now?") == {}
    question, answer = await stage.answers("general", ts, count=2)
    assert question == "<@U0ADA> asks about this message:\nWhat now?"
    assert answer == "The whole answer."
    ((message,),) = stage.prompts()
    assert unmarked(message["content"]) == "Alan: The <deploy> failed: disk full\n\nAda: What now?"


async def test_empty_question_means_explain_and_follow_ups_know_the_asker(stage: Stage) -> None:
    ts = await stage.sandbox.say("ada", "general", "E = mc²")
    assert await ask(stage, ts) == {}
    await stage.answers("general", ts, count=2)
    await stage.sandbox.say("ada", "general", "and in short?", ts)
    await stage.answers("general", ts, count=3)
    assert stage.prompts()[1] == [
        {"role": "user", "content": f"E = mc²\n\n{texts.shortcut.EXPLAIN}"},
        {"role": "assistant", "content": "The whole answer."},
        {"role": "user", "content": "and in short?"},
    ]


async def test_failure_to_open_the_modal_is_reported(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "hello")
    stage.sandbox.faults.start("rate_limit", method="views.open", times=1)
    await stage.sandbox.client("ada").use_message_shortcut("general", ts, ASK_ABOUT)
    assert "Please try again in a minute." in last_notice(stage)


async def test_question_about_a_long_message_is_answered_in_a_direct_message_if_the_bot_is_not_in_the_channel(
    stage: Stage,
) -> None:
    """private_metadata holds a third of the message."""
    stage.sandbox.workspace.channels["C0LOBBY"] = Channel("C0LOBBY", "lobby", "channel", ["U0ADA", "U0ALAN"])
    long = "\n".join(f"line {number}: 障害の報告、とても長い行です。" for number in range(200))
    ts = await stage.sandbox.say("alan", "lobby", long)
    assert await ask(stage, ts, "What is this?", "lobby") == {}
    dm = stage.sandbox.dm("ada")
    question, _ = await stage.answers(dm, None, count=2)
    assert question.endswith(f"{long}\nWhat is this?")
    assert texts.shortcut.ASKED_IN_DIRECT_MESSAGE in last_notice(stage)
    quote = "\n".join(f"> {line}" for line in long.splitlines())
    assert unmarked(stage.prompts()[0][-1]["content"]) == f"What is this?\n\n{quote}"
    # The next question reads the post.
    await stage.sandbox.say("ada", dm, "and in short?")
    await stage.answers(dm, None, count=3)
    assert quote in str(stage.prompts()[1][0]["content"])


async def test_question_posted_during_shutdown_is_answered_by_the_next_process(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, tmp_path: Path
) -> None:
    ours = replace(settings, database_url=f"sqlite:///{tmp_path}/typist.db")
    stage = Stage(sandbox, vendor)
    ts = await sandbox.say("alan", "general", "hello")
    async with running(ours):
        client = sandbox.client("ada")
        await client.use_message_shortcut("general", ts, ASK_ABOUT)
        sandbox.faults.start("slow", method="chat.postMessage", times=1, delay_s=1.0)
        submitting = asyncio.create_task(client.submit({"question": "why?"}))
        await sandbox.wait_for(lambda: sandbox.faults.active("slow") is None)
    await asyncio.gather(submitting, return_exceptions=True)
    async with running(ours):
        assert len(await stage.answers("general", ts, count=2)) == 2
