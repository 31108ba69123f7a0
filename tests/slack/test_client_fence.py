"""A request is withheld if its job was taken over while it waited for a connection."""

import asyncio

import pytest

from bot.errors import Refusal, Refused
from bot.slack.client import SlackClient, new_session, only_while
from sandbox.server import Sandbox


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
