"""Answers in Slack: where they appear, which context they have, and that each question gets exactly one."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot import settings as all_settings
from slack_sandbox.server import Sandbox
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, connected, running, says, shown
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.mark.parametrize("channel", ["general", "project-x", "C0MPDM"])
async def test_mention_is_answered_in_its_thread(stage: Stage, channel: str) -> None:
    asked = await stage.mention(channel=channel)
    assert await stage.answers(channel, asked) == ["The whole answer."]
    assert stage.bots(channel) == []


async def test_dm_at_the_root_is_answered_there_as_one_conversation(stage: Stage) -> None:
    place = stage.sandbox.dm("ada")
    stage.vendor.script(says("First answer."), says("Second answer."))
    await stage.sandbox.say("ada", place, "first?")
    assert await stage.answers(place, None) == ["First answer."]
    await stage.sandbox.say("ada", place, "second?")
    assert await stage.answers(place, None, count=2) == ["First answer.", "Second answer."]
    assert stage.prompts()[1] == [
        {"role": "user", "content": "first?"},
        {"role": "assistant", "content": "First answer."},
        {"role": "user", "content": "second?"},
    ]


async def test_dm_in_a_thread_is_answered_in_that_thread(stage: Stage) -> None:
    place = stage.sandbox.dm("ada")
    root = await stage.sandbox.say("ada", place, "root?")
    await stage.answers(place, None)
    await stage.sandbox.say("ada", place, "aside?", root)
    assert await stage.answers(place, root) == ["The whole answer."]


async def test_id_that_a_model_writes_is_shown_as_a_name_and_notifies_nobody(stage: Stage) -> None:
    private = stage.sandbox.workspace.channel("project-x").id
    written = f"Ask <@U0GRACE> in <#C0RANDOM>, not <@U0NOBODY1> in <#{private}>, or @U0ALAN, in <!subteam^S0OPS123>."
    stage.vendor.script(says(written, pause_s=0.01))
    asked = await stage.mention()
    said = "Ask @Grace in #random, not someone in a channel, or @Alan, in a group."
    assert await stage.answers("general", asked) == [said]
    [answer] = stage.bots("general", asked)
    sent = [block for revision in stage.sandbox.revisions("general", answer.ts) for block in revision.sent_blocks]
    frames = [block["text"] for block in sent if block["type"] == "markdown"]
    assert frames
    assert [frame for frame in frames if "U0" in frame or "C0" in frame or "S0" in frame] == []


async def test_follow_up_needs_no_mention_and_has_the_thread_as_context(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await stage.sandbox.say("ada", "general", "and why?", asked)
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[1] == [
        {"role": "user", "content": "what is it?"},
        {"role": "assistant", "content": "The whole answer."},
        {"role": "user", "content": "and why?"},
    ]


async def test_mention_in_peoples_thread_has_that_thread_as_context(stage: Stage) -> None:
    root = await stage.sandbox.say("ada", "general", "The build is red.")
    await stage.sandbox.say("grace", "general", "Since the last merge.", root)
    await stage.sandbox.say("ada", "general", "@typist any idea?", root)
    assert await stage.answers("general", root) == ["The whole answer."]
    (prompt,) = stage.prompts()
    names = [stage.sandbox.workspace.user(name).real_name for name in ("ada", "grace")]
    assert [unmarked(turn["content"]) for turn in prompt] == [
        f"{names[0]}: The build is red.\n\n{names[1]}: Since the last merge.\n\n{names[0]}: any idea?"
    ]


def when(stage: Stage, number: int) -> datetime:
    """Returns when it is by the line above the question in a request: a weekday, a date, a time and a zone."""
    last = stage.vendor.requests[number].body["messages"][-1]["content"]
    said = re.search(r"^\[[0-9a-f]{8} at (\w+) ([-\d]+ [:\d]+) UTC([-+:\d]+) America/St_Johns\]$", last, re.MULTILINE)
    assert said, last
    at = datetime.fromisoformat(said[2] + said[3])
    assert f"{at:%A}" == said[1]
    return at


async def test_model_knows_when_it_is_for_the_asker(stage: Stage) -> None:
    users = stage.sandbox.workspace.users
    users["U0ADA"] = replace(users["U0ADA"], tz="America/St_Johns")
    asked = await stage.mention("What is due tomorrow?")
    await stage.answers("general", asked)
    [request] = stage.vendor.requests
    at = when(stage, 0)
    assert abs(at.timestamp() - float(asked)) < 90
    assert at.utcoffset() == datetime.fromtimestamp(float(asked), ZoneInfo("America/St_Johns")).utcoffset()
    assert "is the current date and time" in request.body["messages"][0]["content"]


API_OF: Mapping[str, tuple[Callable[[list[str]], list[bytes]], Mapping[str, str]]] = {
    "OpenAI's Responses": (speech.responses, {"BOT_OPENAI_API": "responses"}),
    "Chat Completions": (speech.chat, {}),
    "Anthropic": (speech.messages, {"ANTHROPIC_API_KEY": "key", "BOT_MODELS": "anthropic/m"}),
}


@pytest.mark.parametrize(("stream", "env"), API_OF.values(), ids=API_OF.keys())
async def test_next_prompt_begins_with_all_of_the_prompt_before(
    sandbox: Sandbox, vendor: VendorServer, stream: Callable[[list[str]], list[bytes]], env: Mapping[str, str]
) -> None:
    vendor.script(VendorResponse(stream(["The whole", " answer."])))
    env = {**connected(sandbox, vendor), "ANTHROPIC_BASE_URL": vendor.url, "DATABASE_URL": "sqlite://", **env}
    async with running(all_settings.read(env)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention("What is due today?")
        await stage.answers("general", asked)
        await stage.sandbox.say("ada", "general", "@typist and tomorrow?", asked)
        await stage.answers("general", asked, 2)
    first, second = (read_in_order(request.body) for request in vendor.requests)
    assert first.endswith("What is due today?")
    assert second.startswith(first)
    if "ANTHROPIC_API_KEY" in env:
        # Anthropic takes four: tools, instructions, the question before, and the whole request.
        assert [request.content.count(b'"cache_control"') for request in vendor.requests] == [3, 4]


def read_in_order(body: Mapping[str, Any]) -> str:
    """Returns what a model reads of a request, tools and system prompt first, without the breakpoints of caches."""
    system = "\n".join(_parts(body.get("system") or body.get("instructions") or ""))
    turns = body.get("messages") or body["input"]
    parts = [part for turn in turns for part in _parts(turn["content"])]
    return json.dumps(body["tools"]) + "\n".join([system, *parts])


def _parts(content: str | Sequence[Mapping[str, str]]) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content]


async def test_two_simultaneous_askers_never_see_each_others_text(stage: Stage) -> None:
    stage.vendor.script(
        lambda request: says(f"Answer to {unmarked(request.body['messages'][-1]['content'])} " * 60, pause_s=0.002)
    )
    places = {"ada": "general", "grace": "random", "alan": "general"}
    asked = {user: await stage.mention(f"{user}'s question", place, user) for user, place in places.items()}
    for user, ts in asked.items():
        assert await stage.answers(places[user], ts) == [(f"Answer to {user}'s question " * 60).rstrip()]
    others = {"ada": "grace", "grace": "alan", "alan": "ada"}
    for prompt in stage.prompts():
        user = prompt[-1]["content"].split("'")[0]
        assert others[user] not in str(prompt)


async def test_placeholder_is_posted_at_once_and_the_answer_grows_in_it(stage: Stage) -> None:
    stage.vendor.script(says("word " * 120, pause_s=0.02))
    asked = await stage.mention()
    (answer,) = await stage.answers("general", asked)
    (message,) = stage.bots("general", asked)
    seen = stage.sandbox.revisions("general", message.ts)
    lengths = [len(str(revision.sent_blocks)) for revision in seen]
    assert len(seen) >= 4
    assert lengths[1:-1] == sorted(lengths[1:-1])
    assert answer == ("word " * 120).rstrip()


async def test_long_answer_continues_in_another_message_without_lost_or_doubled_text(stage: Stage) -> None:
    text = "".join(f"{number}: line of the answer\n" for number in range(1_200))
    stage.vendor.script(says(text))
    asked = await stage.mention()
    pages = await stage.answers("general", asked, count=3)
    assert "\n".join(pages) == text.rstrip()


async def test_twin_and_redelivered_events_give_one_answer(stage: Stage) -> None:
    stage.sandbox.faults.start("redeliver")
    asked = await stage.mention()
    await stage.answers("general", asked)
    stage.sandbox.redeliver()
    again = await stage.mention("next?", channel="random")
    await stage.answers("random", again)
    assert len(stage.bots("general", asked)) == len(stage.bots("random", again)) == 1
    assert len(stage.vendor.requests) == 2


async def test_messages_not_for_the_bot_are_acknowledged_and_not_answered(stage: Stage) -> None:
    sandbox = stage.sandbox
    lunch = await sandbox.say("ada", "general", "lunch?")
    await sandbox.say("grace", "general", "yes", lunch)
    await sandbox.edit("general", lunch, "lunch, or not?")
    await sandbox.say_as_bot("ci", "general", "@typist build is red")
    await sandbox.say_as_bot("ci", "general", "@typist build is red", is_legacy=True)
    gone = await sandbox.say("ada", "random", "oh")
    await sandbox.delete("random", gone)
    await stage.delivered()
    asked = await stage.mention("are you there?")
    await stage.answers("general", asked)
    assert len(stage.vendor.requests) == 1
    assert all("why" not in shown(message) for message in stage.bots("general"))


async def test_models_text_notifies_nobody(stage: Stage) -> None:
    evil = "<!channel> <!here> <@UADA> <!subteam^S1> <https://evil.example|slack.com> "
    stage.vendor.script(says(evil * 30, pause_s=0.005))
    asked = await stage.mention()
    harmless = "@channel @here @UADA @S1 slack.com (https://evil.example) "
    assert await stage.answers("general", asked) == [(harmless * 30).rstrip()]
    assert stage.sandbox.workspace.notified == []


@pytest.mark.bot(max_concurrent_per_user=20)
async def test_twenty_simultaneous_questions_are_answered_within_slacks_budgets(stage: Stage) -> None:
    stage.vendor.script(says("word " * 60, pause_s=0.02))
    asked = [await stage.mention(f"{n}?", channel=("general", "random")[n % 2]) for n in range(20)]
    answers = await asyncio.gather(*(stage.answers(("general", "random")[n % 2], ts) for n, ts in enumerate(asked)))
    assert answers == [[("word " * 60).rstrip()]] * 20
    assert not [call for call in stage.sandbox.calls if call.error == "ratelimited"]


def test_sandbox_listens_on_this_machine_only(sandbox: Sandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")
