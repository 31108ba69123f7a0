"""Old texts go each hour, on a real database; one that fails is tried again."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question, ThreadKey
from bot.core.job import EndReason, Outcome
from bot.services.retention import DAY_S, EVERY_S, expire_texts
from bot.store import Stores
from bot.store.schema import jobs

DAYS = 30
ASKED_AT = 1_700_000_000.0


class ToldClock:
    """Stands still until it is told the time."""

    def __init__(self, now: float) -> None:
        self.time = now
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._on = asyncio.Event()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, delay_s: float) -> None:
        self.slept.put_nowait(delay_s)
        await self._on.wait()
        self._on.clear()

    def go_on(self, delay_s: float) -> None:
        self.time += delay_s
        self._on.set()


async def ended_question(path: Path, clock: ToldClock) -> Stores:
    store = await Stores.open(f"sqlite:///{path}", "me", clock)
    await store.queue.enqueue("Ev1", Question(ThreadKey("T1", "C1", "1.000001"), "1.000001", "U1", "why?"))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, Outcome(EndReason.WHOLE, "because"))
    return store


async def texts(store: Stores) -> list[str]:
    async with store.database.engine.begin() as connection:
        return list((await connection.scalars(sa.select(jobs.c.text))).all())


async def test_a_text_goes_within_an_hour_of_its_day(tmp_path: Path) -> None:
    clock = ToldClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    clock.time = ASKED_AT + DAYS * DAY_S
    tidying = asyncio.create_task(expire_texts(store.erasure, clock, DAYS))
    assert await asyncio.wait_for(clock.slept.get(), 5) == EVERY_S
    assert await texts(store) == ["why?"]
    clock.go_on(EVERY_S)
    await asyncio.wait_for(clock.slept.get(), 5)
    assert await texts(store) == [""]
    tidying.cancel()
    await store.close()


async def test_a_database_that_fails_is_asked_again_in_an_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ToldClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    clock.time = ASKED_AT + (DAYS + 1) * DAY_S
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE jobs RENAME TO away"))
    tidying = asyncio.create_task(expire_texts(store.erasure, clock, DAYS))
    await asyncio.wait_for(clock.slept.get(), 5)
    assert "retrying in an hour" in caplog.text
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE away RENAME TO jobs"))
    clock.go_on(EVERY_S)
    await asyncio.wait_for(clock.slept.get(), 5)
    assert await texts(store) == [""]
    tidying.cancel()
    await store.close()
