"""Answers in Slack: where they appear, which context they have, and that each question gets exactly one."""

import asyncio
from dataclasses import replace

import pytest

from bot.core import texts
from bot.settings import Settings
from sandbox.server import Sandbox
from sandbox.web_api.http import CallRecord
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, buttons, growing, running, says, shown
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.mark.parametrize("channel", ["general", "project-x"])
async def test_mention_in_a_channel_is_answered_in_its_thread(stage: Stage, channel: str) -> None:
    asked = await stage.mention(channel=channel)
    assert await stage.answers(channel, asked) == ["The whole answer."]
    assert stage.bots(channel) == []


async def test_mention_in_a_group_dm_is_answered_in_its_thread(stage: Stage) -> None:
    group = next(place.id for place in stage.sandbox.workspace.channels.values() if place.type == "mpim")
    asked = await stage.mention(channel=group)
    assert await stage.answers(group, asked) == ["The whole answer."]


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
    names = [stage.sandbox.workspace.user(name).name for name in ("ada", "grace")]
    assert [unmarked(turn["content"]) for turn in prompt] == [
        f"{names[0]}: The build is red.\n\n{names[1]}: Since the last merge.\n\n{names[0]}: any idea?"
    ]


@pytest.mark.parametrize("text", ["@typist", "  @typist  "])
async def test_mention_without_text_gets_a_hint_and_no_model_request(stage: Stage, text: str) -> None:
    asked = await stage.sandbox.say("ada", "general", text)
    assert await stage.answers("general", asked) == [texts.HELP]
    assert buttons(stage.bots("general", asked)[0]) == []
    assert stage.vendor.requests == []


async def test_two_simultaneous_askers_never_see_each_others_text(stage: Stage) -> None:
    stage.vendor.script(
        lambda request: says(f"Answer to {request.body['messages'][-1]['content']} " * 60, pause_s=0.002)
    )
    asked = {
        user: await stage.mention(f"{user}'s question", user=user, channel=channel)
        for user, channel in (("ada", "general"), ("grace", "random"), ("alan", "general"))
    }
    for user, channel in (("ada", "general"), ("grace", "random"), ("alan", "general")):
        (text,) = await stage.answers(channel, asked[user])
        assert text == (f"Answer to {user}'s question " * 60).rstrip()
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


async def test_long_answer_continues_in_another_message_without_lost_or_doubled_text(
    stage: Stage,
) -> None:
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
    await sandbox.say_as_bot("ci", "general", "@typist build is red", old=True)
    gone = await sandbox.say("ada", "random", "oh")
    await sandbox.delete("random", gone)
    await sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in sandbox.deliveries))
    asked = await stage.mention("are you there?")
    await stage.answers("general", asked)
    assert len(stage.vendor.requests) == 1
    assert all("why" not in shown(message) for message in stage.bots("general"))


async def test_models_text_notifies_nobody(stage: Stage) -> None:
    evil = "<!channel> <!here> <@UADA> <!subteam^S1> <https://evil.example|slack.com> "
    stage.vendor.script(says(evil * 30, pause_s=0.005))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == [(evil * 30).rstrip()]
    assert stage.sandbox.workspace.notified == []


async def test_other_answers_finish_while_one_is_growing(stage: Stage) -> None:
    stage.vendor.script(says("slow " * 100, pause_s=0.06), says("Quick."))
    slow = await stage.mention("slow?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", slow))
    quick = await stage.mention("quick?", channel="random", user="grace")
    assert await stage.answers("random", quick) == ["Quick."]
    assert growing(stage.bots("general", slow)[0])
    await stage.answers("general", slow)


async def test_twenty_simultaneous_questions_are_answered_within_slacks_budgets(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    stage.vendor.script(says("word " * 60, pause_s=0.02))
    async with running(replace(settings, max_concurrent_per_user=20)):
        asked = [await stage.mention(f"{n}?", channel=("general", "random")[n % 2]) for n in range(20)]
        answers = await asyncio.gather(*(stage.answers(("general", "random")[n % 2], ts) for n, ts in enumerate(asked)))
    assert answers == [[("word " * 60).rstrip()]] * 20
    assert not [call for call in stage.sandbox.calls if call.error == "ratelimited"]


async def test_crowded_channel_delays_no_answer_elsewhere_where_slack_takes_few_posts(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    sandbox.faults.start("strict_posts")
    stage.vendor.script(says("word " * 20, pause_s=0.02))

    def limited() -> list[CallRecord]:
        return [call for call in sandbox.calls if call.error == "ratelimited"]

    async with running(replace(settings, max_concurrent_per_user=20)):
        crowd = [await stage.mention(f"{n}?") for n in range(12)]
        await sandbox.wait_for(limited)
        elsewhere = [
            (channel, await stage.mention(f"{channel}?", channel=channel)) for channel in ("random", "project-x")
        ]
        for channel, ts in [*elsewhere, *(("general", ts) for ts in crowd)]:
            assert await stage.answers(channel, ts) == [("word " * 20).rstrip()]
    assert len(limited()) <= 2
    posts = [call for call in sandbox.calls if call.method == "chat.postMessage"]
    after = [call.channel for call in posts[posts.index(limited()[-1]) :] if call.ok]
    assert set(after[: after.index("C0GENERAL")]) == {"C0RANDOM", "C0PROJECTX"}, "they wait for no Retry-After"


def test_sandbox_listens_on_this_machine_only(sandbox: Sandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")


async def test_reply_says_that_the_model_thinks_without_showing_its_thoughts(with_short_stall_timeout: Stage) -> None:
    stage = with_short_stall_timeout
    thoughts = [b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"secret "}}]}\n\n'] * 15
    tagged = speech.chat(["<think>", "secret", "</think>", "The answer."])
    stage.vendor.script(VendorResponse([*thoughts, *tagged], pause_s=0.1))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == ["The answer."]
    (reply,) = stage.bots("general", asked)
    seen = [str((revision.text, revision.blocks)) for revision in stage.sandbox.revisions("general", reply.ts)]
    assert texts.THINKING in seen[0]
    assert not any("secret" in text for text in seen)


async def test_reply_whose_text_is_still_withheld_has_valid_blocks(stage: Stage) -> None:
    stage.vendor.script(says(f"[the docs](https://docs.example/{'a' * 400}) say so.", pause_s=0.01))
    (answer,) = await stage.answers("general", await stage.mention())
    assert answer.endswith(") say so.")
    (reply,) = stage.bots("general", stage.sandbox.messages("general")[0].ts)
    assert reply.sent_blocks
    assert not [call for call in stage.sandbox.calls if call.error]
