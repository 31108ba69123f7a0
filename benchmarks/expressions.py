"""Finds the regular expressions of the bot that take more than linear time, with texts made from their own parse trees.

Each repeat of an expression gets texts of three parts: a prefix that leads into the repeat, a pump of what it repeats,
and a spoiler that makes the match fail. Of each set of characters, one stands for all that the expression treats alike,
so that a character in two sets is among them. An analyzer would be shorter, but those that are packaged don't know
possessive repeats (regexploit), or are unsure of any expression with a repeat (redoctor).

A text of `FIRST_CHARS` is tried once, in CPU time with a bound, because an exponential expression never ends. One that
takes long is tried in growing sizes, as `hostile.py` does with functions.
"""

import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import FrameType, ModuleType
from typing import Any, NamedTuple

import regex

SIZES_CHARS = (5_900, 11_800, 23_600)
FIRST_CHARS = 2_000
SLOW_MS = 2.0
MAX_MS = 300.0
"""CPU time of one text."""
MAX_HOLD_MS = 50.0
"""CPU time of the longest text that a bounded expression reads."""
BOUNDED = {
    "slack_markdown.inlines._LAST_WORD": 1_000,
    "slack_markdown.links._JOINED": 400,
    "slack_markdown.links._MAILBOX": 2_000,
    "slack_markdown.tags._ATTRIBUTE": 1_000,
    "files_to_markdown.number_formats._TOKEN": 255,
    "bot.models.failures._SENTENCE_PATTERNS": 2_000,
    "bot.models.room._": 2_000,
}
"""The most characters that an expression reads, by the beginning of its name: its caller cuts longer texts."""
NOT_MET = re.compile(r"bot\.(?:settings|mcp\.config|cli|checks|store\.migrations)\b|.*(?:__main__|_markdown\.tests\b)")
"""Matches the modules whose expressions meet no text from outside."""
ROUNDS = 3
MAX_RATIO = 2.6
MAX_VARIANTS = 4
"""How many samples of one part are tried."""
ALPHABET = "a0 \t\n\r.,:;-_/\\|`*~'\"<>()[]{}=&#%@!?$^+Zé世\u00a0\x00"
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
SETS = (op.IN, op.LITERAL, op.NOT_LITERAL, op.ANY)
_PROPERTY = re.compile(r"\\([pP])\{[^}]*\}")
_DIFFERENCE = re.compile(r"--(?:\[[^\]]*\]|\\?.)")
_WHOLE_TEXT = frozenset(["match", "fullmatch"])


class Slow(NamedTuple):
    """A text for which an expression takes more than linear time."""

    name: str
    text: str
    ms: tuple[float, ...]
    """For growing sizes; infinite if the time ran out."""

    def __str__(self) -> str:
        shown = self.text if len(self.text) < 60 else f"{self.text[:40]}…{self.text[-20:]}"
        return f"{self.name}: {shown!r} takes {', '.join(f'{ms:.1f}' for ms in self.ms)} ms"


class TimeIsUp(BaseException):
    pass


@dataclass(frozen=True)
class Expression:
    """An expression of the bot, and whether it is only looked for where a text begins."""

    name: str
    pattern: Any
    only_at_start: bool

    @cached_property
    def tree(self) -> Any:
        """The parse tree; that of an expression of `regex` is one that matches alike texts."""
        pattern = self.pattern.pattern
        if isinstance(self.pattern, re.Pattern):
            return parser.parse(pattern, self.pattern.flags)
        pattern = _DIFFERENCE.sub("", _PROPERTY.sub(lambda found: r"\w" if found[1] == "p" else r"\W", pattern))
        return parser.parse(pattern.replace("[[", "[\\[").replace("[^[", "[^\\["))

    @property
    def can_match_wrongly(self) -> bool:
        """Whether `re` repeats a group possessively: it needs `regex`, or a repeat that isn't possessive.

        Before Python 3.11.5 (Debian 12 has 3.11.2), such a repeat keeps no state: `(?:ab?c)*+` matches "a"
        (python/cpython#106052). Some end with a SystemError, in later versions, too (#101955).
        """
        return isinstance(self.pattern, re.Pattern) and _has_possessive_group(self.tree)

    @property
    def alphabet(self) -> str:
        """The characters that its texts consist of, beside those that it names. One of bytes gets those of ASCII."""
        return "".join(filter(str.isascii, ALPHABET)) if self._reads_bytes else ALPHABET

    @property
    def _reads_bytes(self) -> bool:
        return isinstance(self.pattern.pattern, bytes)

    def read(self, text: str) -> None:
        subject = text.encode("latin-1") if self._reads_bytes else text
        # `regex` looks at no signal.
        bound = {"timeout": MAX_MS / 1e3} if isinstance(self.pattern, regex.Pattern) else {}
        if self.only_at_start:
            self.pattern.match(subject, **bound)
        else:
            for _ in self.pattern.finditer(subject, **bound):
                pass


# Texts.


class Parts(NamedTuple):
    """What a text consists of."""

    prefix: str
    pump: str
    spoiler: str

    def text(self, chars: int) -> str:
        """Returns a text of about a size."""
        return self.prefix + self.pump * max(1, (chars - len(self.prefix)) // len(self.pump)) + self.spoiler


class Texts:
    """The texts of an expression."""

    def __init__(self, expression: Expression) -> None:
        self.tree = expression.tree
        self.flags = self.tree.state.flags & (re.IGNORECASE | re.DOTALL | re.ASCII)
        self.groups: dict[int, str] = {}
        sets = list(dict.fromkeys(map(repr, _sets_in(self.tree))))
        alphabet = _with_named(expression.alphabet, self.tree)
        matching = {
            shown: frozenset(_members(part, self.flags, alphabet))
            for shown, part in {repr(part): part for part in _sets_in(self.tree)}.items()
        }
        alike: dict[tuple[bool, ...], str] = {}
        for character in alphabet:
            alike.setdefault(tuple(character in matching[shown] for shown in sets), character)
        self.characters = list(alike.values())
        """One of each kind that the expression tells apart."""
        self.matching = {
            shown: [character for character in self.characters if character in found]
            for shown, found in matching.items()
        }

    def __iter__(self) -> Iterator[Parts]:
        seen = set()
        for prefix, body in self._repeats(self.tree, [""]):
            for before, pump in product(prefix[:2], body):
                for first, unit in {(before, pump), ("", before + pump)}:
                    if not unit:
                        continue
                    for parts in [Parts(first, unit, spoiler) for spoiler in ["", *self.characters]]:
                        if parts not in seen:
                            seen.add(parts)
                            yield parts

    def _repeats(self, tree: Any, prefix: list[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Yields what leads into each repeat, and what it repeats."""
        for kind, value in tree:
            for inner in _parts(kind, value):
                if kind in REPEATS and value[1] > 100:
                    yield prefix, self._samples(inner)
                yield from self._repeats(inner, prefix)
            prefix = _joined(prefix, self._sample(kind, value))

    def _samples(self, tree: Any) -> list[str]:
        samples = [""]
        for kind, value in tree:
            samples = _joined(samples, self._sample(kind, value))
        return samples

    def _sample(self, kind: Any, value: Any) -> list[str]:
        """Returns texts that a part matches, the shortest first."""
        if kind in SETS:
            return self.matching.get(repr((kind, value))) or [""]
        if kind in REPEATS:
            once = self._samples(value[2])
            return _few([sample * min(value[0], 40) for sample in once] + (once if value[0] == 0 else []))
        if kind is op.BRANCH:
            return _few(
                [sample for branch in zip(*map(self._all, value[1]), strict=False) for sample in branch] or [""]
            )
        if kind is op.SUBPATTERN:
            samples = self._samples(value[3])
            self.groups[value[0]] = samples[0]
            return samples
        if kind is op.ATOMIC_GROUP:
            return self._samples(value)
        if kind is op.GROUPREF:
            return [self.groups.get(value, "")]
        if kind is op.ASSERT and value[0] < 0:
            return self._samples(value[1])
        return [""]

    def _all(self, branch: Any) -> list[str]:
        samples = self._samples(branch)
        return samples + [samples[0]] * (MAX_VARIANTS - len(samples))


def _joined(before: list[str], after: list[str]) -> list[str]:
    return _few([first + then for then in after for first in before])


def _few(samples: list[str]) -> list[str]:
    return list(dict.fromkeys(samples))[:MAX_VARIANTS] or [""]


def _parts(kind: Any, value: Any) -> list[Any]:
    if kind in REPEATS:
        return [value[2]]
    if kind is op.BRANCH:
        return list(value[1])
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    return [value[1]] if kind in (op.ASSERT, op.ASSERT_NOT) else []


def _has_possessive_group(tree: Any) -> bool:
    return any(
        kind is op.ATOMIC_GROUP
        or (kind is op.POSSESSIVE_REPEAT and (len(value[2]) > 1 or value[2][0][0] not in SETS))
        or any(map(_has_possessive_group, _parts(kind, value)))
        for kind, value in tree
    )


def _sets_in(tree: Any) -> Iterator[Any]:
    for kind, value in tree:
        if kind in SETS:
            yield kind, value
        for inner in _parts(kind, value):
            yield from _sets_in(inner)


def _with_named(alphabet: str, tree: Any) -> str:
    """Returns characters, and those that an expression names."""
    named: list[str] = []
    for kind, value in _sets_in(tree):
        for what, found in value if kind is op.IN else [(kind, value)]:
            if what in (op.LITERAL, op.NOT_LITERAL):
                named.append(chr(found))
            elif what is op.RANGE:
                named += [chr(found[0]), chr(found[1])]
    return "".join(dict.fromkeys(alphabet + "".join(named)))


def _members(part: Any, flags: int, alphabet: str) -> list[str]:
    """Returns the characters that a set of characters matches."""
    kind, value = part
    if kind is op.ANY:
        return [character for character in alphabet if flags & re.DOTALL or character != "\n"]
    items = value if kind is op.IN else [(kind, value)]
    is_negated = items[0][0] in (op.NEGATE, op.NOT_LITERAL)
    return [character for character in alphabet if is_negated != any(_is_in(character, item, flags) for item in items)]


_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda character: character == "_" or character.isalnum(),
}
_NOT = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}


def _is_in(character: str, item: Any, flags: int) -> bool:
    kind, value = item
    if kind is op.CATEGORY:
        return _CATEGORIES[value](character) if value in _CATEGORIES else not _CATEGORIES[_NOT[value]](character)
    forms = {character, character.lower(), character.upper()} if flags & re.IGNORECASE else {character}
    codes = [ord(form) for form in forms if len(form) == 1]
    if kind is op.RANGE:
        return any(value[0] <= code <= value[1] for code in codes)
    return kind in (op.LITERAL, op.NOT_LITERAL) and value in codes


# Times.


@contextmanager
def bounded(max_s: float) -> Iterator[None]:
    """Raises TimeIsUp after some CPU time, also within an expression."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, max_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def milliseconds(read: Callable[[str], object], text: str) -> float:
    """Returns the CPU time that reading a text takes; infinite if it is too long."""
    started = time.thread_time()
    try:
        with bounded(MAX_MS / 1e3):
            read(text)
    except (TimeIsUp, TimeoutError):
        return float("inf")
    return (time.thread_time() - started) * 1e3


def least_milliseconds(read: Callable[[str], object], text: str, enough_ms: float) -> float:
    """Returns the least of `ROUNDS` times, or the first below `enough_ms`: a machine may stand still during any one."""
    least = float("inf")
    for _ in range(ROUNDS):
        least = min(least, milliseconds(read, text))
        if least < enough_ms:
            break
    return least


def slow_texts(expression: Expression) -> Iterator[Slow]:
    """Yields the texts for which an expression takes more than linear time."""
    most_chars = next((chars for name, chars in BOUNDED.items() if expression.name.startswith(name)), None)
    texts = Texts(expression)
    for text in dict.fromkeys(parts.text(most_chars) for parts in texts) if most_chars else ():
        if (ms := least_milliseconds(expression.read, text, MAX_HOLD_MS)) > MAX_HOLD_MS:
            yield Slow(expression.name, text, (ms,))
    if most_chars:
        return
    for parts in texts:
        times = [least_milliseconds(expression.read, parts.text(FIRST_CHARS), SLOW_MS)]
        if times[0] < SLOW_MS:
            continue
        for chars in SIZES_CHARS:
            if times[-1] < MAX_MS and not _is_linear(times[1:]):
                enough_ms = MAX_RATIO * times[-1] if len(times) > 1 else 0
                times.append(least_milliseconds(expression.read, parts.text(chars), enough_ms))
        if times[-1] >= MAX_MS or not _is_linear(times[1:]):
            yield Slow(expression.name, parts.text(FIRST_CHARS), tuple(times))


def _is_linear(times: list[float]) -> bool:
    """Returns whether times for growing sizes have grown no more than these, and the next size's isn't too long."""
    grew_linearly = any(later <= MAX_RATIO * earlier for earlier, later in pairwise(times))
    return grew_linearly and times[-1] * MAX_RATIO < MAX_MS


# Expressions.


def expressions(*packages: str) -> list[Expression]:
    """Returns the expressions in the modules of packages, by where they stand."""
    modules = [module for package in packages for module in _modules(package)]
    everywhere = _USE.findall("\n".join(Path(str(module.__file__)).read_text() for module in modules))
    found: dict[tuple[str, int], Expression] = {}
    for module in modules:
        source = Path(str(module.__file__)).read_text()
        uses: dict[str, set[str]] = {}
        for name, method in [*_USE.findall(source), *(use for use in everywhere if use[0][0] != "_")]:
            uses.setdefault(name, set()).add(method)
        for name, value in vars(module).items():
            only_at_start = name in uses and uses[name] <= _WHOLE_TEXT
            for path, pattern in _patterns_in(name, value):
                expression = Expression(f"{module.__name__}.{path}", pattern, only_at_start)
                found.setdefault((pattern.pattern, pattern.flags), expression)
        # Those that are written where they are used.
        for at, (method, kind, text) in enumerate(_INLINE.findall(source)):
            written: re.Pattern[Any] = re.compile(text.encode("latin-1")) if kind == "rb" else re.compile(text)
            found.setdefault(
                (written.pattern, written.flags),
                Expression(f"{module.__name__} inline {at}", written, method in _WHOLE_TEXT),
            )
    return list(found.values())


_METHODS = "search|match|fullmatch|sub|subn|split|findall|finditer"
_USE = re.compile(rf"\b(_?[A-Z][A-Z0-9_]*)\.({_METHODS})\b")
_INLINE = re.compile(rf"\bre\.({_METHODS})\(\s*(rb?)\"((?:[^\"\\]|\\.)*)\"")


def _modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not NOT_MET.match(found.name):
            yield importlib.import_module(found.name)


def _patterns_in(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, re.Pattern | regex.Pattern):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in list(value.items())[:200]:
            yield from _patterns_in(f"{path}[{key!r}]", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for at, inner in enumerate(value[:200]):
            yield from _patterns_in(f"{path}[{at}]", inner)
