"""Listening to PostgreSQL: what wakes a process, the lock that shows that it lives, and when it connects again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clock import Clock, SystemClock
from bot.store import pg_notify
from bot.store.database import channel, create_engine, lock_key, message_prefix
from bot.store.pg_notify import BACKOFF, DEAF_PAUSE_S, Listener
from tests.clocks import SteppedClock
from tests.contracts.databases import cut_all_connections
from tests.contracts.pooler import pooler

NOBODY_URL = "postgresql://nobody@127.0.0.1:9/none"
IN_TIME_S = 40.0


@dataclass
class Ear:
    wakes: int = 0
    texts: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.wakes += 1
        self.changed.set()

    def hear(self, text: str) -> None:
        self.texts.append(text)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(IN_TIME_S):
            while not condition():
                await self.changed.wait()
                self.changed.clear()


async def next_pause_s(clock: SteppedClock) -> float:
    async with asyncio.timeout(IN_TIME_S):
        return await clock.slept.get()


@asynccontextmanager
async def listening(url: str, clock: Clock) -> AsyncIterator[tuple[Listener, Ear]]:
    engine, ear = create_engine(url), Ear()
    listener = Listener(engine, "w1", clock, ear.wake, ear.hear)
    try:
        async with asyncio.timeout(IN_TIME_S):
            await listener.open()
        yield listener, ear
    finally:
        await listener.close()
        await engine.dispose()


@pytest.fixture
async def other(postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(postgresql_url)
    yield engine
    await engine.dispose()


async def value(engine: AsyncEngine, expression: sa.ColumnElement[Any]) -> Any:
    async with engine.begin() as connection:
        return await connection.scalar(sa.select(expression))


async def notify(engine: AsyncEngine, *payloads: str) -> None:
    for payload in payloads:
        await value(engine, sa.func.pg_notify(channel(), payload))


def is_free(worker: str) -> sa.ColumnElement[Any]:
    return sa.func.pg_try_advisory_xact_lock(lock_key(worker))


async def until(engine: AsyncEngine, expression: sa.ColumnElement[Any]) -> Any:
    """Polls a value until it is true, and returns it: the server notices a closed connection a moment later."""
    async with asyncio.timeout(IN_TIME_S):
        while not (result := await value(engine, expression)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return result


def checked_pid() -> sa.ColumnElement[Any]:
    """The server's process for a listener's connection that was checked and is idle now."""
    activity = sa.table("pg_stat_activity", sa.column("pid"), sa.column("query"), sa.column("state"))
    locks = sa.table("pg_locks", sa.column("pid"), sa.column("locktype"))
    has_lock = activity.c.pid.in_(sa.select(locks.c.pid).where(locks.c.locktype == "advisory"))
    is_checked = sa.and_(has_lock, activity.c.query == "SELECT 1", activity.c.state == "idle")
    return sa.select(activity.c.pid).where(is_checked).limit(1).scalar_subquery()


async def test_changes_of_others_wake_and_ours_do_not(postgresql_url: str, other: AsyncEngine) -> None:
    async with listening(postgresql_url, SystemClock()) as (_, ear):
        assert ear.wakes == 1, "changes from before are not lost"
        await notify(other, "w1", "w2", "w11")
        await ear.until(lambda: ear.wakes >= 3)
    assert (ear.wakes, ear.texts) == (3, [])


async def test_texts_of_others_are_heard_and_wake_nobody(postgresql_url: str, other: AsyncEngine) -> None:
    async with listening(postgresql_url, SystemClock()) as (_, ear):
        await notify(
            other, f"{message_prefix('w1')}mine", f"{message_prefix('w11')}one two", f"{message_prefix('w2')}three"
        )
        await ear.until(lambda: len(ear.texts) >= 2)
    assert (ear.wakes, ear.texts) == (1, ["one two", "three"])


async def test_lock_is_held_while_it_listens(postgresql_url: str, other: AsyncEngine) -> None:
    async with listening(postgresql_url, SystemClock()) as (listener, _):
        assert listener.is_held
        assert not await value(other, is_free("w1"))
        assert await value(other, is_free("w2"))
    assert not listener.is_held
    await until(other, is_free("w1"))


async def test_lost_connection_is_replaced_soon(postgresql_url: str, other: AsyncEngine) -> None:
    clock = SteppedClock()
    async with listening(postgresql_url, clock) as (listener, ear):
        await cut_all_connections(other)
        assert await next_pause_s(clock) == BACKOFF.first_s
        assert not listener.is_held
        clock.advance(BACKOFF.first_s)
        await ear.until(lambda: ear.wakes == 2)
        assert listener.is_held
        assert not await value(other, is_free("w1"))


async def test_connection_whose_server_hangs_is_replaced(
    postgresql_url: str, other: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_notify, "CHECK_S", 2.0)
    clock = SteppedClock()
    async with listening(postgresql_url, clock) as (listener, _):
        pid = await until(other, checked_pid())
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await next_pause_s(clock) == BACKOFF.first_s
            assert not listener.is_held
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_lock_that_the_server_holds_for_a_lost_connection_is_not_waited_for(
    postgresql_url: str, other: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock()
    async with other.connect() as lost:
        await lost.execute(sa.select(sa.func.pg_advisory_lock(lock_key("w1"))))
        monkeypatch.setattr(pg_notify, "READY_WITHIN_S", 1.0)
        async with listening(postgresql_url, clock) as (listener, ear):
            assert not listener.is_held
            pause_s = await next_pause_s(clock)
            monkeypatch.setattr(pg_notify, "READY_WITHIN_S", IN_TIME_S)
            await lost.invalidate()
            await until(other, is_free("w1"))
            clock.advance(pause_s)
            await ear.until(lambda: ear.wakes == 1)
            assert listener.is_held


async def test_pauses_grow_while_the_database_is_away() -> None:
    clock, pauses_s = SteppedClock(), []
    async with listening(NOBODY_URL, clock) as (listener, ear):
        for _ in range(5):
            pauses_s.append(await next_pause_s(clock))
            clock.advance(pauses_s[-1])
        assert not listener.is_held
    assert pauses_s == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert ear.wakes == 0


async def test_behind_a_pooler_it_holds_no_lock_and_tries_again_after_a_minute(
    postgresql_url: str, other: AsyncEngine
) -> None:
    clock = SteppedClock()
    async with pooler(postgresql_url) as pooled_url, listening(pooled_url, clock) as (listener, ear):
        assert await next_pause_s(clock) == DEAF_PAUSE_S
        assert (listener.is_held, ear.wakes) == (False, 0)
        assert await value(other, is_free("w1")), "the pooler would keep the lock"
