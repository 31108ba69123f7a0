"""Opens Slack and the database for a subcommand. Their libraries are imported only when they are used."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bot.cli import WORKER
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.slack.client import SlackClient
    from bot.store import Stores


@asynccontextmanager
async def open_slack(ours: Settings, token: str | None = None) -> AsyncIterator["SlackClient"]:
    """Opens Slack's Web API with a token, or by default with the bot token."""
    from bot.slack.client import SlackClient, new_session

    async with new_session() as session:
        yield SlackClient(ours.slack_bot_token if token is None else token, ours.slack_api_url, session)


@asynccontextmanager
async def open_stores(ours: Settings) -> AsyncIterator["Stores"]:
    from bot.clock import SystemClock
    from bot.store import Stores

    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        yield stores
    finally:
        await stores.close()
