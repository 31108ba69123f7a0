"""Converts OpenDocument files, including flat ones, to Markdown."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from files_to_markdown.archive import Archive, attribute, child, local_name
from files_to_markdown.document import MAX_REPEATED, Draft, Obstacle, Part, Unreadable
from files_to_markdown.markup import format_script, link, link_to_formula_url, merge_strikethrough, strike_out
from files_to_markdown.odf_sheets import (
    DRAWN,
    columns_of,
    is_hidden,
    report_drawings,
    rows_of,
    value_text,
)
from files_to_markdown.odf_styles import Count, OdfStyles, control_text, description_of, mark_text, next_label

_MAX_SHEETS_BYTES = 24 * 2**20
"""The maximum size of the sheets' XML to read. MAX_CHARS of text need less, unless it is nearly all formatting."""
_NOT_READ = frozenset(
    (
        *("tracked-changes", "forms", "settings", "annotation", "page-number", "number", "script"),
        # A slide's own footer and date are shown in its master's positions.
        *("header", "footer", "date-time"),
    )
)
_AT_EDGE = {"date-time": "Date", "footer": "Footer"}
"""Slide elements whose text can be shared by all slides."""
_HEADERS = tuple(f"{name}{page}" for name in ("header", "footer") for page in ("", "-left", "-first"))
_DESCRIBED = frozenset(("frame", "custom-shape", "rect", "line", "path", "polygon", "ellipse", "circle", "g"))


def read_open_document(root: Element, styles: Element, archive: Archive | None, draft: Draft) -> None:
    """Adds an odt or odp file, or a flat file of any type, to a draft. `styles`: the element with the styles, headers
    and footers. `archive`: the archive with the embedded objects, or None for a flat file."""
    own = _OpenDocument(OdfStyles([styles]), styles, archive, draft)
    seen = set()
    for element in styles.iter():
        if local_name(element) not in _HEADERS or attribute(element, "display") == "false":
            continue
        if (text := " ".join(own.lines_of(element))) and text not in seen:
            seen.add(text)
            draft.add(f"{local_name(element)[:6].capitalize()}: {text}")
    body = next(element for element in root if local_name(element) == "body")
    reader = _OpenDocument(OdfStyles([styles, root] if styles is not root else [root]), root, archive, draft)
    reader.masters = {attribute(one, "name"): one for one in styles.iter() if local_name(one) == "master-page"}
    reader.add(body)
    deleted = (one for one in root.iter() if local_name(one) == "deletion" and any(part.text for part in one.iter()))
    draft.record_left_out(Part.DELETION, count=sum(1 for _ in deleted))
    draft.record_left_out(Part.COMMENT, count=sum(local_name(element) == "annotation" for element in root.iter()))


def read_open_sheets(archive: Archive, draft: Draft) -> None:
    root, is_whole = archive.beginning("content.xml", _MAX_SHEETS_BYTES)
    if not is_whole and not any(local_name(element) == "table-row" for element in root.iter()):
        raise Unreadable(Obstacle.TOO_LARGE)
    styles = archive.xml("styles.xml") if "styles.xml" in archive.names else root
    # A sheet's headers are those of printed pages.
    reader = _OpenDocument(OdfStyles([styles, root] if styles is not root else [root]), root, archive, draft)
    comments = sum(local_name(element) == "annotation" for element in root.iter())
    try:
        reader.add(next(element for element in root if local_name(element) == "body"))
        draft.record_left_out(Part.END, count=not is_whole)
    finally:
        draft.record_left_out(Part.COMMENT, count=comments)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    is_listed: bool = False


@dataclass(frozen=True, slots=True)
class _Table:
    rows: Iterable[Sequence[str]]


class _OpenDocument:
    def __init__(self, styles: OdfStyles, root: Element, archive: Archive | None, draft: Draft) -> None:
        self._draft = draft
        self._styles = styles
        self._archive = archive
        self._slides = 0
        forms = (form for form in root.iter() if local_name(form) == "forms")
        self._controls = {attribute(one, "id"): one for form in forms for one in form.iter() if attribute(one, "id")}
        regions = (
            one for one in root.iter() if local_name(one) == "changed-region" and child(one, "deletion") is not None
        )
        self._deleted = {attribute(one, "id") for one in regions}
        self._deletions: set[str] = set()
        self._is_struck = False
        """Whether the text around the next piece is struck out."""
        self.masters: dict[str, Element] = {}
        declared = (one for one in root.iter() if local_name(one) in {f"{name}-decl" for name in _AT_EDGE})
        self._declared = {attribute(one, "name"): "".join(one.itertext()) for one in declared}
        self._charts: list[_Line | _Table] = []

    def add(self, element: Element) -> None:
        for block in self._blocks(element):
            if isinstance(block, _Table):
                self._draft.add_table(block.rows)
            else:
                self._draft.add(block.text, "\n" if block.is_listed else "\n\n")

    def lines_of(self, element: Element) -> list[str]:
        lines = []
        for block in self._blocks(element):
            if isinstance(block, _Table):
                lines.append(" ; ".join(" , ".join(filter(None, row)) for row in block.rows))
            else:
                lines += block.text.split("\n")
        return [line.strip() for line in lines if line.strip()]

    def _blocks(self, element: Element) -> Iterator[_Line | _Table]:
        for one in element:
            yield from self._block(one, local_name(one), is_sheet=local_name(element) == "spreadsheet")

    def _block(self, element: Element, name: str, *, is_sheet: bool = False) -> Iterator[_Line | _Table]:
        if name in _NOT_READ:
            return
        if name in ("h", "p"):
            yield from self._paragraph(element)
        elif name == "list":
            yield from self._list(element, self._styles.begin_list(element), 1)
        elif name == "table":
            yield from self._sheet(element) if is_sheet else [_Table(self._rows_of(element))]
        elif name == "page":
            yield from self._page(element)
        elif _is_hidden(element):
            self._draft.record_left_out(Part.HIDDEN_TEXT)
        else:
            yield from self._other_element(element, name)

    def _other_element(self, element: Element, name: str) -> Iterator[_Line | _Table]:
        if name == "notes":
            text = "\n".join(self.lines_of(element))
            yield _Line(f"Notes: {text}" if text else "")
        elif name == "control":
            yield _Line(self._control_text(element))
        else:
            if name in _DESCRIBED:
                yield _Line(self._drawing_text(element))
                yield from self._take_charts()
                element = _without_children(element, ("title", "desc", "object", "image"))
            yield from self._blocks(element)

    def _paragraph(self, element: Element, lead: str = "", *, is_listed: bool = False) -> Iterator[_Line | _Table]:
        if self._styles.is_hidden(element):
            self._draft.record_left_out(Part.HIDDEN_TEXT, count=any(part.text for part in element.iter()))
            return
        text = self._text_of(element)
        if local_name(element) == "h":
            level_text = attribute(element, "outline-level")
            level = int(level_text) if level_text.isdecimal() and len(level_text) < 4 else 1
            number = _stored_number(element) or ("" if lead else self._styles.heading(element, level))
            lead = f"{'#' * min(6, level)} {lead.lstrip()}{number}{' ' if number else ''}"
        if text:
            # A leading tab is an empty column.
            yield _Line(lead + text.lstrip() if lead else text, is_listed)
        yield from self._take_charts()

    def _take_charts(self) -> Iterator[_Line | _Table]:
        charts, self._charts = self._charts, []
        yield from charts

    def _list(self, element: Element, count: Count, level: int) -> Iterator[_Line | _Table]:
        """Yields the items of a list. `level`: 1 for a list that isn't nested."""
        count = self._styles.nested_count(element, count)
        indent = "  " * (min(level, 20) - 1)
        for item in (one for one in element if local_name(one) in ("list-item", "list-header")):
            # The label before its first paragraph. An item that only contains a list isn't counted.
            is_first = local_name(item) == "list-item"
            for one in item:
                if local_name(one) == "list":
                    yield from self._list(one, count, level + 1)
                elif local_name(one) in ("p", "h"):
                    lead = indent
                    if is_first:
                        label = next_label(count, level, attribute(item, "start-value"))
                        label = _stored_number(item) or label
                        lead += f"{label} " if label else ""
                    yield from self._paragraph(one, lead if is_first else "", is_listed=True)
                    is_first = False
                else:
                    yield from self._block(one, local_name(one))

    def _page(self, page: Element) -> Iterator[_Line | _Table]:
        self._slides += 1
        if self._styles.is_page_hidden(page):
            self._draft.record_left_out(Part.HIDDEN_SLIDE, [str(self._slides)])
            return
        titles = [one for one in page if attribute(one, "class") == "title"]
        title = " ".join(line for one in titles for line in self.lines_of(one))
        yield _Line(f"## Slide {self._slides}{f': {title}' if title else ''}")
        rest = Element(page.tag)
        rest.extend(one for one in page if one not in titles)
        yield from self._blocks(rest)
        for name, title in _AT_EDGE.items():
            if self._styles.shows_on_slide(page, f"display-{name}"):
                words = self._declared.pop(attribute(page, f"use-{name}-name"), "").strip()
                yield _Line(f"{title}: {words}" if words else "")
        if self._styles.shows_on_slide(page, "background-objects-visible"):
            yield _Line(self._master_text(attribute(page, "master-page-name")))

    def _master_text(self, name: str) -> str:
        """Returns the text that slides get from a master, only once for all slides."""
        own = Element("page")
        # Placeholder text isn't shown.
        own.extend(
            one
            for one in self.masters.pop(name, ())
            if local_name(one) != "notes" and attribute(one, "placeholder") != "true"
        )
        words = " ".join(self.lines_of(own))
        return f"On slides of this layout: {words}" if words else ""

    def _sheet(self, sheet: Element) -> Iterator[_Line | _Table]:
        name = attribute(sheet, "name")
        if self._styles.is_sheet_hidden(sheet):
            self._draft.record_left_out(Part.HIDDEN_SHEET, [name])
            return
        report_drawings(sheet, self._archive, self._draft)
        yield _Line(f"## Sheet {name}")
        yield _Table(self._rows_of(sheet, is_sheet=True))

    def _rows_of(self, table: Element, *, is_sheet: bool = False) -> Iterator[list[str]]:
        hidden = columns_of(table, is_hidden)
        struck_columns = columns_of(table, partial(self._styles.is_struck, default=False))
        named: set[int] = set()
        for one in rows_of(table):
            times = _repeat_count(one, "number-rows-repeated")
            if is_hidden(one):
                self._draft.record_left_out(Part.HIDDEN_ROW, count=times * any(part.text for part in one.iter()))
                continue
            row: list[str] = []
            at = 0
            for cell in one:
                if local_name(cell) not in ("table-cell", "covered-table-cell"):
                    continue
                is_struck = self._styles.is_struck(one, default=any(at in some for some in struck_columns))
                text = self._cell_text(cell, is_struck=is_struck) if is_sheet else "<br>".join(self.lines_of(cell))
                columns = range(at, at + _repeat_count(cell, "number-columns-repeated"))
                at += _number(cell, "number-columns-repeated")
                unseen = {column for column in columns if any(column in some for some in hidden)} if hidden else set()
                row += [text] * (len(columns) - len(unseen))
                self._draft.record_left_out(Part.HIDDEN_COLUMN, count=len(unseen - named) if text else 0)
                named |= unseen if text else set()
            for _ in range(times):
                yield row

    def _cell_text(self, cell: Element, *, is_struck: bool) -> str:
        """Returns the text of a sheet's cell. `is_struck`: whether cells without a style are struck out."""
        text = value_text(cell, self._draft)
        self._is_struck = self._styles.is_struck(cell, default=is_struck and not attribute(cell, "style-name"))
        text = "<br>".join(self.lines_of(_without_children(cell, DRAWN))) if text is None else text
        text, self._is_struck = merge_strikethrough(strike_out(text)) if self._is_struck else text, False
        return link_to_formula_url(text, attribute(cell, "formula"))

    def _text_of(self, element: Element) -> str:
        return merge_strikethrough(self._struck_pieces_of(element)).replace("\u00ad", "").strip(" \n").rstrip()

    def _struck_pieces_of(self, element: Element, before: str = "") -> str:
        """Returns the text of a paragraph or part of one, with marks where strikethrough begins and ends."""
        around = self._is_struck
        self._is_struck = self._styles.is_struck(element, default=around)
        text = "".join(self._pieces_of(element, before))
        is_changed, self._is_struck = self._is_struck != around, around
        return strike_out(text) if is_changed else text

    def _pieces_of(self, element: Element, before: str = "") -> Iterator[str]:
        """Yields the pieces of a text. A footnote follows its mark, in parentheses. `before`: the preceding text."""
        yield "" if self._deletions else element.text or ""
        before = element.text or before
        for one in element:
            self._track_deletion(one)
            if local_name(one) not in _NOT_READ:
                for piece in self._piece(one, before):
                    before = piece or before
                    yield piece
            before = one.tail or before
            yield "" if self._deletions else one.tail or ""

    def _track_deletion(self, element: Element) -> None:
        """Follows the start and end of a tracked deletion, which flat files keep in place."""
        id_ = attribute(element, "change-id")
        if local_name(element) == "change-start" and id_ in self._deleted:
            self._deletions.add(id_)
        elif local_name(element) == "change-end":
            self._deletions.discard(id_)

    def _piece(self, one: Element, before: str) -> Iterator[str]:
        name = local_name(one)
        if name == "span":
            yield from self._span(one, before)
        elif name in _DESCRIBED:
            yield self._drawing_text(one)
            yield from self._pieces_of(_without_children(one, ("title", "desc", "object", "image")))
        elif _is_hidden(one):
            self._draft.record_left_out(Part.HIDDEN_TEXT)
        elif (words := self._substitute_text(one, name)) is not None:
            yield words
        else:
            yield from self._pieces_of(one, before)

    def _substitute_text(self, element: Element, name: str) -> str | None:
        """Returns the text that replaces an element, or None to use its content."""
        if name in ("s", "tab", "line-break"):
            return {"s": " " * min(_number(element, "c"), 1_000), "tab": "\t"}.get(name, "\n")
        if name == "note-body":
            return f" ({' '.join(self.lines_of(element))})"
        if name in ("p", "h"):
            # In a frame or a text box within a paragraph.
            return f" {self._text_of(element)} "
        if name == "a":
            return link("".join(self._pieces_of(element)), attribute(element, "href"))
        if name == "ruby-text":
            return f"({self._text_of(element)})"
        if name == "control":
            return f" {self._control_text(element)} "
        if name in ("fieldmark", "fieldmark-start"):
            return mark_text(element)
        return " ".join(["", *self.lines_of(element), ""]) if name == "list" else None

    def _span(self, span: Element, before: str) -> Iterator[str]:
        text = self._struck_pieces_of(span, before)
        if self._styles.is_hidden(span):
            self._draft.record_left_out(Part.HIDDEN_TEXT, count=bool(text))
        elif sign := self._styles.script_sign(span):
            yield format_script(before, text, sign)
        else:
            yield text

    def _control_text(self, shape: Element) -> str:
        control = self._controls.get(attribute(shape, "control"))
        text = None if control is None else control_text(control)
        self._draft.record_left_out(Part.CONTROL, count=text is None)
        return text or ""

    def _drawing_text(self, shape: Element) -> str:
        """Returns a drawing's text. For objects and tables, the drawing is a picture for other programs."""
        words = f"![{text}]" if (text := description_of(shape)) else ""
        embedded = child(shape, "object")
        if embedded is not None:
            return f"{words}{self._embedded_text(embedded)}"
        if child(shape, "object-ole") is not None or child(shape, "plugin") is not None:
            self._draft.record_left_out(Part.ATTACHMENT)
        elif child(shape, "image") is not None and child(shape, "table") is None:
            self._draft.record_left_out(Part.PICTURE)
        return words

    def _embedded_text(self, element: Element) -> str:
        name = posixpath.normpath(posixpath.join(attribute(element, "href"), "content.xml"))
        content = self._archive.xml(name) if self._archive and name in self._archive.names else element
        if (formula := next((one for one in content.iter() if local_name(one) == "math"), None)) is not None:
            # LibreOffice stores the formula as a line of text.
            said = next((one.text for one in formula.iter() if local_name(one) == "annotation"), None)
            self._draft.record_left_out(Part.EQUATION, count=said is None)
            return f" {said} " if said else ""
        charts = (one for one in content.iter() if local_name(one) == "chart" and child(one, "chart") is None)
        chart = next(charts, None)
        if chart is None:
            self._draft.record_left_out(Part.ATTACHMENT)
            return ""
        titles = " ".join(line for one in chart if local_name(one) == "title" for line in self.lines_of(one))
        tables = [_Table(list(self._rows_of(one))) for one in chart if local_name(one) == "table"]
        self._charts += [_Line(f"Chart: {titles}" if titles else "", is_listed=True), *tables]
        return ""


def _is_hidden(element: Element) -> bool:
    return attribute(element, "is-hidden") == "true" or (
        local_name(element) == "section" and attribute(element, "display") == "none"
    )


def _without_children(element: Element, names: Sequence[str]) -> Element:
    rest = ElementTree.Element(element.tag)
    rest.extend(one for one in element if local_name(one) not in names)
    return rest


def _stored_number(element: Element) -> str:
    """Returns the number that a file stores for programs that can't count, or "" if there is none."""
    number = child(element, "number")
    return "" if number is None else (number.text or "").strip()


def _repeat_count(element: Element, name: str) -> int:
    return min(_number(element, name), MAX_REPEATED)


def _number(element: Element, name: str) -> int:
    times = attribute(element, name)
    return int(times) if times.isdecimal() and len(times) < 8 else 1
