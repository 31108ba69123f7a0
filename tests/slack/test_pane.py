"""Pane: statuses as Slack takes them, and an agent's sessions that leave room for their ends in the budget."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.clock import SystemClock
from bot.core.conversation import ThreadKey
from bot.slack.blockkit import Json
from bot.slack.surfaces import SESSIONS, SESSIONS_A_MINUTE, Pane, loading_message
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from tests.slack.workspaces import connected_workspace


@asynccontextmanager
async def pane_in(manifest: Json, threads: int = 1) -> AsyncIterator[tuple[Sandbox, Pane, list[ThreadKey]]]:
    """Starts a sandbox for an app; yields it, the app's pane, and threads of a channel."""
    async with connected_workspace(SystemClock(), manifest=manifest) as (sandbox, workspace):
        roots = [await sandbox.say("ada", "general", "hi") for _ in range(threads)]
        yield sandbox, workspace.pane, [ThreadKey(sandbox.team_id, "C0GENERAL", root) for root in roots]


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
async def test_slack_takes_every_status_as_a_loading_message(status: str, shown: str) -> None:
    assert loading_message(status) == shown
    async with pane_in(manifests.agent()) as (sandbox, pane, [thread]):
        await pane.set_status(thread, status)
        assert sandbox.workspace.loading_messages("C0GENERAL", str(thread.thread_ts)) == ((shown,) if shown else ())


async def test_status_is_plain_text() -> None:
    async with pane_in(manifests.agent()) as (sandbox, pane, [thread]):
        await pane.set_status(thread, "is searching R&amp;D <b>…")
        assert sandbox.workspace.status("C0GENERAL", str(thread.thread_ts)) == "is searching R&amp;D <b>…"


@pytest.mark.parametrize("is_agent", [True, False])
async def test_sessions_begin_only_in_agents_and_so_often_that_their_ends_fit_into_the_budget(is_agent: bool) -> None:
    app = manifests.agent() if is_agent else manifests.assistant()
    async with pane_in(app, SESSIONS_A_MINUTE + 1) as (sandbox, pane, threads):
        begun = [await pane.begin_session(thread) for thread in threads]
        assert begun == ([True] * SESSIONS_A_MINUTE + [None] if is_agent else [None] * len(threads))
        for thread in threads[:-1]:
            await pane.end_session(thread)
        sessions = sandbox.panes.sessions("C0GENERAL").values()
        assert [session.status for session in sessions] == ["active"] * (SESSIONS_A_MINUTE * is_agent)
        asked = [call.method for call in sandbox.calls].count("agents.sessions.setStatus")
        assert asked == (2 * SESSIONS_A_MINUTE if is_agent else 1), "other apps ask once"


async def test_no_session_begins_where_only_its_end_would_find_room() -> None:
    async with pane_in(manifests.agent()) as (_, pane, [thread]):
        for _ in range(pane._client.budget.spare_calls(SESSIONS)):
            await pane.end_session(thread)
        assert await pane.begin_session(thread) is None
