"""OpenDocument texts and presentations, and flat files of all kinds, as LibreOffice writes them."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from bot.documents.archive import Archive, attribute, local, parsed
from bot.documents.document import Part, Refusal
from bot.documents.draft import Draft, Unreadable

MAX_REPEATED = 100
"""How often one cell or row may be repeated: a sheet's empty rest is one that is repeated a million times."""
_SKIPPED = frozenset(("tracked-changes", "forms", "settings"))


def check_protection(archive: Archive) -> None:
    """Raises Unreadable if the file is encrypted."""
    if b"encryption-data" in archive.bytes_of("META-INF/manifest.xml"):
        raise Unreadable(Refusal.PROTECTED)


def read(archive: Archive, draft: Draft) -> None:
    """Adds an odt or odp file to a draft."""
    root = archive.xml("content.xml")
    _add(archive.xml("styles.xml") if "styles.xml" in archive.names else root, root, draft)


def read_flat(content: bytes, draft: Draft) -> None:
    """Adds a fodt, fods or fodp file to a draft."""
    root = parsed(content)
    _add(root, root, draft)


def _add(styles: Element, root: Element, draft: Draft) -> None:
    seen = set()
    for element in styles.iter():
        if local(element) in ("header", "footer") and (text := _text(element)) and text not in seen:
            seen.add(text)
            draft.add(f"{local(element).capitalize()}: {text}")
    body = next(element for element in root if local(element) == "body")
    _Walk(draft).add(body)
    draft.leave_out(Part.COMMENT, count=sum(local(element) == "annotation" for element in root.iter()))
    draft.leave_out(Part.PICTURE, count=sum(local(element) == "image" for element in root.iter()))


class _Walk:
    """Adds the blocks of a document in their order."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._slides = 0

    def add(self, element: Element, depth: int = 0, lead: str = "") -> None:
        """Adds what is in an element. `depth`: of lists; `lead`: what stands before its first paragraph."""
        for child in element:
            name = local(child)
            if name in _SKIPPED:
                continue
            if name == "h":
                level = attribute(child, "outline-level")
                self._draft.add(f"{'#' * min(6, int(level) if level.isdecimal() else 1)} {_text(child)}")
            elif name == "p":
                text = _text(child)
                self._draft.add(lead + text if text else "", "\n" if depth else "\n\n")
                lead = "" if text else lead
            elif name == "list":
                self.add(child, depth + 1)
            elif name in ("list-item", "list-header"):
                self.add(child, depth, f"{'  ' * (min(depth, 20) - 1)}- ")
            elif name == "table":
                self._add_table(child, is_sheet=local(element) == "spreadsheet")
            elif name == "notes":
                text = "\n".join(_texts(child))
                self._draft.add(f"Notes: {text}" if text else "")
            else:
                if name == "page":
                    self._slides += 1
                    self._draft.add(f"## Slide {self._slides}")
                self.add(child, depth, lead)

    def _add_table(self, table: Element, *, is_sheet: bool) -> None:
        if is_sheet:
            self._draft.add(f"## Sheet {attribute(table, 'name')}")
        self._draft.table(_rows(table))


def _rows(table: Element) -> Iterator[list[str]]:
    for child in table:
        name = local(child)
        if name == "table-row":
            row = [text for cell in child for text in _cells(cell)]
            for _ in range(_repeated(child, "number-rows-repeated")):
                yield row
        elif name.startswith("table-") and name != "table-column":
            yield from _rows(child)


def _cells(cell: Element) -> list[str]:
    if local(cell) not in ("table-cell", "covered-table-cell"):
        return []
    return [" ".join(_texts(cell))] * _repeated(cell, "number-columns-repeated")


def _repeated(element: Element, name: str) -> int:
    times = attribute(element, name)
    return min(int(times), MAX_REPEATED) if times.isdecimal() else 1


def _texts(element: Element) -> list[str]:
    """Returns the texts of all paragraphs in an element that are not within another."""
    if local(element) in ("p", "h"):
        return [_text(element)]
    return [text for child in element if local(child) != "annotation" for text in _texts(child) if text]


def _text(element: Element) -> str:
    return "".join(_pieces(element)).strip()


def _pieces(element: Element) -> Iterator[str]:
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
            yield f" ({' '.join(_texts(child))})"
        elif name in ("p", "h"):
            # In a frame or a text box within a paragraph.
            yield f" {_text(child)} "
        elif name not in ("annotation", "tracked-changes", "page-number"):
            yield from _pieces(child)
        yield child.tail or ""
