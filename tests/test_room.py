"""The memory that files of all live answers share."""

import asyncio

import pytest

from bot.slack.files import Room


async def test_who_finds_no_room_waits_for_it() -> None:
    room = Room(100)
    await room.take(60)
    waiting = [asyncio.create_task(room.take(50)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    room.give_back(20)
    async with asyncio.timeout(5):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in waiting) == 1
        room.give_back(40)
        await asyncio.gather(*waiting)


async def test_who_gives_up_takes_nothing() -> None:
    room = Room(100)
    await room.take(60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.take(50), 0.01)
    room.give_back(60)
    async with asyncio.timeout(5):
        await room.take(100)
