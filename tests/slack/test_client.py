"""The client: a token that Slack refuses, and requests for jobs that were taken over."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.triage import Identity
from bot.errors import Refusal, Refused
from bot.slack.client import (
    CHECK_INTERVAL_S,
    CONFIRM_DELAY_S,
    Installation,
    SlackClient,
    bot_credential,
    new_session,
    only_while,
    pages,
)
from slack_pacing.tests.simulated_time import run_simulated
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.processes import WITHIN_S
from tests.simulated_time import SimulatedClock
from tests.slack.workspaces import connected

REVOKED = Refused("chat.update", "token_revoked", Refusal.TOKEN_GONE)


@dataclass
class AuthTest:
    """Slack's auth.test: it refuses the token while a test says so."""

    refuses: bool = False
    at: list[float] = field(default_factory=list)
    """When it was asked."""

    async def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        if self.refuses:
            raise Refused("auth.test", "token_revoked", Refusal.TOKEN_GONE)


@pytest.mark.parametrize("is_bad", [True, False], ids=["confirmed", "cleared"])
def test_a_refused_call_counts_at_once_and_auth_test_soon_decides(
    is_bad: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        token, slack = bot_credential(SimulatedClock()), AuthTest(refuses=is_bad)
        watching = asyncio.create_task(token.watch(slack))
        await asyncio.sleep(10)
        for _ in range(3):
            token.on_call_refused(REVOKED)
        assert token.is_refused
        await asyncio.sleep(CONFIRM_DELAY_S + 0.1)
        assert (token.is_refused, slack.at) == (is_bad, [10 + CONFIRM_DELAY_S])
        slack.refuses = False
        await asyncio.sleep(CHECK_INTERVAL_S)
        assert (token.is_refused, token.problem) == (False, "")
        watching.cancel()

    with caplog.at_level(logging.INFO):
        run_simulated(work())
    refused, accepted = caplog.messages
    assert refused.startswith("Slack doesn't accept SLACK_BOT_TOKEN (token_revoked). Copy it again")
    assert accepted == "SLACK_BOT_TOKEN is accepted by Slack again"


@pytest.mark.parametrize("works_after_s", [0.1, 4.9, 6.0, 36.0, 3_606.0])
def test_a_token_that_works_again_is_noticed_within_10_s(works_after_s: float) -> None:
    """However long Slack has refused it: questions stay queued until then."""

    async def work() -> None:
        token, slack = bot_credential(SimulatedClock()), AuthTest(refuses=True)
        watching = asyncio.create_task(token.watch(slack))
        await asyncio.sleep(CHECK_INTERVAL_S)
        token.on_call_refused(REVOKED)
        await asyncio.sleep(works_after_s)
        slack.refuses = False
        await asyncio.sleep(10)
        assert not token.is_refused
        watching.cancel()

    run_simulated(work())


def test_a_token_that_no_call_doubts_is_looked_at_every_minute() -> None:
    async def work() -> None:
        token, slack = bot_credential(SimulatedClock()), AuthTest()
        watching = asyncio.create_task(token.watch(slack))
        await asyncio.sleep(2.5 * CHECK_INTERVAL_S)
        assert slack.at == [CHECK_INTERVAL_S, 2 * CHECK_INTERVAL_S]
        watching.cancel()

    run_simulated(work())


@pytest.mark.parametrize(
    ("error", "is_about_the_token"),
    [("token_revoked", True), ("account_inactive", True), ("invalid_auth", True), ("missing_scope", False)],
)
async def test_only_errors_about_the_token_are_reported(error: str, is_about_the_token: bool) -> None:
    reported: list[Refused] = []
    async with Sandbox() as sandbox, new_session() as session:
        sandbox.faults.start("refuse", method="users.info", error=error)
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session, reported.append)
        with pytest.raises(Refused) as refused:
            await client.call("users.info", user="U1")
        assert reported == [refused.value] * is_about_the_token


@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "reused connection"])
async def test_request_for_a_lost_job_is_withheld(reused: bool) -> None:
    async with connected() as (sandbox, web):
        if reused:
            await web.call("auth.test")
        with only_while(lambda: False), pytest.raises(Refused, match="RequestWithheld") as refused:
            await web.call("chat.postMessage", channel="C0GENERAL", text="late")
        assert refused.value.reason is Refusal.TRANSIENT
        with only_while(lambda: True):
            await asyncio.gather(*(web.call("chat.postMessage", channel="C0GENERAL", text="ours") for _ in range(2)))
        assert [message.text for message in sandbox.messages("general")] == ["ours", "ours"]


@pytest.mark.parametrize("status", [302, 307])
async def test_call_is_not_led_to_another_host_with_its_text(status: int) -> None:
    """A proxy's page to sign in may stand before Slack. With 307, another host would get all that a call says."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(65_536))
        head = f"HTTP/1.1 {status} Found\r\nLocation: http://localhost:{port}/login?secret\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, new_session() as session:
        port = server.sockets[0].getsockname()[1]
        client = SlackClient("xoxb-1", f"http://127.0.0.1:{port}/api/", session)
        with pytest.raises(Refused, match=f"127.0.0.1 answers with a redirect, HTTP {status}") as refused:
            await client.call("chat.postMessage", channel="C1", text="words")
    assert refused.value.reason is Refusal.TRANSIENT
    assert len(requests) == 1
    assert "secret" not in str(refused.value)


async def test_call_that_a_posts_listener_begins_outlives_the_posts_job() -> None:
    job_ended, begun = asyncio.Event(), list[asyncio.Task[object]]()
    async with connected() as (sandbox, web):

        async def call_afterwards() -> object:
            await job_ended.wait()
            return await web.call("assistant.threads.setStatus", channel_id="C0GENERAL", thread_ts=root, status="")

        web.on_post(lambda *_: begun.append(asyncio.create_task(call_afterwards())))
        root = await sandbox.say("ada", "general", "why?")
        with only_while(lambda: not job_ended.is_set()):
            await web.post(channel="C0GENERAL", text="ours", thread_ts=root)
        job_ended.set()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*begun)
        assert sandbox.calls[-1].method == "assistant.threads.setStatus"


async def test_call_that_goes_directly_heeds_no_proxy_not_even_one_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slack's SDK has read the variable for all addresses."""
    monkeypatch.setenv("HTTPS_PROXY", "http://[::1")
    async with connected() as (sandbox, client):
        assert (await client.call("auth.test"))["user_id"] == sandbox.bot_user_id


@pytest.mark.parametrize(
    ("cursors", "most", "asked"),
    [
        ([""], 3, [None]),
        (["a", "b", ""], 3, [None, "a", "b"]),
        (["a", "b", ""], 2, [None, "a"]),
        (["a", "a"], 9, [None, "a"]),
        (["a", "b", "a"], 9, [None, "a", "b"]),
    ],
    ids=["one page", "to the end", "no further than wanted", "a cursor that comes again", "an earlier cursor"],
)
async def test_list_is_read_page_by_page(cursors: Sequence[str], most: int, asked: Sequence[str | None]) -> None:
    sent: list[Mapping[str, Any]] = []

    async def call(method: str, **arguments: Any) -> Mapping[str, Any]:
        sent.append({"method": method, **arguments})
        return {"number": len(sent), "response_metadata": {"next_cursor": cursors[len(sent) - 1]}}

    read = [page["number"] async for page in pages(call, "users.list", most, limit=7)]
    assert read == list(range(1, len(asked) + 1))
    assert sent == [{"method": "users.list", "cursor": cursor, "limit": 7} for cursor in asked]


@pytest.mark.parametrize("has_pane", [True, False])
async def test_installation_is_what_slack_tells_of_the_app(has_pane: bool) -> None:
    manifest = manifests.agent() if has_pane else manifests.classic()
    async with connected(manifest=manifest) as (sandbox, web):
        found = await web.installation()
        answer = await web.call("auth.test")
    assert found.slack_time_s == pytest.approx(time.time(), abs=WITHIN_S)
    assert found == Installation(
        Identity(sandbox.team_id, sandbox.bot_user_id, answer["bot_id"], answer["user"], has_pane),
        answer["team"],
        frozenset(manifest["oauth_config"]["scopes"]["bot"]),
        found.slack_time_s,
    )


@pytest.mark.parametrize(
    ("api_url", "is_govslack"),
    [
        ("https://slack.com/api/", False),
        ("https://slack-gov.com/api/", True),
        ("https://acme.slack-gov.com/api/", True),
        ("https://slack.com/slack-gov.com", False),
        ("https://slack-gov.com.example/api/", False),
    ],
)
async def test_host_tells_govslack(api_url: str, is_govslack: bool) -> None:
    async with new_session() as session:
        assert SlackClient("xoxb-1", api_url, session).is_govslack is is_govslack


async def test_each_post_into_a_thread_is_told_of() -> None:
    told: list[tuple[str, str, bool]] = []
    async with connected(manifest=manifests.agent()) as (sandbox, web):
        root = await sandbox.say("ada", "random", "why?")
        web.on_post(lambda channel_id, thread_ts, is_stream: told.append((channel_id, thread_ts, is_stream)))
        channel, ts = await web.post(channel="C0RANDOM", text="at the root")
        await web.post(channel="C0RANDOM", text="in the thread", thread_ts=root)
        recipient = {"recipient_user_id": "U0ADA", "recipient_team_id": sandbox.team_id}
        await web.start_stream("C0RANDOM", root, **recipient)
        posted = [message.ts for message in sandbox.messages("random") if message.thread_ts is None]
    assert told == [("C0RANDOM", root, False), ("C0RANDOM", root, True)]
    assert (channel, [root, ts]) == ("C0RANDOM", posted)
