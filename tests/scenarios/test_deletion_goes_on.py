"""A deletion that Slack interrupts or delays: later tries of the outbox complete it, while waits are skipped."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.core.actions import ReplyAction
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, buttons, says
from tests.scenarios.outages import CODE, until

pytestmark = pytest.mark.skips_waits

RATE_LIMIT_S = 300


async def answered(stage: Stage) -> Sequence[Message]:
    """Returns the messages of an answer of several pages with a file."""
    stage.vendor.script(says(CODE))
    asked = await stage.mention("code?")

    def ended() -> Sequence[Message]:
        messages = stage.bots("general", asked)
        has_all = any(one.files for one in messages) and any(ReplyAction.DELETE in buttons(one) for one in messages)
        return messages if has_all else []

    return await until(ended, "the end of the answer")


async def deleted(stage: Stage, messages: Sequence[Message]) -> float:
    """Presses Delete; returns after how many seconds Slack shows none of these messages."""
    loop, root = asyncio.get_running_loop(), messages[0].thread_ts
    [page] = [message for message in messages if ReplyAction.DELETE in buttons(message)]
    pressed_at = loop.time()
    await stage.sandbox.client("ada").press("general", page.ts, ReplyAction.DELETE.value)
    await until(lambda: not stage.bots("general", root), "the deletion of the answer")
    return loop.time() - pressed_at


@pytest.mark.long
async def test_message_of_a_file_is_deleted_although_only_its_file_was_at_first(stage: Stage) -> None:
    messages = await answered(stage)
    [attached] = [message for message in messages if message.files]
    stage.sandbox.faults.start("drop_request", method="chat.delete", containing=attached.ts, times=1)
    await deleted(stage, messages)
    calls = [call.arguments["ts"] for call in stage.calls("chat.delete") if call.ok]
    assert sorted(calls) == [message.ts for message in messages], "each message is deleted once"


@pytest.mark.long
async def test_deletion_that_waits_for_the_rate_limit_goes_on_soon_after_it(stage: Stage) -> None:
    messages = await answered(stage)
    stage.sandbox.faults.start("rate_limit", method="chat.delete", times=1, retry_after_s=RATE_LIMIT_S)
    assert RATE_LIMIT_S <= await deleted(stage, messages) < RATE_LIMIT_S + 100
