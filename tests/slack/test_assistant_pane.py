"""SlackPane: an agent's sessions leave room for their ends in the budget."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.core.conversation import ThreadKey
from bot.ports.clock import SystemClock
from bot.slack.assistant_pane import SESSIONS_A_MINUTE, SlackPane
from bot.slack.client import SlackClient
from bot.slack.paced_client import PacedClient
from bot.slack.rate_budget import RateBudget
from bot.store import Stores
from sandbox.server import Sandbox
from tests.sandbox import manifests


@pytest.fixture
async def budget() -> AsyncIterator[RateBudget]:
    stores = await Stores.open("sqlite://", "w1", SystemClock())
    yield RateBudget(stores.rate_ledger, SystemClock())
    await stores.close()


@pytest.mark.parametrize("is_agent", [True, False])
async def test_sessions_begin_only_in_agents_and_so_often_that_their_ends_fit_into_the_budget(
    budget: RateBudget, is_agent: bool
) -> None:
    app = manifests.agent() if is_agent else manifests.assistant()
    async with Sandbox(manifest=app) as sandbox, aiohttp.ClientSession() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        pane = SlackPane(PacedClient(client, budget, SystemClock()))
        threads = [
            ThreadKey(sandbox.team_id, "C0GENERAL", await sandbox.say("ada", "general", "hi"))
            for _ in range(SESSIONS_A_MINUTE + 1)
        ]
        begun = [await pane.begin_session(thread) for thread in threads]
        assert begun == ([True] * SESSIONS_A_MINUTE + [False] if is_agent else [False] * len(threads))
        for thread in threads[:-1]:
            await pane.end_session(thread)
        sessions = sandbox.panes.sessions("C0GENERAL").values()
        assert [session.status for session in sessions] == ["active"] * (SESSIONS_A_MINUTE * is_agent)
        asked = [call.method for call in sandbox.calls].count("agents.sessions.setStatus")
        assert asked == (2 * SESSIONS_A_MINUTE if is_agent else 1), "other apps ask once"
