"""Messages between processes: each text reaches all others once, nothing of it is stored, and failures cost nothing."""

import asyncio

import pytest
import sqlalchemy as sa

from bot.store import Stores
from bot.store.schema import metadata
from bot.store.workers import MAX_BYTES
from tests.clocks import WITHIN_S
from tests.contracts.databases import Process

SECRET = "s3cret-token 'quoted' \N{SNOWMAN}"


@pytest.fixture
async def three(on_server: Process) -> list[Stores]:
    return [await on_server(name) for name in ("w1", "w2", "w3")]


def heard_by(stores: Stores) -> asyncio.Queue[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    stores.process_messages.on_message(heard.put_nowait)
    return heard


async def test_all_others_hear_a_text_and_the_sender_does_not(three: list[Stores]) -> None:
    first, second, third = map(heard_by, three)
    async with asyncio.timeout(WITHIN_S):
        await three[0].process_messages.send("one")
        await three[2].process_messages.send("two")
        assert [await second.get(), await second.get()] == ["one", "two"]
        assert (await first.get(), await third.get()) == ("two", "one")
    assert [queue.empty() for queue in (first, second, third)] == [True, True, True]


async def test_nothing_is_stored(three: list[Stores]) -> None:
    heard = heard_by(three[1])
    await three[0].process_messages.send(SECRET)
    async with asyncio.timeout(WITHIN_S):
        assert await heard.get() == SECRET
    async with three[0].database.begin_read() as connection:
        for table in metadata.tables.values():
            assert "s3cret" not in str((await connection.execute(sa.select(table))).all())


async def test_text_that_is_too_long_is_not_sent(three: list[Stores]) -> None:
    heard = heard_by(three[1])
    await three[0].process_messages.send("x" * MAX_BYTES)
    await three[0].process_messages.send("next")
    async with asyncio.timeout(WITHIN_S):
        assert await heard.get() == "next"


async def test_failure_to_send_raises_nothing(store: Stores) -> None:
    store.database.refuse_new()
    await store.process_messages.send("one")
