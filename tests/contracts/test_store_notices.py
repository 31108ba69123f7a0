"""Notices that are shown once, and how much bots ask."""

import asyncio

from bot.store import Stores
from tests.clocks import ManualClock


class TestTellOnce:
    async def test_notice_is_claimed_once_per_period_by_all_processes(self, database_url: str) -> None:
        clock = ManualClock()
        store = await Stores.open(database_url, "w1", clock)
        claimed = await asyncio.gather(*(store.notices.claim("T1", "U1", "denied", 3_600) for _ in range(5)))
        assert sorted(claimed) == [False, False, False, False, True]
        assert await store.notices.claim("T1", "U2", "denied", 3_600)
        assert await store.notices.claim("T1", "U1", "another")
        clock.now_s += 3_599
        assert not await store.notices.claim("T1", "U1", "denied", 3_600)
        clock.now_s += 1
        assert await store.notices.claim("T1", "U1", "denied", 3_600)
        assert not await store.notices.claim("T1", "U1", "another")
        await store.close()
