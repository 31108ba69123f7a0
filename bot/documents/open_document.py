"""OpenDocument texts and presentations, and flat files of any kind, as Markdown."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from bot.documents.archive import attribute, local
from bot.documents.document import MAX_REPEATED, Draft, Part

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
