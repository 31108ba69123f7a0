"""The assistant pane and agent sessions: events, prompts, titles and status."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.manifest import SuggestedPrompt
from sandbox.server import Sandbox
from sandbox.workspace import Json, SlackError
from tests.sandbox import manifests
from tests.sandbox.conftest import ManualTime

ASK = {"title": "Ask", "message": "Why?"}


def events(sandbox: Sandbox) -> list[Json]:
    return [delivery.payload["event"] for delivery in sandbox.deliveries]


@pytest.fixture
async def assistant(clock: ManualTime) -> AsyncIterator[Sandbox]:
    async with Sandbox(monotonic=clock, manifest=manifests.assistant()) as sandbox:
        yield sandbox


@pytest.fixture
async def agent(clock: ManualTime) -> AsyncIterator[Sandbox]:
    async with Sandbox(monotonic=clock, manifest=manifests.agent()) as sandbox:
        yield sandbox


def web_of(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session)


async def test_assistant_thread_events_have_the_open_channel(assistant: Sandbox) -> None:
    ada = assistant.client("ada")
    ada.look_at("general")
    ts = ada.start_thread()
    ada.look_at("random")
    await assistant.say("ada", assistant.dm("ada"), "hi", ts)
    started, context_changed, message = events(assistant)
    thread = {"user_id": "U0ADA", "channel_id": assistant.dm("ada"), "thread_ts": ts}
    context: Json = {"channel_id": "C0GENERAL", "team_id": assistant.team_id, "enterprise_id": None}
    assert (started["type"], started["assistant_thread"]) == ("assistant_thread_started", thread | {"context": context})
    assert context_changed["type"] == "assistant_thread_context_changed"
    assert context_changed["assistant_thread"]["context"]["channel_id"] == "C0RANDOM"
    assert (message["channel_type"], message["thread_ts"]) == ("im", ts)


async def test_assistant_sets_prompts_title_and_status(
    assistant: Sandbox, session: aiohttp.ClientSession, clock: ManualTime
) -> None:
    web, dm = web_of(assistant, session), assistant.dm("ada")
    ts = assistant.client("ada").start_thread()
    assert assistant.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**manifests.PROMPTS[0]),)
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, thread_ts=ts, prompts=[ASK], title="Try")
    assert assistant.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**ASK),)
    assert assistant.panes.suggestions(dm, ts).title == "Try"
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await web.assistant_threads_setSuggestedPrompts(channel_id=dm, thread_ts=ts, prompts=[ASK] * 5)
    await web.assistant_threads_setTitle(channel_id=dm, thread_ts=ts, title="Why?")
    changed = events(assistant)[-1]
    assert changed["subtype"] == "message_changed"
    assert changed["message"]["subtype"] == "assistant_app_thread"
    assert changed["message"]["assistant_app_thread"]["title"] == "Why?"
    status: Any = {"channel_id": dm, "thread_ts": ts, "status": "is thinking…", "loading_messages": ["Reading…"]}
    await web.assistant_threads_setStatus(**status)
    clock.now_s += 119
    assert assistant.workspace.status(dm, ts) == "is thinking…"
    clock.now_s += 2
    assert assistant.workspace.status(dm, ts) is None
    with pytest.raises(SlackApiError, match="not_authorized"):
        await web.agents_sessions_setStatus(channel_id=dm, thread_ts=ts, status="processing")


async def test_agent_receives_events_about_its_messages_tab(agent: Sandbox, session: aiohttp.ClientSession) -> None:
    web, dm, ada = web_of(agent, session), agent.dm("ada"), agent.client("ada")
    ada.look_at("general")
    ada.open_tab("messages")
    changed, opened = events(agent)
    entity = {"type": "slack#/types/channel_id", "value": "C0GENERAL", "team_id": agent.team_id}
    assert changed == {"type": "app_context_changed", "context": {"entities": [entity]}}
    (authorization,) = agent.deliveries[0].payload["authorizations"]
    assert (authorization["user_id"], authorization["is_bot"]) == ("U0ADA", False)
    assert (opened["type"], opened["tab"], opened["channel"]) == ("app_home_opened", "messages", dm)
    assert opened["context"] == {"entities": [entity]}
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=[ASK])
    assert agent.panes.suggestions(dm, None).prompts == (SuggestedPrompt(**ASK),)
    ts = await agent.say("ada", dm, "hi")
    await web.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=[ASK, ASK], thread_ts=ts)
    assert len(agent.panes.suggestions(dm, None).prompts) == 1
    assert agent.panes.suggestions(dm, ts).prompts == (SuggestedPrompt(**manifests.PROMPTS[0]),)


async def test_session_and_status_share_one_place(agent: Sandbox, session: aiohttp.ClientSession) -> None:
    """The last writer wins: a status removes Slack's own Stop, and a stream sets and ends the session."""
    web, dm = web_of(agent, session), agent.dm("ada")
    ts = await agent.say("ada", dm, "hi")
    place: Any = {"channel_id": dm, "thread_ts": ts}

    def shown() -> tuple[str | None, str | None]:
        agent_session = agent.panes.session(dm, ts)
        return agent.workspace.status(dm, ts), agent_session.status if agent_session else None

    await web.assistant_threads_setStatus(**place, status="is thinking…")
    await web.agents_sessions_setStatus(**place, status="processing")
    assert shown() == (None, "processing")
    await web.assistant_threads_setStatus(**place, status="is thinking…")
    assert shown() == ("is thinking…", "active")
    with pytest.raises(SlackError, match="session_not_processing"):
        agent.client("ada").stop(dm, ts)
    stream: Any = {"channel": dm, "thread_ts": ts, "recipient_team_id": agent.team_id, "recipient_user_id": "U0ADA"}
    for session_status, expected in ((None, "active"), ("processing", "processing"), ("suspended", "suspended")):
        streaming = (await web.chat_startStream(**stream))["ts"]
        assert shown() == (None, "processing")
        arguments = {"session_status": session_status} if session_status else {}
        await web.api_call("chat.stopStream", data={"channel": dm, "ts": streaming, **arguments})
        assert shown() == (None, expected)
    streaming = (await web.chat_startStream(**stream))["ts"]
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await web.api_call("chat.stopStream", data={"channel": dm, "ts": streaming, "session_status": "busy"})


async def test_stop_button_closes_streams_and_notifies_the_agent(
    agent: Sandbox, session: aiohttp.ClientSession
) -> None:
    web, dm = web_of(agent, session), agent.dm("ada")
    ts = await agent.say("ada", dm, "hi")
    response = await web.agents_sessions_setStatus(channel_id=dm, thread_ts=ts, status="processing", title="Greeting")
    assert (response["agent_status"], response["title"], response.get("warning")) == ("processing", "Greeting", None)
    stream: Any = {"channel": dm, "thread_ts": ts, "recipient_team_id": agent.team_id, "recipient_user_id": "U0ADA"}
    streaming = (await web.chat_startStream(**stream))["ts"]
    agent.client("ada").stop(dm, ts)
    stopped = events(agent)[-1]
    expected = {"type": "agent_session_stopped", "channel": dm, "thread_ts": ts, "user": "U0ADA"}
    assert expected.items() <= stopped.items()
    assert stopped["streaming_message_ts"] == [streaming]
    with pytest.raises(SlackApiError, match="stopped_by_user"):
        await web.chat_appendStream(channel=dm, ts=streaming, markdown_text="more")
    await web.agents_sessions_setStatus(channel_id=dm, thread_ts=ts, status="active")
    await web.agents_sessions_rename(channel_id=dm, thread_ts=ts, title="Renamed")
    agent_session = agent.panes.session(dm, ts)
    assert agent_session
    assert (agent_session.status, agent_session.title) == ("active", "Renamed")
