"""The assistant pane and agent sessions: events, prompts, titles and status."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.manifest import SuggestedPrompt
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.requests import error_name, error_of
from slack_sandbox.workspace import Json, SlackError
from tests.conftest import ManualTime, sent_events

ASK = {"title": "Ask", "message": "Why?"}


ASSISTANT = pytest.mark.slack(manifest=manifests.assistant())
AGENT = pytest.mark.slack(manifest=manifests.agent())


@ASSISTANT
async def test_assistant_thread_events_have_the_open_channel(sandbox: Sandbox) -> None:
    ada = sandbox.client("ada")
    ada.look_at("general")
    ts = ada.start_thread()
    ada.look_at("random")
    await sandbox.say("ada", sandbox.dm("ada"), "hi", ts)
    started, context_changed, message = sent_events(sandbox)
    thread = {"user_id": "U0ADA", "channel_id": sandbox.dm("ada"), "thread_ts": ts}
    context: Json = {"channel_id": "C0GENERAL", "team_id": sandbox.team_id, "enterprise_id": None}
    assert (started["type"], started["assistant_thread"]) == ("assistant_thread_started", thread | {"context": context})
    assert context_changed["type"] == "assistant_thread_context_changed"
    assert context_changed["assistant_thread"]["context"]["channel_id"] == "C0RANDOM"
    assert (message["channel_type"], message["thread_ts"]) == ("im", ts)


@ASSISTANT
async def test_assistant_sets_prompts_title_and_status(
    sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime
) -> None:
    dm = sandbox.dm("ada")
    ts = sandbox.client("ada").start_thread()
    assert sandbox.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**manifests.PROMPTS[0]),)
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, thread_ts=ts, prompts=[ASK], title="Try")
    assert sandbox.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**ASK),)
    assert sandbox.panes.suggestions(dm, ts).title == "Try"
    too_many = {"channel_id": dm, "thread_ts": ts, "prompts": [ASK] * 5}
    assert await error_of(web, "assistant.threads.setSuggestedPrompts", **too_many) == "invalid_arguments"
    await web.assistant_threads_setTitle(channel_id=dm, thread_ts=ts, title="Why?")
    changed = sent_events(sandbox)[-1]
    assert changed["subtype"] == "message_changed"
    assert changed["message"]["subtype"] == "assistant_app_thread"
    assert changed["message"]["assistant_app_thread"]["title"] == "Why?"
    status: Any = {"channel_id": dm, "thread_ts": ts, "status": "is thinking…", "loading_messages": ["Reading…"]}
    await web.assistant_threads_setStatus(**status)
    clock.now_s += 119
    assert sandbox.workspace.status(dm, ts) == "is thinking…"
    clock.now_s += 2
    assert sandbox.workspace.status(dm, ts) is None
    session = {"channel_id": dm, "thread_ts": ts, "status": "processing"}
    assert await error_of(web, "agents.sessions.setStatus", **session) == "not_authorized"


@AGENT
async def test_agent_receives_events_about_its_messages_tab(sandbox: Sandbox, web: AsyncWebClient) -> None:
    dm, ada = sandbox.dm("ada"), sandbox.client("ada")
    ada.look_at("general")
    ada.open_tab("messages")
    changed, opened = sent_events(sandbox)
    entity = {"type": "slack#/types/channel_id", "value": "C0GENERAL", "team_id": sandbox.team_id}
    assert changed == {"type": "app_context_changed", "context": {"entities": [entity]}}
    (authorization,) = sandbox.deliveries[0].payload["authorizations"]
    assert (authorization["user_id"], authorization["is_bot"]) == ("U0ADA", False)
    assert (opened["type"], opened["tab"], opened["channel"]) == ("app_home_opened", "messages", dm)
    assert opened["context"] == {"entities": [entity]}
    ada.look_at("general", canvas_id="F0PLAN")
    canvas = {"type": "slack#/types/canvas_id", "value": "F0PLAN", "team_id": sandbox.team_id}
    assert sent_events(sandbox)[-1]["context"] == {"entities": [canvas, entity]}
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=[ASK])
    assert sandbox.panes.suggestions(dm, None).prompts == (SuggestedPrompt(**ASK),)
    ts = await sandbox.say("ada", dm, "hi")
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=[ASK, ASK], thread_ts=ts)
    assert len(sandbox.panes.suggestions(dm, None).prompts) == 1
    assert sandbox.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**manifests.PROMPTS[0]),)


@AGENT
async def test_session_and_status_share_one_place(sandbox: Sandbox, web: AsyncWebClient) -> None:
    """The last writer wins: a status removes Slack's Stop button, and a stream sets and ends the session."""
    dm = sandbox.dm("ada")
    ts = await sandbox.say("ada", dm, "hi")
    place: Any = {"channel_id": dm, "thread_ts": ts}

    def shown() -> tuple[str | None, str | None]:
        agent_session = sandbox.panes.session(dm, ts)
        return sandbox.workspace.status(dm, ts), agent_session.status if agent_session else None

    await web.assistant_threads_setStatus(**place, status="is thinking…")
    await web.agents_sessions_setStatus(**place, status="processing")
    assert shown() == (None, "processing")
    await web.assistant_threads_setStatus(**place, status="is thinking…")
    assert shown() == ("is thinking…", "active")
    with pytest.raises(SlackError, match="session_not_processing"):
        sandbox.client("ada").stop(dm, ts)
    stream: Any = {"channel": dm, "thread_ts": ts, "recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    for session_status, expected in ((None, "active"), ("processing", "processing"), ("suspended", "suspended")):
        streaming = (await web.chat_startStream(**stream))["ts"]
        assert shown() == (None, "processing")
        arguments = {"session_status": session_status} if session_status else {}
        await web.api_call("chat.stopStream", data={"channel": dm, "ts": streaming, **arguments})
        assert shown() == (None, expected)
    streaming = (await web.chat_startStream(**stream))["ts"]
    assert (
        await error_name(
            web.api_call("chat.stopStream", data={"channel": dm, "ts": streaming, "session_status": "busy"})
        )
        == "invalid_arguments"
    )


@AGENT
async def test_stop_button_closes_streams_and_notifies_the_agent(sandbox: Sandbox, web: AsyncWebClient) -> None:
    dm = sandbox.dm("ada")
    ts = await sandbox.say("ada", dm, "hi")
    response = await web.agents_sessions_setStatus(channel_id=dm, thread_ts=ts, status="processing", title="Greeting")
    assert (response["agent_status"], response["title"], response.get("warning")) == ("processing", "Greeting", None)
    stream: Any = {"channel": dm, "thread_ts": ts, "recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    streaming = (await web.chat_startStream(**stream))["ts"]
    sandbox.client("ada").stop(dm, ts)
    stopped = sent_events(sandbox)[-1]
    expected = {"type": "agent_session_stopped", "channel": dm, "thread_ts": ts, "user": "U0ADA"}
    assert expected.items() <= stopped.items()
    assert stopped["streaming_message_ts"] == [streaming]
    assert await error_name(web.chat_appendStream(channel=dm, ts=streaming, markdown_text="more")) == "stopped_by_user"
    await web.agents_sessions_setStatus(channel_id=dm, thread_ts=ts, status="active")
    agent_session = sandbox.panes.session(dm, ts)
    assert agent_session
    assert (agent_session.status, agent_session.title) == ("active", "Greeting")


@AGENT
async def test_session_is_renamed_by_the_agent_and_by_people_whom_it_hears_of(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    place: Any = {"channel_id": "C0GENERAL", "thread_ts": ts}
    assert await error_of(web, "agents.sessions.rename", **place, title="A title") == "not_authorized"
    with pytest.raises(SlackError, match="session_not_found"):
        sandbox.client("ada").rename("general", ts, "A title")
    await web.agents_sessions_setStatus(**place, status="active")
    await web.agents_sessions_rename(**place, title="By the agent")
    sandbox.client("grace").rename("general", ts, "By Grace")
    renamed = sent_events(sandbox)[-1]
    expected = {"type": "agent_session_title_changed", "channel": "C0GENERAL", "thread_ts": ts, "user": "U0GRACE"}
    assert expected.items() <= renamed.items()
    assert (renamed["previous_title"], renamed["title"]) == ("By the agent", "By Grace")
    agent_session = sandbox.panes.session("C0GENERAL", ts)
    assert agent_session
    assert agent_session.title == "By Grace"


@AGENT
async def test_statuses_and_titles_of_threads_can_be_gone_while_sessions_stay(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    dm = sandbox.dm("ada")
    place: Any = {"channel_id": dm, "thread_ts": await sandbox.say("ada", dm, "hi")}
    sandbox.faults.start("no_statuses")
    for method, arguments in {
        "assistant.threads.setStatus": {**place, "status": "is thinking…"},
        "assistant.threads.setTitle": {**place, "title": "A title"},
        "assistant.threads.setSuggestedPrompts": {"channel_id": dm, "prompts": [ASK]},
    }.items():
        assert await error_of(web, method, **arguments) == "method_deprecated"
    assert sandbox.workspace.status(dm, place["thread_ts"]) is None
    await web.agents_sessions_setStatus(**place, status="processing")
    await web.agents_sessions_rename(**place, title="A title")
