"""PowerPoint presentations: the texts, tables, charts, diagrams and notes of each slide, in its order."""

import posixpath
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from bot.documents.archive import Archive, attribute, local
from bot.documents.document import Part
from bot.documents.draft import Draft

PRESENTATION = "ppt/presentation.xml"


def read(archive: Archive, draft: Draft) -> None:
    """Adds a pptx file to a draft."""
    related = dict(_related(archive, PRESENTATION))
    order = [attribute(element, "id") for element in _slide_ids(archive.xml(PRESENTATION))]
    hidden = []
    for number, slide in enumerate((related[id_][1] for id_ in order if id_ in related), 1):
        root = archive.xml(slide)
        if attribute(root, "show") == "0":
            hidden.append(str(number))
            continue
        draft.add(f"## Slide {number}")
        _add(root, draft)
        for kind, target in dict(_related(archive, slide)).values():
            if kind in ("chart", "diagramData", "notesSlide") and target in archive.names:
                _add_related(kind, archive.xml(target), draft)
    draft.leave_out(Part.HIDDEN_SLIDE, hidden, count=0)
    draft.leave_out(Part.COMMENT, count=archive.count(r"ppt/comments/[^/]*\.xml", rb"<(?:\w+:)?cm[ >]"))
    draft.leave_out(Part.PICTURE, count=archive.count(r"ppt/slides/[^/]*\.xml", rb"<(?:\w+:)?pic[ >]"))


def _slide_ids(root: Element) -> Iterator[Element]:
    """Yields the slides' entries. Their attribute `id` is there twice; the relationship's comes last."""
    for element in root.iter():
        if local(element) == "sldId":
            element.attrib.pop("id", None)
            yield element


def _related(archive: Archive, name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields the ids of a part's relationships, each with its kind and the part that it leads to."""
    folder, file = posixpath.split(name)
    relations = f"{folder}/_rels/{file}.rels"
    for element in archive.xml(relations) if relations in archive.names else ():
        target = posixpath.normpath(posixpath.join(folder, element.get("Target", ""))).lstrip("/")
        yield element.get("Id", ""), (element.get("Type", "").rpartition("/")[2], target)


def _add(element: Element, draft: Draft) -> None:
    """Adds paragraphs and tables in their order. A fallback repeats what stands beside it."""
    for child in element:
        name = local(child)
        if name == "tbl":
            rows = (row for row in child if local(row) == "tr")
            draft.table([_text(cell) for cell in row if local(cell) == "tc"] for row in rows)
        elif name == "p":
            level = next((attribute(one, "lvl") for one in child if local(one) == "pPr"), "")
            draft.add(f"{'  ' * int(level) + '- ' if level in '12345678' and level else ''}{_text(child)}", "\n")
        elif name != "Fallback":
            _add(child, draft)


def _add_related(kind: str, root: Element, draft: Draft) -> None:
    if kind == "chart":
        # A series has its categories and values; titles are paragraphs.
        _add(root, draft)
        draft.table([value.text or "" for value in series.iter() if local(value) == "v"] for series in _series(root))
    elif kind == "diagramData":
        _add(root, draft)
    else:
        notes = [shape for shape in root.iter() if local(shape) == "sp" and "sldNum" not in _placeholders(shape)]
        text = "\n".join(filter(str.strip, map(_text, notes)))
        draft.add(f"Notes: {text}" if text else "")


def _series(root: Element) -> Iterator[Element]:
    return (element for element in root.iter() if local(element) == "ser")


def _placeholders(shape: Element) -> list[str]:
    return [attribute(element, "type") for element in shape.iter() if local(element) == "ph"]


def _text(element: Element) -> str:
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
