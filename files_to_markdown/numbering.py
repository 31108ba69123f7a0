"""Numbers the paragraphs of a Word document, as defined in numbering.xml and the styles.

A paragraph or its style refers to a list and a level. Lists with the same definition continue each other's numbers,
unless one of them sets a start. Source: ECMA-376 part 1, 17.9. If a number format is unknown, there is no number,
because a wrong one would mislead readers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from files_to_markdown.archive import attribute, child, is_on, local_name, value_of
from files_to_markdown.numerals import MAX_NUMBER, chinese, circled, in_words, letters, ordinal, roman, russian

BULLET = "-"
MAX_LEVEL = 8
_MAX_STYLES = 50
"""The maximum length of a chain of base styles."""
_DIGIT = re.compile(r"%([1-9])")
_ZEROS = re.compile(r"0*1(?:,|$)")


def _upper(written: str | None) -> str | None:
    return written.upper() if written else None


_WRITTEN: Mapping[str, Callable[[int], str | None]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02}",
    "upperRoman": lambda number: _upper(roman(number)),
    "lowerRoman": roman,
    "upperLetter": lambda number: _upper(letters(number)),
    "lowerLetter": letters,
    "ordinal": ordinal,
    "cardinalText": in_words,
    "ordinalText": lambda number: in_words(number, is_ordinal=True),
    "numberInDash": lambda number: f"- {number} -",
    "decimalEnclosedCircle": circled,
    "decimalEnclosedCircleChinese": circled,
    "decimalFullWidth": lambda number: str(number).translate({ord("0") + at: 0xFF10 + at for at in range(10)}),
    "chineseCounting": chinese,
    "chineseCountingThousand": chinese,
    "japaneseCounting": chinese,
    "taiwaneseCounting": chinese,
    "taiwaneseCountingThousand": chinese,
    "russianLower": russian,
    "russianUpper": lambda number: _upper(russian(number)),
    "none": lambda number: "",
}


@dataclass(frozen=True, slots=True)
class _Level:
    format: str = "decimal"
    text: str | None = None
    start: int = 0
    restarts_after: int | None = None
    """The deepest level, counted from 0, after which this level restarts. None means that it restarts after every level
    above, and -1 that it never does."""
    is_legal: bool = False
    has_space: bool = True
    zeros: int = 0


@dataclass(slots=True)
class _Definition:
    levels: dict[int, _Level] = field(default_factory=dict)
    by_style: dict[str, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    linked_style: str = ""


@dataclass(slots=True)
class _Instance:
    definition: str
    levels: dict[int, _Level]
    starts: dict[int, int]
    """Start values by level, which override those of the definition."""
    begun: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Style:
    based_on: str = ""
    list_id: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    level: int
    text: str
    """BULLET, or a number with its punctuation, or "" if there is no number or it is unknown."""
    is_spaced: bool = True


class Numbering:
    """Counts a document's numbered paragraphs, which must be passed in order."""

    def __init__(self, numbering: Element | None, styles: Element | None) -> None:
        self._definitions: dict[str, _Definition] = {}
        self._instances: dict[str, _Instance] = {}
        self._styles: dict[str, _Style] = {}
        self._default_style = ""
        for element in styles if styles is not None else ():
            self._add_style(element)
        for element in numbering if numbering is not None else ():
            if local_name(element) == "abstractNum":
                self._definitions[attribute(element, "abstractNumId")] = _definition(element)
            elif local_name(element) == "num":
                self._instances[attribute(element, "numId")] = _instance(element)

    def _add_style(self, element: Element) -> None:
        id_ = attribute(element, "styleId")
        if local_name(element) != "style" or not id_ or id_ in self._styles:
            return
        list_id, level = _list_reference(child(element, "pPr"))
        self._styles[id_] = _Style(value_of(element, "basedOn"), list_id, level)
        if attribute(element, "type") == "paragraph" and attribute(element, "default") in ("1", "true", "on"):
            self._default_style = id_

    def label(self, properties: Element | None) -> Label | None:
        """Advances the list counter for a paragraph and returns its label, or None if it isn't in a list."""
        list_id, level_text = _list_reference(properties)
        style = (value_of(properties, "pStyle") if properties is not None else "") or self._default_style
        styled_id, styled_level, naming_style = self._list_of_style(style)
        list_id = list_id or styled_id
        if (resolved := self._resolve(list_id)) is None:
            return None
        instance, definition = resolved
        if not level_text and list_id == styled_id:
            at = definition.by_style.get(style, definition.by_style.get(naming_style))
            level_text = styled_level if at is None else str(at)
        level = min(int(level_text), MAX_LEVEL) if level_text.isdecimal() else 0
        self._advance(instance, definition, level)
        return _label(instance, definition, level)

    def _list_of_style(self, name: str) -> tuple[str, str, str]:
        level = ""
        for _ in range(_MAX_STYLES):
            style = self._styles.get(name)
            if style is None:
                break
            level = level or style.level
            if style.list_id:
                return style.list_id, level, name
            name = style.based_on
        return "", "", ""

    def _resolve(self, list_id: str) -> tuple[_Instance, _Definition] | None:
        first = instance = self._instances.get(list_id)
        for _ in range(_MAX_STYLES):
            definition = self._definitions.get(instance.definition) if instance else None
            if first is None or definition is None:
                return None
            if not definition.linked_style:
                return first, definition
            style = self._styles.get(definition.linked_style)
            instance = self._instances.get(style.list_id) if style else None
        return None

    def _advance(self, instance: _Instance, definition: _Definition, level: int) -> None:
        counts = definition.counts
        for above in range(level):
            # A level that is skipped counts as begun.
            counts.setdefault(above, _start(instance, definition, above))
        begins = level not in counts or (level in instance.starts and level not in instance.begun)
        instance.begun.add(level)
        counts[level] = _start(instance, definition, level) if begins else min(counts[level] + 1, MAX_NUMBER)
        for deeper in [at for at in counts if at > level]:
            after = _level(instance, definition, deeper).restarts_after
            if after is None or level <= after:
                del counts[deeper]


def _label(instance: _Instance, definition: _Definition, level: int) -> Label:
    own = _level(instance, definition, level)
    if own.format == "bullet":
        return Label(level, BULLET)
    is_known = True

    def number(found: re.Match[str]) -> str:
        nonlocal is_known
        at = int(found[1]) - 1
        shown = _level(instance, definition, at)
        count = definition.counts.get(at, _start(instance, definition, at))
        name = "decimal" if own.is_legal and shown.format != "none" else shown.format
        write = _WRITTEN.get(name)
        written = write(count) if write else None
        is_known = is_known and written is not None and at <= level
        return (written or "").zfill(shown.zeros)

    text = _DIGIT.sub(number, f"%{level + 1}." if own.text is None else own.text)
    return Label(level, text.strip() if is_known else "", own.has_space)


def _level(instance: _Instance, definition: _Definition, level: int) -> _Level:
    return instance.levels.get(level) or definition.levels.get(level) or _Level()


def _start(instance: _Instance, definition: _Definition, level: int) -> int:
    return instance.starts.get(level, _level(instance, definition, level).start)


def _definition(element: Element) -> _Definition:
    definition = _Definition(linked_style=value_of(element, "numStyleLink"))
    for level in element:
        if local_name(level) == "lvl":
            at = _parse_number(attribute(level, "ilvl"), 0)
            definition.levels.setdefault(at, _read_level(level))
            if style := value_of(level, "pStyle"):
                definition.by_style.setdefault(style, at)
    return definition


def _instance(element: Element) -> _Instance:
    instance = _Instance(value_of(element, "abstractNumId"), {}, {})
    for override in element:
        if local_name(override) == "lvlOverride":
            at = _parse_number(attribute(override, "ilvl"), 0)
            if (level := child(override, "lvl")) is not None:
                instance.levels[at] = _read_level(level)
            if start := value_of(override, "startOverride"):
                instance.starts[at] = _parse_number(start, 0)
    return instance


def _read_level(element: Element) -> _Level:
    # A format unknown to older programs has an alternative that they know.
    formats = [one for one in element.iter() if local_name(one) == "numFmt"]
    name = attribute(formats[0], "val") if formats else "decimal"
    zeros = 0
    if name == "custom" and _ZEROS.match(custom := attribute(formats[0], "format")):
        name, zeros = "decimal", len(custom.partition(",")[0])
    text = child(element, "lvlText")
    restart = value_of(element, "lvlRestart")
    return _Level(
        format=name,
        text=None if text is None else attribute(text, "val"),
        start=_parse_number(value_of(element, "start"), 0),
        restarts_after=_parse_number(restart, 0) - 1 if restart else None,
        is_legal=is_on(element, "isLgl"),
        has_space=value_of(element, "suff") != "nothing",
        zeros=zeros,
    )


def _parse_number(text: str, default: int) -> int:
    return min(int(text), MAX_NUMBER) if text.isdecimal() and len(text) < 8 else default


def _list_reference(properties: Element | None) -> tuple[str, str]:
    named = child(properties, "numPr") if properties is not None else None
    return ("", "") if named is None else (value_of(named, "numId"), value_of(named, "ilvl"))
