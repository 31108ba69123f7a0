"""What becomes of an answer that Slack lets nobody edit for days, while waits are skipped and hours are told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from benchmarks.outages import ToldClock
from bot.core.actions import ReplyAction
from bot.core.outbox import MAX_TRIES
from bot.settings import Settings
from bot.store import Stores
from bot.store.schema import outbox_entries
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.clocks import until_read
from tests.contracts.stores import count
from tests.scenarios.conftest import Stage, buttons, growing, running, says, shown
from tests.scenarios.outages import GIVE_UP_S, until
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

TEXT = " ".join(f"word{number}" for number in range(40))
CHANNEL = "project-x"
HOUR_S = 3_600.0
WEEKEND_H, LATER_H = MAX_TRIES + 6, 3
EDITS = ("chat.update", "chat.postMessage", "chat.delete")


def archive(sandbox: Sandbox) -> None:
    sandbox.workspace.channel(CHANNEL).archived = True


def unarchive(sandbox: Sandbox) -> None:
    channel, workspace = sandbox.workspace.channel(CHANNEL), sandbox.workspace
    channel.archived = False
    said = "<@U0ADA> un-archived the channel"
    workspace.post(Message(channel.id, workspace.next_ts(), "U0ADA", said, subtype="group_unarchive"))


def remove_bot(sandbox: Sandbox) -> None:
    sandbox.workspace.channel(CHANNEL).members.remove(sandbox.bot_user_id)


def invite_bot(sandbox: Sandbox) -> None:
    sandbox.workspace.join(CHANNEL, sandbox.bot_user_id, "U0ADA")


def break_slack(sandbox: Sandbox) -> None:
    sandbox.faults.start("error_500", method=None)
    sandbox.faults.start("drop_socket")


def mend_slack(sandbox: Sandbox) -> None:
    sandbox.faults.stop("error_500")


def revoke_token(sandbox: Sandbox) -> None:
    sandbox.faults.start("refuse", method=None, error="token_revoked")


def accept_token(sandbox: Sandbox) -> None:
    sandbox.faults.stop("refuse")


@dataclass(frozen=True)
class Closure:
    """What keeps Typist from its messages for days, and how it ends."""

    begin: Callable[[Sandbox], None]
    end: Callable[[Sandbox], None]
    is_tried: bool = True
    """Whether the outbox tries meanwhile."""


CLOSURES = {
    "an archived channel": Closure(archive, unarchive),
    "a channel that removed Typist": Closure(remove_bot, invite_bot),
    "an outage of Slack": Closure(break_slack, mend_slack),
    "a token that is revoked": Closure(revoke_token, accept_token, is_tried=False),
}


@pytest.mark.parametrize(
    "closure",
    [
        pytest.param(closure, id=name, marks=() if name == "an outage of Slack" else pytest.mark.long)
        for name, closure in CLOSURES.items()
    ],
)
@pytest.mark.long
async def test_end_of_an_answer_is_shown_once_slack_takes_it_after_a_weekend(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores, closure: Closure
) -> None:
    vendor.script(says(TEXT, 0.5))
    stage, clock = Stage(sandbox, vendor), ToldClock()

    async def pass_hours(hours: int) -> None:
        for _ in range(hours):
            clock.ahead_s += HOUR_S
            await asyncio.sleep(2.5)

    async def tries() -> int:
        async with another_process.database.engine.connect() as connection:
            return int(await connection.scalar(sa.select(sa.func.max(outbox_entries.c.tries))) or 0)

    async with running(settings, clock):
        asked = await stage.mention(channel=CHANNEL)
        await until(lambda: [m for m in stage.bots(CHANNEL, asked) if "word1" in shown(m)], "words")
        closure.begin(sandbox)
        await until_read(lambda: count(another_process, outbox_entries), "an outbox entry", GIVE_UP_S, look_s=1.0)
        await pass_hours(WEEKEND_H)
        assert (await tries() >= MAX_TRIES) is closure.is_tried
        [left], tried = stage.bots(CHANNEL, asked), len(stage.calls(*EDITS))
        assert ReplyAction.STOP in buttons(left)
        await pass_hours(LATER_H)
        assert len(stage.calls(*EDITS)) == tried, "nobody tries for ever"
        closure.end(sandbox)
        await until(lambda: not any(map(growing, stage.bots(CHANNEL, asked))), "an end")
        # After an outage, the asker is mentioned below it, which may have happened already. A mention has no buttons.
        [ended] = [message for message in stage.bots(CHANNEL, asked) if buttons(message)]
        assert ReplyAction.REGENERATE in buttons(ended)
        await until_read(lambda: none_left(another_process), "an empty outbox", GIVE_UP_S, look_s=1.0)


async def none_left(store: Stores) -> bool:
    return await count(store, outbox_entries) == 0
