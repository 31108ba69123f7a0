"""Native streams and a thread's status."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox
from tests.sandbox.conftest import ManualClock

GENERAL = "C0GENERAL"


async def start(sandbox: Sandbox, web: AsyncWebClient, **fields: Any) -> str:
    root = await sandbox.say("ada", "general", "question")
    recipient = {"recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    answer = await web.chat_startStream(channel=GENERAL, thread_ts=root, **{**recipient, **fields})
    return str(answer["ts"])


async def error_of(web: AsyncWebClient, method: str, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await web.api_call(method, json={"channel": GENERAL, **arguments})
    return str(caught.value.response["error"])


async def test_stream_appends_text_until_stopped(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="One ")
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="**two** ")
    await web.chat_appendStream(channel=GENERAL, ts=ts, chunks=[{"type": "markdown_text", "text": "three"}])
    await web.chat_stopStream(channel=GENERAL, ts=ts, markdown_text=".")
    message = sandbox.workspace.message(GENERAL, ts)
    assert message.sent_blocks == ({"type": "markdown", "text": "One **two** three."},)
    assert [block["type"] for block in message.blocks] == ["rich_text"]
    assert await error_of(web, "chat.appendStream", ts=ts, markdown_text="x") == "message_not_in_streaming_state"
    await web.chat_update(channel=GENERAL, ts=ts, text="mended")


async def test_stream_is_closed_after_five_minutes(sandbox: Sandbox, web: AsyncWebClient, clock: ManualClock) -> None:
    ts = await start(sandbox, web)
    clock.now_s += 299
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="x")
    clock.now_s += 1
    assert await error_of(web, "chat.stopStream", ts=ts) == "message_not_in_streaming_state"


async def test_stream_is_limited_to_10_000_bytes(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="é" * 4_999)
    assert await error_of(web, "chat.appendStream", ts=ts, markdown_text="éé") == "msg_too_long"
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="é")


async def test_open_stream_cannot_be_edited(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web)
    assert await error_of(web, "chat.update", ts=ts, text="x") == "streaming_state_conflict"


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("thread_ts", "invalid_arguments"),
        ("recipient_team_id", "missing_recipient_team_id"),
        ("recipient_user_id", "missing_recipient_user_id"),
    ],
)
async def test_stream_requires_a_thread_and_a_recipient(
    sandbox: Sandbox, web: AsyncWebClient, missing: str, error: str
) -> None:
    root = await sandbox.say("ada", "general", "question")
    arguments = {"thread_ts": root, "recipient_team_id": "T0SANDBOX", "recipient_user_id": "U0ADA"}
    del arguments[missing]
    assert await error_of(web, "chat.startStream", **arguments) == error


async def test_status_ends_after_two_minutes_or_when_the_bot_posts(
    sandbox: Sandbox, web: AsyncWebClient, clock: ManualClock
) -> None:
    root = await sandbox.say("ada", "general", "question")

    async def set_status() -> None:
        await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")

    await set_status()
    assert sandbox.workspace.status(GENERAL, root) == "is thinking…"
    clock.now_s += 120
    assert sandbox.workspace.status(GENERAL, root) is None
    await set_status()
    await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    assert sandbox.workspace.status(GENERAL, root) is None
