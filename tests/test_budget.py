"""Calls that left while the ledger was away are told to it, before the process ends at the latest."""

import asyncio
import sqlite3
from pathlib import Path

from bot.ports import SystemClock
from bot.slack.budget import UNHEARD_CALLS, Budget
from bot.store import SqlStore


async def test_what_left_while_the_database_was_away_is_counted_when_the_process_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/typist.db"
    ours = await SqlStore.open(url, "w1", SystemClock())
    theirs = await SqlStore.open(url, "w2", SystemClock())
    budget = Budget(ours, SystemClock())
    away = sqlite3.connect(tmp_path / "typist.db", isolation_level=None)
    away.execute("BEGIN EXCLUSIVE")
    budget.sent("chat.update", 0.0, None)
    assert await budget.take("chat.update"), "an answer goes on without the database"
    away.execute("COMMIT")
    away.close()
    watching = asyncio.create_task(budget.watch())
    await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait((watching,))
    others = (await theirs.reserve("chat.update", 50)).others
    assert len(others.call_ages_s) == 1 + UNHEARD_CALLS
    await ours.close()
    await theirs.close()
