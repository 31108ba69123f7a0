"""Entries of the audit are sealed soon, the newest hash goes to the log each hour, and a failure ends nothing."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.services.audit import EVERY_S, LOGGED_EVERY_S, seal_entries
from bot.store import Stores
from tests.clocks import WITHIN_S, SteppedClock
from tests.contracts.stores import asked


async def passed(clock: SteppedClock, seconds: float) -> None:
    """Lets time pass, and returns when the loop sleeps again."""
    clock.advance(seconds)
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)


async def test_entries_are_sealed_and_the_newest_hash_is_logged_each_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = SteppedClock(1_700_000_000.0)
    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "me", clock)
    sealing = asyncio.create_task(seal_entries(store.audit, clock))
    assert await asyncio.wait_for(clock.slept.get(), WITHIN_S) == EVERY_S
    await store.queue.enqueue("Ev1", asked(1))
    await passed(clock, EVERY_S)
    number, newest = await store.audit.newest()
    assert number == 1
    assert newest not in caplog.text
    await passed(clock, LOGGED_EVERY_S)
    assert f"audit: sealed: entry=1 hash={newest}" in caplog.text
    caplog.clear()
    await passed(clock, LOGGED_EVERY_S)
    assert caplog.text == "", "the log has it"
    sealing.cancel()
    await store.close()


async def test_entries_are_sealed_once_the_database_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = SteppedClock(1_700_000_000.0)
    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "me", clock)
    await store.queue.enqueue("Ev1", asked(1))
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE audit_entries RENAME TO away"))
    sealing = asyncio.create_task(seal_entries(store.audit, clock))
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert "audit: entries not sealed, retrying in 10 s" in caplog.text
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE away RENAME TO audit_entries"))
    await passed(clock, EVERY_S)
    assert (await store.audit.newest())[0] == 1
    sealing.cancel()
    await store.close()
