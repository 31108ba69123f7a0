"""Retention empties old texts every hour, on a real database, and retries after a failure."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.errors import EndReason
from bot.services.retention import CLOCKS_AGREE_S, DAY_S, EVERY_S, Kept, SlackTime, expire_old
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import WITHIN_S, SteppedClock

DAYS = 30
ASKED_AT = 1_700_000_000.0


async def ended_question(path: Path, clock: SteppedClock) -> Stores:
    store = await Stores.open(f"sqlite:///{path}", "me", clock)
    await store.queue.enqueue("Ev1", Question(ThreadKey("T1", "C1", "1.000001"), "1.000001", "U1", "why?"))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, End(EndReason.WHOLE), "because")
    return store


def right(clock: SteppedClock) -> SlackTime:
    """Returns Slack's clock as it is where ours is right."""

    async def slack_time() -> float | None:
        return clock.now()

    return slack_time


def kept(store: Stores) -> list[Kept]:
    return [Kept("texts", store.erasure.expire, DAYS)]


async def texts(store: Stores) -> list[str]:
    async with store.database.engine.begin() as connection:
        return list((await connection.scalars(sa.select(jobs.c.text))).all())


async def test_text_is_emptied_within_an_hour_of_its_retention_time(tmp_path: Path) -> None:
    clock = SteppedClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    clock.now_s = ASKED_AT + DAYS * DAY_S
    retention = asyncio.create_task(expire_old(kept(store), clock, right(clock)))
    assert await asyncio.wait_for(clock.slept.get(), WITHIN_S) == EVERY_S
    assert await texts(store) == ["why?"]
    clock.advance(EVERY_S)
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert await texts(store) == [""]
    retention.cancel()
    await store.close()


async def test_audit_entries_go_after_days_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = SteppedClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    await store.audit.seal()
    clock.now_s = ASKED_AT + (DAYS - 1) * DAY_S
    entries = Kept("audit entries", store.audit.expire, DAYS - 2)
    retention = asyncio.create_task(expire_old([*kept(store), entries], clock, right(clock)))
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert "retention: removed: what=audit entries count=1 " in caplog.text
    assert [line["no"] for line in await store.audit.page(1, 100)] == [2]
    assert await texts(store) == ["why?"]
    retention.cancel()
    await store.close()


async def test_retention_is_retried_in_an_hour_after_a_database_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    clock.now_s = ASKED_AT + (DAYS + 1) * DAY_S
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE jobs RENAME TO away"))
    retention = asyncio.create_task(expire_old(kept(store), clock, right(clock)))
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert "retrying in an hour" in caplog.text
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE away RENAME TO jobs"))
    clock.advance(EVERY_S)
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert await texts(store) == [""]
    retention.cancel()
    await store.close()


@pytest.mark.parametrize("ahead_s", [None, CLOCKS_AGREE_S + 60, -(CLOCKS_AGREE_S + 60), (DAYS + 1) * DAY_S])
async def test_nothing_is_erased_until_our_clock_agrees_with_slacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ahead_s: float | None
) -> None:
    clock = SteppedClock(ASKED_AT)
    store = await ended_question(tmp_path / "typist.db", clock)
    clock.now_s = ASKED_AT + (DAYS + 1) * DAY_S
    by_s = [ahead_s, 0.0]

    async def slack_time() -> float | None:
        ahead = by_s.pop(0)
        return None if ahead is None else clock.now() - ahead

    retention = asyncio.create_task(expire_old(kept(store), clock, slack_time))
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert await texts(store) == ["why?"]
    assert "this clock and Slack's differ" in caplog.text
    clock.advance(EVERY_S)
    await asyncio.wait_for(clock.slept.get(), WITHIN_S)
    assert await texts(store) == [""]
    retention.cancel()
    await store.close()
