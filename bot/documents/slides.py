"""Presentations (pptx) as Markdown."""

from xml.etree.ElementTree import Element

from bot.documents.archive import Archive, attribute, local, relations_of
from bot.documents.document import Draft, Part

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
                _add_related(kind, archive.xml(target), draft)
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


def _add_related(kind: str, root: Element, draft: Draft) -> None:
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
