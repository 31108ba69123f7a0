"""Reply actions: what each button does, and the sentence for people who may not press it or press too late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.prompt import GO_ON
from bot.errors import EndReason
from bot.services import presses
from bot.settings import Settings
from bot.store.schema import feedback, turns
from slack_sandbox.events import EVENTS
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.web_api.http import SCOPES
from slack_sandbox.workspace import Message
from tests.pictures import buttons_below
from tests.scenarios.answers import answered, cut, on_record, press, reply, rows
from tests.scenarios.conftest import Stage, buttons, footer, growing, running, says, settings_of, shown
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"})),
]

UNFINISHED = VendorResponse(
    speech.chat(speech.tokens("Once there was a bot that wrote. " * 30))[:60], ending=ResponseEnd.HANG
)
NOT_HELPED = (
    f"{texts.actions.THANKS_NOT_HELPED}\n\n{texts.actions.button_list_text(list(texts.actions.DOWN_REASONS.values()))}"
)


@asynccontextmanager
async def growing_answer(stage: Stage) -> AsyncIterator[tuple[str, Message]]:
    stage.vendor.script(UNFINISHED, says("Another answer."))
    asked = await stage.mention()
    yield asked, await reply(stage, asked, "a bot that wrote")


async def test_stop_keeps_the_text(stage: Stage, settings: Settings) -> None:
    async with growing_answer(stage) as (asked, message):
        assert buttons(message) == [ReplyAction.STOP]
        assert await press(stage, message, ReplyAction.STOP) is None
        await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
        (text,) = await stage.answers("general", asked)
    assert text.startswith("Once there was a bot")
    assert texts.answers.STOPPED not in text
    (message,) = stage.bots("general", asked)
    assert footer(message) == "test · stopped"
    assert buttons(message) == buttons_below(EndReason.STOPPED)
    await on_record(settings)
    (turn,) = await rows(settings, turns)
    assert turn.answer.rstrip() == text
    assert turn.output_tokens > 10
    assert await press(stage, message, ReplyAction.STOP, value="") == texts.actions.BUTTON_OUTDATED


async def test_queued_question_can_be_stopped(stage: Stage) -> None:
    async with growing_answer(stage) as (asked, message):
        await stage.sandbox.say("ada", "general", "@typist and this?", asked)
        placeholder = await reply(stage, asked, texts.answers.QUEUED)
        assert buttons(placeholder) == [ReplyAction.STOP]
        assert await press(stage, placeholder, ReplyAction.STOP) == texts.actions.STOPPED_WHILE_QUEUED
        await press(stage, message, ReplyAction.STOP)
        await stage.sandbox.wait_for(lambda: len(stage.bots("general", asked)) == 1)
    await stage.answers("general", asked)
    assert len(stage.vendor.requests) == 1


async def test_regenerate_replaces_the_answer_in_place_and_keeps_the_previous_version(
    stage: Stage, settings: Settings
) -> None:
    long = "".join(f"{number}: line of the first answer\n" for number in range(700))
    pressed = asyncio.Event()
    second = VendorResponse(speech.chat(speech.tokens("The second.")), gates={0: pressed.wait})
    stage.vendor.script(says(long), second, says("A third."))
    asked = await stage.mention()
    await stage.answers("general", asked, count=2)
    await on_record(settings)
    first, last = stage.bots("general", asked)[:2]
    assert (buttons(first), buttons(last)) == ([], buttons_below(text=long, optional=[ReplyAction.CANVAS]))
    assert await press(stage, last, ReplyAction.REGENERATE) is None
    message = await reply(stage, asked, texts.answers.THINKING)
    assert message.ts == first.ts
    assert await press(stage, message, ReplyAction.REGENERATE, value="") == texts.actions.ANSWER_UNFINISHED
    pressed.set()
    await stage.sandbox.wait_for(lambda: len(stage.bots("general", asked)) == 1)
    assert await stage.answers("general", asked) == ["The second."]
    await on_record(settings)
    assert stage.prompts()[1] == [{"role": "user", "content": "why?"}]
    (message,) = stage.bots("general", asked)
    assert buttons(message) == buttons_below(has_previous=True)
    await stage.sandbox.say("ada", "general", "and then?", asked)
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[2][1] == {"role": "assistant", "content": "The second."}
    await on_record(settings)
    answers = [turn.answer for turn in await rows(settings, turns)]
    assert answers == [long, "The second.", "A third."]


async def test_continue_resumes_an_answer_at_its_length_limit(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(cut("One, two,\n\nthr"), cut("three, four,\n\nfi"), says("five."), says("Six."))
    asked, message = await answered(stage, settings)
    assert buttons(message) == buttons_below(EndReason.LENGTH_LIMIT)
    assert footer(message) == "test · incomplete"
    assert shown(message) == f"One, two,\n\nthr\n{texts.answers.LENGTH_LIMIT}"
    assert await press(stage, message, ReplyAction.CONTINUE) is None
    (message,) = await stage.sandbox.wait_for(
        lambda: [
            m
            for m in stage.bots("general", asked)
            if shown(m) == f"One, two,\n\nthree, four,\n\nfi\n{texts.answers.LENGTH_LIMIT}"
        ]
    )
    await on_record(settings)
    seen = [str(revision.blocks) for revision in stage.sandbox.revisions("general", message.ts)][2:]
    assert all("thr" in blocks for blocks in seen), "the earlier text must stay"
    assert await press(stage, message, ReplyAction.CONTINUE) is None
    await stage.sandbox.wait_for(lambda: footer(stage.bots("general", asked)[0]) == "test")
    assert await stage.answers("general", asked) == ["One, two,\n\nthree, four,\n\nfive."]
    await on_record(settings)
    (message,) = stage.bots("general", asked)
    assert buttons(message) == buttons_below()
    assert stage.prompts()[2] == [
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": "One, two,\n\nthree, four,"},
        {"role": "user", "content": GO_ON},
    ]
    assert await press(stage, message, ReplyAction.CONTINUE, value="") == texts.actions.BUTTON_OUTDATED
    assert await press(stage, message, ReplyAction.PREVIOUS, value="") == texts.actions.BUTTON_OUTDATED
    answers = [(turn.answer, turn.output_tokens > 0) for turn in await rows(settings, turns)]
    assert answers == [("", True), ("", True), ("One, two,\n\nthree, four,\n\nfive.", True)]


async def test_delete_removes_the_answer_from_slack_prompts_and_database(stage: Stage, settings: Settings) -> None:
    long = "".join(f"{number}: line of the answer\n" for number in range(3_000))
    stage.vendor.script(says(long), says("Next."))
    asked = await stage.mention()
    await stage.answers("general", asked, count=7)
    *_, file, last = stage.bots("general", asked)
    assert file.files
    assert await press(stage, last, ReplyAction.DELETE) is None
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    await stage.sandbox.say("ada", "general", "@typist next?", asked)
    assert await stage.answers("general", asked) == ["Next."]
    assert stage.prompts()[1] == [{"role": "user", "content": "why?\n\nnext?"}]
    (deleted, *_) = await rows(settings, turns)
    assert deleted.answer == ""
    assert deleted.output_tokens > 1_000


async def test_delete_of_a_growing_answer_stops_it_first(stage: Stage, settings: Settings) -> None:
    async with growing_answer(stage) as (asked, message):
        assert await press(stage, message, ReplyAction.DELETE, value="") is None
        await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
        await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    (turn,) = await rows(settings, turns)
    assert (turn.answer, turn.output_tokens > 10) == ("", True)


async def test_thumb_down_asks_why_and_one_press_says_it(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    alan = stage.sandbox.client("alan")
    assert await press(stage, message, ReplyAction.FEEDBACK, "alan", "down") == NOT_HELPED
    [notice] = stage.sandbox.workspace.ephemerals
    labels = [button["text"]["text"] for button in notice.blocks[-1]["elements"]]
    assert labels == ["It's wrong", "It's too long", "Not what I meant"]
    assert await alan.press("general", notice.ts, f"{ReplyAction.FEEDBACK_REASON}-too_long")
    await stage.sandbox.wait_for(
        lambda: stage.sandbox.workspace.ephemerals[0].text == texts.actions.REASON_NOTED["too_long"]
    )
    [notice] = stage.sandbox.workspace.ephemerals
    assert "actions" not in [block["type"] for block in notice.blocks]
    [vote] = await rows(settings, feedback)
    assert (vote.user_id, vote.value, vote.reason) == ("U0ALAN", -1, "too_long")


async def test_only_the_asker_or_an_admin_may_use_the_buttons(stage: Stage) -> None:
    async with growing_answer(stage) as (asked, message):
        for action in (ReplyAction.STOP, ReplyAction.REGENERATE, ReplyAction.CONTINUE, ReplyAction.DELETE):
            notice = await press(stage, message, action, "alan", value="")
            assert notice is not None, action
            assert notice.startswith("Only <@U0ADA> or a Typist admin (<@U0GRACE>) can "), action
            assert growing(stage.bots("general", asked)[0]), action
        assert await press(stage, message, ReplyAction.STOP, "grace") is None


async def test_buttons_work_after_a_restart(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> None:
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked, message = await answered(stage, settings)
    vendor.script(says("After the restart."))
    async with running(settings):
        assert await press(stage, message, ReplyAction.FEEDBACK, value="up") == texts.actions.THANKS_HELPED
        assert await press(stage, message, ReplyAction.REGENERATE) is None
        await stage.sandbox.wait_for(lambda: "After the restart." in shown(stage.bots("general", asked)[0]))


async def test_denied_asker_can_not_regenerate(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> None:
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked, message = await answered(stage, settings)
    async with running(replace(settings, allow_users=frozenset({"U0ALAN"}))):
        said = await press(stage, message, ReplyAction.REGENERATE)
    assert said == "You don't have access to this bot. Ask <@U0GRACE>."
    assert await stage.answers("general", asked) == ["The whole answer."]


async def test_slacks_own_stop_never_ends_the_queued_answer(vendor: VendorServer) -> None:
    async with Sandbox(scopes=SCOPES, subscribed=EVENTS | {"agent_session_stopped"}) as sandbox:
        stage = Stage(sandbox, vendor)
        async with running(settings_of(sandbox, vendor)), growing_answer(stage) as (asked, message):
            vendor.script(UNFINISHED)
            queued = await sandbox.say("ada", "general", "<@BOT> and after that?", asked)
            await sandbox.wait_for(
                lambda: any(texts.answers.QUEUED in shown(reply) for reply in stage.bots("general", asked))
            )
            stop = {"type": "agent_session_stopped", "channel": "C0GENERAL", "thread_ts": asked, "user": "U0ADA"}
            sandbox.emit({**stop, "streaming_message_ts": []})
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), WITHIN_S)
            await sandbox.wait_for(lambda: footer(stage.bots("general", asked)[0]) == "test · stopped")
            await vendor.request(1)
            assert stage.prompts()[1][-1]["content"] == "and after that?"
            # The same event again, while the queued job is being written.
            await sandbox.wait_for(lambda: any("a bot" in shown(reply) for reply in stage.bots("general", asked)[1:]))
            (sent,) = [event for event in sandbox.deliveries if event.payload["event"]["type"] == stop["type"]]
            sandbox.redeliver(sent.event_id)
            await sandbox.wait_for(lambda: len(sent.sent_at_s) == 2)
            vendor.script(says("Another answer."))
            await stage.answers("random", await stage.mention(channel="random", user="grace"))
            assert not vendor.requests[1].hung_up.is_set()
            assert growing(stage.bots("general", asked)[-1])
            assert message.ts < queued
            sandbox.emit({**stop, "streaming_message_ts": []})
            await asyncio.wait_for(vendor.requests[1].hung_up.wait(), WITHIN_S)


@pytest.mark.parametrize("double_press_s", [0.0, 60.0], ids=["late enough", "a double press"])
@pytest.mark.parametrize("action", buttons_below(EndReason.STOPPED))
async def test_each_button_that_follows_stop_has_an_effect_or_says_why_it_has_none(
    stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch, action: str, double_press_s: float
) -> None:
    monkeypatch.setattr(presses, "DOUBLE_PRESS_S", double_press_s)
    async with growing_answer(stage) as (asked, message):
        await press(stage, message, ReplyAction.STOP)
        await stage.sandbox.wait_for(lambda: action in buttons(stage.bots("general", asked)[0]))
        await on_record(settings)
        said = await press(stage, message, action)
        if double_press_s:
            assert said == texts.actions.JUST_STOPPED
            return
        left = [] if action == ReplyAction.DELETE else [True]
        await stage.sandbox.wait_for(
            lambda: ["Another answer." in shown(one) for one in stage.bots("general", asked)] == left
        )
