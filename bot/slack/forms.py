"""What objects of unknown types say, read by their form. Pure.

Slack adds types of blocks every few months, and names the keys of each as it likes. So an object of an unknown type is
read by what any object consists of:

- Objects of known types within it, under whatever key, are read as what they are, in their place.
- Strings are words if their key says so ("subtitle"), or if they can hardly be anything else: an id has no spaces.
- An address stands beside its label, as a link. Addresses of pictures are left out: nobody reads them in Slack.
- Lists of lists are tables.
- What only repeats the rest is left out: a message's text beside its blocks, a plain title beside a rich one.
- An object that says nothing is named by its type, once for each reader, so that the model knows of the gap.

Each object is read once, and nesting is bounded.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Object = Mapping[str, Any]

MAX_LEVELS = 24
"""Of objects within objects and lists."""
UNREAD = "(Part of this message can't be shown to you: "
"""Stands before a type."""
MAX_KIND_CHARS = 40
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
_HIDDEN = frozenset(("type", "block_id", "action_id", "callback_id", "value", "confirm", "placeholder", "style"))
_INSTEAD = frozenset(("text", "fallback"))
"""Keys that may repeat, for simple clients, what stands beside them."""
_PICTURES = re.compile(r"icon|image|img|thumb|avatar|logo|photo|picture|preview|poster")
_ADDRESS = re.compile(r"(?:https?://|mailto:|tel:)\S+\Z", re.IGNORECASE)
_SHOWN = re.compile(r"[A-Z][a-z]+[.!?:]?\Z|(?!#)(?!.*\d{9})[^A-Za-z_]*\d[^A-Za-z_]*\Z")
"""A capitalized word, a date or an amount: no id and no option's name is written like that."""
_LAST_WORD = re.compile(r"[A-Z]?[a-z0-9]+\Z")
_OF_ADDRESS = re.compile(r"_?(?:url|link|href)\Z", re.IGNORECASE)
_NO_LETTERS = re.compile(r"[\W_]+")
_NO_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class _Part:
    key: str
    text: str
    is_words: bool = False
    """Whether it is a string or a text object, and no child with a place of its own."""
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
        """Returns rows of cells as a table in Markdown, whose first row is its header."""
        lines: list[str] = []
        for row in rows:
            cells = [self._cell(cell, level) for cell in row] if isinstance(row, list | tuple) else []
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
        parts = [
            part
            for key, value in sorted(node.items(), key=lambda item: _rank(str(item[0])))
            if key not in _HIDDEN and key != "fallback"
            for part in self._value(str(key), value, level)
        ]
        yield from self._addressed(node, list(_without_repetitions(node, parts)))

    def _value(self, key: str, value: Any, level: int) -> Iterator[_Part]:
        """Yields what stands under a key."""
        if isinstance(value, str):
            if _is_words(key, value):
                said = f"{key}: {value}" if _last_word(key) in _STATES else value.strip("\n")
                yield _Part(key, said, is_words=True)
        elif isinstance(value, Mapping):
            is_words = isinstance(value.get("text"), str) and value.get("type") in ("plain_text", "mrkdwn")
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
        if words := [value for value in values if isinstance(value, str) and _is_words(key.removesuffix("s"), value)]:
            yield _Part(key, ", ".join(words), is_words=True)
        if (line := self._line(values)) is not None:
            yield _Part(key, line)
            return
        for value in values:
            if isinstance(value, Mapping):
                text = self.read(value, level + 1).strip("\n")
                if numbers := _numbers(value) if text else "":
                    text += ("\n" if "\n" in text else ": ") + numbers
                if text:
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
    return _BAR.sub(lambda bar: bar[0] if bar[0] != "|" else "\\|", " ".join(text.split()))


_BAR = re.compile(r"<[^<>]*>|\|")


@lru_cache(maxsize=1_000)
def _rank(key: str) -> int:
    """Returns where a key's value stands in an object: SDKs sort keys by their letters."""
    last = _last_word(key)
    if last in _HEADS and not _PICTURES.search(key):
        return 0
    return 1 if last in _BELOW_HEADS or _PICTURES.search(key) else 3 if last in _LAST else 2


@lru_cache(maxsize=1_000)
def _last_word(key: str) -> str:
    found = _LAST_WORD.search(key)
    return found[0].lower() if found else key.lower()


def _is_words(key: str, value: str) -> bool:
    text = value.strip()
    if not text or _ADDRESS.match(text):
        return False
    return (
        _WORDS.fullmatch(_last_word(key)) is not None
        or len(text.split(None, 1)) > 1
        or not text.isascii()
        or _SHOWN.match(text) is not None
    )


def _numbers(value: Object) -> str:
    """Returns the numbers of a point of data: it has no type, and holds nothing else."""
    if "type" in value or any(isinstance(held, Mapping | list | tuple) for held in value.values()):
        return ""
    return ", ".join(str(n) for n in value.values() if isinstance(n, int | float) and not isinstance(n, bool))


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
