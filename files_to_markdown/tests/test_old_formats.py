"""Word and PowerPoint files from before 2007, written by LibreOffice, are refused as an old format."""

from contextlib import suppress
from pathlib import Path

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.document_corpus import packed_files
from files_to_markdown.document import Format, Obstacle, Unreadable
from files_to_markdown.process import read_document

FILES = packed_files(Path(__file__).parent / "old.tar.xz")
WORD = FILES["old.doc"]
NAME = "WordDocument".encode("utf-16-le")
PROTECTED_AT = WORD.index(b"\xec\xa5") + 11
"""The byte with the bit in Word's header that means that the document is encrypted."""


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        *((content, Obstacle.OLD_FORMAT) for content in FILES.values()),
        (WORD[:PROTECTED_AT] + bytes([WORD[PROTECTED_AT] | 1]) + WORD[PROTECTED_AT + 1 :], Obstacle.OLD_FORMAT),
        (WORD.replace(NAME, "WordPerfects".encode("utf-16-le")), Obstacle.KIND),
    ],
    ids=[*FILES, "protected.doc", "of another program"],
)
async def test_old_format_is_refused_for_what_it_is(content: bytes, refusal: Obstacle) -> None:
    assert await read_document(Format.OLE, content) is refusal


@pytest.mark.parametrize("at", range(0, 2_048, 4))
def test_damaged_file_is_refused(at: int) -> None:
    damaged = WORD[:at] + b"\x01\x00\x00\x00" + WORD[at + 4 :]
    with suppress(OSError, ValueError), pytest.raises(Unreadable):
        formats.read(Format.OLE, damaged)
