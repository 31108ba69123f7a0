"""Word documents (docx) as Markdown. mammoth reads the body; what it passes over is rewritten first."""

import io
import zipfile
from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bot.documents.archive import Archive, attribute, local
from bot.documents.document import Draft, Part, Refusal, Unreadable
from bot.documents.markup import read_html

WORD_DOCUMENT = r"word/document\d*\.xml"
_REWRITTEN = r"word/(?:document|footnotes|endnotes|comments)\d*\.xml"
_TRANSPARENT = frozenset(("fldSimple", "bdo", "dir", "ruby", "rubyBase", "oMathPara"))
_DRAWN = frozenset(("AlternateContent", "drawing", "pict", "object"))
_AROUND = {
    "num": ("(", ")"),
    "den": ("/(", ")"),
    "sup": ("^(", ")"),
    "sub": ("_(", ")"),
    "deg": ("[", "]"),
    "rad": ("√(", ")"),
    "mr": ("", "; "),
}
"""What stands around parts of an equation, because lines of text have no fractions and powers."""


def read_word(archive: Archive, draft: Draft) -> None:
    """Adds a docx file to a draft.

    mammoth reads the body with footnotes, insertions and comments; headers and footers are ours. mammoth passes over
    elements that it doesn't know, with all the text in them. So they are rewritten first: simple fields, ruby, text of
    a direction, and text boxes become elements that it reads, and equations become text.
    """
    import mammoth

    # No office writes one. mammoth loads nothing by it, but it would leave out what refers to it, and say nothing.
    if archive.count(r"word/[^/]*\.xml", b"<!DOCTYPE"):
        raise Unreadable(Refusal.DAMAGED)
    for name in archive.matching(r"word/(?:header|footer)\d*\.xml"):
        title = "Header" if "header" in name else "Footer"
        text = _line_of(_readable(archive.xml(name)))
        draft.add(f"{title}: {text}" if text else "")
    pictures: list[object] = []

    def leave_out(picture: object) -> dict[str, str]:
        pictures.append(picture)
        return {"src": ""}

    # A style map in the file could hide paragraphs.
    html = mammoth.convert_to_html(
        _rewritten(archive),
        style_map="comment-reference => sup",
        include_embedded_style_map=False,
        convert_image=mammoth.images.img_element(leave_out),
    ).value
    read_html(html, draft)
    draft.leave_out(Part.PICTURE, count=len(pictures))
    draft.leave_out(Part.CHART, count=archive.count(WORD_DOCUMENT, rb"<(?:\w+:)?chart[ >]"))
    draft.leave_out(Part.DIAGRAM, count=archive.count(WORD_DOCUMENT, rb"<(?:\w+:)?relIds[ >]"))
    draft.leave_out(Part.ATTACHMENT, count=archive.count(WORD_DOCUMENT, rb"<(?:\w+:)?altChunk[ >]"))


def _rewritten(archive: Archive) -> io.BytesIO:
    """Returns the file as mammoth can read it, without its pictures: they are only counted."""
    file = io.BytesIO()
    rewritten = set(archive.matching(_REWRITTEN))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name in dict.fromkeys(archive.names):
            if name in rewritten:
                packed.writestr(name, ElementTree.tostring(_readable(archive.xml(name)), "utf-8"))
            elif name.endswith((".xml", ".rels")):
                packed.writestr(name, archive.bytes_of(name))
    return file


def _readable(root: Element) -> Element:
    """Rewrites what mammoth doesn't know. Returns the same element."""
    namespace = "".join(root.tag.rpartition("}")[:2])
    for element in list(root.iter()):
        name = local(element)
        if name in _TRANSPARENT:
            element.tag = f"{namespace}smartTag"
        elif name == "oMath":
            text = _equation(element)
            _become(element, f"{namespace}r", Element(f"{namespace}t"))
            element[0].text = f" {text} "
        elif name in _DRAWN and (boxes := _boxes(element)):
            _become(element, f"{namespace}pict", *boxes)
    return root


def _become(element: Element, tag: str, *children: Element) -> None:
    tail = element.tail
    element.clear()
    element.tag, element.tail = tag, tail
    element.extend(children)


def _boxes(element: Element) -> list[Element]:
    """Returns the text boxes in a drawing. A fallback repeats those of a choice, unless the choice has none."""
    choices = [child for child in element if local(child) == "Choice"]
    fallbacks = [child for child in element if local(child) == "Fallback"]
    if choices or fallbacks:
        return _boxes_among(choices) or _boxes_among(fallbacks)
    return _boxes_among(element)


def _boxes_among(elements: Iterable[Element]) -> list[Element]:
    return [box for child in elements for box in ([child] if local(child) == "txbxContent" else _boxes(child))]


def _equation(element: Element) -> str:
    """Returns an equation on a line, such as (a)/(b)."""
    name = local(element)
    if name == "t":
        return element.text or ""
    if name == "chr":
        return attribute(element, "val")
    if name == "naryPr" and all(local(child) != "chr" for child in element):
        return "∫"
    text = "".join(map(_equation, element))
    before, after = _AROUND.get(name, ("", ""))
    if name == "d":
        signs = {local(sign): attribute(sign, "val") for child in element if local(child) == "dPr" for sign in child}
        before, after = signs.get("begChr", "("), signs.get("endChr", ")")
    return f"{before}{text}{after}" if text else ""


def _line_of(root: Element) -> str:
    """Returns the text of all paragraphs on one line."""
    parts = ((part.text or "") if local(part) == "t" else " " for part in root.iter() if local(part) in ("t", "p"))
    return " ".join("".join(parts).split())
