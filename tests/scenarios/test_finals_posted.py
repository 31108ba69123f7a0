"""An answer that ends while edits are spent: its end is posted as a new message, which takes the old one's place."""

from pathlib import Path

import pytest

from bot.core.actions import ReplyAction
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.answers import reply
from tests.scenarios.conftest import Stage, buttons, growing, says, shown
from tests.scenarios.fleet import fleet_of
from tests.streams.server import VendorServer

TEXT = "".join(f"word{number} " for number in range(60))
PACE_S = 0.02


def spend_edits(sandbox: Sandbox) -> None:
    """From now on Slack refuses each edit, as if somebody else had made a minute's worth of them."""
    sandbox.faults.start("rate_limit", method="chat.update", retry_after_s=60)


async def begun(stage: Stage) -> tuple[str, Message]:
    """A question, and its reply once it shows words."""
    asked = await stage.mention()
    return asked, await reply(stage, asked, "word3 ")


async def left_alone(stage: Stage, asked: str) -> Message:
    """The only message of the reply, once it has ended."""

    def only() -> list[Message]:
        messages = stage.bots("general", asked)
        return messages if len(messages) == 1 and not growing(messages[0]) else []

    return (await stage.sandbox.wait_for(only))[0]


@pytest.mark.skips_waits
async def test_end_takes_the_place_of_the_message_that_cannot_be_edited(stage: Stage) -> None:
    stage.vendor.script(says(TEXT, PACE_S), says("Another answer."))
    asked, before = await begun(stage)
    spend_edits(stage.sandbox)
    message = await left_alone(stage, asked)
    assert message.ts != before.ts
    assert shown(message).startswith(TEXT.rstrip())
    assert ReplyAction.REGENERATE in buttons(message)
    limited = [call for call in stage.sandbox.calls if call.error == "ratelimited"]
    assert len(limited) <= 4, "edits that were under way, and none after them"
    stage.sandbox.faults.stop("rate_limit")
    assert await stage.sandbox.client("ada").press("general", message.ts, f"{ReplyAction.FEEDBACK}-up")


async def test_killed_between_the_post_and_the_deletion_nothing_stays_doubled(
    sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, database_url: str
) -> None:
    vendor.script(says(TEXT, PACE_S))
    stage = Stage(sandbox, vendor)
    async with fleet_of(stage, tmp_path, database_url) as fleet:
        process = await fleet.start()
        asked, before = await begun(stage)
        sandbox.faults.start("drop_request", method="chat.delete")
        spend_edits(sandbox)
        doubled = await sandbox.wait_for(lambda: messages if len(messages := stage.bots("general", asked)) == 2 else [])
        await fleet.killed(process)
        sandbox.faults.stop("drop_request")
        await fleet.start()
        message = await left_alone(stage, asked)
    assert (before.ts, message.ts) == (doubled[0].ts, doubled[1].ts)
    assert shown(message).startswith(TEXT.rstrip())
    assert len(vendor.requests) == 1
