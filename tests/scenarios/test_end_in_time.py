"""SIGTERM ends the process within BOT_DRAIN_S + 5 s, even if Slack or the database is frozen."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from slack_sandbox.testing.processes import wait_for_line
from tests.contracts import databases
from tests.forked import ForkedBot, forked_bot
from tests.scenarios.conftest import asking, says
from tests.scenarios.process_ends import AT_MOST_S, clean, end_of
from tests.slack_process import SlackProcess, slack_process
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

UNFINISHED = VendorResponse(
    speech.chat(speech.tokens("Once there was a bot that wrote. " * 30))[:60], ending=ResponseEnd.HANG
)
"""A model that stops in the middle of an answer and keeps its connection open."""


@pytest.fixture
async def slack() -> AsyncIterator[SlackProcess]:
    async with slack_process() as slack:
        yield slack


@pytest.fixture
def own_server() -> Iterator[databases.PostgresqlServer]:
    with databases.server() as server:
        yield server


@asynccontextmanager
async def connected_bot(folder: Path, env: dict[str, str]) -> AsyncIterator[ForkedBot]:
    async with forked_bot(folder, "run", env=env) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        yield process


async def ask(slack: SlackProcess, vendor: VendorServer) -> None:
    await slack.ask()
    await vendor.request(0)


@pytest.mark.parametrize(
    "live", [pytest.param(False, id="idle", marks=pytest.mark.long), pytest.param(True, id="with a live answer")]
)
@pytest.mark.parametrize(
    ("frozen", "drain_s"), [("Slack", 0), ("Slack", 2), ("the database", 1), ("the database and Slack", 1)]
)
@pytest.mark.long(after_row=1)
async def test_shutdown_is_not_delayed_by_what_is_frozen(
    tmp_path: Path,
    slack: SlackProcess,
    vendor: VendorServer,
    request: pytest.FixtureRequest,
    frozen: str,
    drain_s: int,
    live: bool,
) -> None:
    vendor.script(UNFINISHED)
    env = {**asking(vendor), **slack.env, "BOT_DRAIN_S": str(drain_s)}
    with ExitStack() as stack:
        if "database" in frozen:
            env["DATABASE_URL"] = request.getfixturevalue("own_server").url
        async with connected_bot(tmp_path, env) as process:
            if live:
                await ask(slack, vendor)
            if "database" in frozen:
                stack.enter_context(request.getfixturevalue("own_server").standing_still())
            if "Slack" in frozen:
                stack.enter_context(slack.frozen())
            end = await end_of(process)
    assert end.code == 0, end.log
    assert end.took_s < (drain_s if live or frozen != "Slack" else 0) + AT_MOST_S, end.log
    assert clean(end.log), end.log


async def test_second_signal_ends_at_once_although_slack_is_frozen(
    tmp_path: Path, slack: SlackProcess, vendor: VendorServer
) -> None:
    vendor.script(UNFINISHED)
    async with connected_bot(tmp_path, {**asking(vendor), **slack.env, "BOT_DRAIN_S": "60"}) as process:
        await ask(slack, vendor)
        with slack.frozen():
            process.send_signal(signal.SIGTERM)
            await wait_for_line(process.stderr, "shutdown: waiting for live answers")
            end = await end_of(process)
    assert end.took_s < AT_MOST_S, end.log
    assert end.code == 0, end.log


async def test_answer_cut_off_by_a_frozen_slack_is_completed_by_the_next_process(
    tmp_path: Path, slack: SlackProcess, vendor: VendorServer
) -> None:
    vendor.script(UNFINISHED, says("The whole answer."))
    env = {**asking(vendor), **slack.env, "BOT_DRAIN_S": "0"}
    async with connected_bot(tmp_path, env) as first:
        await ask(slack, vendor)
        with slack.frozen():
            await end_of(first)
    async with connected_bot(tmp_path, env) as second:
        await wait_for_line(second.stderr, "job 1: attempt ended: ")
        assert len(vendor.requests) == 2
