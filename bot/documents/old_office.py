"""Word and PowerPoint files of before 2007 (doc, ppt) as Markdown. office-oxide makes HTML of them.

It reads neither comments nor charts, and counts lists in its own way, so their numbers are left out.
"""

import re

from bot.documents.document import Draft, Part, Refusal, Unreadable
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
    for number, slide in enumerate(_html(content, "ppt", draft).split("<hr />"), 1):
        draft.add(f"## Slide {number}")
        # The library names slides without a title so, too.
        read_html(_UNTITLED.sub("", slide, 1), draft)


def _html(content: bytes, extension: str, draft: Draft) -> str:
    from office_oxide import Document, OfficeOxideError

    try:
        with Document.from_bytes(content, "doc" if extension == "doc" else "ppt") as document:
            html = document.to_html()
    except OfficeOxideError as error:
        raise Unreadable(Refusal.PROTECTED if "encrypted" in str(error) else Refusal.DAMAGED) from error
    draft.leave_out(Part.OLD_FORMAT)
    html, pictures = _FIGURE.subn("", html)
    draft.leave_out(Part.PICTURE, count=pictures)
    for written, titled in _TITLED.items():
        html = html.replace(written, titled)
    return _NUMBERED.sub(r"<\1ul", html)
