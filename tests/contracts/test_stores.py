"""Stores: data survives restarts, canceled callers and closing."""

import asyncio

import pytest

from bot.clock import SystemClock
from bot.errors import StoreError
from bot.store import Stores
from bot.store.schema import jobs, seen_events
from tests.clocks import WITHIN_S
from tests.contracts.stores import DONE, THREAD, YES, asked, count, enqueued, texts_of
from tests.core.conversations import recorded_pages


class TestDurability:
    async def test_call_after_close_raises_store_error(self, database_url: str) -> None:
        store = await Stores.open(database_url, "w1", SystemClock())
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.database.ping()

    async def test_restart_loses_nothing(self, shared_url: str) -> None:
        before = await Stores.open(shared_url, "w1", SystemClock())
        await enqueued(before, asked(1))
        [job] = await before.worker_queue.claim(1)
        await enqueued(before, asked(2))
        await before.worker_queue.record_messages(job, recorded_pages("5.1"))
        await before.worker_queue.finish(job, DONE, YES)
        await before.close()

        after = await Stores.open(shared_url, "w2", SystemClock())
        assert await after.queue.enqueue("Ev1", asked(1)) is None
        assert texts_of(await after.recorded_answers.replies(THREAD)) == {"5.1": YES}
        assert [job.question for job in await after.worker_queue.claim(10)] == [asked(2)]
        await after.close()

    async def test_canceled_caller_cancels_no_write(self, store: Stores) -> None:
        for number in range(1, 11):
            call = asyncio.create_task(store.queue.enqueue(f"Ev{number}", asked(number)))
            for _ in range(number):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        async with asyncio.timeout(WITHIN_S):
            while await count(store, jobs) < 10:
                pass
        assert await count(store, seen_events) == 10

    async def test_close_waits_for_running_calls(self, shared_url: str) -> None:
        before = await Stores.open(shared_url, "w1", SystemClock())
        call = asyncio.create_task(before.queue.enqueue("Ev1", asked(1)))
        await asyncio.sleep(0)
        call.cancel()
        await before.close()
        after = await Stores.open(shared_url, "w1", SystemClock())
        assert [job.question for job in await after.worker_queue.claim(1)] == [asked(1)]
        await after.close()
