"""An answer that ends while edits are spent: its end is posted as a new message, which takes the old one's place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.core.actions import ReplyAction
from sandbox.server import Sandbox
from sandbox.workspace import Message
from tests.clocks import WITHIN_S
from tests.forked import ForkedBot, forked_bot
from tests.processes import wait_for_line
from tests.scenarios.conftest import Stage, buttons, connected, growing, says, shown
from tests.streams.server import VendorServer

TEXT = "".join(f"word{number} " for number in range(60))
PACE_S = 0.02


def spend_edits(sandbox: Sandbox) -> None:
    """From now on Slack refuses each edit, as if somebody else had made a minute's worth of them."""
    sandbox.faults.start("rate_limit", method="chat.update", retry_after_s=60)


async def begun(stage: Stage) -> tuple[str, Message]:
    """A question, and its reply once it shows words."""
    asked = await stage.mention()
    replies = await stage.sandbox.wait_for(
        lambda: [reply for reply in stage.bots("general", asked) if "word3 " in shown(reply)]
    )
    return asked, replies[0]


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
    assert await stage.sandbox.client("ada").press("general", message.ts, ReplyAction.FEEDBACK.value, "up")


@pytest.mark.skips_waits
async def test_end_whose_post_gets_no_answer_stands_there_once(stage: Stage) -> None:
    stage.vendor.script(says(TEXT, PACE_S))
    asked, before = await begun(stage)
    stage.sandbox.faults.start("lose_response", method="chat.postMessage", times=1)
    spend_edits(stage.sandbox)
    message = await left_alone(stage, asked)
    assert message.ts != before.ts
    assert shown(message).startswith(TEXT.rstrip())


@pytest.fixture
async def processes(
    sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, database_url: str
) -> AsyncIterator[tuple[Stage, AsyncExitStack, dict[str, str]]]:
    async with AsyncExitStack() as stack:
        env = {**connected(sandbox, vendor), "DATABASE_URL": database_url}
        yield Stage(sandbox, vendor), stack, env


@pytest.mark.long
async def test_killed_between_the_post_and_the_deletion_nothing_stays_doubled(
    processes: tuple[Stage, AsyncExitStack, dict[str, str]], tmp_path: Path
) -> None:
    stage, stack, env = processes
    stage.vendor.script(says(TEXT, PACE_S))

    async def start() -> ForkedBot:
        process = await stack.enter_async_context(forked_bot(tmp_path, "run", env=env))
        await wait_for_line(process.stdout, "is connected to Slack")
        return process

    process = await start()
    asked, before = await begun(stage)
    stage.sandbox.faults.start("drop_request", method="chat.delete")
    spend_edits(stage.sandbox)
    doubled = await stage.sandbox.wait_for(
        lambda: messages if len(messages := stage.bots("general", asked)) == 2 else []
    )
    process.kill()
    await asyncio.wait_for(process.wait(), WITHIN_S)
    stage.sandbox.faults.stop("drop_request")
    await start()
    message = await left_alone(stage, asked)
    assert (before.ts, message.ts) == (doubled[0].ts, doubled[1].ts)
    assert shown(message).startswith(TEXT.rstrip())
    assert len(stage.vendor.requests) == 1
