"""Problems of an app that the page and the terminal report, and the sandbox with another project's app."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.blocks.choices import initial_choice, state_json
from slack_sandbox.problems import Problems
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.testing.requests import error_of
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import Json
from tests.conftest import SdkApp, sent_events


async def problems(sandbox: Sandbox, session: aiohttp.ClientSession) -> list[str]:
    async with session.get(f"{sandbox.url}/sandbox/state") as answer:
        state: Json = await answer.json()
    return [problem["text"] for problem in state["problems"]]


async def test_what_the_sandbox_lacks_is_no_error_of_slack(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    told: list[str] = []
    sandbox.problems.on_added.append(told.append)
    for _ in range(2):
        with pytest.raises(SlackApiError, match="The sandbox doesn't support the method"):
            await web.bookmarks_add(channel_id="C0GENERAL", title="a", type="link")
    assert told == await problems(sandbox, session)
    assert told == ["bookmarks.add: the sandbox doesn't support this method, although Slack might. See its README."]


async def test_refused_call_is_explained(sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession) -> None:
    sandbox.granted.discard("chat:write")
    assert await error_of(web, "chat.postMessage", channel="C0GENERAL", text="hi") == "missing_scope"
    expected = "chat.postMessage was refused: missing_scope (the app needs the scope chat:write)."
    assert await problems(sandbox, session) == [expected]


@pytest.mark.slack(ack_timeout_s=0.05, redelivery_delays_s=())
async def test_unacknowledged_event_is_explained(sandbox: Sandbox, app: SdkApp, session: aiohttp.ClientSession) -> None:
    app.acknowledge = False
    await app.connect()
    told = asyncio.Queue[str]()
    sandbox.problems.on_added.append(told.put_nowait)
    await sandbox.say("ada", "general", "hi")
    text = await asyncio.wait_for(told.get(), WITHIN_S)
    assert "didn't acknowledge the event message in time" in text
    assert await problems(sandbox, session) == [text]


async def test_mention_that_no_call_follows_is_explained(
    sandbox: Sandbox, app: SdkApp, session: aiohttp.ClientSession
) -> None:
    await app.connect()
    sandbox.problems.quiet_s = 0.05
    told: list[str] = []
    sandbox.problems.on_added.append(told.append)
    await sandbox.say("ada", "general", "hi")
    await sandbox.say("ada", "general", "@bot hi")
    await sandbox.wait_for(lambda: told)
    assert told == await problems(sandbox, session)
    assert [text.split(" within ")[0] for text in told] == ["No call followed the event app_mention"]


@pytest.mark.parametrize(
    ("event_type", "answers", "told"), [("app_mention", False, 1), ("app_mention", True, 0), ("message", False, 0)]
)
async def test_only_a_mention_that_no_call_follows_is_explained(event_type: str, answers: bool, told: int) -> None:
    problems = Problems(quiet_s=0.0)
    problems.on_acknowledged(event_type)
    if answers:
        problems.on_call(CallRecord("chat.postMessage", 0.0, 0.0, "C0GENERAL", None, None, {}))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(problems.newest_json()) == told


def joining() -> Json:
    """Returns the manifest of an app that joins channels, pins messages and is notified of new members."""
    manifest = manifests.classic()
    manifest["oauth_config"]["scopes"]["bot"] += ["channels:join", "pins:write", "channels:read"]
    manifest["settings"]["event_subscriptions"]["bot_events"].append("member_joined_channel")
    return manifest


@pytest.mark.slack(manifest=joining())
async def test_app_joins_a_public_channel_and_is_told_of_members(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.leave("random", sandbox.bot_user_id)
    assert (await web.conversations_join(channel="C0RANDOM"))["channel"]["is_member"]
    (joined,) = sent_events(sandbox)
    expected = {"type": "member_joined_channel", "user": sandbox.bot_user_id, "channel": "C0RANDOM"}
    assert expected.items() <= joined.items()
    assert (await web.conversations_join(channel="C0RANDOM"))["warning"] == "already_in_channel"
    ts = await sandbox.say("ada", "random", "keep this")
    await web.pins_add(channel="C0RANDOM", timestamp=ts)
    assert await error_of(web, "pins.add", channel="C0RANDOM", timestamp=ts) == "already_pinned"


def test_datetimepicker_gives_seconds() -> None:
    element: Json = {"type": "datetimepicker", "action_id": "when", "initial_date_time": 1_790_000_000}
    assert state_json(element, initial_choice(element))["selected_date_time"] == 1_790_000_000
    assert state_json(element, "2026-09-21T14:13")["selected_date_time"] == 1_789_999_980


async def test_page_shows_a_growing_stream_to_its_recipient_alone(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    root = await sandbox.say("ada", "general", "question")
    recipient: Any = {"recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    ts = (await web.chat_startStream(channel="C0GENERAL", thread_ts=root, markdown_text="a", **recipient))["ts"]
    seen = []
    for _ in range(2):
        async with session.get(f"{sandbox.url}/sandbox/state") as answer:
            messages = (await answer.json())["messages"]
        seen.append(next(message["only_for"] for message in messages if message["ts"] == ts))
        if len(seen) == 1:
            await web.chat_stopStream(channel="C0GENERAL", ts=ts)
    assert seen == ["U0ADA", None]


async def test_scheduled_message_is_posted_in_its_time(sandbox: Sandbox, web: AsyncWebClient) -> None:
    post_at = int(time.time()) + 3
    scheduled = await web.chat_scheduleMessage(channel="C0GENERAL", text="later", post_at=post_at)
    assert (scheduled["post_at"], sandbox.messages("general")) == (post_at, [])
    (message,) = await sandbox.wait_for(lambda: sandbox.messages("general"))
    assert (message.text, float(message.ts) >= post_at - 0.1) == ("later", True)
    assert sandbox._scheduled == {}, "a timer that is over must not be kept"
