"""What people do with answers that have ended, with the process dying at one of its transactions or calls to Slack.

Another process goes on. Wherever the first one died: in the end Slack shows exactly what is on record.
"""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from bot import app
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import Stage, manifest, settings_of
from tests.scenarios.shown_on_record import Shown
from tests.scenarios.test_each_call_behind_the_end_fails_once import change
from tests.scenarios.test_pictures_at_random import model
from tests.scenarios.tools import Notes
from tests.streams.server import VendorServer

TRANSACTION, CALL = "transaction", "call"
AT_MOST = rounds(2, 40)


@dataclass
class Process:
    """A process of the bot, which may die at one of its transactions or calls: it reaches nothing after that."""

    kind: str = ""
    dies_at: int | None = None
    made: list[str] = field(default_factory=list)
    is_dead: bool = False
    task: asyncio.Task[None] | None = None

    def makes(self, kind: str, name: str) -> bool:
        """Counts what the process does; returns whether it dies by that."""
        if kind != self.kind:
            return False
        self.made.append(name)
        return len(self.made) - 1 == self.dies_at

    def die(self) -> None:
        self.is_dead = True
        if self.task is not None:
            self.task.cancel()


PROCESS: ContextVar[Process] = ContextVar("process")
THE_TESTS_OWN = Process()


@contextmanager
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has each process die where it is to: before a transaction, or once Slack has a request that nobody hears of."""
    request = aiohttp.ClientSession._request

    async def requested(
        session: aiohttp.ClientSession, method: str, url: Any, **options: Any
    ) -> aiohttp.ClientResponse:
        process = PROCESS.get(THE_TESTS_OWN)
        if process.is_dead:
            raise aiohttp.ClientConnectionError
        response = await request(session, method, url, **options)
        if process.makes(CALL, str(url).rpartition("/")[2]):
            process.die()
            raise aiohttp.ClientConnectionError
        return response

    def begin(_connection: sa.Connection) -> None:
        process = PROCESS.get(THE_TESTS_OWN)
        if process.makes(TRANSACTION, TRANSACTION):
            process.die()
        if process.is_dead:
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(aiohttp.ClientSession, "_request", requested)
    sa.event.listen(sa.Engine, "begin", begin)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "begin", begin)
        monkeypatch.undo()


@asynccontextmanager
async def running(settings: Settings, *processes: Process) -> AsyncIterator[None]:
    """Runs one process after another, each until it dies."""
    shutdown, ready = app.Shutdown(), asyncio.Event()

    async def run() -> None:
        for process in processes:
            context = copy_context()
            context.run(PROCESS.set, process)
            bot = app.run(settings, shutdown, lambda _: ready.set(), FastClock(), tools=Notes())
            process.task = asyncio.create_task(bot, context=context)
            await asyncio.wait([process.task])
            if not process.is_dead:
                process.task.result()
                return

    supervising = asyncio.create_task(run())
    await ready.wait()
    try:
        yield
    finally:
        shutdown.requested.set()
        await supervising


async def behind_the_end(process: Process, folder: Path) -> int:
    """Has people do all that changes an ended answer; returns how much the process had done when people were done."""
    loop = asyncio.get_running_loop()
    url = f"sqlite:///{folder}/{process.kind}{process.dies_at}.db"
    sandbox = Sandbox(ack_timeout_s=120.0, manifest=manifest(), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor:
        vendor.script(model)
        settings = replace(settings_of(sandbox, vendor), database_url=url, done_mention_s=20)
        async with running(settings, process, *([] if process.dies_at is None else [Process()])):
            await change(Stage(sandbox, vendor))
            made = len(process.made)
            store = await Stores.open(url, "w2", FastClock())
            try:
                on_record = Shown(Stage(sandbox, vendor), store)
                await on_record.quiet()
                await on_record.check()
                assert on_record.compared == 2
            finally:
                await store.close()
    return made


@pytest.mark.long
@pytest.mark.parametrize("kind", [TRANSACTION, CALL])
def test_slack_shows_what_is_on_record_wherever_the_process_dies(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, deaths = {}, 0
    with mortal(monkeypatch):
        made = run_fast(behind_the_end(Process(kind), tmp_path))
        for number in sorted(random.sample(range(made), min(made, AT_MOST))):
            process = Process(kind, number)
            try:
                run_fast(behind_the_end(process, tmp_path))
            except AssertionError as error:
                problems[number, process.made[-1]] = str(error)
            deaths += process.is_dead
    assert problems == {}, f"of {made}"
    assert deaths
