"""Word and PowerPoint files of before 2007 (doc, ppt) as Markdown. office-oxide makes HTML of them.

It reads neither comments nor charts, and counts lists in its own way, so their numbers are left out. Which slides are
hidden is read from the records of the file ([MS-PPT] 2.1.2, "PowerPoint Document Stream"): the library tells it only
together with all pictures.
"""

import io
import re
import struct
from collections.abc import Iterator

from olefile import OleFileIO

from bot.documents.document import Draft, Obstacle, Part, Unreadable
from bot.documents.markup import read_html

_FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)
_UNTITLED = re.compile(r"<h[1-6][^>]*>Slide \d{1,5}</h[1-6]>")
_NUMBERED = re.compile(r"<(/?)ol\b")
_TITLED = {
    "<header><p>": "<p>Header: ",
    "<footer><p>": "<p>Footer: ",
    '<aside class="speaker-notes"><p>': "<p>Notes: ",
}


def read_old_word(content: bytes, draft: Draft) -> None:
    """Adds a doc file to a draft."""
    read_html(_html(content, "doc", draft), draft)


def read_old_slides(content: bytes, draft: Draft) -> None:
    """Adds a ppt file to a draft."""
    slides = _html(content, "ppt", draft).split("<hr />")
    are_hidden = _are_hidden(content)
    if len(are_hidden) != len(slides):
        are_hidden = [False] * len(slides)
    draft.leave_out(Part.HIDDEN_SLIDE, [str(number) for number, is_ in enumerate(are_hidden, 1) if is_], count=0)
    for number, slide in enumerate(slides, 1):
        if are_hidden[number - 1]:
            continue
        draft.add(f"## Slide {number}")
        # The library names slides without a title so, too.
        read_html(_UNTITLED.sub("", slide, 1), draft)


def _html(content: bytes, extension: str, draft: Draft) -> str:
    from office_oxide import Document, OfficeOxideError

    try:
        with Document.from_bytes(content, "doc" if extension == "doc" else "ppt") as document:
            html = document.to_html()
    except OfficeOxideError as error:
        raise Unreadable(Obstacle.PROTECTED if "encrypted" in str(error) else Obstacle.DAMAGED) from error
    draft.leave_out(Part.OLD_FORMAT)
    html, pictures = _FIGURE.subn("", html)
    draft.leave_out(Part.PICTURE, count=pictures)
    for written, titled in _TITLED.items():
        html = html.replace(written, titled)
    return _NUMBERED.sub(r"<\1ul", html)


_SLIDES, _SLIDE, _INFO = 0x0FF0, 0x03F3, 0x03F9
_HIDDEN = 4
MAX_EDITS = 1_000
"""A file that was saved more often, one save behind the other, is read as far as that."""


def _are_hidden(content: bytes) -> list[bool]:
    """Returns for each slide of a ppt file whether it is hidden, in their order; nothing if the file doesn't say."""
    try:
        with OleFileIO(io.BytesIO(content)) as file:
            user, records = (file.openstream(name).read() for name in ("Current User", "PowerPoint Document"))
        offsets, document = _persisted(records, *struct.unpack_from("<I", user, 16))
        # Lists of masters and notes have another instance.
        lists = [
            at for kind, instance, at, _ in _children(records, offsets[document]) if (kind, instance) == (_SLIDES, 0)
        ]
        entries = (entry for at in lists for entry in _children(records, at - 8))
        slides = [struct.unpack_from("<I", records, at)[0] for kind, _, at, _ in entries if kind == _SLIDE]
        return [_is_hidden(records, offsets[slide]) for slide in slides]
    except (struct.error, KeyError, OSError):
        return []


def _persisted(records: bytes, edit: int) -> tuple[dict[int, int], int]:
    """Returns where the file's objects begin, by id, and the document's id. `edit`: where its last edit is noted."""
    offsets: dict[int, int] = {}
    document = 0
    for _ in range(MAX_EDITS):
        previous, directory, latest = struct.unpack_from("<III", records, edit + 16)
        document = document or latest
        at, size_bytes = directory + 8, struct.unpack_from("<I", records, directory + 4)[0]
        end = min(at + size_bytes, len(records))
        while at < end:
            (entry,) = struct.unpack_from("<I", records, at)
            first, count = entry & 0xFFFFF, entry >> 20
            for number, offset in enumerate(struct.unpack_from(f"<{count}I", records, at + 4), first):
                offsets.setdefault(number, offset)
            at += 4 + 4 * count
        if not previous:
            break
        edit = previous
    return offsets, document


def _is_hidden(records: bytes, slide: int) -> bool:
    infos = (at for kind, _, at, size_bytes in _children(records, slide) if kind == _INFO and size_bytes >= 12)
    return any(struct.unpack_from("<H", records, at + 10)[0] & _HIDDEN for at in infos)


def _children(records: bytes, container: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the type, instance, data's offset and size of each record in a container that begins at an offset."""
    at, end = container + 8, container + 8 + struct.unpack_from("<I", records, container + 4)[0]
    while at + 8 <= min(end, len(records)):
        instance, kind, size_bytes = struct.unpack_from("<HHI", records, at)
        yield kind, instance >> 4, at + 8, size_bytes
        at += 8 + size_bytes
