"""Converts xlsx files to Markdown tables, row by row, so that a sheet is unpacked only until there is enough text.

Cells are shown the way people see them (number_formats.py), and formulas as their saved results. Hidden sheets, rows
and columns aren't read, because the person who shares a file might not know about them. They are reported as left out.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from files_to_markdown.archive import (
    MAX_UNPACKED_BYTES,
    Archive,
    attribute,
    external_urls,
    is_on,
    local_name,
    relations_of,
)
from files_to_markdown.document import MAX_CHARS, Draft, Obstacle, Part, Unreadable
from files_to_markdown.markup import link_to_formula_url, merge_strikethrough, strike_out
from files_to_markdown.number_formats import BUILT_IN, GENERAL, format_stored_number, format_text
from files_to_markdown.slides import Shapes

_COMMENTED = r"xl/comments\d*\.xml|xl/comments/[^/]*\.xml"
_OLD_CONTROL = rb"ObjectType=\"(?!Note|Pict|Group|Shape)"
"""Matches a form control. Excel before 2010 stores these with the comments."""
_MAX_STRINGS_CHARS = 8 * MAX_CHARS
"""Maximum number of characters of the string table to read. Cells that come early in a workbook have early strings."""
_MAX_STRING_CHARS = 32_767
_MAX_DRAWING_BYTES = 4 * 2**20
_MAX_GAP = 30
"""Maximum number of empty columns to show in a row. After a longer gap, a cell is shown with its reference instead."""
_RAISED = {"superscript": "^", "subscript": "_"}
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_TRUE = ("1", "true")
_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class _Book:
    strings: list[str]
    formats: list[str]
    struck: frozenset[int]
    is_1904: bool
    counted: Counter[Part] = field(default_factory=Counter)


def read_workbook(archive: Archive, workbook: str, draft: Draft) -> None:
    root = archive.xml(workbook)
    parts = dict(relations_of(archive, workbook))
    sheets = [
        (sheet, parts.get(_relationship_id(sheet), ("", ""))) for sheet in root.iter() if local_name(sheet) == "sheet"
    ]
    hidden = [attribute(sheet, "name") for sheet, _ in sheets if attribute(sheet, "state") not in ("", "visible")]
    draft.record_left_out(Part.HIDDEN_SHEET, hidden, count=0)
    draft.record_left_out(Part.COMMENT, count=_comment_count(archive))
    draft.record_left_out(Part.ATTACHMENT, count=sum(1 for _ in archive.names_matching(r"xl/embeddings/[^/]+")))
    controls = sum(1 for _ in archive.names_matching(r"xl/ctrlProps/[^/]+"))
    draft.record_left_out(Part.CONTROL, count=max(controls, archive.count(r"xl/drawings/[^/]*\.vml", _OLD_CONTROL)))
    draft.record_left_out(Part.CONTROL, count=sum(1 for _ in archive.names_matching(r"xl/activeX/[^/]+\.xml")))
    properties = next((one for one in root if local_name(one) == "workbookPr"), root)
    target = next((to for kind, to in parts.values() if kind == "sharedStrings"), "")
    is_1904 = attribute(properties, "date1904") not in ("", "0", "false")
    book = _Book(_strings(archive, target), *_styles(archive, parts), is_1904)
    try:
        for sheet, (kind, name) in sheets:
            if attribute(sheet, "name") not in hidden and name in archive.names:
                draft.add(f"## Sheet {attribute(sheet, 'name')}")
                if kind == "worksheet":
                    _Sheet(archive, name, book, draft).add()
                _add_drawings(archive, name, draft)
    finally:
        for part, count in book.counted.items():
            draft.record_left_out(part, count=count)


def _add_drawings(archive: Archive, sheet: str, draft: Draft) -> None:
    for kind, name in dict(relations_of(archive, sheet)).values():
        if kind == "drawing" and name in archive.names:
            try:
                root, is_whole = archive.beginning(name, _MAX_DRAWING_BYTES)
                Shapes(archive, name, draft).add(root)
            except (ParseError, RecursionError):
                # The cells are useful without it.
                draft.record_left_out(Part.PICTURE)
            else:
                draft.record_left_out(Part.END, count=not is_whole)


def _relationship_id(sheet: Element) -> str:
    """Returns the ID of a sheet's relationship. In other namespaces, other attributes have the same name."""
    return next((value for key, value in sheet.attrib.items() if key.endswith("}id")), "")


def _comment_count(archive: Archive) -> int:
    """Returns the number of comments. The first comment of a thread is also stored as an old-style comment."""
    threaded = archive.count(r"xl/threadedComments/[^/]*\.xml", rb"<(?:\w+:)?threadedComment ")
    replies = archive.count(r"xl/threadedComments/[^/]*\.xml", rb"<(?:\w+:)?threadedComment [^>]*parentId=")
    return max(threaded, archive.count(_COMMENTED, rb"<(?:\w+:)?comment ") + replies)


def _styles(archive: Archive, parts: Mapping[str, tuple[str, str]]) -> tuple[list[str], frozenset[int]]:
    """Returns the number format of each style, and the styles with strikethrough."""
    name = next((to for kind, to in parts.values() if kind == "styles"), "")
    if name not in archive.names:
        return [], frozenset()
    root = archive.xml(name)
    codes = {
        attribute(one, "numFmtId"): attribute(one, "formatCode") for one in root.iter() if local_name(one) == "numFmt"
    }
    styles = next((one for one in root if local_name(one) == "cellXfs"), root)
    cells = [style for style in styles if local_name(style) == "xf"]
    numbers = [attribute(style, "numFmtId") for style in cells]
    fonts = next((one for one in root if local_name(one) == "fonts"), ())
    lines = {str(at) for at, font in enumerate(fonts) if is_on(font, "strike")}
    return (
        [codes.get(id_) or BUILT_IN.get(int(id_) if id_.isdecimal() else 0, GENERAL) for id_ in numbers],
        frozenset(at for at, style in enumerate(cells) if attribute(style, "fontId") in lines),
    )


def _strings(archive: Archive, name: str) -> list[str]:
    if name not in archive.names:
        return []
    strings: list[str] = []
    room = _MAX_STRINGS_CHARS
    for element in _elements(archive, name, ("si",)):
        strings.append(_rich_text(element))
        room -= len(strings[-1]) + 1
        if room <= 0:
            break
    return strings


def _elements(archive: Archive, name: str, wanted: Collection[str]) -> Iterator[Element]:
    """Yields the elements with these names among the children and grandchildren of a part's root, and removes complete
    elements from memory. Handling an event for each element would take most of the time. So the tree is examined while
    it grows, when all children except the last are complete."""
    builder = TreeBuilder()
    parser = XMLParser(target=builder)  # noqa: S314
    with archive.stream(name) as stream:
        is_done = False
        while not is_done:
            if stream.tell() > MAX_UNPACKED_BYTES:
                raise Unreadable(Obstacle.TOO_LARGE)
            is_done = not (chunk := stream.read(_CHUNK_BYTES))
            parser.close() if is_done else parser.feed(chunk)
            if (root := builder.close()) is not None:
                yield from _complete_elements(root, wanted, is_done=is_done)


def _complete_elements(root: Element, wanted: Collection[str], *, is_done: bool) -> Iterator[Element]:
    closed = len(root) - (not is_done)
    for at, element in enumerate(list(root)):
        if local_name(element) not in wanted:
            inner = element[: len(element) - (at >= closed)]
            yield from (child for child in inner if local_name(child) in wanted)
            del element[: len(inner)]
        elif at < closed:
            yield element
    del root[: max(0, closed)]


def _rich_text(element: Element) -> str:
    parts = []
    for child in element:
        if local_name(child) == "t":
            parts.append(child.text or "")
        elif local_name(child) == "r":
            raised = next((attribute(one, "val") for one in child.iter() if local_name(one) == "vertAlign"), "")
            text = _RAISED.get(raised, "") + "".join(one.text or "" for one in child if local_name(one) == "t")
            parts.append(strike_out(text) if any(is_on(one, "strike") for one in child) else text)
    return merge_strikethrough(_unescape("".join(parts)))


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text[:_MAX_STRING_CHARS])


class _Sheet:
    """Reads one sheet. Its columns are stored before its rows, and its links after them."""

    def __init__(self, archive: Archive, name: str, book: _Book, draft: Draft) -> None:
        self._archive, self._name, self._book, self._draft = archive, name, book, draft
        self._hidden_columns: list[tuple[int, int]] = []
        self._columns_left_out: set[int] = set()
        self._has_cells = False
        self._links: list[tuple[str, str, str]] = []

    def add(self) -> None:
        try:
            self._add_rows()
            urls = external_urls(self._archive, self._name) if self._links else {}
            for cell, id_, place in self._links:
                if url := urls.get(id_):
                    self._draft.add(f"- {cell}: {url}{place}", "\n")
        finally:
            self._book.counted[Part.HIDDEN_COLUMN] += len(self._columns_left_out)

    def _add_rows(self) -> None:
        try:
            self._draft.add_table(self._rows())
        except Unreadable:
            if not self._has_cells:
                raise
            self._draft.record_left_out(Part.END)

    def _rows(self) -> Iterator[list[str]]:
        for element in _elements(self._archive, self._name, ("col", "row", "hyperlink", "picture")):
            match local_name(element):
                case "row" if _is_hidden(element, "ht"):
                    self._book.counted[Part.HIDDEN_ROW] += any(
                        local_name(cell) == "c" and len(cell) for cell in element
                    )
                case "row":
                    cells = self._cells(element)
                    self._has_cells = self._has_cells or bool(cells)
                    yield cells
                case "col" if _is_hidden(element, "width"):
                    first, last = attribute(element, "min"), attribute(element, "max")
                    if first.isdecimal() and last.isdecimal():
                        self._hidden_columns.append((int(first), int(last)))
                case "hyperlink":
                    place = attribute(element, "location")
                    cell = attribute(element, "ref").partition(":")[0]
                    self._links.append((cell, _relationship_id(element), f"#{place}" if place else ""))
                case "picture":
                    # The sheet's background.
                    self._book.counted[Part.PICTURE] += 1

    def _cells(self, row: Element) -> list[str]:
        cells: list[str] = []
        column = skipped = 0
        for cell in row:
            if local_name(cell) != "c":
                continue
            reference = cell.get("r", "")
            column = _column_of(reference) or column + 1
            if not (text := self._text_of(cell)):
                continue
            if any(first <= column <= last for first, last in self._hidden_columns):
                self._columns_left_out.add(column)
                continue
            gap = column - 1 - skipped - len(cells)
            if gap > _MAX_GAP:
                text = f"{reference}: {text}"
                skipped, gap = column - 1 - len(cells), 0
            cells += [*[""] * gap, text]
        return cells

    def _text_of(self, cell: Element) -> str:
        """Returns a cell's displayed text, or its formula if there is no saved result."""
        parts = {local_name(child): child for child in cell}
        value = (parts["v"].text or "") if "v" in parts else ""
        formula = parts["f"].text or "" if "f" in parts else ""
        kind = cell.get("t", "n")
        if "f" in parts and not value and kind != "str":
            self._book.counted[Part.FORMULA] += 1
            return f"={formula}" if formula else ""
        if kind == "e" and cell.get("vm"):
            # A picture in a cell, with a fallback for older programs.
            self._book.counted[Part.PICTURE] += 1
            return ""
        style = cell.get("s", "")
        formats = self._book.formats
        at = int(style) if style.isdecimal() else len(formats)
        code = formats[at] if at < len(formats) else GENERAL
        text = self._format_value(kind, _rich_text(parts["is"]) if "is" in parts else value, code)
        # A string with several fonts has its own strikethrough.
        text = strike_out(text) if at in self._book.struck and "~~" not in text else text
        return link_to_formula_url(text, formula)

    def _format_value(self, kind: str, value: str, code: str) -> str:
        match kind:
            case "s":
                strings = self._book.strings
                is_there = value.isdecimal() and int(value) < len(strings)
                return format_text(strings[int(value)], code) if is_there else self._missing_string()
            case "inlineStr":
                return format_text(value, code)
            case "str":
                return format_text(_unescape(value), code)
            case "b":
                return "TRUE" if value in _TRUE else "FALSE" if value else ""
            case "e":
                self._book.counted[Part.ERROR] += 1
                return value
            case "d":
                return value.replace("T", " ").removesuffix(" 00:00:00")
        return format_stored_number(value, code, is_1904=self._book.is_1904)

    def _missing_string(self) -> str:
        self._book.counted[Part.STRING] += 1
        return "…"


def _is_hidden(element: Element, size: str) -> bool:
    return attribute(element, "hidden") in _TRUE or attribute(element, size) == "0"


def _column_of(reference: str) -> int:
    column = 0
    for letter in reference[:3]:
        if not "A" <= letter <= "Z":
            break
        column = column * 26 + ord(letter) - 64
    return column
