"""Slack's notifications: their recipients, time and text."""

from collections import deque
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox

GENERAL = "C0GENERAL"


def notified(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(each.user_id, each.text) for each in sandbox.notifications.sent]


async def test_stream_notifies_once_at_its_stop_with_its_first_text(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "question")
    recipient: Any = {"recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    ts = (await web.chat_startStream(channel=GENERAL, thread_ts=root, **recipient))["ts"]
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="First. ")
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="Second.")
    assert notified(sandbox) == []
    await web.chat_stopStream(channel=GENERAL, ts=ts)
    await web.chat_update(channel=GENERAL, ts=ts, text="Edited, <@U0GRACE>.")
    assert notified(sandbox) == [("U0ADA", "First.")]


async def test_notifications_are_counted_when_the_oldest_are_dropped(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.notifications.sent = deque(sandbox.notifications.sent, maxlen=2)
    for number in range(3):
        await sandbox.say("grace", "general", f"<@U0ADA> {number}")
    assert [text for _, text in notified(sandbox)] == ["<@U0ADA> 1", "<@U0ADA> 2"]
    assert sandbox.notifications.counts_json() == [{"user_id": "U0ADA", "count": 3}]
    assert Sandbox().notifications.sent.maxlen is not None


async def test_post_notifies_the_thread_and_the_mentioned_at_once(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    root = await sandbox.say("ada", "general", "question")
    await web.chat_postMessage(channel=GENERAL, thread_ts=root, text="Thinking…")
    posted = await web.chat_postMessage(channel=GENERAL, text="<@U0GRACE>, it is done.")
    await web.chat_update(channel=GENERAL, ts=posted["ts"], text="<@U0ADA>")
    await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="For you.")
    assert notified(sandbox) == [("U0ADA", "Thinking…"), ("U0GRACE", "<@U0GRACE>, it is done.")]
    async with session.get(f"{sandbox.url}/sandbox/state") as answer:
        counts = (await answer.json())["notifications"]
    assert counts == [{"user_id": "U0ADA", "count": 1}, {"user_id": "U0GRACE", "count": 1}]
