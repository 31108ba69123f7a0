"""Word and PowerPoint files of before 2007, which LibreOffice wrote: their text."""

from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.document_corpus import packed_files
from bot.documents import formats
from bot.documents.document import Document, Format, LeftOut, Obstacle, Part, Unreadable

FILES = packed_files(Path(__file__).parent / "old.tar.xz")
WORD, SLIDES, HIDDEN = FILES["old.doc"], FILES["old.ppt"], FILES["hidden.ppt"]
LEFT_OUT = (LeftOut(Part.OLD_FORMAT, 1),)


def test_old_document_is_read_without_the_numbers_of_its_lists() -> None:
    items = "- One\n  - in a\n  - in b\n    - rom 1\n    - rom 2\n- Two\n\nbetween\n\n- Three\n- x\n  - y"
    words = "10^6 H_2O [link](https://example.com/)\n\n| a<br>b | c |\n|---|---|"
    assert formats.read(Format.OLE, WORD) == Document(f"# Title\n\n{items}\n\n{words}", LEFT_OUT)


def test_old_slides_are_read_with_their_notes() -> None:
    """The first of both is hidden."""
    hidden = LeftOut(Part.HIDDEN_SLIDE, 1, ("1",))
    shown = "## Slide 2\n\n# T2\n\nbody 2\n\nNotes: note 2"
    assert formats.read(Format.OLE, SLIDES) == Document(shown, (*LEFT_OUT, hidden))


def test_hidden_slides_are_left_out_and_named_in_their_order() -> None:
    """The first and third one are hidden. The fourth one's records come before those of the others."""
    document = formats.read(Format.OLE, HIDDEN)
    assert document.text == "## Slide 2\n\n# T1\n\nbody 1\n\n## Slide 4\n\n# T3\n\nbody 3"
    assert document.left_out == (*LEFT_OUT, LeftOut(Part.HIDDEN_SLIDE, 2, ("1", "3")))


@pytest.mark.parametrize("at", range(0, len(HIDDEN), 12_007))
def test_damaged_slides_are_read_or_refused(at: int) -> None:
    for damaged in (HIDDEN[:at] + b"\xff" * 16 + HIDDEN[at + 16 :], HIDDEN[:at]):
        with suppress(Unreadable, OSError, ValueError):
            formats.read(Format.OLE, damaged)


@pytest.mark.parametrize("at", range(0, 2_048, 4))
def test_damaged_file_is_read_or_refused(at: int) -> None:
    damaged = WORD[:at] + b"\x01\x00\x00\x00" + WORD[at + 4 :]
    with suppress(Unreadable, OSError, ValueError):
        formats.read(Format.OLE, damaged)


def test_protected_document_is_refused_as_protected() -> None:
    """The bit of the header that says so."""
    at = WORD.index(b"\xec\xa5") + 10
    protected = WORD[:at] + bytes([WORD[at], WORD[at + 1] | 1]) + WORD[at + 2 :]
    with pytest.raises(Unreadable) as caught:
        formats.read(Format.OLE, protected)
    assert caught.value.refusal is Obstacle.PROTECTED


def test_other_program_is_refused_by_its_kind() -> None:
    with pytest.raises(Unreadable) as caught:
        formats.read(Format.OLE, WORD.replace("WordDocument".encode("utf-16-le"), "WordPerfects".encode("utf-16-le")))
    assert caught.value.refusal is Obstacle.KIND
