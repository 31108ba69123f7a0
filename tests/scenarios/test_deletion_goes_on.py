"""A deletion that Slack interrupts or delays: later tries of the outbox complete it, while waits are skipped."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bot import app
from bot.core.actions import ReplyAction
from sandbox.server import Sandbox
from sandbox.workspace import Message
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import Stage, buttons, settings_of
from tests.scenarios.outages import CODE, until
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

pytestmark = pytest.mark.long

RATE_LIMIT_S = 300


@asynccontextmanager
async def answered() -> AsyncIterator[tuple[Stage, Sequence[Message]]]:
    """Yields a bot, and the messages of an answer of several pages with a file."""
    loop = asyncio.get_running_loop()
    async with Sandbox(ack_timeout_s=120.0, monotonic=loop.time) as sandbox, VendorServer() as vendor:
        vendor.script(VendorResponse(speech.chat([CODE])))
        shutdown, ready = app.Shutdown(), loop.create_future()
        running = asyncio.create_task(app.run(settings_of(sandbox, vendor), shutdown, ready.set_result, FastClock()))
        await ready
        stage = Stage(sandbox, vendor)
        try:
            root = await sandbox.say("ada", "general", "@typist code?")
            messages = await until(lambda: ended(stage, root), "the end of the answer")
            yield stage, messages
        finally:
            shutdown.requested.set()
            await running


def ended(stage: Stage, root: str) -> list[Message]:
    messages = stage.bots("general", root)
    has_all = any(message.files for message in messages) and any(ReplyAction.DELETE in buttons(m) for m in messages)
    return messages if has_all else []


async def deleted(stage: Stage, messages: Sequence[Message]) -> float:
    """Presses Delete; returns after how many seconds Slack shows none of these messages."""
    loop, root = asyncio.get_running_loop(), messages[0].thread_ts
    [page] = [message for message in messages if ReplyAction.DELETE in buttons(message)]
    pressed_at = loop.time()
    await stage.sandbox.client("ada").press("general", page.ts, ReplyAction.DELETE.value)
    await until(lambda: not stage.bots("general", root), "the deletion of the answer")
    return loop.time() - pressed_at


def test_message_of_a_file_is_deleted_although_only_its_file_was_at_first() -> None:
    async def run() -> None:
        async with answered() as (stage, messages):
            [attached] = [message for message in messages if message.files]
            stage.sandbox.faults.start("drop_request", method="chat.delete", containing=attached.ts, times=1)
            await deleted(stage, messages)
            calls = [call.arguments["ts"] for call in stage.sandbox.calls if call.method == "chat.delete" and call.ok]
            assert sorted(calls) == [message.ts for message in messages], "each message is deleted once"

    run_fast(run())


def test_deletion_that_waits_for_the_rate_limit_goes_on_soon_after_it() -> None:
    async def run() -> None:
        async with answered() as (stage, messages):
            stage.sandbox.faults.start("rate_limit", method="chat.delete", times=1, retry_after_s=RATE_LIMIT_S)
            assert RATE_LIMIT_S <= await deleted(stage, messages) < RATE_LIMIT_S + 100

    run_fast(run())
