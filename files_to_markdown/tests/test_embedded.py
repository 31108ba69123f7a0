"""Files within a text are replaced by a few words; keys, numbers, hashes and words stay."""

import base64
from urllib.parse import quote

import pytest

from files_to_markdown import formats
from files_to_markdown.document import MAX_CHARS, MAX_INLINE_BYTES, Format, LeftOut, Part, short_text
from files_to_markdown.embedded import MIN_CHARS, without_embedded_files

DATA = base64.b64encode(bytes(range(256)) * 20).decode()
LINES = "\n".join(DATA[at : at + 76] for at in range(0, len(DATA), 76))
REMOVED = {
    "one line": DATA,
    "lines": LINES,
    "lines of DOS": LINES.replace("\n", "\r\n"),
    "folded lines": LINES.replace("\n", "\n "),
    "lines in JSON": LINES.replace("\n", "\\n"),
    "a string of JSON": DATA.replace("/", "\\/"),
    "a data: address": quote(DATA, safe=""),
    "base 16": DATA.encode().hex(),
    "as URLs write it": DATA.replace("+", "-").replace("/", "_"),
    "just long enough": DATA[:MIN_CHARS],
}
KEPT = {
    "almost long enough": DATA[: MIN_CHARS - 1],
    "a key": f"-----BEGIN PRIVATE KEY-----\n{LINES[:1_700]}\n-----END PRIVATE KEY-----",
    "hashes": f"{'0f' * 32}  a.txt\n" * 100,
    "words": "Twelve days\n" * 1_000,
    "numbers": "3141592653589793" * 500,
    "genes": "ACGT" * 1_000,
    "columns": "a1,b2,c3\n" * 1_000,
}


@pytest.mark.parametrize("data", REMOVED.values(), ids=REMOVED)
def test_embedded_file_gives_way_to_words(data: str) -> None:
    text, count = without_embedded_files(f'Before "{data}"\nTwelve days\n')
    assert (text, count) == (f'Before "({len(data):,} characters of an embedded file)"\nTwelve days\n', 1)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_is_no_file_stays(text: str) -> None:
    assert without_embedded_files(text) == (text, 0)


@pytest.mark.parametrize("before", range(19_820, 20_000, 30))
def test_embedded_file_is_found_wherever_it_begins(before: int) -> None:
    """A long text is searched piece by piece."""
    text, count = without_embedded_files(f"{'.' * before}{DATA}")
    assert (text[before : before + 1], count) == ("(", 1)


def test_words_below_an_embedded_file_stay() -> None:
    text, count = without_embedded_files(f"{LINES}\nTwelve days")
    assert (text.endswith("\nTwelve days"), count) == (True, 1)


def test_text_with_an_embedded_file_is_named_in_any_format() -> None:
    assert short_text(DATA.encode()) is None
    for kind in (Format.TEXT, Format.CSV, Format.HTML):
        document = formats.read(kind, f"Name,{DATA}\n".encode())
        assert (document.left_out, DATA in document.text) == ((LeftOut(Part.EMBEDDED, 1),), False)


def test_beginning_and_end_of_a_long_text_are_read() -> None:
    log = b"first line\n" + b"between the lines\n" * (MAX_CHARS // 10) + b"last line"
    assert short_text(log) is None
    document = formats.read(Format.TEXT, log)
    assert document.left_out == (LeftOut(Part.MIDDLE, 1),)
    assert document.text.startswith("first line\n")
    assert document.text.endswith("\nlast line")
    assert len(document.text) <= MAX_CHARS


@pytest.mark.parametrize(("more", "left_out"), [(0, ()), (1, (LeftOut(Part.MIDDLE, 1),))])
def test_text_is_whole_up_to_its_limit(more: int, left_out: tuple[LeftOut, ...]) -> None:
    text = "-" * (MAX_CHARS - 200 + more)
    document = formats.read(Format.TEXT, text.encode())
    assert (document.text == text, document.left_out) == (not more, left_out)


def test_short_text_is_read_at_once() -> None:
    assert short_text(b"a" * MAX_INLINE_BYTES) is not None
    assert short_text(b"a" * (MAX_INLINE_BYTES + 1)) is None
