"""Notices that are shown once, and how much bots ask."""

import asyncio
from dataclasses import replace

from bot.core.limits.access import BotQuestions
from bot.store import Stores
from tests.clocks import ManualClock
from tests.contracts.stores import asked, enqueued


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


class TestBots:
    async def test_questions_of_bots_are_counted_in_a_row_and_per_hour(self, database_url: str) -> None:
        clock = ManualClock()
        store = await Stores.open(database_url, "w1", clock)
        bots = [replace(asked(number), user_id=f"B{number % 2}", from_bot=True) for number in range(4)]
        for question in (asked(9), *bots[:2]):
            await enqueued(store, question)
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=0, in_an_hour=1)
        for number in (10, 11):
            await enqueued(store, replace(bots[number % 2], ts=f"1700000000.{number:06d}"))
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=2, in_an_hour=2)
        clock.now_s += 3_601
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=2, in_an_hour=0)
        [job] = await store.worker_queue.claim(1)
        assert job.question.from_bot is (job.question.user_id != "U1")
        await store.close()
