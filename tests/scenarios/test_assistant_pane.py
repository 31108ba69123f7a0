"""The assistant pane, for apps with assistant_view and with agent_view."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import READ_CHANNEL
from bot.slack.canvases_and_pins import NOT_READABLE
from slack_sandbox.files import UploadedFile
from slack_sandbox.manifest import SuggestedPrompt
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, buttons, manifest, says
from tests.scenarios.surfaces import with_assistant_view
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse

pytestmark = pytest.mark.skips_waits


APPS: dict[str, Callable[[], Any]] = {
    "assistant": with_assistant_view,
    "agent": lambda: manifest("manifest.agent.json"),
}


OF_ASSISTANT = pytest.mark.parametrize("sandbox", ["assistant"], indirect=True)
"""Marks what holds where a status stands: in an agent's thread, Slack's own Stop stands in its place."""
OF_AGENT = pytest.mark.parametrize("sandbox", ["agent"], indirect=True)


@pytest.fixture(params=APPS)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    app = APPS[request.param]()
    async with Sandbox(redelivery_delays_s=(0.0, 1.0, 2.0), manifest=app) as sandbox:
        yield sandbox


def enter(stage: Stage) -> str | None:
    """Opens the pane and returns its thread, if it has one before the first question."""
    client = stage.sandbox.client("ada")
    if stage.sandbox.config.pane == "assistant":
        return client.start_thread()
    client.open_tab("messages")
    return None


async def ask(stage: Stage, thread_ts: str | None, text: str = "why?", user: str = "ada") -> str:
    ts = await stage.sandbox.say(user, stage.sandbox.dm(user), text, thread_ts)
    return thread_ts or ts


async def prompts(stage: Stage, thread_ts: str | None) -> tuple[SuggestedPrompt, ...]:
    dm = stage.sandbox.dm("ada")
    return await stage.sandbox.wait_for(lambda: stage.sandbox.panes.suggestions(dm, thread_ts).prompts)


async def test_prompts_are_suggested_when_the_pane_opens(stage: Stage) -> None:
    shown = await prompts(stage, enter(stage))
    assert {prompt.title: prompt.message for prompt in shown} == texts.welcome.PANE_SUGGESTIONS


@OF_ASSISTANT
async def test_status_is_shown_until_the_first_words_and_removed_at_the_end(stage: Stage) -> None:
    stage.vendor.script(says("The whole answer.", pause_s=0.3))
    dm, thread_ts = stage.sandbox.dm("ada"), await ask(stage, enter(stage))
    await stage.sandbox.wait_for(
        lambda: stage.sandbox.workspace.status(dm, thread_ts) == texts.statuses.STATUS_THINKING
    )
    assert await stage.answers(dm, thread_ts, count=len(stage.bots(dm, thread_ts)) + 1)
    (answer,) = [message for message in stage.bots(dm, thread_ts) if message.ts != thread_ts]
    first, *_ = stage.sandbox.revisions(dm, answer.ts)
    assert "Thinking" not in str(first)
    await stage.sandbox.wait_for(lambda: stage.sandbox.workspace.status(dm, thread_ts) is None)


def has_own_root(stage: Stage) -> bool:
    """Whether a thread begins with a message that Slack writes for the bot."""
    return stage.sandbox.config.pane == "assistant"


async def growing_answer(stage: Stage) -> tuple[str, str, Message]:
    """Asks in the pane; returns the direct message, the thread, and an answer that shows words and goes on growing."""
    chunks = speech.chat(speech.tokens("Once there was a bot that wrote. " * 30))[:60]
    stage.vendor.script(VendorResponse(chunks, ending=ResponseEnd.HANG))
    dm, thread_ts = stage.sandbox.dm("ada"), await ask(stage, enter(stage))
    await stage.sandbox.wait_for(lambda: "Once there was a bot" in str(stage.bots(dm, thread_ts)))
    (answer,) = [message for message in stage.bots(dm, thread_ts) if message.ts != thread_ts]
    return dm, thread_ts, answer


async def test_answer_grows_from_its_first_words(stage: Stage) -> None:
    dm, thread_ts, answer = await growing_answer(stage)
    if stage.sandbox.config.pane == "agent":
        assert ReplyAction.STOP.value not in buttons(answer), "Slack shows its own"
        stage.sandbox.client("ada").stop(dm, thread_ts)
    else:
        await stage.sandbox.client("ada").press(dm, answer.ts, ReplyAction.STOP.value)
    await stage.answers(dm, thread_ts, count=1 + has_own_root(stage))


async def test_thread_is_titled_by_its_first_question(stage: Stage) -> None:
    dm, thread_ts = stage.sandbox.dm("ada"), await ask(stage, enter(stage), "**How** do I `git rebase`?")

    def title() -> str:
        session = stage.sandbox.panes.session(dm, thread_ts)
        root = stage.sandbox.workspace.message(dm, thread_ts)
        return session.title if session else root.title or ""

    await stage.sandbox.wait_for(lambda: title() == "How do I git rebase?")
    await stage.answers(dm, thread_ts, count=1 + has_own_root(stage))
    await ask(stage, thread_ts, "and then?")
    await stage.vendor.request(1)
    is_agent = stage.sandbox.config.pane == "agent"
    assert len(stage.calls("assistant.threads.setTitle")) == (not is_agent)
    assert len(stage.calls("agents.sessions.rename")) == is_agent
    assert stage.prompts()[1][0]["content"] == "**How** do I `git rebase`?"


@OF_AGENT
async def test_title_that_a_person_chose_stays(stage: Stage) -> None:
    sandbox, dm = stage.sandbox, stage.sandbox.dm("ada")
    web = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    thread_ts = str((await web.chat_postMessage(channel=dm, text="This week's numbers"))["ts"])
    await web.agents_sessions_setStatus(channel_id=dm, thread_ts=thread_ts, status="active")
    sandbox.client("ada").rename(dm, thread_ts, "Numbers")
    await stage.delivered()
    await ask(stage, thread_ts, "why so few?")
    await stage.answers(dm, thread_ts, count=2)
    await sandbox.wait_for(lambda: not stage.is_processing(dm, thread_ts))
    session = sandbox.panes.session(dm, thread_ts)
    assert session
    assert (session.title, stage.calls("agents.sessions.rename", "assistant.threads.setTitle")) == ("Numbers", [])


async def test_model_is_told_with_each_question_which_channel_is_open(stage: Stage) -> None:
    ada = stage.sandbox.client("ada")
    ada.look_at("general")
    thread_ts = await ask(stage, enter(stage))
    await stage.vendor.request(0)
    ada.look_at("project-x")
    await stage.delivered()
    await ask(stage, thread_ts, "and now?")
    await stage.vendor.request(1)
    first, second = (request.body["messages"] for request in stage.vendor.requests)
    assert "looking at the channel #general" in first[-1]["content"]
    assert "looking at the channel #project-x" in second[-1]["content"]
    assert second[: len(first)] == first, "what was open before stays where it was said"


@OF_AGENT
async def test_this_in_the_pane_means_the_message_that_is_open_and_the_model_can_read_it(stage: Stage) -> None:
    ts = await stage.sandbox.say("grace", "general", "The launch moves to Tuesday.")
    stage.sandbox.client("ada").look_at("general", ts)
    await stage.delivered()
    call = steps.chat_call(index=0, id="call_1", name=READ_CHANNEL)
    arguments = json.dumps({"channel": "C0GENERAL", "thread": ts})
    stage.vendor.script(VendorResponse(steps.chat(call, *steps.fragments(arguments, 0))), says("A launch."))
    thread_ts = await ask(stage, enter(stage), "what's this about?")
    await stage.answers(stage.sandbox.dm("ada"), thread_ts)
    asked, read = (request.body["messages"] for request in stage.vendor.requests)
    assert f"#general (C0GENERAL) at the message with ts {ts}" in asked[-1]["content"]
    assert "The launch moves to Tuesday." in read[-1]["content"], "the bot is in the channel, and only Ada reads this"


@OF_AGENT
@pytest.mark.parametrize("is_shared", [True, False], ids=["readable", "unreadable"])
async def test_this_in_the_pane_means_the_canvas_that_is_open_if_the_bot_can_read_it(
    stage: Stage, is_shared: bool
) -> None:
    channel = "general" if is_shared else "hr"
    if not is_shared:
        general = stage.sandbox.workspace.channel("general")
        stage.sandbox.workspace.channels["C0HR"] = replace(general, id="C0HR", name="hr", members=["U0ADA"])
    plan = UploadedFile("Launch plan.canvas", b"The launch moves to Tuesday.")
    await stage.sandbox.share("grace" if is_shared else "ada", channel, "our plan", [plan])
    [canvas] = stage.sandbox.files.all_files()
    stage.sandbox.client("ada").look_at(channel, canvas_id=canvas.id)
    await stage.delivered()
    call = steps.chat_call(index=0, id="call_1", name=READ_CHANNEL)
    arguments = json.dumps({"canvas": canvas.id})
    stage.vendor.script(VendorResponse(steps.chat(call, *steps.fragments(arguments, 0))), says("A launch."))
    thread_ts = await ask(stage, enter(stage), "what's this about?")
    await stage.answers(stage.sandbox.dm("ada"), thread_ts)
    asked, read = (request.body["messages"] for request in stage.vendor.requests)
    assert (f"the canvas “Launch plan” ({canvas.id})" in asked[-1]["content"]) is is_shared
    assert ("The launch moves to Tuesday." in read[-1]["content"]) is is_shared
    assert (NOT_READABLE in read[-1]["content"]) is not is_shared


async def test_each_question_at_the_root_opens_a_thread(stage: Stage) -> None:
    first, second = await ask(stage, None, "one?"), await ask(stage, None, "two?")
    dm = stage.sandbox.dm("ada")
    for thread_ts in (first, second):
        assert await stage.answers(dm, thread_ts) == ["The whole answer."]
    assert [len(prompt) for prompt in stage.prompts()] == [1, 1]


@OF_AGENT
async def test_agent_session_is_processing_while_it_is_answered(stage: Stage) -> None:
    stage.vendor.script(says("The whole answer.", pause_s=0.1))
    dm, thread_ts = stage.sandbox.dm("ada"), await ask(stage, enter(stage))
    await stage.sandbox.wait_for(lambda: stage.is_processing(dm, thread_ts))
    await stage.sandbox.wait_for(lambda: not stage.is_processing(dm, thread_ts))


async def test_answer_is_shown_although_slack_refuses_every_status(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.granted -= {"assistant:write"}
    stage.sandbox.faults.start("refuse", method="assistant.threads.setStatus", error="missing_scope")
    dm, thread_ts = stage.sandbox.dm("ada"), await ask(stage, enter(stage))
    answers = await stage.answers(dm, thread_ts, count=1 + has_own_root(stage))
    assert answers[-1] == "The whole answer."
    is_logged = stage.sandbox.config.pane == "assistant"
    await stage.sandbox.wait_for(lambda: ("status of thread" in caplog.text) == is_logged)
