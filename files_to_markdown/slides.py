"""Converts presentations (pptx) to Markdown. Each slide begins with its title, and includes its speaker notes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from xml.etree.ElementTree import Element, ParseError

from files_to_markdown.archive import Archive, attribute, child, external_urls, local_name, relations_of
from files_to_markdown.charts import add_chart, add_diagram
from files_to_markdown.document import Draft, Part
from files_to_markdown.equations import equation
from files_to_markdown.markup import format_script, link, merge_strikethrough, strike_out
from files_to_markdown.numerals import MAX_NUMBER, circled, letters, roman

_TITLES = ("title", "ctrTitle")
_RECORDINGS = frozenset(("videoFile", "audioFile", "audioCd", "quickTimeFile", "wavAudioFile", "media"))
_SHOWN = frozenset(("t", "tbl", "pic", "chart", "relIds", "oleObj", "model3d"))
_NUMBERED = re.compile(r"(alphaLc|alphaUc|arabic|romanLc|romanUc|circleNum)(\w*)")


def read_slides(archive: Archive, main: str, draft: Draft) -> None:
    related = dict(relations_of(archive, main))
    entries = [element for element in archive.xml(main).iter() if local_name(element) == "sldId"]
    for entry in entries:
        # The attribute `id` occurs twice; the relationship's comes last.
        entry.attrib.pop("id", None)
    order = [attribute(entry, "id") for entry in entries]
    hidden = []
    seen: set[str] = set()
    for number, slide in enumerate((related[id_][1] for id_ in order if id_ in related), 1):
        if slide not in archive.names:
            continue
        root = archive.xml(slide)
        if attribute(root, "show") in ("0", "false"):
            hidden.append(str(number))
            continue
        Shapes(archive, slide, draft).add_slide(root, number)
        _add_layouts(archive, slide, seen, draft)
    draft.record_left_out(Part.HIDDEN_SLIDE, hidden, count=0)
    draft.record_left_out(Part.COMMENT, count=archive.count(r"ppt/comments/[^/]*\.xml", rb"<(?:\w+:)?cm[ >]"))


def _add_layouts(archive: Archive, name: str, seen: set[str], draft: Draft) -> None:
    """Adds the text that a slide gets from its layout and master, only once for all slides."""
    for kind, target in dict(relations_of(archive, name)).values():
        if kind in ("slideLayout", "slideMaster") and target not in seen and target in archive.names:
            seen.add(target)
            shapes = [
                shape for shape in archive.xml(target).iter() if local_name(shape) == "sp" and not _placeholder(shape)
            ]
            words = " ".join(" ".join("\n".join(map(_plain_lines, shapes)).split()).split())
            draft.add(f"On slides of this layout: {words}" if words else "")
            _add_layouts(archive, target, seen, draft)


def _placeholder(shape: Element) -> str:
    """Returns a placeholder's type, such as title, or "" for other shapes."""
    found = next((element for element in shape.iter() if local_name(element) == "ph"), None)
    return "" if found is None else attribute(found, "type") or "obj"


class Shapes:
    def __init__(self, archive: Archive, name: str, draft: Draft) -> None:
        self._archive = archive
        self._draft = draft
        self._related = dict(relations_of(archive, name))
        self._urls = external_urls(archive, name)

    def add_slide(self, root: Element, number: int) -> None:
        titles = [shape for shape in root.iter() if local_name(shape) == "sp" and _placeholder(shape) in _TITLES]
        title = " ".join(" ".join(self._lines_of(shape) for shape in titles).split())
        self._draft.add(f"## Slide {number}{f': {title}' if title else ''}")
        self.add(root)
        filled = (
            one for one in root.iter() if local_name(one) in ("spPr", "bgPr") and child(one, "blipFill") is not None
        )
        self._draft.record_left_out(Part.PICTURE, count=sum(1 for _ in filled))
        for kind, target in self._related.values():
            if kind == "notesSlide" and target in self._archive.names:
                shapes = [shape for shape in self._archive.xml(target).iter() if local_name(shape) == "sp"]
                notes = (_plain_lines(shape) for shape in shapes if _placeholder(shape) != "sldNum")
                text = "\n".join(filter(None, notes))
                self._draft.add(f"Notes: {text}" if text else "")

    def add(self, parent: Element) -> None:
        numbers = _Numbers(parent)
        for element in parent:
            name = local_name(element)
            if name == "p":
                text = self._lines_of(element)
                self._draft.add(numbers.label_of(element) + text if text else "", "\n")
            elif name == "tbl":
                rows = (row for row in element if local_name(row) == "tr")
                self._draft.add_table([self._cell(one) for one in row if local_name(one) == "tc"] for row in rows)
            elif name == "AlternateContent":
                self.add(_newest_visible_alternative(element))
            elif name in ("sp", "pic", "graphicFrame", "cxnSp", "grpSp"):
                self._add_shape(element, name)
            elif name in ("chart", "relIds", "oleObj", "model3d"):
                self._add_object(element, name)
            elif name == "contentPart" or (name == "graphicData" and _has_no_known_content(element)):
                self._draft.record_left_out(Part.PICTURE)
            elif name not in ("Fallback", "timing"):
                # A copy for older programs is stored next to it, and animations refer to shapes.
                self.add(element)

    def _add_shape(self, shape: Element, name: str) -> None:
        if name == "sp" and _placeholder(shape) in (*_TITLES, "sldNum"):
            return
        about = next((one for group in shape for one in group if local_name(one) == "cNvPr"), None)
        if about is not None and attribute(about, "hidden") in ("1", "true"):
            # A form control has a hidden shape, but is displayed in another way.
            is_control = any(local_name(one) == "compatExt" for one in about.iter())
            self._draft.record_left_out(
                Part.HIDDEN_TEXT, count=not is_control and any(local_name(one) == "t" for one in shape.iter())
            )
            return
        if name == "pic":
            is_recording = any(local_name(one) in _RECORDINGS for one in shape.iter())
            self._draft.record_left_out(Part.RECORDING if is_recording else Part.PICTURE)
        description = "" if about is None else " ".join(attribute(about, "descr").split())
        url = self._link_url(about)
        if description or url:
            self._draft.add(link(f"![{description}]", url) if description else url, "\n")
        self.add(shape)

    def _add_object(self, element: Element, name: str) -> None:
        if name in ("oleObj", "model3d"):
            self._draft.record_left_out(Part.ATTACHMENT if name == "oleObj" else Part.MODEL)
            return
        target = self._related.get(attribute(element, "id" if name == "chart" else "dm"), ("", ""))[1]
        part = Part.CHART if name == "chart" else Part.DIAGRAM
        try:
            root = self._archive.xml(target)
        except (KeyError, ParseError):
            self._draft.record_left_out(part)
        else:
            (add_chart if name == "chart" else add_diagram)(root, self._draft)

    def _link_url(self, element: Element | None) -> str:
        """Returns the URL that a click on a shape or text opens, or "" if the link leads to the presentation itself."""
        clicked = None if element is None else child(element, "hlinkClick")
        return "" if clicked is None else self._urls.get(attribute(clicked, "id"), "")

    def _cell(self, cell: Element) -> str:
        return "<br>".join(filter(None, map(str.strip, self._lines_of(cell).split("\n"))))

    def _lines_of(self, element: Element) -> str:
        return _text(_pieces(element, self._urls))


def _newest_visible_alternative(element: Element) -> Element:
    """Returns the alternative to read, which is the newest one with visible content."""
    branches = [
        *(one for one in element if local_name(one) == "Choice"),
        *(one for one in element if local_name(one) == "Fallback"),
    ]
    shown = (branch for branch in branches if not _has_no_known_content(branch))
    return next(shown, next(iter(branches), Element("none")))


def _has_no_known_content(element: Element) -> bool:
    return not any(local_name(one) in _SHOWN for one in element.iter())


def _plain_lines(element: Element) -> str:
    return _text(_pieces(element, {}))


def _text(pieces: Iterable[str]) -> str:
    return merge_strikethrough("".join(pieces)).strip()


def _pieces(element: Element, urls: Mapping[str, str]) -> Iterator[str]:
    """Yields the text of an element's paragraphs in pieces, with one paragraph per line."""
    before = ""
    for part in _parts(element):
        name = local_name(part)
        if name == "oMath":
            piece = f" {equation(part)} "
        elif name in ("r", "fld"):
            piece = _run(part, before, urls)
        else:
            piece = {"tab": "\t", "t": part.text or ""}.get(name, "\n")
        before = piece or before
        yield piece


def _parts(element: Element) -> Iterator[Element]:
    """Yields the paragraphs, runs, breaks, equations and loose text in an element."""
    if local_name(element) == "p":
        yield element
    for part in element:
        if local_name(part) in ("r", "fld", "br", "tab", "oMath", "t"):
            yield part
        elif local_name(part) == "AlternateContent":
            yield from _parts(_newest_visible_alternative(part))
        elif local_name(part) != "Fallback":
            yield from _parts(part)


def _run(run: Element, before: str, urls: Mapping[str, str]) -> str:
    text = "".join(
        "\t" if local_name(one) == "tab" else one.text or "" for one in run if local_name(one) in ("t", "tab")
    )
    properties = child(run, "rPr")
    if properties is None or not text:
        return text.replace("\u00ad", "")
    baseline = attribute(properties, "baseline")
    if baseline and baseline.strip("0%"):
        text = format_script(before, text, "_" if baseline.startswith("-") else "^")
    if attribute(properties, "strike") in ("sngStrike", "dblStrike"):
        text = strike_out(text)
    clicked = child(properties, "hlinkClick")
    return link(text, "" if clicked is None else urls.get(attribute(clicked, "id"), "")).replace("\u00ad", "")


class _Numbers:
    def __init__(self, body: Element) -> None:
        styles = child(body, "lstStyle")
        self._inherited = {local_name(level): level for level in (styles if styles is not None else ())}
        self._counts: dict[int, tuple[str, int]] = {}

    def label_of(self, paragraph: Element) -> str:
        properties = child(paragraph, "pPr")
        level_text = "" if properties is None else attribute(properties, "lvl")
        level = int(level_text) if level_text in tuple("12345678") else 0
        sources = [one for one in (properties, self._inherited.get(f"lvl{level + 1}pPr")) if one is not None]
        sign = next(
            (one for source in sources for one in source if local_name(one) in ("buAutoNum", "buChar", "buNone")), None
        )
        self._counts = {at: count for at, count in self._counts.items() if at <= level}
        number = "" if sign is None or local_name(sign) != "buAutoNum" else self._next_number(sign, level)
        if not number:
            self._counts.pop(level, None)
            is_listed = level if sign is None else local_name(sign) != "buNone"
            number = "-" if is_listed else ""
        return f"{'  ' * level}{number} " if number else "  " * level

    def _next_number(self, sign: Element, level: int) -> str:
        kind = attribute(sign, "type")
        start = attribute(sign, "startAt")
        before = self._counts.get(level)
        first = min(int(start), MAX_NUMBER) if start.isdecimal() and len(start) < 8 else 1
        count = before[1] + 1 if before and before[0] == kind else first
        self._counts[level] = kind, count
        return _format_number(kind, count)


def _format_number(kind: str, count: int) -> str:
    """Returns a number in one of PowerPoint's formats, or "" if the format is unknown."""
    found = _NUMBERED.fullmatch(kind)
    if found is None:
        return ""
    letter, number = letters(count) or "", roman(count) or ""
    written = {
        "alphaLc": letter,
        "alphaUc": letter.upper(),
        "romanLc": number,
        "romanUc": number.upper(),
        "arabic": str(count),
        "circleNum": circled(count) or "",
    }[found[1]]
    around = {"ParenBoth": "({})", "ParenR": "{})", "Period": "{}.", "Minus": "- {} -"}.get(found[2], "{}")
    return around.format(written) if written else ""
