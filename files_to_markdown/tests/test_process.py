"""The process that reads a document or converts an image: its input, its limits, and what it refuses."""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from files_to_markdown import process
from files_to_markdown.benchmarks.document_corpus import corpus
from files_to_markdown.benchmarks.hostile_documents import HOSTILE
from files_to_markdown.document import MAX_CHARS, Document, Format, LeftOut, Obstacle, Part
from files_to_markdown.kind import document_kind
from files_to_markdown.process import convert_image, read_document
from files_to_markdown.tests.test_images import picture, scan

REFUSALS = {
    "protected": Obstacle.PROTECTED,
    "bomb": Obstacle.TOO_LARGE,
    "many": Obstacle.TOO_LARGE,
    "no office file": Obstacle.KIND,
    "binary": Obstacle.KIND,
}
"""The reasons why documents are refused, by the beginnings of their names. Others count as damaged or too large."""
SLOW = ("bomb", "lying", "many")
WITHIN_S = 120.0

TRIES = """
import os, socket
from files_to_markdown import child, formats
from files_to_markdown.document import Document

def tried(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"

def read(kind, content):
    tries = (lambda: open("/etc/hostname"), lambda: os.open(".", os.O_RDONLY), socket.socket, os.pipe)
    return Document(" ".join([*map(tried, tries), *os.environ]))

formats.read = read
child.main()
"""

SLOW_READER = """
import resource
from files_to_markdown import child, formats

def read_csv(text, draft):
    draft.add(text)
    while True:
        pass

formats.read_csv = read_csv
resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
child.main()
"""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a process wait longer for a CPU than in production. Its CPU time stays limited."""
    monkeypatch.setattr(process, "WALL_S", WITHIN_S)


def kind_of(name: str, content: bytes) -> Format:
    return document_kind(name, "", content) or Format.PDF


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name.startswith(SLOW) else name for name in HOSTILE]
)
async def test_hostile_document_is_refused(name: str) -> None:
    content = HOSTILE[name]()
    refusal = await read_document(kind_of(name, content), content)
    known = [reason for begin, reason in REFUSALS.items() if name.startswith(begin)]
    assert refusal in (known or (Obstacle.DAMAGED, Obstacle.TOO_LARGE))


@pytest.mark.parametrize(
    "name",
    [
        *("0-libreoffice.docx", "0-libreoffice.html", "0-libreoffice.rtf", "0-libreoffice.xls", "0-libreoffice.pptx"),
        *("0-libreoffice.odt", "0-libreoffice.pdf", "0-openpyxl.xlsx", "1-python.csv", "1-python.eml", "2-pandoc.rtf"),
    ],
)
async def test_process_reads_all_formats_without_opening_files(name: str) -> None:
    content = corpus()[name]
    read = await read_document(kind_of(name, content), content)
    assert isinstance(read, Document)
    assert len(read.text) > 300


async def test_password_of_a_pdf_is_missed() -> None:
    assert await read_document(Format.PDF, corpus()["protected-fpdf2.pdf"]) is Obstacle.PROTECTED


def test_process_can_open_no_file_and_no_socket_and_has_no_secrets() -> None:
    env = {"PYTHONPATH": str(Path(process.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", TRIES, Format.CSV], input=b"a,b", env=env, capture_output=True, check=True
    )
    assert json.loads(ran.stdout)["text"].split()[:4] == ["OSError"] * 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"The beginning.", {"text": "The beginning.", "left_out": [{"part": "end", "count": 1, "names": []}]}),
        (b" ", {"refusal": "too large"}),
    ],
)
def test_document_that_takes_too_long_is_read_as_far_as_the_reader_came(
    content: bytes, said: dict[str, object]
) -> None:
    env = {"PYTHONPATH": str(Path(process.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", SLOW_READER, Format.CSV], input=content, env=env, capture_output=True, check=True
    )
    assert said.items() <= json.loads(ran.stdout).items()


async def test_process_gets_nothing_of_its_parents_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "python"
    said = "asdict(Document(' '.join(os.environ)))"
    imports = "import json, os\nfrom dataclasses import asdict\nfrom files_to_markdown.document import Document"
    script.write_text(f"#!{sys.executable}\n{imports}\nprint(json.dumps({said}))")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    read = await read_document(Format.CSV, b"a,b")
    assert isinstance(read, Document)
    assert set(read.text.split()) <= {"PYTHONPATH", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}


@pytest.mark.parametrize(
    ("output", "refusal"),
    [
        *((output, Obstacle.DAMAGED) for output in ("", "[]", "{}", '{"text": 1}', '{"refusal": "x"}')),
        ("x" * 6_000_000, Obstacle.TOO_LARGE),
    ],
)
async def test_whatever_the_process_writes_is_bounded_and_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, refusal: Obstacle
) -> None:
    monkeypatch.setattr(sys, "executable", str(_saying(tmp_path, output)))
    assert await read_document(Format.CSV, b"a,b") is refusal


async def test_what_the_process_prints_is_not_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library's warning would be a line that isn't JSON and contains a document's text."""
    script = _saying(tmp_path, "{}")
    script.write_text(f"{script.read_text()}echo text of a user >&2\n")
    monkeypatch.setattr(sys, "executable", str(script))
    assert await read_document(Format.CSV, b"a,b") is Obstacle.DAMAGED
    assert capfd.readouterr() == ("", "")


async def test_process_that_takes_too_long_is_killed_with_its_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "WALL_S", 0.5)
    monkeypatch.setattr(sys, "executable", str(_hanging(tmp_path)))
    assert await read_document(Format.CSV, b"a,b" * 10**6) is Obstacle.TOO_SLOW
    await until(lambda: not _is_alive(tmp_path))


async def test_canceled_reading_kills_the_process_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(_hanging(tmp_path)))
    reading = asyncio.create_task(read_document(Format.CSV, b"a,b"))
    await until((tmp_path / "pid").exists)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: not _is_alive(tmp_path))


async def test_reading_that_is_canceled_while_its_process_starts_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(_hanging(tmp_path)))
    reading = asyncio.create_task(read_document(Format.CSV, b"a,b"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    # Its thread ends with the process.
    async with asyncio.timeout(WITHIN_S / 2):
        await asyncio.get_running_loop().shutdown_default_executor()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _saying(folder: Path, output: str) -> Path:
    (folder / "output").write_text(output)
    script = folder / "python"
    script.write_text(f"#!/bin/sh\ncat '{folder}/output'\n")
    script.chmod(0o700)
    return script


def _hanging(folder: Path) -> Path:
    script = folder / "python"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > '{folder}/new' && mv '{folder}/new' '{folder}/pid'\nwait\n")
    script.chmod(0o700)
    return script


def _is_alive(folder: Path) -> bool:
    pid = int((folder / "pid").read_text())
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Without an init process that reaps it, a dead process stays as a zombie.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


async def test_text_of_a_large_document_is_cut_at_the_limit() -> None:
    read = await read_document(Format.CSV, b"".join(b"%d,of many\n" % number for number in range(200_000)))
    assert isinstance(read, Document)
    assert read.text.startswith("| 0 | of many |")
    assert MAX_CHARS - 100 < len(read.text) <= MAX_CHARS + 100
    assert read.left_out == (LeftOut(Part.END, 1),)


def turned() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return picture("JPEG", (80, 60), exif=exif)


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (partial(picture, "GIF", (8, 6), "P"), (8, 6)),
        (partial(picture, "WEBP", (8, 6), "RGBA"), (8, 6)),
        (partial(picture, "MPO", (8, 6)), (8, 6)),
        (turned, (60, 80)),
        (partial(picture, "JPEG", (8_000, 6_000)), (2_000, 1_500)),
    ],
    ids=["gif", "webp", "mpo", "turned", "large"],
)
async def test_image_is_converted_in_the_process(made: Callable[[], bytes], size: tuple[int, int]) -> None:
    converted = await convert_image(made())
    assert not isinstance(converted, Obstacle)
    assert (converted.media_type, converted.has_more) == ("image/png", False)
    assert Image.open(io.BytesIO(base64.b64decode(converted.base64))).size == size


async def test_pages_of_a_scan_come_from_the_process() -> None:
    converted = await convert_image(scan((0, {}), (90, {}), (180, {})))
    assert not isinstance(converted, Obstacle)
    pages = [Image.open(io.BytesIO(base64.b64decode(page.base64))) for page in (converted, *converted.other_pages)]
    assert ([page.getpixel((0, 0)) for page in pages], converted.has_more) == ([0, 90, 180], False)


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (picture("PNG", (9_000, 10_000), "1"), Obstacle.TOO_MANY_PIXELS),
        (picture("PNG", (80, 60))[:60], Obstacle.DAMAGED),
        (picture("PCX", (8, 6)), Obstacle.DAMAGED),
        (b"GIF89a", Obstacle.DAMAGED),
        (b"GIF89a" + bytes.fromhex("000000000000002c00000000ffffffff0000"), Obstacle.TOO_MANY_PIXELS),
    ],
    ids=["many pixels", "cut", "another format", "empty", "claims many pixels"],
)
async def test_image_that_cannot_be_converted_is_refused(content: bytes, refusal: Obstacle) -> None:
    assert await convert_image(content) is refusal


@pytest.mark.parametrize(
    "said", [{"media_type": "text/html", "base64": ""}, {"media_type": "image/png", "base64": "<"}]
)
async def test_image_that_the_process_gives_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: dict[str, str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(_saying(tmp_path, json.dumps(said))))
    assert await convert_image(b"GIF89a") is Obstacle.DAMAGED
