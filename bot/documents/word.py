"""Word documents. mammoth reads the body with footnotes, insertions and comments; headers and footers are ours."""

import io

from bot.core.documents import Part, Refusal
from bot.documents import markup
from bot.documents.archive import Archive, local
from bot.documents.draft import Draft, Unreadable


def read(content: bytes, archive: Archive, draft: Draft) -> None:
    """Adds a docx file to a draft."""
    import mammoth

    # No office writes one. mammoth loads nothing by it, but it would leave out what refers to it, and say nothing.
    if archive.count(r"word/[^/]*\.xml", b"<!DOCTYPE"):
        raise Unreadable(Refusal.DAMAGED)
    for name in archive.matching(r"word/(?:header|footer)\d*\.xml"):
        title = "Header" if "header" in name else "Footer"
        paragraphs = (element for element in archive.xml(name).iter() if local(element) == "p")
        text = " ".join("".join(part.text or "" for part in one.iter() if local(part) == "t") for one in paragraphs)
        draft.add(f"{title}: {text}" if text.strip() else "")
    pictures = 0

    def count(_: object) -> dict[str, str]:
        nonlocal pictures
        pictures += 1
        return {"src": ""}

    # A style map in the file could hide paragraphs.
    html = mammoth.convert_to_html(
        io.BytesIO(content),
        style_map="comment-reference => sup",
        include_embedded_style_map=False,
        convert_image=mammoth.images.img_element(count),
    ).value
    markup.read(html, draft)
    draft.leave_out(Part.PICTURE, count=pictures)
