"""Threads whose first message was deleted: Slack takes a reply all the same, and shows it at the channel's root."""

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox

GENERAL = "C0GENERAL"


@pytest.fixture(params=["gone", "tombstone"])
async def root(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    """The ts of a thread's first message, which was deleted: with no reply, or with one that stays."""
    ts = await sandbox.say("ada", "general", "question")
    if request.param == "tombstone":
        await sandbox.say("grace", "general", "reply", ts)
    await sandbox.delete("general", ts)
    return ts


async def test_a_post_below_a_deleted_root_lands_in_the_channel(
    sandbox: Sandbox, web: AsyncWebClient, root: str
) -> None:
    before = {message.ts for message in sandbox.messages("general")}
    answer = await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    assert answer["ok"]
    assert "thread_ts" not in answer["message"]
    assert {message.ts for message in sandbox.messages("general")} == {*before, answer["ts"]}


async def test_a_whisper_below_a_deleted_root_lands_in_the_channel(
    sandbox: Sandbox, web: AsyncWebClient, root: str
) -> None:
    await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="for you", thread_ts=root)
    (shown,) = sandbox.workspace.ephemerals
    assert shown.thread_ts is None


async def test_a_thread_without_messages_is_not_found(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "question")
    assert (await web.conversations_replies(channel=GENERAL, ts=ts))["messages"]
    await sandbox.delete("general", ts)
    with pytest.raises(SlackApiError, match="thread_not_found"):
        await web.conversations_replies(channel=GENERAL, ts=ts)


async def test_a_post_below_a_living_root_tells_its_thread(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "question")
    answer = await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=ts)
    assert answer["message"]["thread_ts"] == ts
