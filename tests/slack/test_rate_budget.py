"""Calls that were sent while the ledger was unavailable are reported to it, at the latest when the process ends."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.errors import StoreError
from bot.slack.rate_budget import UNREPORTED_CALLS, RateBudget
from bot.store import Stores


@asynccontextmanager
async def unavailable(folder: Path, stores: Stores) -> AsyncIterator[None]:
    """Makes the database unavailable: another connection locks it, and these stores don't wait long for it."""
    async with stores.database.engine.begin() as connection:
        await connection.execute(sa.text("PRAGMA busy_timeout = 300"))
    with closing(sqlite3.connect(folder / "typist.db", isolation_level=None)) as locking:
        locking.execute("BEGIN EXCLUSIVE")
        yield


async def test_calls_during_a_database_outage_are_reported_when_the_process_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/typist.db"
    ours = await Stores.open(url, "w1", SystemClock())
    theirs = await Stores.open(url, "w2", SystemClock())
    budget = RateBudget(ours.rate_ledger, SystemClock())
    async with unavailable(tmp_path, ours):
        budget.sent("chat.update", 0.0, None)
        assert await budget.take("chat.update"), "an answer must continue without the database"
    watching = asyncio.create_task(budget.watch())
    await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait((watching,))
    others = (await theirs.rate_ledger.reserve("chat.update", 50)).others
    assert len(others.call_ages_s) == 1
    await ours.close()
    await theirs.close()


async def test_each_process_charges_for_unreported_calls_once_after_a_database_outage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/typist.db"
    ours = await Stores.open(url, "w1", SystemClock())
    theirs = await Stores.open(url, "w2", SystemClock())
    budget = RateBudget(ours.rate_ledger, SystemClock())
    async with unavailable(tmp_path, ours):
        with pytest.raises(StoreError):
            await ours.worker_queue.claim(1)
    for calls in (1, 2):
        budget.sent("chat.update", 0.0, None)
        assert await budget.take("chat.update")
        others = (await theirs.rate_ledger.reserve("chat.update", 0)).others
        assert len(others.call_ages_s) == calls + UNREPORTED_CALLS, "charged once per outage"
    await ours.close()
    await theirs.close()
