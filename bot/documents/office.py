"""Word, PowerPoint and OpenDocument files as Markdown. mammoth reads docx, and is imported with the first one."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bot.documents.archive import Archive, attribute, local, relations_of
from bot.documents.document import MAX_REPEATED, Draft, Part, Refusal, Unreadable
from bot.documents.text import read_html

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


PRESENTATION = "ppt/presentation.xml"


def read_slides(archive: Archive, draft: Draft) -> None:
    """Adds the texts, tables, charts, diagrams and notes of a pptx file's slides to a draft."""
    related = dict(relations_of(archive, PRESENTATION))
    entries = [element for element in archive.xml(PRESENTATION).iter() if local(element) == "sldId"]
    for entry in entries:
        # The attribute `id` is there twice; the relationship's comes last.
        entry.attrib.pop("id", None)
    order = [attribute(entry, "id") for entry in entries]
    hidden = []
    for number, slide in enumerate((related[id_][1] for id_ in order if id_ in related), 1):
        root = archive.xml(slide)
        if attribute(root, "show") == "0":
            hidden.append(str(number))
            continue
        draft.add(f"## Slide {number}")
        _add_shapes(root, draft)
        for kind, target in dict(relations_of(archive, slide)).values():
            if kind in ("chart", "diagramData", "notesSlide") and target in archive.names:
                _addrelated(kind, archive.xml(target), draft)
    draft.leave_out(Part.HIDDEN_SLIDE, hidden, count=0)
    draft.leave_out(Part.COMMENT, count=archive.count(r"ppt/comments/[^/]*\.xml", rb"<(?:\w+:)?cm[ >]"))
    draft.leave_out(Part.PICTURE, count=archive.count(r"ppt/slides/[^/]*\.xml", rb"<(?:\w+:)?pic[ >]"))


def _add_shapes(element: Element, draft: Draft) -> None:
    """Adds paragraphs and tables in their order. A fallback repeats what stands beside it."""
    for child in element:
        name = local(child)
        if name == "tbl":
            rows = (row for row in child if local(row) == "tr")
            draft.table([_lines_of(cell) for cell in row if local(cell) == "tc"] for row in rows)
        elif name == "p":
            level = next((attribute(one, "lvl") for one in child if local(one) == "pPr"), "")
            draft.add(f"{'  ' * int(level) + '- ' if level in '12345678' and level else ''}{_lines_of(child)}", "\n")
        elif name != "Fallback":
            _add_shapes(child, draft)


def _addrelated(kind: str, root: Element, draft: Draft) -> None:
    if kind != "notesSlide":
        _add_shapes(root, draft)
    if kind == "chart":
        # A series has its categories and values; titles are paragraphs.
        all_series = (element for element in root.iter() if local(element) == "ser")
        draft.table([value.text or "" for value in series.iter() if local(value) == "v"] for series in all_series)
    elif kind == "notesSlide":
        notes = [shape for shape in root.iter() if local(shape) == "sp" and not _is_slide_number(shape)]
        text = "\n".join(filter(str.strip, map(_lines_of, notes)))
        draft.add(f"Notes: {text}" if text else "")


def _is_slide_number(shape: Element) -> bool:
    return any(local(element) == "ph" and attribute(element, "type") == "sldNum" for element in shape.iter())


def _lines_of(element: Element) -> str:
    """Returns the text of an element's paragraphs, one on each line."""
    parts = []
    for part in element.iter():
        if local(part) == "t":
            parts.append(part.text or "")
        elif local(part) in ("p", "br"):
            parts.append("\n")
        elif local(part) == "tab":
            parts.append("\t")
    return "".join(parts).strip()


_NOT_READ = frozenset(("tracked-changes", "forms", "settings"))


def read_open_document(root: Element, styles: Element, draft: Draft) -> None:
    """Adds an odt or odp file, or a flat file of any kind, to a draft. `styles` has the headers and footers."""
    seen = set()
    for element in styles.iter():
        if local(element) in ("header", "footer") and (text := _text_of(element)) and text not in seen:
            seen.add(text)
            draft.add(f"{local(element).capitalize()}: {text}")
    body = next(element for element in root if local(element) == "body")
    _OpenDocument(draft).add(body)
    draft.leave_out(Part.COMMENT, count=sum(local(element) == "annotation" for element in root.iter()))
    draft.leave_out(Part.PICTURE, count=sum(local(element) == "image" for element in root.iter()))


class _OpenDocument:
    """Adds the blocks of a document in their order."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._slides = 0

    def add(self, element: Element, depth: int = 0, lead: str = "") -> None:
        """Adds what is in an element. `depth`: of lists; `lead`: what stands before its first paragraph."""
        for child in element:
            name = local(child)
            if name in _NOT_READ:
                continue
            if name == "h":
                level = attribute(child, "outline-level")
                self._draft.add(f"{'#' * min(6, int(level) if level.isdecimal() else 1)} {_text_of(child)}")
            elif name == "p":
                text = _text_of(child)
                self._draft.add(lead + text if text else "", "\n" if depth else "\n\n")
                lead = "" if text else lead
            elif name == "list":
                self.add(child, depth + 1)
            elif name in ("list-item", "list-header"):
                self.add(child, depth, f"{'  ' * (min(depth, 20) - 1)}- ")
            elif name == "table":
                self._add_table(child, is_sheet=local(element) == "spreadsheet")
            elif name == "notes":
                text = "\n".join(_texts_of(child))
                self._draft.add(f"Notes: {text}" if text else "")
            else:
                if name == "page":
                    self._slides += 1
                    self._draft.add(f"## Slide {self._slides}")
                self.add(child, depth, lead)

    def _add_table(self, table: Element, *, is_sheet: bool) -> None:
        if is_sheet:
            self._draft.add(f"## Sheet {attribute(table, 'name')}")
        self._draft.table(_rows_of(table))


def _rows_of(table: Element) -> Iterator[list[str]]:
    for child in table:
        name = local(child)
        if name == "table-row":
            row: list[str] = []
            for cell in child:
                if local(cell) in ("table-cell", "covered-table-cell"):
                    row += [" ".join(_texts_of(cell))] * _repeated(cell, "number-columns-repeated")
            for _ in range(_repeated(child, "number-rows-repeated")):
                yield row
        elif name.startswith("table-") and name != "table-column":
            yield from _rows_of(child)


def _repeated(element: Element, name: str) -> int:
    times = attribute(element, name)
    return min(int(times), MAX_REPEATED) if times.isdecimal() else 1


def _texts_of(element: Element) -> list[str]:
    """Returns the texts of all paragraphs in an element that are not within another."""
    if local(element) in ("p", "h"):
        return [_text_of(element)]
    return [text for child in element if local(child) != "annotation" for text in _texts_of(child) if text]


def _text_of(element: Element) -> str:
    return "".join(_pieces_of(element)).strip()


def _pieces_of(element: Element) -> Iterator[str]:
    """Yields the pieces of a text. A footnote follows its mark in parentheses."""
    yield element.text or ""
    for child in element:
        name = local(child)
        if name == "s":
            spaces = attribute(child, "c")
            yield " " * (min(int(spaces), 1_000) if spaces.isdecimal() else 1)
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name == "note-body":
            yield f" ({' '.join(_texts_of(child))})"
        elif name in ("p", "h"):
            # In a frame or a text box within a paragraph.
            yield f" {_text_of(child)} "
        elif name not in ("annotation", "tracked-changes", "page-number"):
            yield from _pieces_of(child)
        yield child.tail or ""
