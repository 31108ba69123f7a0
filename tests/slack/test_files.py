"""What bounds the reading of files: the memory that all live answers share, and who may have the token."""

import asyncio

import pytest
from yarl import URL

from bot.slack.files import MemoryRoom, may_have_token


async def test_who_finds_no_room_waits_for_it() -> None:
    room = MemoryRoom(100)
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
    room = MemoryRoom(100)
    await room.take(60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.take(50), 0.01)
    room.give_back(60)
    async with asyncio.timeout(5):
        await room.take(100)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://files.slack.com/files-pri/T1-F1/download/a.png", True),
        ("HTTPS://FILES.SLACK.COM/a", True),
        ("https://slack.com/files-pri/T1-F1/a.png", True),
        ("https://acme.enterprise.slack.com/files-pri/T1-F1/a.png", True),
        ("http://127.0.0.1:3000/files-pri/T1-F1/a.png", True),
        ("http://files.slack.com/a", False),
        ("https://files.slack.com:8443/a", False),
        ("https://files.slack.com./a", False),
        ("https://files.slack.com.example.com/a", False),
        ("https://notslack.com/a", False),
        ("https://files.slack.com@example.com/a", False),
        ("https://example.com@files.slack.com/a", False),
        ("https://example.com/https://files.slack.com/a", False),
        ("https://example.com?files.slack.com", False),
        ("https://fileѕ.slаck.com/a", False),
        ("http://127.0.0.1:3001/a", False),
        ("https://127.0.0.1:3000/a", False),
        ("//files.slack.com/a", False),
        ("/files-pri/a", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_the_token_is_for_slack_alone(url: str, may: bool) -> None:
    assert may_have_token(URL(url), URL("http://127.0.0.1:3000/api/")) is may


def test_the_token_is_for_slacks_other_domain_where_the_web_api_is_there() -> None:
    url = URL("https://files.slack-gov.com/a")
    assert may_have_token(url, URL("https://slack-gov.com/api/"))
    assert not may_have_token(url, URL("https://slack.com/api/"))
