"""A workspace of the sandbox, without other processes."""

from bot.clock import Clock
from bot.reply.workspace import Workspace
from bot.slack.client import SlackClient
from tests.reply.schedules import LoneLedger, RecordsInMemory


async def workspace_of(client: SlackClient, clock: Clock) -> Workspace:
    """Returns the client's workspace, with records in memory."""
    me = await client.identity()
    return Workspace(me, client, ledger=LoneLedger(), worker_queue=RecordsInMemory(), clock=clock)
