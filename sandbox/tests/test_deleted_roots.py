"""Replies to deleted roots: Slack accepts a reply and posts it in the channel."""

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_name

GENERAL = "C0GENERAL"


@pytest.fixture(params=["gone", "tombstone"])
async def root(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    """Returns the ts of a deleted root, with and without a remaining reply."""
    ts = await sandbox.say("ada", "general", "question")
    if request.param == "tombstone":
        await sandbox.say("grace", "general", "reply", ts)
    await sandbox.delete("general", ts)
    return ts


async def test_reply_to_a_deleted_root_is_posted_in_the_channel(
    sandbox: Sandbox, web: AsyncWebClient, root: str
) -> None:
    before = {message.ts for message in sandbox.messages("general")}
    answer = await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    assert answer["ok"]
    assert "thread_ts" not in answer["message"]
    assert {message.ts for message in sandbox.messages("general")} == {*before, answer["ts"]}


async def test_ephemeral_reply_to_a_deleted_root_is_shown_in_the_channel(
    sandbox: Sandbox, web: AsyncWebClient, root: str
) -> None:
    await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="for you", thread_ts=root)
    (ephemeral,) = sandbox.workspace.ephemerals
    assert ephemeral.thread_ts is None


async def test_deleted_thread_is_not_found(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "question")
    assert (await web.conversations_replies(channel=GENERAL, ts=ts))["messages"]
    await sandbox.delete("general", ts)
    assert await error_name(web.conversations_replies(channel=GENERAL, ts=ts)) == "thread_not_found"
