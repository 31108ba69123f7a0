"""Limits on reading files: the memory that all live answers share, and the hosts that get the token."""

import asyncio
import base64
import gzip
import io
import tracemalloc
from dataclasses import replace

import pytest
from aiohttp import web
from PIL import Image
from yarl import URL

from bot.core.conversation import File
from bot.core.files import choose_files
from bot.core.texts.files import Unread
from bot.models.prompt import Media
from bot.slack.client import SlackClient, new_session
from bot.slack.file_objects import file_of, files_of
from bot.slack.files import TEXT_BYTES, FairLock, Files, MemoryBudget, is_trusted_with_token
from files_to_markdown.benchmarks.document_corpus import corpus
from files_to_markdown.document import Document, Format, Obstacle
from files_to_markdown.process import read_document
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from tests.slack.workspaces import connected


async def test_take_waits_until_memory_is_free() -> None:
    room = MemoryBudget(100)
    await room.reserve(40, "ada")
    await room.reserve(20, "grace")
    waiting = [asyncio.create_task(room.reserve(50, person)) for person in ("alan", "edsger")]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    room.give_back(20, "grace")
    async with asyncio.timeout(WITHIN_S):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in waiting) == 1
        room.give_back(40, "ada")
        await asyncio.gather(*waiting)


async def test_one_person_may_hold_half_of_the_memory() -> None:
    room = MemoryBudget(100)
    await room.reserve(50, "ada")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.reserve(1, "ada"), 0.01)
    async with asyncio.timeout(WITHIN_S):
        await room.reserve(50, "grace")


async def test_canceled_take_takes_no_memory() -> None:
    room = MemoryBudget(100)
    await room.reserve(30, "ada")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.reserve(50, "ada"), 0.01)
    room.give_back(30, "ada")
    async with asyncio.timeout(WITHIN_S):
        await room.reserve(50, "ada")


async def test_each_person_stands_in_line_once() -> None:
    line, turns = FairLock(), list[str]()

    async def take_turn(person: str) -> None:
        async with line.turn(person):
            turns.append(person)
            await asyncio.sleep(0)

    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*map(take_turn, ("ada", "ada", "ada", "grace", "alan", "grace")))
    assert turns == ["ada", "grace", "alan", "ada", "grace", "ada"]


async def test_canceled_turn_leaves_the_line() -> None:
    line = FairLock()
    async with line.turn("ada"):
        for person in ("ada", "grace"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), line.turn(person):
                    pass
    async with asyncio.timeout(WITHIN_S), line.turn("grace"):
        pass


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
    assert is_trusted_with_token(URL(url), URL("http://127.0.0.1:3000/api/")) is may


def test_hosts_of_the_web_apis_own_domain_get_the_token() -> None:
    url = URL("https://files.slack-gov.com/a")
    assert is_trusted_with_token(url, URL("https://slack-gov.com/api/"))
    assert not is_trusted_with_token(url, URL("https://slack.com/api/"))
    assert not is_trusted_with_token(URL("https://notslack-gov.com/a"), URL("https://slack-gov.com/api/"))


TEXT = b"word " * 2_000
NOTES = UploadedFile("notes.txt", TEXT)
ROOM_BYTES = 2 * (len(TEXT) + TEXT_BYTES)
"""The memory of which one person may hold as much as one file of TEXT needs."""


async def shared(sandbox: Sandbox, client: SlackClient, person: str, uploads: list[UploadedFile]) -> list[File]:
    ts = await sandbox.share(person, "general", "read these", uploads)
    answer = await client.call("conversations.history", channel="C0GENERAL", oldest=ts, inclusive=True)
    return list(files_of(answer["messages"][0]))


@pytest.fixture
def room_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.files.MAX_HELD_BYTES", ROOM_BYTES)
    monkeypatch.setattr("bot.slack.files.READING_S", 2.0)


@pytest.mark.usefixtures("room_for_one")
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_failed_answer_frees_the_memory_of_its_files(error: type[BaseException]) -> None:
    """A person has memory for one file. A second one is read only once the first one's memory is free."""
    async with connected(subscribed=frozenset()) as (sandbox, client):
        files, [file] = Files(client), await shared(sandbox, client, "ada", [NOTES])
        with pytest.raises(error):
            async with files.reading([file], "U0ADA"):
                raise error
        async with files.reading([file], "U0ADA") as opened:
            assert opened[file.id].content == "word " * 2_000


@pytest.mark.usefixtures("room_for_one")
async def test_canceled_download_frees_its_memory() -> None:
    async with connected(subscribed=frozenset()) as (sandbox, client):
        files, [file] = Files(client), await shared(sandbox, client, "ada", [NOTES])
        sandbox.faults.start("no_answer", method="files.info", times=1)

        async def read_file() -> None:
            async with files.reading([replace(file, access="check_file_info")], "U0ADA"):
                raise AssertionError("Slack did not answer")

        reading = asyncio.create_task(read_file())
        await sandbox.wait_for(lambda: any(call.method == "files.info" for call in sandbox.calls))
        reading.cancel()
        await asyncio.wait((reading,))
        async with files.reading([file], "U0ADA") as opened:
            assert opened[file.id].content == "word " * 2_000


async def test_files_of_one_person_do_not_keep_those_of_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada asks about five documents three times. While they are read, Grace asks about a text and a document."""
    has_begun = asyncio.Event()
    questions_read: list[str] = []

    async def reading_begins(kind: Format, content: bytes) -> Document | Obstacle:
        has_begun.set()
        return await read_document(kind, content)

    monkeypatch.setattr("bot.slack.files.read_document", reading_begins)
    documents = [UploadedFile(f"{number}.docx", corpus()["0-libreoffice.docx"]) for number in range(5)]
    page = UploadedFile("page.html", b"<html><body><p>Hello.</p></body></html>")
    async with connected(subscribed=frozenset()) as (sandbox, client):
        files = Files(client)
        of_ada = await shared(sandbox, client, "ada", documents)
        of_grace = await shared(sandbox, client, "grace", [NOTES, page])

        async def ask() -> None:
            async with files.reading(of_ada, "U0ADA"):
                questions_read.append("ada")
                await asyncio.Event().wait()

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        async with asyncio.timeout(WITHIN_S):
            await has_begun.wait()
            async with files.reading(of_grace, "U0GRACE") as opened:
                questions_read.append("grace")
        assert [opened[file.id].content for file in of_grace] == [TEXT.decode(), Document("Hello.")]
        assert questions_read == ["grace"]
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)


async def test_file_that_is_larger_than_slack_says_is_not_read() -> None:
    async with connected(subscribed=frozenset()) as (sandbox, client):
        (file,) = await shared(sandbox, client, "ada", [UploadedFile("notes.txt", bytes(TEXT_BYTES + 2))])
        for stated_bytes, content in ((1, Unread.FAILED), (0, Unread.KIND)):
            async with Files(client).reading([replace(file, size_bytes=stated_bytes)], "U0ADA") as opened:
                assert opened[file.id].content is content


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
            async with Files(SlackClient("xoxb-1", f"{url}/api/", session)).reading([file], "U0ADA") as opened:
                _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await runner.cleanup()
    assert opened[file.id].content is Unread.TOO_BIG
    assert peak_bytes < 5 * limit


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    packed = io.BytesIO()
    Image.new(mode, size).save(packed, "PNG")
    return packed.getvalue()


PHOTO = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90)
PNG = png((8, 6))
WIDE = png((9_000, 10_000), "1")
PREVIEWED = {
    "a photo of a phone": ("image/heic", PHOTO, PNG, PNG),
    "a photo whose type nobody told": ("application/octet-stream", PHOTO, PNG, PNG),
    "a drawing program's file": ("image/vnd.adobe.photoshop", b"8BPS", PNG, PNG),
    "too many pixels": ("image/png", WIDE, PNG, PNG),
    "a copy that can't be read": ("image/heic", PHOTO, b"", Unread.IMAGE_KIND),
    "no copy": ("image/heic", PHOTO, None, Unread.IMAGE_KIND),
    "no copy, and a type that nobody told": ("", PHOTO, None, Unread.IMAGE_KIND),
}


@pytest.mark.parametrize(("mimetype", "content", "copy", "shown"), PREVIEWED.values(), ids=PREVIEWED)
async def test_image_that_cannot_be_read_is_seen_as_slacks_copy(
    mimetype: str, content: bytes, copy: bytes | None, shown: bytes | Unread
) -> None:
    bodies = {"/photo": content, "/copy": copy}

    async def send(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.path])

    app = web.Application()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    app.router.add_get("/{name}", send)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        described = {"id": "F1", "name": "IMG_1.heic", "mimetype": mimetype, "url_private": f"{url}/photo"}
        copies = {} if copy is None else {"thumb_1024": f"{url}/copy", "thumb_360": f"{url}/none", "thumb_360_w": 360}
        wanted, unread = choose_files([file_of({**described, **copies})])
        async with (
            new_session() as session,
            Files(SlackClient("xoxb-1", f"{url}/api/", session)).reading(wanted, "U0ADA") as opened,
        ):
            found = {**unread, **opened}["F1"].content
    finally:
        await runner.cleanup()
    assert (base64.b64decode(found.base64) if isinstance(found, Media) else found) == shown
