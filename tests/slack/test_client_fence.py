"""A request is withheld if its job was taken over while it waited for a connection."""

import asyncio

import pytest

from bot.errors import Refusal, Refused
from bot.slack.client import SlackClient, new_session, only_while
from sandbox.server import Sandbox
from tests.clocks import WITHIN_S


@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "reused connection"])
async def test_request_for_a_lost_job_is_withheld(reused: bool) -> None:
    async with Sandbox() as sandbox, new_session() as session:
        web = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        if reused:
            await web.call("auth.test")
        with only_while(lambda: False), pytest.raises(Refused, match="Withheld") as refused:
            await web.call("chat.postMessage", channel="C0GENERAL", text="late")
        assert refused.value.reason is Refusal.TRANSIENT
        with only_while(lambda: True):
            await asyncio.gather(*(web.call("chat.postMessage", channel="C0GENERAL", text="ours") for _ in range(2)))
        assert [message.text for message in sandbox.messages("general")] == ["ours", "ours"]


async def test_call_that_a_posts_listener_begins_outlives_the_posts_job() -> None:
    job_ended, begun = asyncio.Event(), list[asyncio.Task[object]]()
    async with Sandbox() as sandbox, new_session() as session:
        web = SlackClient(sandbox.bot_token, sandbox.api_url, session)

        async def call_afterwards() -> object:
            await job_ended.wait()
            return await web.call("assistant.threads.setStatus", channel_id="C0GENERAL", thread_ts=root, status="")

        web.posted = lambda channel_id, thread_ts: begun.append(asyncio.create_task(call_afterwards()))
        root = await sandbox.say("ada", "general", "why?")
        with only_while(lambda: not job_ended.is_set()):
            await web.post(channel="C0GENERAL", text="ours", thread_ts=root)
        job_ended.set()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*begun)
        assert sandbox.calls[-1].method == "assistant.threads.setStatus"
