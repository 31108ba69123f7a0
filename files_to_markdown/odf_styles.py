"""Interprets the styles of an OpenDocument file, which determine list numbers, superscripts and hidden parts."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from files_to_markdown.archive import attribute, child, local_name
from files_to_markdown.numerals import MAX_NUMBER, letters, roman

BULLET = "-"
_MAX_PARENTS = 50
_PLACE = re.compile(r"%(\d+)%")


@dataclass(frozen=True, slots=True)
class _Style:
    parent: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Level:
    is_bullet: bool = False
    format: str = ""
    before: str = ""
    after: str = ""
    pattern: str = ""
    """The pattern of the complete number in LibreOffice's format, such as %1%.%2%."""
    start: int = 1
    shown: int = 1
    counts_on: bool = True


@dataclass(slots=True)
class Count:
    levels: Mapping[int, _Level]
    at: dict[int, int] = field(default_factory=dict)


class OdfStyles:
    """The styles of a file, and the counts of its lists. Lists and headings must be passed in order."""

    def __init__(self, roots: Iterable[Element]) -> None:
        self._styles: dict[tuple[str, str], _Style] = {}
        self._lists: dict[str, Mapping[int, _Level]] = {}
        self._by_style: dict[str, Count] = {}
        self._by_id: dict[str, Count] = {}
        self._outline = Count({})
        for element in (element for root in roots for element in root.iter()):
            name = local_name(element)
            if name == "style":
                properties = {
                    key.rpartition("}")[2]: value
                    for one in element
                    if local_name(one) in ("text-properties", "drawing-page-properties", "table-properties")
                    for key, value in one.attrib.items()
                }
                key = attribute(element, "family"), attribute(element, "name")
                self._styles[key] = _Style(attribute(element, "parent-style-name"), properties)
            elif name == "list-style":
                self._lists[attribute(element, "name")] = _levels(element)
            elif name == "outline-style":
                self._outline = Count(_levels(element))

    def _property(self, family: str, style: str, name: str) -> str:
        for _ in range(_MAX_PARENTS):
            found = self._styles.get((family, style))
            if found is None:
                break
            if name in found.properties:
                return found.properties[name]
            style = found.parent
        return ""

    def script_sign(self, span: Element) -> str:
        """Returns ^ for a superscript, _ for a subscript, otherwise ""."""
        place = self._property("text", attribute(span, "style-name"), "text-position").partition(" ")[0]
        if place.startswith(("sub", "-")):
            return "_"
        return "^" if place.startswith("super") or place.strip("0%") else ""

    def is_struck(self, element: Element, *, default: bool) -> bool:
        """Returns whether a cell, a paragraph or part of a paragraph is struck out. `default`: whether its parent
        is."""
        kind = local_name(element)
        # Rows and columns name the style of cells that don't have one.
        is_line = kind in ("table-row", "table-column")
        if not (style := attribute(element, "default-cell-style-name" if is_line else "style-name")):
            return default
        family = {"p": "paragraph", "h": "paragraph", "span": "text"}.get(kind, "table-cell")
        lines = (self._property(family, style, f"text-line-through-{name}") for name in ("style", "type"))
        line = next(filter(None, lines), "")
        return line != "none" if line else default

    def is_hidden(self, element: Element) -> bool:
        family = "paragraph" if local_name(element) in ("p", "h") else "text"
        return self._property(family, attribute(element, "style-name"), "display") == "none"

    def is_page_hidden(self, page: Element) -> bool:
        return self._property("drawing-page", attribute(page, "style-name"), "visibility") == "hidden"

    def shows_on_slide(self, page: Element, name: str) -> bool:
        """Returns whether a slide shows its footer, or another element that a property controls."""
        return self._property("drawing-page", attribute(page, "style-name"), name) != "false"

    def is_sheet_hidden(self, sheet: Element) -> bool:
        return self._property("table", attribute(sheet, "style-name"), "display") == "false"

    def begin_list(self, element: Element) -> Count:
        """Returns the count for a list, which is either new or continues another list's count."""
        style = attribute(element, "style-name")
        count = self._by_id.get(attribute(element, "continue-list"))
        if count is None and attribute(element, "continue-numbering") == "true":
            count = self._by_style.get(style)
        count = count or Count(self._lists.get(style, {}))
        self._by_style[style] = count
        if id_ := attribute(element, "id"):
            self._by_id[id_] = count
        return count

    def nested_count(self, element: Element, count: Count) -> Count:
        """Returns the count for a nested list, which can have a style of its own."""
        levels = self._lists.get(attribute(element, "style-name"))
        return count if levels is None else Count(levels, count.at)

    def heading(self, element: Element, level: int) -> str:
        if attribute(element, "is-list-header") == "true" or level not in self._outline.levels:
            return ""
        return next_label(self._outline, level, attribute(element, "start-value"))


def next_label(count: Count, level: int, start: str = "") -> str:
    """Counts a list item and returns its label, or "" if it doesn't have a label or the label is unknown."""
    own = count.levels.get(level, _Level(is_bullet=True))
    is_start = start.isdecimal() and len(start) < 8
    count.at[level] = int(start) if is_start else min(count.at.get(level, own.start - 1) + 1, MAX_NUMBER)
    for deeper in [at for at in count.at if at > level]:
        del count.at[deeper]
    if own.is_bullet:
        return BULLET
    if not own.format:
        return ""

    def number(at: int) -> str:
        shown = count.levels.get(at, own)
        return _format_number(shown, count.at.get(at, shown.start))

    if own.pattern:
        return _PLACE.sub(lambda found: number(int(found[1])), own.pattern).strip()
    numbers = (number(at) for at in range(max(1, level - own.shown + 1), level + 1))
    return f"{own.before}{'.'.join(filter(None, numbers))}{own.after}".strip()


def _format_number(level: _Level, number: int) -> str:
    written: Mapping[str, Callable[[int], str | None]] = {
        "1": str,
        "a": lambda number: letters(number, counts_on=level.counts_on),
        "A": lambda number: (letters(number, counts_on=level.counts_on) or "").upper(),
        "i": roman,
        "I": lambda number: (roman(number) or "").upper(),
    }
    write = written.get(level.format)
    return (write(number) or "") if write else ""


def _levels(style: Element) -> Mapping[int, _Level]:
    levels = {}
    for element in style:
        at = attribute(element, "level")
        if at.isdecimal() and len(at) < 3:
            levels[int(at)] = _level(element)
    return levels


def _level(element: Element) -> _Level:
    start, shown = attribute(element, "start-value"), attribute(element, "display-levels")
    form = attribute(element, "num-format")
    return _Level(
        is_bullet=local_name(element) in ("list-level-style-bullet", "list-level-style-image"),
        # An unknown format gives no number.
        format=form if form in tuple("1aAiI") else "",
        before=attribute(element, "num-prefix"),
        after=attribute(element, "num-suffix"),
        pattern=attribute(element, "num-list-format"),
        start=int(start) if start.isdecimal() and len(start) < 8 else 1,
        shown=int(shown) if shown.isdecimal() and len(shown) < 3 else 1,
        counts_on=attribute(element, "num-letter-sync") != "true",
    )


def control_text(control: Element) -> str | None:
    """Returns the visible text of a form control, or None if the text is unknown."""
    name = local_name(control)
    label = attribute(control, "label")
    if name == "checkbox":
        state = attribute(control, "current-state") or attribute(control, "state")
        return f"{'☒' if state == 'checked' else '☐'} {label}".strip()
    if name == "radio":
        is_chosen = (attribute(control, "current-selected") or attribute(control, "selected")) == "true"
        return f"{'◉' if is_chosen else '○'} {label}".strip()
    if name == "listbox":
        options = (one for one in control if local_name(one) == "option")
        return ", ".join(
            attribute(one, "label")
            for one in options
            if (attribute(one, "current-selected") or attribute(one, "selected")) == "true"
        )
    if name in ("text", "textarea", "formatted-text", "number", "date", "time", "combobox"):
        lines = (one.text or "" for one in control if local_name(one) == "p")
        return attribute(control, "current-value") or attribute(control, "value") or " ".join(lines)
    if name in ("button", "fixed-text", "frame"):
        return label
    return "" if name in ("password", "hidden", "file") else None


def mark_text(mark: Element) -> str | None:
    """Returns the checkbox or the selected entry of a Word form field, or None for other fields."""
    kind = attribute(mark, "type").rpartition(".")[2]
    parameters = {attribute(one, "name"): attribute(one, "value") for one in mark if local_name(one) == "param"}
    if kind == "FORMCHECKBOX":
        return "☒" if "true" in (parameters.get("Checkbox_Checked"), parameters.get("Checkbox_Result")) else "☐"
    if kind == "FORMDROPDOWN":
        entries = [attribute(one, "value") for one in mark if attribute(one, "name") == "Dropdown_ListEntry"]
        at = parameters.get("Dropdown_Selected", "0")
        return entries[int(at)] if at.isdecimal() and int(at) < len(entries) else ""
    return None


def description_of(shape: Element) -> str:
    texts = (child(shape, name) for name in ("desc", "title"))
    found = next((one.text for one in texts if one is not None and one.text), "") or ""
    return " ".join(found.split())
