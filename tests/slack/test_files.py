"""Limits on reading files: the memory that all live answers share, and the hosts that get the token."""

import asyncio
import gzip
import tracemalloc
from dataclasses import replace

import pytest
from aiohttp import web
from yarl import URL

from bot.core.conversation import File
from bot.core.inbound.files import MAX_FILE_BYTES, Unread
from bot.slack.client import SlackClient, new_session
from bot.slack.files import Files, MemoryRoom, may_have_token
from bot.slack.format.files import files_of
from sandbox.files import UploadedFile
from sandbox.server import Sandbox
from tests.clocks import WITHIN_S


async def test_take_waits_until_memory_is_free() -> None:
    room = MemoryRoom(100)
    await room.take(60)
    waiting = [asyncio.create_task(room.take(50)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    room.give_back(20)
    async with asyncio.timeout(WITHIN_S):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in waiting) == 1
        room.give_back(40)
        await asyncio.gather(*waiting)


async def test_canceled_take_takes_no_memory() -> None:
    room = MemoryRoom(100)
    await room.take(60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.take(50), 0.01)
    room.give_back(60)
    async with asyncio.timeout(WITHIN_S):
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
def test_only_slacks_hosts_get_the_token(url: str, may: bool) -> None:
    assert may_have_token(URL(url), URL("http://127.0.0.1:3000/api/")) is may


def test_hosts_of_the_web_apis_own_domain_get_the_token() -> None:
    url = URL("https://files.slack-gov.com/a")
    assert may_have_token(url, URL("https://slack-gov.com/api/"))
    assert not may_have_token(url, URL("https://slack.com/api/"))
    assert not may_have_token(URL("https://notslack-gov.com/a"), URL("https://slack-gov.com/api/"))


async def shared_file(sandbox: Sandbox, client: SlackClient) -> File:
    ts = await sandbox.share("ada", "general", "read this", [UploadedFile("notes.txt", b"word " * 2_000)])
    answer = await client.call("conversations.history", channel="C0GENERAL", oldest=ts, inclusive=True)
    (file,) = files_of(answer["messages"][0])
    return file


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_failed_answer_frees_the_memory_of_its_files(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """There is memory for one file. A second one is read only once the first one's memory is free."""
    monkeypatch.setattr("bot.slack.files.MAX_HELD_BYTES", MAX_FILE_BYTES)
    monkeypatch.setattr("bot.slack.files.READING_S", 2.0)
    async with Sandbox(subscribed=frozenset()) as sandbox, new_session() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        files, file = Files(client), await shared_file(sandbox, client)
        with pytest.raises(error):
            async with files.reading([file]):
                raise error
        async with files.reading([file]) as opened:
            assert opened[file.id].content == "word " * 2_000


async def test_canceled_download_frees_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.files.MAX_HELD_BYTES", MAX_FILE_BYTES)
    monkeypatch.setattr("bot.slack.files.READING_S", 2.0)
    async with Sandbox(subscribed=frozenset()) as sandbox, new_session() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        files, file = Files(client), await shared_file(sandbox, client)
        sandbox.faults.start("no_answer", method="files.info", times=1)

        async def read_file() -> None:
            async with files.reading([replace(file, access="check_file_info")]):
                raise AssertionError("Slack did not answer")

        reading = asyncio.create_task(read_file())
        await sandbox.wait_for(lambda: any(call.method == "files.info" for call in sandbox.calls))
        reading.cancel()
        await asyncio.wait((reading,))
        async with files.reading([file]) as opened:
            assert opened[file.id].content == "word " * 2_000


@pytest.mark.parametrize("announced", ["no size", "the size of a compressed body"])
async def test_file_larger_than_announced_is_cut_at_the_limit(announced: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 2**20
    monkeypatch.setattr("bot.slack.files.MAX_FILE_BYTES", limit)
    packed = gzip.compress(bytes(50 * limit))
    assert len(packed) < limit

    async def send(request: web.Request) -> web.StreamResponse:
        if announced != "no size":
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(50):
            await response.write(bytes(limit))
        return response

    app = web.Application()
    app.router.add_get("/notes.txt", send)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        file = File("F1", "notes.txt", "text/plain", url=f"{url}/notes.txt")
        async with new_session() as session:
            tracemalloc.start()
            async with Files(SlackClient("xoxb-1", f"{url}/api/", session)).reading([file]) as opened:
                _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await runner.cleanup()
    assert opened[file.id].content is Unread.TOO_BIG
    assert peak_bytes < 5 * limit
