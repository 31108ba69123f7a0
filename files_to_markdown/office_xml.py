"""Converts Office documents and workbooks that are stored as one XML file to Markdown.

With few exceptions, a Word 2003 document has the same elements as a newer document, so it is converted to one. A flat
package is a newer file in another container, and is also converted. Excel 2003 workbooks are read in this module.
Source: Microsoft's Office 2003 XML Reference Schemas, and [MS-FLATOPC] for packages.
"""

import io
import zipfile
from binascii import Error, a2b_base64
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from files_to_markdown.archive import attribute, child, local_name, value_of
from files_to_markdown.document import Draft, Part
from files_to_markdown.markup import link, strike_out
from files_to_markdown.number_formats import GENERAL, format_stored_number, format_value
from files_to_markdown.word import line_of

_MAX_GAP, _MAX_COLUMNS = 100, 16_384
"""Maximum number of consecutive empty cells to keep in a row, and Excel's maximum number of columns."""
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_WORD_2003 = "{http://schemas.microsoft.com/office/word/2003/wordml}"
_AROUND = frozenset(("sect", "sub-section", "content"))
"""Elements that only group paragraphs and runs."""
_CHANGES = {"Word.Insertion": "ins", "Word.Deletion": "del"}
_DATE, _TIME = "yyyy-mm-dd", "hh:mm:ss"
_NAMED = {
    "Fixed": "0.00",
    "Standard": "#,##0.00",
    "Currency": "#,##0.00",
    "Euro Currency": "€#,##0.00",
    "Percent": "0.00%",
    "Scientific": "0.00E+00",
    **dict.fromkeys(("Short Date", "Medium Date", "Long Date"), _DATE),
    **dict.fromkeys(("Short Time", "Medium Time", "Long Time"), _TIME),
    "General Date": "",
    "General Number": GENERAL,
}
"""Named number formats in Excel 2003."""


def pack_archive(root: Element, draft: Draft) -> bytes:
    """Converts a flat package or a Word 2003 document to an archive. Word 2003 comments are reported as left out."""
    parts = dict(_parts(root)) if local_name(root) == "package" else _word_parts(root, draft)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _parts(package: Element) -> Iterator[tuple[str, bytes]]:
    types = []
    for part in package:
        name, data = attribute(part, "name").lstrip("/"), child(part, "xmlData")
        types.append(f"<Override PartName={quoteattr(name)} ContentType={quoteattr(attribute(part, 'contentType'))}/>")
        if data is not None:
            yield name, ElementTree.tostring(data[0], "utf-8") if len(data) else b""
        elif (data := child(part, "binaryData")) is not None:
            try:
                yield name, a2b_base64(data.text or "")
            except (Error, ValueError):
                yield name, b""
    yield "[Content_Types].xml", f"<Types>{''.join(types)}</Types>".encode()


def _word_parts(root: Element, draft: Draft) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    for element in list(root.iter()):
        if element.tag.startswith(_WORD_2003):
            element.tag = _WORD + local_name(element)
        element.attrib = {key.replace(_WORD_2003, _WORD): value for key, value in element.attrib.items()}
        _convert_element(element, local_name(element), draft)
    for section in root.iter(f"{_WORD}sectPr"):
        for header in [one for one in section if local_name(one) in ("hdr", "ftr")]:
            parts[f"word/header{len(parts)}.xml"] = ElementTree.tostring(header, "utf-8")
            section.remove(header)
    document = Element(f"{_WORD}document")
    document.extend(one for one in root if local_name(one) == "body")
    styles = next((one for one in root if local_name(one) == "styles"), Element(f"{_WORD}styles"))
    parts["word/document.xml"] = ElementTree.tostring(document, "utf-8")
    parts["word/styles.xml"] = ElementTree.tostring(styles, "utf-8")
    return parts


def _convert_element(element: Element, name: str, draft: Draft) -> None:
    if name in _AROUND:
        element.tag = f"{_WORD}smartTag"
    elif name == "annotation":
        element.tag = _WORD + _CHANGES.get(attribute(element, "type"), "bookmarkEnd")
        if attribute(element, "type") == "Word.Comment":
            draft.record_left_out(Part.COMMENT)
            element[:] = []
    elif name == "hlink":
        place = attribute(element, "bookmark")
        code = f'HYPERLINK "{attribute(element, "dest")}"' + (f' \\l "{place}"' if place else "")
        element.tag, element.attrib = f"{_WORD}fldSimple", {f"{_WORD}instr": code}
    elif name in ("footnote", "endnote"):
        note = line_of(element)
        element.tag, element.text, element[:] = f"{_WORD}t", f" ({note})" if note else "", []
    elif name == "pict" and all(local_name(one) != "imagedata" for one in element.iter()):
        for one in (one for one in element if local_name(one) == "binData"):
            one.tag = "imagedata"
    elif name in ("binData", "imagedata"):
        # A picture's data would leave no room for the text after it.
        element.text = None
    elif name == "p":
        _write_label(element)


def _write_label(paragraph: Element) -> None:
    """Writes an item's number or bullet, which Word stores for other programs, into the item's text."""
    properties = child(paragraph, "pPr")
    listed = None if properties is None else child(properties, "listPr")
    if properties is None or listed is None:
        return
    run = Element(f"{_WORD}r")
    label = value_of(listed, "t")
    ElementTree.SubElement(run, f"{_WORD}t").text = f"{label if any(map(str.isalnum, label)) else '-'} "
    paragraph.insert(list(paragraph).index(properties) + 1, run)


def read_office_sheets(root: Element, draft: Draft) -> None:
    styles = {attribute(one, "ID"): _style(one) for one in root.iter() if local_name(one) == "Style"}
    for sheet in (one for one in root if local_name(one) == "Worksheet"):
        name = attribute(sheet, "Name")
        if any(local_name(one) == "Visible" and "Hidden" in (one.text or "") for one in sheet.iter()):
            draft.record_left_out(Part.HIDDEN_SHEET, [name])
            continue
        draft.add(f"## Sheet {name}")
        for table in (one for one in sheet if local_name(one) == "Table"):
            draft.add_table(_Rows(styles, draft).read(table))


def _style(style: Element) -> tuple[str, bool]:
    code = next((attribute(one, "Format") for one in style if local_name(one) == "NumberFormat"), "")
    return _NAMED.get(code, code), any(attribute(one, "StrikeThrough") == "1" for one in style)


class _Rows:
    def __init__(self, styles: Mapping[str, tuple[str, bool]], draft: Draft) -> None:
        self._styles, self._draft = styles, draft
        self._hidden: set[int] = set()
        self._named: set[int] = set()

    def read(self, table: Element) -> Iterator[list[str]]:
        at = 0
        for element in table:
            if local_name(element) == "Column":
                said = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
                at = _number(said, "Index") - 1 if "Index" in said else at
                columns = range(at, at + 1 + _number(said, "Span"))
                at = columns.stop
                self._hidden |= set(columns[:_MAX_COLUMNS]) if said.get("Hidden") == "1" else set()
            elif local_name(element) == "Row" and attribute(element, "Hidden") == "1":
                self._draft.record_left_out(
                    Part.HIDDEN_ROW, count=any(local_name(one) == "Data" for one in element.iter())
                )
            elif local_name(element) == "Row":
                yield self._cells(element)

    def _cells(self, row: Element) -> list[str]:
        cells: list[str] = []
        at = shown = 0
        for cell in (one for one in row if local_name(one) == "Cell"):
            said = {key.rpartition("}")[2]: value for key, value in cell.attrib.items()}
            at = _number(said, "Index") - 1 if "Index" in said else at
            text = self._text_of({local_name(one): one for one in cell}, said)
            if at in self._hidden:
                self._draft.record_left_out(Part.HIDDEN_COLUMN, count=bool(text) and at not in self._named)
                self._named |= {at} if text else set()
            else:
                gap = sum(column not in self._hidden for column in range(shown, at)[:_MAX_GAP])
                cells += [*[""] * gap, text]
                shown = at + 1
            at += 1 + _number(said, "MergeAcross")
        return cells

    def _text_of(self, parts: Mapping[str, Element], attributes: Mapping[str, str]) -> str:
        """Returns a cell's displayed text. `attributes`: the cell's attributes."""
        self._draft.record_left_out(Part.COMMENT, count="Comment" in parts)
        if (data := parts.get("Data")) is None:
            formula = attributes.get("Formula", "")
            self._draft.record_left_out(Part.FORMULA, count=bool(formula))
            return formula
        code, is_struck = self._styles.get(attributes.get("StyleID", ""), ("", False))
        text = self._format_value("".join(data.itertext()), attribute(data, "Type"), code)
        return link(strike_out(text) if is_struck else text, attributes.get("HRef", ""))

    def _format_value(self, text: str, kind: str, code: str) -> str:
        match kind:
            case "Number":
                return format_stored_number(text, code or GENERAL)
            case "Boolean":
                return "TRUE" if text == "1" else "FALSE"
            case "DateTime":
                return _format_date(text, code)
        self._draft.record_left_out(Part.ERROR, count=kind == "Error")
        return text


def _number(said: Mapping[str, str], name: str) -> int:
    text = said.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 8 else 0


def _format_date(text: str, code: str) -> str:
    """Formats a date or time, which the file stores in ISO 8601."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    # Excel's calendar has an extra day at the end of February 1900.
    days = (moment - datetime(1899, 12, 30)) / timedelta(days=1) - (moment < datetime(1900, 3, 1))
    return format_value(days, code or (_DATE if days == int(days) else f"{_DATE} {_TIME}"))
