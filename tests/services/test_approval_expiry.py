"""The search for approvals whose time is over goes on, whatever the database does."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.errors import StoreError
from bot.services.approval_expiry import EVERY_S, expire_approvals
from tests.clocks import WITHIN_S, InstantClock


@dataclass
class Approvals:
    """What each search finds; then `over` is set."""

    found: list[int | StoreError]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def expire(self) -> int:
        if not self.found:
            self.over.set()
            await asyncio.Event().wait()
        found = self.found.pop(0)
        if isinstance(found, StoreError):
            raise found
        return found


async def test_search_is_repeated_and_says_what_it_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    approvals, clock = Approvals([StoreError("away"), 0, 2]), InstantClock()
    records: Any = approvals
    searching = asyncio.create_task(expire_approvals(records, clock))
    await asyncio.wait_for(approvals.over.wait(), WITHIN_S)
    searching.cancel()
    assert clock.sleeps == [EVERY_S] * 3
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "approvals: database unavailable, retrying in 30 s: away",
        "approvals: expired, answers continue without them: 2",
    ]
