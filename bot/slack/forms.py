"""Reads objects of unknown types by their structure. Pure.

Slack adds block types every few months, each with its own key names. Objects of unknown types are therefore read
according to rules that apply to any object:

- Objects of known types are read as usual, in their position, whatever their key is.
- Strings are text if their key suggests that ("subtitle") or if they can hardly be anything else (IDs, for example,
  have no spaces). A user or channel ID is a mention. A channel ID next to a message's ts is a reference to that
  message.
- Values and numbers come after their label, and a check mark comes before it.
- A URL next to a label turns the label into a link. URLs of pictures are left out, because Slack doesn't show them.
- Lists of lists are tables.
- Repetitions are left out, such as a message's text next to its blocks, or a plain title next to a rich one.
- An object without readable content is replaced by its type, once per message, so that the model knows that something
  is missing.

Each object is read once, and nesting is limited.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from bot.core.conversation import escape

Object = Mapping[str, Any]

MAX_LEVELS = 24
UNREAD = "(Part of this message can't be shown to you: "
MAX_KIND_CHARS = 40
MIN_TIME_S = 1_000_000_000
"""Lower numbers aren't times since the epoch."""
MAX_COMPARED_CHARS = 4_000

_TEXT_KEYS = re.compile(
    r"alt|answer|body|caption|comments?|contents?|desc|description|details?|footer|head(?:er|ing|line)|hint|label|level"
    r"|message|name|notes?|output|question|quote|state|status|subheader|subject|subtext|subtitle|summary|text|title"
)
"""Matches the last word of keys whose values are text even if they consist of a single word."""
_HEADING_KEYS = frozenset(("title", "header", "heading", "headline", "name", "label", "caption"))
_STATUS_KEYS = frozenset(("status", "state", "level"))
"""Keys that Slack shows as an icon or color."""
_SUBHEADING_KEYS = frozenset(("subtitle", "subheader", *_STATUS_KEYS))
_TRAILING_KEYS = frozenset(("action", "actions", "button", "buttons", "footer", "accessory"))
_HIDDEN_KEYS = frozenset(("type", "block_id", "action_id", "callback_id", "confirm", "placeholder", "style"))
_VALUE = "value"
"""The key of values that elements send back to the app, and that other objects show to users."""
_CELLS = "cells"
_FALLBACK_KEYS = frozenset(("text", "fallback"))
"""Keys whose values can repeat neighboring values, for clients that don't support the neighboring ones."""
_PICTURE_KEYS = re.compile(r"icon|image|img|thumb|avatar|logo|photo|picture|preview|poster")
_PICTURE_TEXT_KEYS = ("text", "title", "label", "caption", "description")
_URL = re.compile(r"(?:https?://|mailto:|tel:)\S+\Z", re.IGNORECASE)
_READABLE_VALUE = re.compile(r"[A-Z][a-z]+[.!?:]?\Z|(?!#)(?!.*\d{9})[^A-Za-z_\d]*+\d[^A-Za-z_]*+\Z")
"""Matches a capitalized word, a date or an amount. IDs and option names don't look like these."""
_ID_KEYS = re.compile(r"(?:.*_)?ids?|.*I[Dd]s?", re.DOTALL)
_MENTION_ID = re.compile(r"(?:(?P<person>[UW])|[CG])(?=[A-Z]*\d)[A-Z0-9]{6,20}\Z")
_TS = re.compile(r"\d{10}\.\d{6}\Z")
_CHECKED_KEYS = re.compile(r"(?:is_)?(?:checked|completed?|done|selected|ticked)\Z")
_LAYOUT_KEYS = re.compile(r"(?:.*_)?(?:columns?|height|indent|index|offset|order|padding|size|span|version|width)\Z")
"""Keys of numbers that control the layout."""
_TIME_KEYS = re.compile(r"(?:.*_)?(?:at|date|due|end|start|time|timestamp|ts)\Z")
_LAST_WORD = re.compile(r"(?:[A-Z]|(?<![a-z0-9]))[a-z0-9]++\Z")
_URL_KEYS = re.compile(r"_?(?:url|link|href)\Z", re.IGNORECASE)
_NON_LETTERS = re.compile(r"[\W_]+")
_NO_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class _Part:
    key: str
    text: str
    is_words: bool = False
    """Whether the part is a string or a text object, rather than a child object with a position of its own."""
    is_block: bool = False
    """Whether the part needs an empty line before and after it."""


@dataclass(eq=False)
class FormReader:
    """Reads the objects of one message."""

    read_known: Callable[[Object, int], str | None]
    """Returns the text of an object of a known type, given its nesting level, and None for any other object."""
    read_line: Callable[[Sequence[Any]], str | None]
    """Converts a list of text elements to a line. Returns None for other lists."""
    link: Callable[[str, str], str]
    """Returns a link in mrkdwn."""
    _noted_types: set[str] = field(default_factory=set, init=False)

    def read(self, node: Object, level: int = 0) -> str:
        """Returns an object's text, or "" if it has none. Adds a note for each unreadable element type, once per
        type."""
        if level >= MAX_LEVELS:
            return self._unknown_element(node)
        if (known := self.read_known(node, level)) is not None:
            return known
        parts = list(self._object_parts(node, level))
        if not parts and (fallback := node.get("fallback")):
            parts = list(self._value_parts("fallback", fallback, level))
        return _join_parts(parts) or self._unknown_element(node)

    def read_all(self, nodes: Sequence[Any], level: int) -> str:
        return _join_parts(list(self._item_parts("", nodes, level)))

    def table(self, rows: Sequence[Any], level: int) -> str:
        """Converts rows to a Markdown table. A row is a list, an object with a list of cells, or an object whose values
        are the cells."""
        lines: list[str] = []
        for row in rows:
            cells = [self._cell_text(cell, level) for cell in _row_cells(row)]
            lines.append(f"| {' | '.join(cells)} |")
            if len(lines) == 1:
                lines.append("|" + " --- |" * len(cells))
        return "\n".join(lines)

    def _cell_text(self, cell: Any, level: int) -> str:
        # Empty cells are null.
        if isinstance(cell, Mapping):
            return escape_cell(self.read(cell, level + 1))
        return escape_cell(str(cell)) if isinstance(cell, str | int | float) and not isinstance(cell, bool) else ""

    def _unknown_element(self, node: Object) -> str:
        kind = _NO_NAME.sub(" ", str(node.get("type") or "")).strip()[:MAX_KIND_CHARS]
        # Interactive elements have no content.
        if not kind or "action_id" in node or kind in self._noted_types:
            return ""
        self._noted_types.add(kind)
        return f"{UNREAD}{kind}.)"

    def _object_parts(self, node: Object, level: int) -> Iterator[_Part]:
        is_pressed = "action_id" in node or isinstance(node.get("text"), Mapping)
        ts = _message_ts(node)
        parts = [
            part
            for key, value in sorted(node.items(), key=lambda item: _key_rank(str(item[0])))
            if key not in _HIDDEN_KEYS and key != "fallback" and not (key == _VALUE and is_pressed)
            for part in self._value_parts(str(key), value, level, ts)
        ]
        yield from _with_values(node, list(self._with_links(node, list(_without_repetitions(node, parts)))))

    def _value_parts(self, key: str, value: Any, level: int, ts: str = "") -> Iterator[_Part]:
        if isinstance(value, str):
            if _is_readable(key, value):
                said = f"{key}: {value}" if _last_word(key) in _STATUS_KEYS else value.strip("\n")
                yield _Part(key, said, is_words=True)
            elif mention := _mention(value):
                yield _Part(key, f"(message {ts} in {mention})" if ts and mention.startswith("<#") else mention)
        elif isinstance(value, Mapping):
            # Slack doesn't show an icon's name to users.
            if _PICTURE_KEYS.search(key) and not any(_last_word(str(held)) in _PICTURE_TEXT_KEYS for held in value):
                return
            is_words = _is_text(value)
            if text := self.read(value, level + 1).strip("\n"):
                yield _Part(key, text, is_words, is_block=not is_words and _is_block(value))
        elif isinstance(value, list | tuple):
            yield from self._item_parts(key, value, level + 1)

    def _item_parts(self, key: str, values: Sequence[Any], level: int) -> Iterator[_Part]:
        if level >= MAX_LEVELS:
            yield _Part(key, self._unknown_element({"type": key}))
            return
        if values and all(isinstance(value, list | tuple) for value in values):
            yield _Part(key, self.table(values, level), is_block=True)
            return
        if values and all(isinstance(value, Mapping) and isinstance(value.get(_CELLS), list) for value in values):
            yield _Part(key, self.table(values, level), is_block=True)
            return
        yield from _string_parts(key, [value for value in values if isinstance(value, str)])
        if (line := self.read_line(values)) is not None:
            yield _Part(key, line)
            return
        for value in values:
            if isinstance(value, Mapping):
                if text := self.read(value, level + 1).strip("\n"):
                    yield _Part(key, text, is_block=_is_block(value))
            elif isinstance(value, list | tuple):
                yield from self._item_parts(key, value, level + 1)

    def _with_links(self, node: Object, parts: Sequence[_Part]) -> Iterator[_Part]:
        """Yields the parts, with labels turned into links to their URLs. A URL without a label becomes a separate
        part."""
        addresses = {str(key): value for key, value in node.items() if _is_visible_url(str(key), value)}
        labels = dict.fromkeys(part.key for part in parts if part.is_words)
        by_label: dict[str, str] = {}
        for key in sorted(addresses, key=len):
            base = _URL_KEYS.sub("", key)
            label = base if base in labels else next(iter(labels), "")
            if label and label not in by_label and (base == label or not by_label):
                by_label[label] = addresses.pop(key)
        for part in parts:
            if not (part.is_words and part.key in by_label):
                yield part
                continue
            address = by_label.pop(part.key)
            # A label can't contain markup.
            text = f"{part.text} {self.link(address, '')}" if "<" in part.text else self.link(address, part.text)
            yield _Part(part.key, text, is_words=True)
        for key, address in addresses.items():
            yield _Part(key, self.link(address, ""), is_words=True)


def escape_cell(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return _BAR.sub(_escaped_bars, escape("<br>").join(filter(None, lines)))


_BAR = re.compile(r"<[^<>]*>|\|")


def _escaped_bars(found: re.Match[str]) -> str:
    """Escapes each bar in the match, except for the bar between a URL and its label."""
    before, bar, label = found[0].partition("|") if found[0] != "|" else ("", "", "|")
    return before + bar + label.replace("|", "\\|")


def _row_cells(row: Any) -> Sequence[Any]:
    if isinstance(row, Mapping):
        held = row.get(_CELLS)
        if isinstance(held, list):
            return held
        shown = [(str(key), value) for key, value in row.items() if key not in _HIDDEN_KEYS]
        # Slack shows users only the IDs that it can replace by names.
        read = [(key, value) for key, value in shown if not _is_id(key, value) or _mention(value)]
        return [_mention(value) if _is_id(key, value) else value for key, value in read]
    return row if isinstance(row, list | tuple) else ()


def _is_id(key: str, value: Any) -> bool:
    return isinstance(value, str) and _ID_KEYS.fullmatch(key) is not None


@lru_cache(maxsize=1_000)
def _key_rank(key: str) -> int:
    """Returns the sort order of a key in an object. The original order is meaningless, because SDKs sort keys."""
    last = _last_word(key)
    if key == _VALUE:
        return 3
    if last in _HEADING_KEYS and not _PICTURE_KEYS.search(key):
        return 0
    return 1 if last in _SUBHEADING_KEYS or _PICTURE_KEYS.search(key) else 3 if last in _TRAILING_KEYS else 2


@lru_cache(maxsize=1_000)
def _last_word(key: str) -> str:
    found = _LAST_WORD.search(key)
    return found[0].lower() if found else key.lower()


def _is_text(value: Object) -> bool:
    return isinstance(value.get("text"), str) and value.get("type") in ("plain_text", "mrkdwn")


def _is_readable(key: str, value: str) -> bool:
    text = value.strip()
    if not text or _URL.match(text) or _ID_KEYS.fullmatch(key) or _MENTION_ID.match(text):
        return False
    return (
        key == _VALUE
        or _TEXT_KEYS.fullmatch(_last_word(key)) is not None
        or len(text.split(None, 1)) > 1
        or not text.isascii()
        or _READABLE_VALUE.match(text) is not None
    )


def _string_parts(key: str, values: Sequence[str]) -> Iterator[_Part]:
    """Yields the strings in a list as one part. Keeps only mentions if the list contains IDs. Lists rarely contain
    options that are meant for the app."""
    words = [_mention(value) or value for value in values if not _URL.match(value)]
    is_ids = _ID_KEYS.fullmatch(key) is not None
    if said := [word for word in words if word.startswith("<") or not is_ids]:
        yield _Part(key, ", ".join(said), is_words=not is_ids)


def _mention(value: str) -> str:
    found = _MENTION_ID.match(value)
    return f"<{'@' if found['person'] else '#'}{value}>" if found else ""


def _message_ts(node: Object) -> str:
    """Returns the ts of the message that an object refers to (not the ts of its thread), or ""."""
    found = (
        value
        for key, value in node.items()
        if isinstance(value, str) and _last_word(str(key)) == "ts" and "thread" not in str(key) and _TS.match(value)
    )
    return next(found, "")


def _with_values(node: Object, parts: Sequence[_Part]) -> list[_Part]:
    if not parts:
        return []
    *others, last = parts
    if len(others) == 1 and last.key == _VALUE and "\n" not in others[0].text + last.text:
        others, last = [], replace(last, text=f"{others[0].text}: {last.text}")
    if numbers := _number_text(node) if last.text else "":
        is_line = not others and "\n" not in last.text
        between = ": " if is_line else "\n"
        last = replace(last, text=f"{last.text}{between}{numbers}")
    first = others[0] if others else last
    ticks = [
        is_ticked for key, is_ticked in node.items() if isinstance(is_ticked, bool) and _CHECKED_KEYS.match(str(key))
    ]
    if ticks and first.text:
        first = replace(first, text=f"{'☑' if ticks[0] else '☐'} {first.text}")
    return [first, *others[1:], last] if others else [first]


def _number_text(node: Object) -> str:
    """Returns the numbers that an object displays, or "" if the object contains anything but text and numbers."""
    if any(
        isinstance(held, list | tuple) or (isinstance(held, Mapping) and not _is_text(held)) for held in node.values()
    ):
        return ""
    numbers = [
        (str(key), str(value))
        for key, value in node.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if not (
            _LAYOUT_KEYS.match(str(key))
            or _ID_KEYS.fullmatch(str(key))
            or (_TIME_KEYS.match(str(key)) and value < MIN_TIME_S)
        )
    ]
    said = [(key, f"<!date^{number}>" if _TIME_KEYS.match(key) else number) for key, number in numbers]
    return ", ".join(f"{key} {number}" if len(said) > 1 else number for key, number in said)


def _is_visible_url(key: str, value: object) -> bool:
    return isinstance(value, str) and _URL.match(value) is not None and not _PICTURE_KEYS.search(key.lower())


def _is_block(value: Object) -> bool:
    is_element = "action_id" in value or "url" in value or value.get("type") in ("plain_text", "mrkdwn", "image")
    return isinstance(value.get("type"), str) and not is_element


def _plain_letters(text: str) -> str:
    return _NON_LETTERS.sub("", text).casefold()


def _without_repetitions(node: Object, parts: Sequence[_Part]) -> Iterator[_Part]:
    """Yields the parts, except for those that only repeat other parts for older clients."""
    if len(parts) < 2:
        yield from parts
        return
    has_blocks = any(part.key == "blocks" for part in parts)
    others = ""
    if any(part.is_words and part.key in _FALLBACK_KEYS for part in parts):
        others = _plain_letters("".join(part.text for part in parts if not part.is_words)[:MAX_COMPARED_CHARS])
    said: set[str] = set()
    for part in parts:
        # Lists can repeat a value.
        is_single = not isinstance(node.get(part.key), list | tuple) and len(part.text) < MAX_COMPARED_CHARS
        plain = _plain_letters(part.text) if is_single else ""
        is_instead = part.is_words and part.key in _FALLBACK_KEYS and others != ""
        if plain in said or (is_instead and (has_blocks or plain in others)):
            continue
        if plain:
            said.add(plain)
        yield part


def _join_parts(parts: Sequence[_Part]) -> str:
    pieces: list[str] = []
    was_block = False
    for part in parts:
        if part.text.strip():
            is_block = part.is_block or "\n" in part.text
            pieces += ["\n\n" if is_block or was_block else "\n", part.text]
            was_block = is_block
    return "".join(pieces[1:])
