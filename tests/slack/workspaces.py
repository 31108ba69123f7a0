"""A workspace of the sandbox, without other processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.clock import Clock
from bot.core.sign_in_urls import SignInUrls
from bot.core.surfaces import AppContext
from bot.reply.workspace import Workspace
from bot.slack.client import SlackClient, new_session
from slack_pacing.tests.ledgers import LoneLedger
from slack_sandbox.server import Sandbox
from tests.reply.schedules import KindsInMemory, RecordsInMemory

REDIRECT_URI = "http://127.0.0.1:47823/callback"


@asynccontextmanager
async def connected(**settings: Any) -> AsyncIterator[tuple[Sandbox, SlackClient]]:
    """Starts a sandbox with these settings; yields it and a client with the bot token."""
    async with Sandbox(**settings) as sandbox, new_session() as session:
        yield sandbox, SlackClient(sandbox.bot_token, sandbox.api_url, session)


@asynccontextmanager
async def connected_workspace(clock: Clock, **settings: Any) -> AsyncIterator[tuple[Sandbox, Workspace]]:
    """Starts a sandbox with these settings; yields it and its workspace."""
    async with connected(**settings) as (sandbox, client):
        yield sandbox, await workspace_of(client, clock)


async def nothing_open(team_id: str, user_id: str) -> AppContext:
    return AppContext()


async def workspace_of(client: SlackClient, clock: Clock) -> Workspace:
    """Returns the client's workspace, with records in memory."""
    me = await client.identity()
    return Workspace(
        me,
        client,
        ledger=LoneLedger(),
        worker_queue=RecordsInMemory(),
        account_kinds=KindsInMemory(clock),
        open_now=nothing_open,
        clock=clock,
        sign_in_urls=SignInUrls([REDIRECT_URI]),
    )
