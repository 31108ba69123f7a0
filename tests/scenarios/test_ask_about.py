"""The message shortcut: a question about any message, asked in its thread for all to see and answered there."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.core.limits.caps import parse_caps
from bot.core.surfaces import commands
from bot.core.surfaces.modals import ASK_ABOUT, EXPLAIN
from bot.settings import Settings
from sandbox.server import Sandbox
from sandbox.workspace import Channel
from tests.scenarios.conftest import Stage, running
from tests.scenarios.test_commands import heard
from tests.streams.server import VendorServer


async def ask(stage: Stage, ts: str, words: str = "", channel: str = "general", user: str = "ada") -> dict[str, str]:
    client = stage.sandbox.client(user)
    assert await client.act_on(channel, ts, ASK_ABOUT)
    assert client.modal
    return await client.submit({"question": words} if words else {})


async def test_a_message_is_asked_about_in_its_thread(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "The <deploy> failed: disk full")
    assert await ask(stage, ts, "What now?") == {}
    question, answer = await stage.answers("general", ts, count=2)
    assert question == "<@U0ADA> asks about this message:\nWhat now?"
    assert answer == "The whole answer."
    (prompt,) = stage.prompts()
    assert prompt == [{"role": "user", "content": "alan: The <deploy> failed: disk full\n\nada: What now?"}]


@pytest.mark.parametrize(
    "words",
    [
        "Is 👍 a yes?",
        "👍",
        "see https://ci.example/1?a=1&b=2 and https://ci.example/2 :wave:",
        "<@U0ALAN> & <b>?\nNo `code`",
    ],
)
async def test_a_question_keeps_its_emoji_and_addresses(stage: Stage, words: str) -> None:
    ts = await stage.sandbox.say("ada", "general", "It failed")
    assert await ask(stage, ts, words) == {}
    await stage.answers("general", ts, count=2)
    await stage.sandbox.say("ada", "general", "and in short?", ts)
    await stage.answers("general", ts, count=3)
    said = words.replace(":wave:", "👋")
    assert stage.prompts()[1][0] == {"role": "user", "content": f"It failed\n\n{said}"}


async def test_without_a_question_it_is_explained_and_follow_ups_know_who_asked(stage: Stage) -> None:
    ts = await stage.sandbox.say("ada", "general", "E = mc²")
    assert await ask(stage, ts) == {}
    await stage.answers("general", ts, count=2)
    await stage.sandbox.say("ada", "general", "and in short?", ts)
    await stage.answers("general", ts, count=3)
    assert stage.prompts()[1] == [
        {"role": "user", "content": f"E = mc²\n\n{EXPLAIN}"},
        {"role": "assistant", "content": "The whole answer."},
        {"role": "user", "content": "and in short?"},
    ]


async def test_in_the_middle_of_a_thread_the_message_is_recalled(stage: Stage) -> None:
    root = await stage.sandbox.say("alan", "general", "Plans for Friday?")
    ts = await stage.sandbox.say("grace", "general", "We could\nmeet at <!here> & talk", root)
    assert await ask(stage, ts, "Is that wise?") == {}
    question, _ = await stage.answers("general", root, count=2)
    assert question.endswith("\nWe could meet at @here & talk\nIs that wise?")
    assert stage.prompts()[0][-1]["content"].endswith("ada:\n> We could meet at @here & talk\n\nIs that wise?")
    # So that they find the answer: nobody else is notified.
    assert {each.what for each in stage.sandbox.workspace.notified} == {"<@U0ADA>"}


async def test_where_the_bot_is_not_it_answers_in_the_persons_direct_message(stage: Stage) -> None:
    stage.sandbox.workspace.channels["C0LOBBY"] = Channel("C0LOBBY", "lobby", "channel", ["U0ADA", "U0ALAN"])
    ts = await stage.sandbox.say("alan", "lobby", "first line\nsecond line")
    assert await ask(stage, ts, "What is this?", "lobby") == {}
    dm = stage.sandbox.dm("ada")
    question, _ = await stage.answers(dm, None, count=2)
    assert question.endswith("first line\nsecond line\nWhat is this?")
    assert commands.ELSEWHERE in heard(stage)
    assert stage.prompts()[0][-1]["content"] == "> first line\n> second line\n\nWhat is this?"


async def test_a_guest_is_told_why_not_and_sees_no_modal(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "random", "hello")
    edith = stage.sandbox.client("edith")
    await edith.act_on("random", ts, ASK_ABOUT)
    assert edith.modal is None
    assert "guests only where" in heard(stage)


async def test_slack_over_its_limit_is_said_in_the_modal_and_nothing_is_asked(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "hello")
    stage.sandbox.faults.start("error_500", method="chat.postMessage", times=1)
    errors = await ask(stage, ts, "why?")
    assert "Please try again in a minute." in errors["question"]
    assert await stage.sandbox.client("ada").submit({"question": "why?"}) == {}
    assert len(await stage.answers("general", ts, count=2)) == 2


async def test_slack_over_its_limit_when_the_shortcut_is_used_is_a_sentence(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "hello")
    stage.sandbox.faults.start("rate_limit", method="views.open", times=1)
    await stage.sandbox.client("ada").act_on("general", ts, ASK_ABOUT)
    assert "Please try again in a minute." in heard(stage)


@pytest.fixture
async def capped(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    async with running(replace(settings, caps=parse_caps("user/day=1tokens"))):
        yield Stage(sandbox, vendor)


async def test_a_question_by_shortcut_is_under_its_askers_caps(capped: Stage) -> None:
    ts = await capped.sandbox.say("alan", "general", "hello")
    assert await ask(capped, ts, "why?") == {}
    await capped.answers("general", ts, count=2)
    assert await ask(capped, ts, "why again?") == {}
    assert "is used up" in (await capped.answers("general", ts, count=4))[-1]
    assert len(capped.vendor.requests) == 1
