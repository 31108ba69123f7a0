"""Pane: statuses as Slack takes them, and an agent's sessions that leave room for their ends in the budget."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.clock import SystemClock
from bot.core.conversation import ThreadKey
from bot.slack.budget import RateBudget
from bot.slack.client import PacedClient, SlackClient
from bot.slack.surfaces import SESSIONS, SESSIONS_A_MINUTE, Pane, loading_message
from bot.store import Stores
from sandbox.server import Sandbox
from tests.sandbox import manifests


@pytest.fixture
async def budget() -> AsyncIterator[RateBudget]:
    stores = await Stores.open("sqlite://", "w1", SystemClock())
    yield RateBudget(stores.rate_ledger, SystemClock())
    await stores.close()


FAMILY = "👨‍👩‍👧"
"""One character for its reader, and eight for UTF-16."""


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("is thinking…", "is thinking…"),
        ("is running " + "x" * 38 + "…", "is running " + "x" * 38 + "…"),
        ("is running " + "x" * 39 + "…", "is running " + "x" * 38 + "…"),
        ("is searching a, b", "is searching a b"),
        ("is searching " + "word " * 20, "is searching word word word word word word word w…"),
        ("x" * 42 + FAMILY, "x" * 42 + FAMILY),
        ("x" * 43 + FAMILY, "x" * 43 + "…"),
        ("", ""),
        (",", ""),
    ],
)
async def test_slack_takes_every_status_as_a_loading_message(budget: RateBudget, status: str, shown: str) -> None:
    assert loading_message(status) == shown
    async with Sandbox(manifest=manifests.agent()) as sandbox, aiohttp.ClientSession() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        pane = Pane(PacedClient(client, budget, SystemClock()))
        thread = ThreadKey(sandbox.team_id, "C0GENERAL", await sandbox.say("ada", "general", "hi"))
        await pane.set_status(thread, status)
        assert sandbox.workspace.loading_messages("C0GENERAL", str(thread.thread_ts)) == ((shown,) if shown else ())


async def test_status_is_plain_text(budget: RateBudget) -> None:
    async with Sandbox(manifest=manifests.agent()) as sandbox, aiohttp.ClientSession() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        pane = Pane(PacedClient(client, budget, SystemClock()))
        thread = ThreadKey(sandbox.team_id, "C0GENERAL", await sandbox.say("ada", "general", "hi"))
        await pane.set_status(thread, "is searching R&amp;D <b>…")
        assert sandbox.workspace.status("C0GENERAL", str(thread.thread_ts)) == "is searching R&amp;D <b>…"


@pytest.mark.parametrize("is_agent", [True, False])
async def test_sessions_begin_only_in_agents_and_so_often_that_their_ends_fit_into_the_budget(
    budget: RateBudget, is_agent: bool
) -> None:
    app = manifests.agent() if is_agent else manifests.assistant()
    async with Sandbox(manifest=app) as sandbox, aiohttp.ClientSession() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        pane = Pane(PacedClient(client, budget, SystemClock()))
        threads = [
            ThreadKey(sandbox.team_id, "C0GENERAL", await sandbox.say("ada", "general", "hi"))
            for _ in range(SESSIONS_A_MINUTE + 1)
        ]
        begun = [await pane.begin_session(thread) for thread in threads]
        assert begun == ([True] * SESSIONS_A_MINUTE + [None] if is_agent else [None] * len(threads))
        for thread in threads[:-1]:
            await pane.end_session(thread)
        sessions = sandbox.panes.sessions("C0GENERAL").values()
        assert [session.status for session in sessions] == ["active"] * (SESSIONS_A_MINUTE * is_agent)
        asked = [call.method for call in sandbox.calls].count("agents.sessions.setStatus")
        assert asked == (2 * SESSIONS_A_MINUTE if is_agent else 1), "other apps ask once"


async def test_no_session_begins_where_only_its_end_would_find_room(budget: RateBudget) -> None:
    async with Sandbox(manifest=manifests.agent()) as sandbox, aiohttp.ClientSession() as session:
        pane = Pane(PacedClient(SlackClient(sandbox.bot_token, sandbox.api_url, session), budget, SystemClock()))
        thread = ThreadKey(sandbox.team_id, "C0GENERAL", await sandbox.say("ada", "general", "hi"))
        for _ in range(budget.spare(SESSIONS)):
            await pane.end_session(thread)
        assert await pane.begin_session(thread) is None
