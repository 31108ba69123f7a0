"""An end that Slack did not accept, and that another process shows later in a new message, while waits are skipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot import app
from bot.core.actions import ReplyAction
from bot.settings import Settings
from bot.store import Stores
from bot.store.schema import outbox_entries
from sandbox.server import Sandbox
from tests.contracts.stores import count
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import Stage, buttons, footer, says, settings_of, shown
from tests.scenarios.outages import GIVE_UP_S, until
from tests.streams.server import VendorServer

pytestmark = pytest.mark.long

TEXT = " ".join(f"word{number}" for number in range(40))


@asynccontextmanager
async def process(settings: Settings) -> AsyncIterator[None]:
    shutdown, ready = app.Shutdown(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(app.run(settings, shutdown, ready.set_result, FastClock()))
    await ready
    try:
        yield
    finally:
        shutdown.requested.set()
        await running


@dataclass(frozen=True)
class Outage:
    """A sandbox whose model answers with TEXT, and the database that one process leaves to the next."""

    stage: Stage
    settings: Settings
    store: Stores

    @property
    def sandbox(self) -> Sandbox:
        return self.stage.sandbox

    async def until_the_end_is_in_the_outbox(self) -> None:
        for _ in range(int(GIVE_UP_S)):
            if await count(self.store, outbox_entries):
                return
            await asyncio.sleep(1)
        raise AssertionError("no outbox entry")


@asynccontextmanager
async def outage(folder: Path, *, word_s: float) -> AsyncIterator[Outage]:
    database_url = f"sqlite:///{folder}/typist.db"
    loop = asyncio.get_running_loop()
    async with Sandbox(ack_timeout_s=120.0, monotonic=loop.time) as sandbox, VendorServer() as vendor:
        vendor.script(says(TEXT, word_s))
        settings = replace(settings_of(sandbox, vendor), database_url=database_url, carrier="edit")
        store = await Stores.open(database_url, "reader", FastClock())
        yield Outage(Stage(sandbox, vendor), settings, store)
        await store.close()


def test_buttons_work_below_an_end_that_another_process_showed_in_a_new_message(tmp_path: Path) -> None:
    async def run() -> None:
        async with outage(tmp_path, word_s=0.05) as at:
            stage, faults = at.stage, at.sandbox.faults
            async with process(at.settings):
                faults.start("internal_error", method="chat.update")
                asked = await stage.mention()
                [placeholder] = await until(lambda: stage.bots("general", asked), "the placeholder")
                faults.start("error_500", method="chat.postMessage")
                await at.until_the_end_is_in_the_outbox()
            faults.stop("internal_error")
            faults.stop("error_500")
            faults.start("refuse", method="chat.update", containing=placeholder.ts)
            async with process(at.settings):
                await until(lambda: any(footer(message) for message in stage.bots("general", asked)), "the end")
                [message] = await until(
                    lambda: [m for m in stage.bots("general", asked) if ReplyAction.DELETE in buttons(m)], "the buttons"
                )
                assert (message.ts != placeholder.ts, shown(message)) == (True, TEXT)
                await until(lambda: [m.ts for m in stage.bots("general", asked)] == [message.ts], "one message")
                await at.sandbox.client("ada").press("general", message.ts, ReplyAction.DELETE.value)
                await until(lambda: not stage.bots("general", asked), "the deletion of the answer")

    run_fast(run())


def test_answer_in_a_channel_that_was_archived_has_an_end_once_the_channel_is_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with outage(tmp_path, word_s=0.5) as at, process(at.settings):
            stage, channel = at.stage, at.sandbox.workspace.channel("general")
            asked = await stage.mention()
            await until(lambda: [m for m in stage.bots("general", asked) if "word1" in shown(m)], "words")
            channel.archived = True
            await at.until_the_end_is_in_the_outbox()
            channel.archived = False
            [message] = await until(
                lambda: [m for m in stage.bots("general", asked) if ReplyAction.REGENERATE in buttons(m)], "an end"
            )
            assert TEXT.startswith(shown(message))
            assert "stopped" in footer(message)

    run_fast(run())
