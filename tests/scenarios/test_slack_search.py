"""A model searches Slack for the person who asked: over real sockets, with events' own action tokens."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.core.calls import RESULT_NOT_STORED
from bot.settings import Settings
from bot.slack import search
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, growing, manifest, running, says, shown
from tests.scenarios.tools import results_in, tools_in
from tests.streams import steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

FOUND = "Wombats launch on Friday"
"""What a colleague wrote."""
ANSWER = "It is on a weekday."
HANGS = VendorResponse(says("Let me see.").chunks[:2], ending=ResponseEnd.HANG)


def searches() -> VendorResponse:
    call = steps.chat_call(index=0, id="call_1", name=search.NAME)
    return VendorResponse(steps.chat(call, *steps.fragments(json.dumps({"query": "launch"}), 0)))


def searching() -> Any:
    """Returns the manifest of an app that may search public channels."""
    agent = manifest("manifest.agent.json")
    agent["oauth_config"]["scopes"]["bot"].append("search:read.public")
    return agent


pytestmark = [
    pytest.mark.bot(on_disk=True, slack_search=True, drain_s=0),
    pytest.mark.slack(manifest=searching()),
]


@pytest.fixture
async def sandbox(sandbox: Sandbox) -> Sandbox:
    await sandbox.say("grace", "random", FOUND)
    return sandbox


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "typist.db"


async def answered(stage: Stage, channel: str = "C0GENERAL") -> str:
    """Waits for the bot's only answer in a channel, wherever it stands, and returns its text."""

    def ended() -> str:
        messages = [
            message
            for message in stage.sandbox.workspace.messages(channel)
            if message.user_id == stage.sandbox.bot_user_id
        ]
        is_over = messages and not any(map(growing, messages))
        return shown(messages[-1]) if is_over and not stage.is_processing(channel, messages[-1].thread_ts) else ""

    return await stage.sandbox.wait_for(ended)


def action_tokens(sandbox: Sandbox) -> list[str]:
    events = [delivery.payload["event"] for delivery in sandbox.deliveries]
    return [event["assistant_thread"]["action_token"] for event in events if "assistant_thread" in event]


def stored(database: Path) -> str:
    """Returns everything that the database has, as text."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


@pytest.mark.parametrize("in_dm", [False, True], ids=["mention", "direct message"])
async def test_model_reads_what_slack_finds_and_nothing_of_it_is_stored(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database: Path, in_dm: bool
) -> None:
    vendor.script(searches(), says(ANSWER))
    stage, channel = Stage(sandbox, vendor), sandbox.dm("ada") if in_dm else "C0GENERAL"
    async with running(settings):
        await sandbox.say("ada", channel, "When is the launch?" if in_dm else "@typist when is the launch?")
        assert ANSWER in await answered(stage, channel)
    assert tools_in(vendor.requests[0]) == [search.NAME]
    [result] = results_in(stage.vendor.requests[1])
    assert FOUND in result
    assert "https://sandbox.slack.com/archives/C0RANDOM/p" in result
    dump, tokens = stored(database), action_tokens(sandbox)
    assert '{"query": "launch"}' in dump
    assert tokens
    assert [word for word in (FOUND, *tokens) if word in dump] == []


@pytest.mark.parametrize("channel", ["random", "partners"], ids=["guests", "Slack Connect"])
async def test_model_cannot_search_where_outsiders_read_the_answer(
    stage: Stage, vendor: VendorServer, channel: str
) -> None:
    vendor.script(says(ANSWER))
    await stage.answers(channel, await stage.mention("when is the launch?", channel))
    assert tools_in(vendor.requests[0]) == []


async def test_process_that_started_later_has_no_token_and_the_model_says_so(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    vendor.script(HANGS)
    async with running(settings):
        await stage.mention("when is the launch?")
        await vendor.request(0)
    vendor.script(searches(), says(ANSWER))
    async with running(settings):
        assert ANSWER in await answered(stage)
    assert results_in(stage.vendor.requests[2]) == [search.NO_TOKEN]


async def test_take_over_after_a_search_does_not_have_its_result(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database: Path
) -> None:
    stage = Stage(sandbox, vendor)
    vendor.script(searches(), HANGS)
    async with running(settings):
        await stage.mention("when is the launch?")
        await vendor.request(1)
        assert FOUND not in stored(database)
    vendor.script(says(ANSWER))
    async with running(settings):
        assert ANSWER in await answered(stage)
    assert FOUND in results_in(stage.vendor.requests[1])[0]
    assert results_in(stage.vendor.requests[2]) == [RESULT_NOT_STORED]
    assert sum(call.method == search.METHOD for call in sandbox.calls) == 1


@pytest.mark.bot(slack_search=Settings().slack_search)
async def test_search_is_off_by_default(stage: Stage, vendor: VendorServer) -> None:
    await stage.mention("when is the launch?")
    await answered(stage)
    assert tools_in(vendor.requests[0]) == []
