"""What objects of unknown types say, read by their form. Pure.

Slack adds types of blocks every few months, and names the keys of each as it likes. So an object of an unknown type is
read by what any object consists of:

- Objects of known types within it, under whatever key, are read as what they are, in their place.
- Strings are words if their key says so ("subtitle"), or if they can hardly be anything else: an id has no spaces.
  The ID of a person or a channel is a mention; with the ts of a message beside it, a channel stands for that message.
- A value and numbers stand behind their label, a tick before it.
- An address stands beside its label, as a link. Addresses of pictures are left out: nobody reads them in Slack.
- Lists of lists are tables.
- What only repeats the rest is left out: a message's text beside its blocks, a plain title beside a rich one.
- An object that says nothing is named by its type, once for each reader, so that the model knows of the gap.

Each object is read once, and nesting is bounded.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from bot.core.conversation import escape

Object = Mapping[str, Any]

MAX_LEVELS = 24
"""Of objects within objects and lists."""
UNREAD = "(Part of this message can't be shown to you: "
"""Stands before a type."""
MAX_KIND_CHARS = 40
MIN_TIME_S = 1_000_000_000
"""Lower numbers aren't times since the epoch."""
MAX_COMPARED_CHARS = 4_000
"""Longer texts aren't compared with others."""

_WORDS = re.compile(
    r"alt|answer|body|caption|comments?|contents?|desc|description|details?|footer|head(?:er|ing|line)|hint|label|level"
    r"|message|name|notes?|output|question|quote|state|status|subheader|subject|subtext|subtitle|summary|text|title"
)
"""The last words of keys whose values are words, also a single one."""
_HEADS = frozenset(("title", "header", "heading", "headline", "name", "label", "caption"))
_STATES = frozenset(("status", "state", "level"))
"""What Slack shows as a sign or a color."""
_BELOW_HEADS = frozenset(("subtitle", "subheader", *_STATES))
_LAST = frozenset(("action", "actions", "button", "buttons", "footer", "accessory"))
_HIDDEN = frozenset(("type", "block_id", "action_id", "callback_id", "confirm", "placeholder", "style"))
_VALUE = "value"
"""What Slack sends back where people press or choose something, and else what people read."""
_CELLS = "cells"
_INSTEAD = frozenset(("text", "fallback"))
"""Keys that may repeat, for simple clients, what stands beside them."""
_PICTURES = re.compile(r"icon|image|img|thumb|avatar|logo|photo|picture|preview|poster")
_OF_PICTURES = ("text", "title", "label", "caption", "description")
"""The last words of keys under which a picture is described."""
_ADDRESS = re.compile(r"(?:https?://|mailto:|tel:)\S+\Z", re.IGNORECASE)
_SHOWN = re.compile(r"[A-Z][a-z]+[.!?:]?\Z|(?!#)(?!.*\d{9})[^A-Za-z_\d]*+\d[^A-Za-z_]*+\Z")
"""A capitalized word, a date or an amount: no id and no option's name is written like that."""
_OF_ID = re.compile(r"(?:.*_)?ids?|.*I[Dd]s?", re.DOTALL)
_MENTIONED = re.compile(r"(?:(?P<person>[UW])|[CG])(?=[A-Z]*\d)[A-Z0-9]{6,20}\Z")
"""The ID of a person or a channel."""
_TS = re.compile(r"\d{10}\.\d{6}\Z")
"""The ts of a message."""
_TICKED = re.compile(r"(?:is_)?(?:checked|completed?|done|selected|ticked)\Z")
_LAYOUT = re.compile(r"(?:.*_)?(?:columns?|height|indent|index|offset|order|padding|size|span|version|width)\Z")
"""Numbers under these keys say how something is shown."""
_TIMES = re.compile(r"(?:.*_)?(?:at|date|due|end|start|time|timestamp|ts)\Z")
_LAST_WORD = re.compile(r"(?:[A-Z]|(?<![a-z0-9]))[a-z0-9]++\Z")
_OF_ADDRESS = re.compile(r"_?(?:url|link|href)\Z", re.IGNORECASE)
_NO_LETTERS = re.compile(r"[\W_]+")
_NO_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class _Part:
    key: str
    text: str
    is_words: bool = False
    """Whether the part is a string or a text object, and no child with a place of its own."""
    is_block: bool = False
    """Whether an empty line stands before and after it."""


class FormReader:
    """Reads the objects of one message.

    `known` returns what an object of a known type says, given its level for those within it; None for other types.
    `line` returns a list of words, mentions and the like as one line; None for other lists. `link` returns a link in
    mrkdwn.
    """

    def __init__(
        self,
        known: Callable[[Object, int], str | None],
        line: Callable[[Sequence[Any]], str | None],
        link: Callable[[str, str], str],
    ) -> None:
        self._known = known
        self._line = line
        self._link = link
        self._named: set[str] = set()

    def read(self, node: Object, level: int = 0) -> str:
        """Returns what an object says, "" if nothing: each type that can't be read is named once."""
        if level >= MAX_LEVELS:
            return self._unread(node)
        if (known := self._known(node, level)) is not None:
            return known
        parts = list(self._parts(node, level))
        if not parts and (fallback := node.get("fallback")):
            parts = list(self._value("fallback", fallback, level))
        return _joined(parts) or self._unread(node)

    def read_all(self, nodes: Sequence[Any], level: int) -> str:
        """Returns what the objects in a list say, each in its place."""
        return _joined(list(self._items("", nodes, level)))

    def table(self, rows: Sequence[Any], level: int) -> str:
        """Returns rows of cells as a table in Markdown, whose first row is its header.

        A row is a list, an object that holds its cells, or an object whose values are the cells.
        """
        lines: list[str] = []
        for row in rows:
            cells = [self._cell(cell, level) for cell in _cells(row)]
            lines.append(f"| {' | '.join(cells)} |")
            if len(lines) == 1:
                lines.append("|" + " --- |" * len(cells))
        return "\n".join(lines)

    def _cell(self, cell: Any, level: int) -> str:
        # An empty cell is null.
        if isinstance(cell, Mapping):
            return in_cell(self.read(cell, level + 1))
        return in_cell(str(cell)) if isinstance(cell, str | int | float) and not isinstance(cell, bool) else ""

    def _unread(self, node: Object) -> str:
        kind = _NO_NAME.sub(" ", str(node.get("type") or "")).strip()[:MAX_KIND_CHARS]
        # What people press or fill in says nothing by itself.
        if not kind or "action_id" in node or kind in self._named:
            return ""
        self._named.add(kind)
        return f"{UNREAD}{kind}.)"

    def _parts(self, node: Object, level: int) -> Iterator[_Part]:
        is_pressed = "action_id" in node or isinstance(node.get("text"), Mapping)
        ts = _message_ts(node)
        parts = [
            part
            for key, value in sorted(node.items(), key=lambda item: _rank(str(item[0])))
            if key not in _HIDDEN and key != "fallback" and not (key == _VALUE and is_pressed)
            for part in self._value(str(key), value, level, ts)
        ]
        yield from _with_facts(node, list(self._addressed(node, list(_without_repetitions(node, parts)))))

    def _value(self, key: str, value: Any, level: int, ts: str = "") -> Iterator[_Part]:
        """Yields what stands under a key. `ts`: of the message that the object names, "" if it names none."""
        if isinstance(value, str):
            if _is_words(key, value):
                said = f"{key}: {value}" if _last_word(key) in _STATES else value.strip("\n")
                yield _Part(key, said, is_words=True)
            elif mention := _mention(value):
                yield _Part(key, f"(message {ts} in {mention})" if ts and mention.startswith("<#") else mention)
        elif isinstance(value, Mapping):
            # An icon has a name of its own, which nobody reads.
            if _PICTURES.search(key) and not any(_last_word(str(held)) in _OF_PICTURES for held in value):
                return
            is_words = _is_text(value)
            if text := self.read(value, level + 1).strip("\n"):
                yield _Part(key, text, is_words, is_block=not is_words and _is_block(value))
        elif isinstance(value, list | tuple):
            yield from self._items(key, value, level + 1)

    def _items(self, key: str, values: Sequence[Any], level: int) -> Iterator[_Part]:
        if level >= MAX_LEVELS:
            yield _Part(key, self._unread({"type": key}))
            return
        if values and all(isinstance(value, list | tuple) for value in values):
            yield _Part(key, self.table(values, level), is_block=True)
            return
        if values and all(isinstance(value, Mapping) and isinstance(value.get(_CELLS), list) for value in values):
            yield _Part(key, self.table(values, level), is_block=True)
            return
        yield from _strings(key, [value for value in values if isinstance(value, str)])
        if (line := self._line(values)) is not None:
            yield _Part(key, line)
            return
        for value in values:
            if isinstance(value, Mapping):
                if text := self.read(value, level + 1).strip("\n"):
                    yield _Part(key, text, is_block=_is_block(value))
            elif isinstance(value, list | tuple):
                yield from self._items(key, value, level + 1)

    def _addressed(self, node: Object, parts: Sequence[_Part]) -> Iterator[_Part]:
        """Yields the parts, each label with its address. An address without a label stands by itself."""
        addresses = {str(key): value for key, value in node.items() if _is_shown_address(str(key), value)}
        labels = dict.fromkeys(part.key for part in parts if part.is_words)
        by_label: dict[str, str] = {}
        for key in sorted(addresses, key=len):
            base = _OF_ADDRESS.sub("", key)
            label = base if base in labels else next(iter(labels), "")
            if label and label not in by_label and (base == label or not by_label):
                by_label[label] = addresses.pop(key)
        for part in parts:
            if not (part.is_words and part.key in by_label):
                yield part
                continue
            address = by_label.pop(part.key)
            # Markup can't stand within a label.
            text = f"{part.text} {self._link(address, '')}" if "<" in part.text else self._link(address, part.text)
            yield _Part(part.key, text, is_words=True)
        for key, address in addresses.items():
            yield _Part(key, self._link(address, ""), is_words=True)


def in_cell(text: str) -> str:
    """Returns a text as it stands in a cell of a table in Markdown."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return _BAR.sub(_escaped_bars, escape("<br>").join(filter(None, lines)))


_BAR = re.compile(r"<[^<>]*>|\|")


def _escaped_bars(found: re.Match[str]) -> str:
    """Returns markup or a bar with each bar escaped, except the one between an address and its label."""
    before, bar, label = found[0].partition("|") if found[0] != "|" else ("", "", "|")
    return before + bar + label.replace("|", "\\|")


def _cells(row: Any) -> Sequence[Any]:
    """Returns a row's cells."""
    if isinstance(row, Mapping):
        held = row.get(_CELLS)
        if isinstance(held, list):
            return held
        shown = [(str(key), value) for key, value in row.items() if key not in _HIDDEN]
        # Of IDs, people read only those that Slack shows as names.
        read = [(key, value) for key, value in shown if not _is_id(key, value) or _mention(value)]
        return [_mention(value) if _is_id(key, value) else value for key, value in read]
    return row if isinstance(row, list | tuple) else ()


def _is_id(key: str, value: Any) -> bool:
    return isinstance(value, str) and _OF_ID.fullmatch(key) is not None


@lru_cache(maxsize=1_000)
def _rank(key: str) -> int:
    """Returns where a key's value stands in an object: SDKs sort keys by their letters."""
    last = _last_word(key)
    if key == _VALUE:
        return 3
    if last in _HEADS and not _PICTURES.search(key):
        return 0
    return 1 if last in _BELOW_HEADS or _PICTURES.search(key) else 3 if last in _LAST else 2


@lru_cache(maxsize=1_000)
def _last_word(key: str) -> str:
    found = _LAST_WORD.search(key)
    return found[0].lower() if found else key.lower()


def _is_text(value: Object) -> bool:
    return isinstance(value.get("text"), str) and value.get("type") in ("plain_text", "mrkdwn")


def _is_words(key: str, value: str) -> bool:
    text = value.strip()
    if not text or _ADDRESS.match(text) or _OF_ID.fullmatch(key) or _MENTIONED.match(text):
        return False
    return (
        key == _VALUE
        or _WORDS.fullmatch(_last_word(key)) is not None
        or len(text.split(None, 1)) > 1
        or not text.isascii()
        or _SHOWN.match(text) is not None
    )


def _strings(key: str, values: Sequence[str]) -> Iterator[_Part]:
    """Yields the words in a list as one part, or the mentions in a list of IDs. An app's options are seldom lists."""
    words = [_mention(value) or value for value in values if not _ADDRESS.match(value)]
    is_ids = _OF_ID.fullmatch(key) is not None
    if said := [word for word in words if word.startswith("<") or not is_ids]:
        yield _Part(key, ", ".join(said), is_words=not is_ids)


def _mention(value: str) -> str:
    """Returns the mention of the person or the channel that has an ID, "" for other texts."""
    found = _MENTIONED.match(value)
    return f"<{'@' if found['person'] else '#'}{value}>" if found else ""


def _message_ts(node: Object) -> str:
    """Returns the ts of the message that an object names, and not of its thread; "" if there is none."""
    found = (
        value
        for key, value in node.items()
        if isinstance(value, str) and _last_word(str(key)) == "ts" and "thread" not in str(key) and _TS.match(value)
    )
    return next(found, "")


def _with_facts(node: Object, parts: Sequence[_Part]) -> list[_Part]:
    """Returns the parts, the value and the numbers behind the label, and the tick before it."""
    if not parts:
        return []
    *others, last = parts
    if len(others) == 1 and last.key == _VALUE and "\n" not in others[0].text + last.text:
        others, last = [], replace(last, text=f"{others[0].text}: {last.text}")
    if numbers := _numbers(node) if last.text else "":
        is_line = not others and "\n" not in last.text
        between = ": " if is_line else "\n"
        last = replace(last, text=f"{last.text}{between}{numbers}")
    first = others[0] if others else last
    ticks = [is_ticked for key, is_ticked in node.items() if isinstance(is_ticked, bool) and _TICKED.match(str(key))]
    if ticks and first.text:
        first = replace(first, text=f"{'☑' if ticks[0] else '☐'} {first.text}")
    return [first, *others[1:], last] if others else [first]


def _numbers(node: Object) -> str:
    """Returns the numbers that people read of an object: it holds nothing else but words."""
    if any(
        isinstance(held, list | tuple) or (isinstance(held, Mapping) and not _is_text(held)) for held in node.values()
    ):
        return ""
    numbers = [
        (str(key), str(value))
        for key, value in node.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if not (
            _LAYOUT.match(str(key)) or _OF_ID.fullmatch(str(key)) or (_TIMES.match(str(key)) and value < MIN_TIME_S)
        )
    ]
    said = [(key, f"<!date^{number}>" if _TIMES.match(key) else number) for key, number in numbers]
    return ", ".join(f"{key} {number}" if len(said) > 1 else number for key, number in said)


def _is_shown_address(key: str, value: object) -> bool:
    return isinstance(value, str) and _ADDRESS.match(value) is not None and not _PICTURES.search(key.lower())


def _is_block(value: Object) -> bool:
    is_element = "action_id" in value or "url" in value or value.get("type") in ("plain_text", "mrkdwn", "image")
    return isinstance(value.get("type"), str) and not is_element


def _plain(text: str) -> str:
    return _NO_LETTERS.sub("", text).casefold()


def _without_repetitions(node: Object, parts: Sequence[_Part]) -> Iterator[_Part]:
    """Yields the parts without those that only repeat others, for clients that show less."""
    if len(parts) < 2:
        yield from parts
        return
    has_blocks = any(part.key == "blocks" for part in parts)
    others = ""
    if any(part.is_words and part.key in _INSTEAD for part in parts):
        others = _plain("".join(part.text for part in parts if not part.is_words)[:MAX_COMPARED_CHARS])
    said: set[str] = set()
    for part in parts:
        # Lists may repeat a value.
        is_single = not isinstance(node.get(part.key), list | tuple) and len(part.text) < MAX_COMPARED_CHARS
        plain = _plain(part.text) if is_single else ""
        is_instead = part.is_words and part.key in _INSTEAD and others != ""
        if plain in said or (is_instead and (has_blocks or plain in others)):
            continue
        if plain:
            said.add(plain)
        yield part


def _joined(parts: Sequence[_Part]) -> str:
    pieces: list[str] = []
    was_block = False
    for part in parts:
        if part.text.strip():
            is_block = part.is_block or "\n" in part.text
            pieces += ["\n\n" if is_block or was_block else "\n", part.text]
            was_block = is_block
    return "".join(pieces[1:])
