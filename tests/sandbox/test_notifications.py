"""Whom Slack notifies, when, and with which text."""

from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox

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
