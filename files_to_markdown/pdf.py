"""Extracts the text of PDFs: their pages, forms, comments and links. PDFium, which reads them, is imported on first
use."""

import ctypes
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from files_to_markdown.document import Draft, Obstacle, Part, Unreadable

_DIVIDED = re.compile("[\ufffe\x02](?:\r?\n)?")
"""Matches what PDFium returns for a hyphen at a line break within a word."""
_UNKNOWN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ue000-\uf8ff]")
"""Matches the glyph number that stands for a character if the font doesn't identify the character. People see the
character."""
_MAX_UNKNOWN = 0.25
"""The maximum share of glyph numbers, because bullets can be glyph numbers, too. Pages with more count as pages without
text."""
_MAX_TEXT_BYTES = 200_000
_CHECKBOX, _RADIO, _BUTTON = 2, 3, 1
_MAX_OPTIONS = 1_000
_UNSEEN = 2 | 32
_PASSWORD = 1 << 13
"""The flag of password fields, which show dots."""
_LEFT_OUT = {
    "FILEATTACHMENT": Part.ATTACHMENT,
    "THREED": Part.MODEL,
    **dict.fromkeys(("MOVIE", "RICHMEDIA", "SCREEN", "SOUND"), Part.RECORDING),
}
_NO_COMMENTS = frozenset(("LINK", "POPUP", "PRINTERMARK", "TRAPNET", "WIDGET", "XFAWIDGET", *_LEFT_OUT))
"""Annotations that aren't comments by readers. A popup repeats the comment that it belongs to."""


def read_pdf(content: bytes, draft: Draft) -> None:
    """Adds a PDF's text to a draft. Pages without text are scans, or have fonts that don't identify the characters."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        pdf = PdfDocument(content)
        pdf.init_forms()
    except PdfiumError as error:
        raise Unreadable(Obstacle.PROTECTED if "password" in str(error).lower() else Obstacle.DAMAGED) from error
    draft.record_left_out(Part.ATTACHMENT, list(_attachment_names(pdf)), count=0)
    without_text = []
    draft.pages = len(pdf)
    for number in range(draft.pages):
        page = pdf[number]
        text = _DIVIDED.sub("-\n", _text(page.get_textpage())).replace("\r\n", "\n")
        text = "" if len(_UNKNOWN.findall(text)) > len(text) * _MAX_UNKNOWN else text
        notes = list(dict.fromkeys(_annotation_texts(pdf, page, draft)))
        page.close()
        if text.strip() or notes:
            draft.add(f"## Page {number + 1}\n\n{text}")
        for note in notes:
            draft.add(note, "\n")
        if not text.strip():
            without_text.append(str(number + 1))
    draft.record_left_out(Part.PAGE, without_text, count=0)


def _text(page: Any) -> str:
    """Returns a page's text, with the letters of each ligature in the right order. In right-to-left scripts, PDFium
    reverses the letters of ligatures, such as lam and alef."""
    text: str = page.get_text_range()
    # Beyond the BMP, PDFium's text offsets aren't Python's.
    if not any("\u0590" <= char <= "\u08ff" for char in text) or max(text) > "\uffff":
        return text
    pieces, at = [], 0
    while at < len(text):
        sizes = (size for size in (4, 3, 2) if text[at : at + size] in _reversed_ligatures())
        size = next((size for size in sizes if _is_one_glyph(page, range(at, at + size))), 1)
        pieces.append(text[at : at + size][::-1])
        at += size
    return "".join(pieces)


@cache
def _reversed_ligatures() -> frozenset[str]:
    """Returns the letters of Unicode's right-to-left ligatures, reversed."""
    forms = (*range(0xFB1D, 0xFE00), *range(0xFE70, 0xFF00))
    ligatures = {unicodedata.normalize("NFKC", chr(form)) for form in forms}
    return frozenset(ligature[::-1] for ligature in ligatures if 1 < len(ligature) <= 4) - ligatures


def _is_one_glyph(page: Any, places: range) -> bool:
    """Returns whether characters in a page's text all have exactly the same position."""
    import pypdfium2.raw as pdfium

    origins = set()
    for place in places:
        x, y = ctypes.c_double(), ctypes.c_double()
        if not pdfium.FPDFText_GetCharOrigin(page, pdfium.FPDFText_GetCharIndexFromTextIndex(page, place), x, y):
            return False
        origins.add((x.value, y.value))
    return len(origins) == 1


def _attachment_names(pdf: Any) -> Iterator[str]:
    for at in range(min(pdf.count_attachments(), 1_000)):
        yield pdf.get_attachment(at).get_name() or "?"


def _annotation_texts(pdf: Any, page: Any, draft: Draft) -> Iterator[str]:
    """Yields text that isn't part of a page's content: completed fields, comments and URLs."""
    import pypdfium2.raw as pdfium

    names = {value: name.removeprefix("FPDF_ANNOT_") for name, value in vars(pdfium).items() if _is_subtype(name)}
    for at in range(pdfium.FPDFPage_GetAnnotCount(page)):
        if not (annotation := pdfium.FPDFPage_GetAnnot(page, at)):
            continue
        name = names.get(pdfium.FPDFAnnot_GetSubtype(annotation), "")
        is_unseen = pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN
        said = list(_text_of_annotation(pdfium, pdf, annotation, name))
        if is_unseen:
            draft.record_left_out(Part.HIDDEN_TEXT, count=bool(said))
        else:
            yield from said
            if part := _LEFT_OUT.get(name):
                draft.record_left_out(part)
        pdfium.FPDFPage_CloseAnnot(annotation)


def _is_subtype(name: str) -> bool:
    return re.fullmatch("FPDF_ANNOT_[A-Z0-9]+", name) is not None and "APPEARANCEMODE" not in name


def _text_of_annotation(pdfium: Any, pdf: Any, annotation: Any, name: str) -> Iterator[str]:
    if name == "WIDGET" and pdf.formenv:
        yield from _field(pdfium, pdf.formenv, annotation)
    elif name == "LINK":
        yield from _link_text(pdfium, pdf, annotation)
    elif name not in _NO_COMMENTS and (words := _read_string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")):
        yield f"Comment: {' '.join(words.split())}"


def _field(pdfium: Any, form: Any, annotation: Any) -> Iterator[str]:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    name = _read_string(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _read_string(
        pdfium.FPDFAnnot_GetFormFieldName, form, annotation
    )
    if kind in (_CHECKBOX, _RADIO):
        box = "☒" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "☐"
        choice = _read_string(pdfium.FPDFAnnot_GetFormFieldExportValue, form, annotation) if kind == _RADIO else ""
        yield f"{box} {name}{f': {choice}' if choice else ''}"
    elif kind != _BUTTON and (value := _value(pdfium, form, annotation)):
        yield f"{name}: {value}"


def _value(pdfium: Any, form: Any, annotation: Any) -> str:
    """Returns a field's displayed value. For a choice, these are the labels of the selected options."""
    count = min(pdfium.FPDFAnnot_GetOptionCount(form, annotation), _MAX_OPTIONS)
    chosen = [at for at in range(count) if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, at)]
    if chosen:
        return ", ".join(_read_string(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, at) for at in chosen)
    value = _read_string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
    is_password = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD
    return "•••" if value and is_password else value


def _link_text(pdfium: Any, pdf: Any, annotation: Any) -> Iterator[str]:
    link = pdfium.FPDFAnnot_GetLink(annotation)
    action = pdfium.FPDFLink_GetAction(link) if link else None
    if action and (size := pdfium.FPDFAction_GetURIPath(pdf, action, None, 0)):
        buffer = ctypes.create_string_buffer(min(size, _MAX_TEXT_BYTES))
        pdfium.FPDFAction_GetURIPath(pdf, action, buffer, len(buffer))
        yield f"Link: {buffer.value.decode(errors='replace')}"


def _read_string(get: Callable[..., int], *of: Any) -> str:
    buffer = (ctypes.c_ushort * (min(get(*of, None, 0), _MAX_TEXT_BYTES) // 2))()
    get(*of, buffer, ctypes.sizeof(buffer))
    return bytes(buffer).decode("utf-16-le", errors="replace").rstrip("\0")
