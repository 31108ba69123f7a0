r"""A parser for the inlines of one block: emphasis, links, images, code spans, autolinks and escapes.

It implements the second phase of CommonMark's parsing strategy
(https://spec.commonmark.org/0.31.2/#phase-2-inline-structure) with GitHub's strikethrough (`~~`).

The parser makes no tree. Slack reads the Markdown itself, so all that is needed is how the source differs from what is
sent. The result is a list of replacements:

- `<` is escaped, because every instruction to Slack begins with it (`escaping.py`).
- Images become links to the image, because Slack shows no images in Markdown.
- A link whose label names another host than the link leads to becomes text that shows both, and one whose label shows
  nothing becomes its address (`links.py`).
- Emphasis gets hair spaces beside CJK letters, and is left out around bare URLs: there Slack doesn't read `*` and `**`
  as CommonMark does. Nobody has measured exactly which forms Slack accepts, so the plainest forms are sent.
- Emphasis with spaces inside its marks, as in `**Note: **text`, gets them outside, where people mean emphasis.
  Operators, patterns of paths, parameters (`**kwargs`) and single marks stay.
- Products, names in Python and gaps to fill in are no emphasis.
- Autolinks (`<https://…>`) become bare URLs, whose hosts say where they lead (`links.py`).
- Addresses of files in Slack that the readers may not open become code (`links.py`).

Like CommonMark, the parser goes through the text once, with two stacks. Each delimiter run (`**`, `_`, `~~`) that may
open emphasis goes on a stack; a run that may close emphasis looks down the stack for its opener. Each `[` or `![` goes
on the other stack, and a `]` takes the top one off to see whether both are a link's. A limit on each search keeps the
parser linear in any text.

The text may be the end of an answer that is still growing. Then the parser also decides what is shown of it:

- A construct that is complete enough to show is closed for show. `**bo` is sent as `**bo**`, so that the word is bold
  from its first letter.
- A construct that may become anything is held back: a link without its destination, a single `*`, half an entity.
  `InlineStructure.shown_end` is where the held-back text begins.
"""

import re
import string
import unicodedata
from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import regex

from slack_markdown import escaping
from slack_markdown.blocks import LeafKind
from slack_markdown.dialects import MAX_CONSTRUCT_CHARS, TEXT_BACKTICK, rewritten
from slack_markdown.escaping import HAIR_SPACE, Replacement, with_replacements
from slack_markdown.links import (
    URL_START,
    WIDE_MARK,
    bare_url,
    file_as_code,
    is_closed_file,
    is_deceptive,
    is_growing_authority,
    is_web_address,
    may_be_in_slack,
    sent_authority,
    shows_nothing,
)

MAX_HELD_LABEL_CHARS = 120
"""How long a `[` without its `]` is held back. After that it is shown as text."""
MAX_JOINED_CHARS = 100
"""How much of the text directly before a link is read together with its label."""
MAX_OPENERS = 100
"""How many open delimiter runs are considered for one that closes."""
_MAX_WORD_CHARS = 1_000

CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u318f\u31a0-\u31ff\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00020000-\U0003ffff]"
)
"""Matches a letter of Chinese, Japanese or Korean."""
_SPECIAL = re.compile(rf"(?P<url>{URL_START})|\\|`+|\*+|_+|~+|!\[|\[|\]|<")
_NEVER_JOINED = re.compile(r"[\s()\[\]{}<>!]")
_BACKTICKS = re.compile(r"`+")
_AUTOLINK = re.compile(r"<(https?://[^\s<>|]*)>", re.IGNORECASE)
_OTHER_AUTOLINK = re.compile(r"<(?:[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*|([\w.+-]+@[\w.-]+))>")
_WEB_OR_MAIL = re.compile(r"https?:|mailto:", re.IGNORECASE)
_WEB = re.compile(r"<https?:(?!//)", re.IGNORECASE)
r"""Begins an address without `//`, as `<https:\/\/…>` is. Browsers read a backslash as a slash, so it becomes code."""
_INCOMPLETE_AUTOLINK = re.compile(r"<[^\s<>]*\Z")
_DESTINATION_START = re.compile(r"\]\([ \t]*$")
_INCOMPLETE_ENTITY = re.compile(r"(?:&#?\w{0,8}|(?<!\S)!)$")
"""Matches half an entity, or a `!` that may become an image's, at the end."""
_REFERENCE = re.compile(r"\[([^\[\]\\]*(?:\\.[^\[\]\\]*)*)\]")
_TITLE = re.compile(r"""\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))""", re.DOTALL)
_POINTED_DESTINATION = re.compile(r"<((?:[^<>\\\n]|\\.)*)>")
_INCOMPLETE_POINTED_DESTINATION = re.compile(r"<(?:[^<>\\\n]|\\.)*\\?\Z")
_DESTINATION_MARK = re.compile(r"\s|[()]|\\.?", re.DOTALL)
"""Matches what may end a destination, or what is in one and must be counted."""
_ENCODED = re.compile(r"<|&#?\w+;")
"""Matches what must be decoded in a destination before it is sent: Slack decodes nothing there."""
_DEFINED = re.compile(r"(?<=\]:)\s*<(?P<pointed>[^<>\s]+)>|\s?(?P<url>https?:[^\s<>]+)", re.IGNORECASE)
_PATH_START = re.compile(r"[/?#]")
_ADDRESS_END = re.compile(r"[\s<>|\"`\[\]]|https?://", re.IGNORECASE)
_PLAIN_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_URL_START = re.compile(r"(?:<|!?\[[ \t]*\]\()?https?://", re.IGNORECASE)
_INCOMPLETE_URL = re.compile(r"h|ht|htt|https?:?/?|https?://.*", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?<!\S)(?:!?\[\]\(|[*_~(\[{\"'<])*(\S+)$")
_PHRASE_END = regex.compile(
    r"(?:[\p{Terminal_Punctuation}--[,،，、]]|…|\p{So}|[\p{Pd}--\-])[\p{Pe}\p{Pf}\"'*_~`]*\Z", regex.V1
)
"""Matches what ends a label or sentence. Behind a comma, `**` may begin another parameter."""
PRODUCT = re.compile(r"(?:[0-9]|(?<![A-Za-z])[A-Za-z])\*(?=[A-Za-z0-9])")
"""Matches a multiplication sign: as emphasis, 5*4*3 would read 543 (oobabooga/textgen#5608)."""
NAME_OR_GAP = re.compile(
    r"(?<!\w)__[a-z][a-z0-9_]{0,60}?__(?=\(|\.[a-z])|(?<=\w\.)__[a-z][a-z0-9_]{0,60}?__(?!\w)"
    r"|_{2,40}(?:[-/.,:()+#]{1,3}+_{2,40}(?!_)){1,8}"
)
"""Matches what Python names so in a longer name, `__init__.py` and `a.__dict__`, and gaps to fill in: `__/__/____`."""
_DELIMITER = re.compile("[*_~]")
_RUN_OR_CODE = re.compile(r"\\.|`[^`]*`|\*+|_+|~+", re.DOTALL)
_SPACES = re.compile(r"\s*")
_WORD_CHARS = "".join(map(chr, range(ord("!"), ord("~") + 1)))
LinkDestinations = Mapping[str, Sequence[str]]
"""The destinations of link reference definitions, by normalized label: all of them, if a label is defined twice."""


class DelimiterRun(NamedTuple):
    """A sequence of `*`, `_` or `~` that may still open emphasis."""

    delimiter: str
    start: int
    length: int
    remaining: int
    """How many of its delimiters have found no partner yet."""
    can_close: bool
    is_loose: bool
    """Whether it may open emphasis only with a space before it (`_loosely_flanking`), or without the one behind it."""
    is_apart: bool
    """Whether a space follows it (`_opens_apart`)."""
    previous: "DelimiterRun | None"
    """The run below it on the stack."""

    @property
    def max_chars(self) -> int:
        """How far it may be from a run that closes it, if it opens loosely."""
        return MAX_HELD_LABEL_CHARS if self.is_apart else MAX_CONSTRUCT_CHARS


class Bracket(NamedTuple):
    """A `[` or `![` without its `]`."""

    start: int
    is_image: bool
    last_run: DelimiterRun | None
    """The top of the stack of delimiter runs when the bracket was read."""
    replacement_count: int
    """How many replacements there were when the bracket was read."""


@dataclass(slots=True)
class InlineStructure:
    """The differences between a text and its rendering."""

    replacements: list[Replacement] = field(default_factory=list)
    code_spans: list[tuple[int, int]] = field(default_factory=list)
    """The offsets at which code spans begin and end."""
    shown_end: int = -1
    """Of a growing text: the offset from which the text is held back. -1 while that isn't decided."""
    closing: str = ""
    """The delimiters that close for show what is open at `shown_end`."""


class DecidedInlines(NamedTuple):
    """The beginning of a growing text that is sent in the same way whatever follows."""

    end: int
    """The offset behind its last whole word."""
    is_open: bool
    """Whether a construct is open at the end of the text, so that later text is read differently behind it."""
    replacements: list[Replacement]


def parse_inlines(
    text: str,
    destinations: LinkDestinations,
    *,
    growing: bool,
    start: int = 0,
    open_files: Collection[str] = (),
    kind: LeafKind = LeafKind.PARAGRAPH,
) -> InlineStructure:
    """Returns the replacements for a block's text.

    `growing`: the text may continue, so what is open is closed for show or held back.
    `start`: the offset behind the text's link reference definitions.
    `open_files`: the ids of Slack's files whose addresses may be links.
    `kind`: of the block. In a table, the text is a row's, or a cell's.
    """
    markdown = rewritten(text, growing=growing, start=start, kind=kind)
    inlines = _InlineParser(markdown.text, destinations, growing, open_files).parse(start)
    inlines.replacements = markdown.composed(inlines.replacements)
    if growing:
        inlines.shown_end, inlines.replacements = _before(
            markdown.source_offset(inlines.shown_end), inlines.replacements
        )
    return inlines


def decided_inlines(text: str, *, kind: LeafKind = LeafKind.PARAGRAPH) -> DecidedInlines:
    """Returns the beginning of a growing text that no later text changes, unless that defines a link."""
    markdown = rewritten(text, growing=True, kind=kind)
    # What follows a run of delimiters says what the run does.
    end, is_open, replacements = _InlineParser(markdown.decided_text, {}, growing=True).parse_decided()
    end = min(markdown.source_offset(end), markdown.undecided)
    end, replacements = _before(end, markdown.composed(replacements))
    return DecidedInlines(end, is_open or markdown.is_open, replacements)


def emphasis_marks(text: str, *, growing: bool = False) -> list[Replacement]:
    """Returns the removals of the delimiters that have a partner, in order: a reader sees all others.

    `growing`: the text may continue, so delimiters that are open may still find one.
    """
    if not _DELIMITER.search(text):
        return []
    parser = _InlineParser(text, {}, growing)
    parser.parse(0)
    return sorted(parser.marks)


def _before(end: int, replacements: Sequence[Replacement]) -> tuple[int, list[Replacement]]:
    """Returns the last offset up to this one that is in no replacement, and the replacements before it."""
    end = min([end, *(replacement.start for replacement in replacements if replacement.start < end < replacement.end)])
    # What is inserted at the offset belongs to what follows: the rest of an element whose end is held back.
    return end, [replaced for replaced in replacements if replaced.start < replaced.end <= end or replaced.end < end]


def normalized_label(label: str) -> str:
    """Returns a reference label in the form in which CommonMark compares labels: case folded, with single spaces."""
    return " ".join(label.split()).casefold()


class _InlineParser:
    def __init__(
        self, text: str, destinations: LinkDestinations, growing: bool, open_files: Collection[str] = ()
    ) -> None:
        self.text = text
        self.destinations = destinations
        self.open_files = open_files
        self.growing = growing
        self.last_run: DelimiterRun | None = None
        """The top of the stack of delimiter runs."""
        self.brackets: list[Bracket] = []
        self.inactive_brackets = 0
        """How many brackets, from the bottom of the stack, are around a link. They can't be links themselves."""
        self.images: list[Replacement] = []
        """The images so far and their labels, in order; none is within another."""
        self.marks: list[Replacement] = []
        """The removals of the delimiters that are no text."""
        self._undecided_start = -1
        """Where a code span or autolink begins that the end of a growing text closes, or leaves open."""
        self._undecided_pairs: list[int] = []
        """Where emphasis begins that a run closes behind a space, unless a later run closes that run; or that a run
        closes behind an address, unless the address goes on over it."""
        self._destination_ends: dict[int, int] = {}
        """Where the destinations behind parentheses end, as far as the text was read for one."""
        self._last_end = 0
        """Where the last code span, link or autolink ends."""
        self._last_link = (-1, "")
        """Where the last link ends, and its label with what is directly before it."""
        self.inlines = InlineStructure()

    def parse(self, position: int) -> InlineStructure:
        inlines = self.inlines
        for definition in _DEFINED.finditer(self.text, 0, position):
            url = definition["pointed"] or definition["url"]
            if is_closed_file(url, self.open_files):
                # No link uses it. As code, it is no link either if Slack sees no definition there.
                inlines.replacements.append(Replacement(*definition.span(), f" {file_as_code(url)}"))
            elif definition["pointed"]:
                inlines.replacements.append(Replacement(*definition.span(), f" {bare_url(url)}"))
        self._read(position)
        if self.growing:
            self._end_growing_text()
        inlines.replacements = self._safe_replacements(inlines.shown_end if self.growing else len(self.text))
        return inlines

    def parse_decided(self) -> DecidedInlines:
        self._read(0)
        size, stop = len(self.text), self.inlines.shown_end
        if self._undecided_start >= 0 or stop < 0:
            stop = self._undecided_start if self._undecided_start >= 0 else size
        # `!` before `![` is escaped together with it.
        starts = [
            bracket.start - (bracket.is_image and self.text.startswith("!", bracket.start - 1, bracket.start))
            for bracket in self._active_brackets()
        ]
        run = self.last_run
        starts += self._undecided_pairs
        is_open = bool(run or starts or stop < size)
        while run:
            starts += [run.start] if run.delimiter != "_" or run.is_loose else []
            run = run.previous
        # The rest of its word says whether a run is part of a name.
        starts += [at for at in [self.text.find("__", len(self.text.rstrip(_WORD_CHARS)))] if at >= 0]
        end = min([stop, *(start for start in starts if stop - start <= MAX_CONSTRUCT_CHARS)])
        if end == size:
            end = self._last_end + len(self.text[self._last_end :].rstrip(_WORD_CHARS))
        replacements = self._safe_replacements(end)
        return DecidedInlines(end, is_open, [replaced for replaced in replacements if replaced.end <= end])

    def _read(self, position: int) -> None:
        """Reads the text to its end, or to the first construct that isn't shown before more of it is known."""
        while self.inlines.shown_end < 0 and (special := _SPECIAL.search(self.text, position)):
            position = self._parse_special(special)

    def _safe_replacements(self, end: int) -> list[Replacement]:
        """Returns all replacements in order, with those that escape `<` before an offset."""
        inlines = self.inlines
        escapes = escaping.escape_prose(self.text, inlines.code_spans, inlines.replacements)
        shown_escapes = [escape for escape in escapes if escape.end <= end]
        safe = [
            replacement._replace(text=replacement.text.replace("<", "&lt;")) for replacement in inlines.replacements
        ]
        return sorted([*safe, *shown_escapes])

    def _parse_special(self, special: re.Match[str]) -> int:
        """Parses what a special character begins or ends; returns the offset to go on from."""
        if special["url"]:
            return self._parse_url(special)
        match special[0][0]:
            case "\\":
                if self.growing and len(self.text) - special.end() <= self.text.endswith("\n"):
                    # It may escape what follows, or break the line.
                    self.inlines.shown_end = special.start()
                return special.end() + 1
            case "`":
                return self._parse_code_span(special)
            case "*" | "_" | "~":
                return self._parse_delimiter_run(special)
            case "[" | "!":
                bracket = Bracket(special.start(), special[0] == "![", self.last_run, len(self.inlines.replacements))
                self.brackets.append(bracket)
                return special.end()
            case "]":
                return self._parse_closing_bracket(special.start())
        return self._parse_angle_bracket(special.start())

    def _parse_code_span(self, opening: re.Match[str]) -> int:
        backticks, start = opening[0], opening.end()
        # The character behind the last run that may close it says whether that run is as long as this one.
        search_end = start + MAX_CONSTRUCT_CHARS + len(backticks) + 1
        for closing in _BACKTICKS.finditer(self.text, start, search_end):
            if closing[0] == backticks and closing.start() - start <= MAX_CONSTRUCT_CHARS:
                self._end_construct(opening.start(), closing.end())
                self.inlines.code_spans.append((opening.start(), closing.end()))
                return closing.end()
        if search_end <= len(self.text):
            text = TEXT_BACKTICK * len(backticks)
            self.inlines.replacements.append(Replacement(opening.start(), start, text))
        elif self.growing:
            end = len(self.text.rstrip("` \t\n"))
            self._undecided_start = opening.start()
            self.inlines.shown_end = opening.start()
            self.inlines.closing = ""
            if self.text[start:end].strip():
                self.inlines.code_spans.append((opening.start(), end))
                self.inlines.shown_end = end
                self.inlines.closing = backticks
        return start

    def _end_construct(self, start: int, end: int) -> None:
        """Notes where a code span or autolink ends. At the text's end, the next character may still change it."""
        self._last_end = end
        if end == len(self.text):
            self._undecided_start = start

    def _parse_delimiter_run(self, match: re.Match[str]) -> int:
        start, end = match.span()
        if self.growing and end == len(self.text):
            # The run may become longer.
            self.inlines.shown_end = start
            return end
        delimiter, length = match[0][0], end - start
        if start and PRODUCT.match(self.text, start - 1):
            return self._as_text(start, end)
        if delimiter == "_" and (name := NAME_OR_GAP.match(self.text, start)):
            return self._as_text(*name.span())
        can_open, can_close = self._flanking(start, end, delimiter)
        opens_loosely, closes_loosely = self._loosely_flanking(start, end)
        # Strikethrough takes two tildes.
        remaining = length - length % 2 if delimiter == "~" else length
        is_apart = self._opens_apart(start, end)
        is_loose = is_apart or (opens_loosely and not can_open)
        run = DelimiterRun(delimiter, start, length, remaining, can_close, is_loose, is_apart, None)
        if can_close:
            run = self._close_emphasis(run, can_open)
        elif (closes_loosely and self._closes_loosely(run)) or self._closes_apart(run):
            return end
        if (can_open or is_loose) and run.remaining:
            self.last_run = run._replace(previous=self.last_run)
        return end

    def _flanking(self, start: int, end: int, delimiter: str) -> tuple[bool, bool]:
        """Returns whether a run can open and close emphasis: whether it is left-flanking and right-flanking.

        CJK letters count as punctuation, because a hair space will separate them from the run.
        """
        before = self.text[start - 1] if start else " "
        after = self.text[end] if end < len(self.text) else " "
        left = not after.isspace() and (not _is_punctuation(after) or _separates(before))
        right = not before.isspace() and (not _is_punctuation(before) or _separates(after))
        if delimiter != "_":
            return left, right
        return left and (not right or _is_punctuation(before)), right and (not left or _is_punctuation(after))

    def _loosely_flanking(self, start: int, end: int) -> tuple[bool, bool]:
        """Returns whether a run opens or closes emphasis once a hair space separates it from the letter beside it.

        So people mean `**Status:**OK` and `word**(bold)**`. A quotation mark or bracket that opens is none of the
        punctuation that emphasis ends with, and the other way around.
        """
        if end - start == 1 and self.text[start] != "*":
            return False, False
        before, after = self.text[max(0, start - 2) : start], self.text[end : end + 2]
        if before[-1:].isalnum() and _is_mark(after[:1], "Pe", "Pf"):
            # A single asterisk behind a digit, or a letter that stands alone, is a multiplication sign.
            is_sign = end - start == 1 and not (len(before) == 2 and before.isalpha())
            return not is_sign and _touches(after[:1], after[1:]), False
        is_close = after[:1].isalnum() and _is_mark(before[-1:], "Ps", "Pi")
        return False, is_close and len(before) == 2 and _touches(before[1], before[0])

    def _opens_apart(self, start: int, end: int) -> bool:
        """Whether a run opens emphasis once the space behind it is left out: `** Note:** text`.

        It begins a line or sentence there, so it is no operator. A single mark may begin a footnote, and `__` may be a
        gap to fill in.
        """
        if not 1 < end - start < 4 or self.text[start] == "_" or not self.text.startswith((" ", "\t"), end):
            return False
        if self.text[start - 1 : start] not in " \t\n|" or self._opener(start):
            return False
        line = self.text[max(0, start - MAX_JOINED_CHARS) : start].rpartition("\n")[2].rstrip(" \t")
        is_first = not line or line.endswith("|") or self.text[start] == "~" or bool(_PHRASE_END.search(line))
        return is_first and not line.endswith("\\")

    def _as_text(self, start: int, end: int) -> int:
        """Keeps delimiters between two offsets from acting; returns the second. An address can't hold a backslash."""
        address = self.text.rfind("://", max(0, start - MAX_CONSTRUCT_CHARS), start)
        is_in_url = address >= 0 and not (
            _ADDRESS_END.search(self.text, address + 3, start) or WIDE_MARK.search(self.text, address, start)
        )
        for at in range(start, end):
            if self.text[at] in "*_":
                sent = f"%{ord(self.text[at]):02X}" if is_in_url else f"\\{self.text[at]}"
                self.inlines.replacements.append(Replacement(at, at + 1, sent))
        return end

    def _opener(self, at: int) -> DelimiterRun | None:
        """Returns the last run that may open emphasis and has the delimiter at an offset."""
        run, considered = self.last_run, 0
        while run and run.delimiter != self.text[at] and considered < MAX_OPENERS:
            run, considered = run.previous, considered + 1
        return run if run and run.delimiter == self.text[at] else None

    def _closes_apart(self, run: DelimiterRun) -> bool:
        """Closes the emphasis that the run closes without the space before it, if there is one: `**Note: **text`."""
        is_behind_space = run.length > 1 and self.text[run.start - 1 : run.start] in (" ", "\t")
        opener = self._opener(run.start) if is_behind_space else None
        if not opener or not _is_loose_pair(opener, run) or not _may_stand_before(self.text, opener.start):
            return False
        inner, inner_end = self._inner(opener, run)
        if inner >= inner_end or not _begins_phrase(self.text[inner]):
            return False
        end = run.start + run.length
        after = self.text[end : end + 1]
        ends_phrase = bool(_PHRASE_END.search(self.text, max(inner, inner_end - 8), inner_end))
        ends_phrase = ends_phrase or bool(CJK.match(self.text, inner_end - 1))
        if not after.strip() or _PHRASE_END.match(after):
            begins_line = not opener.start or self.text[opener.start - 1] == "\n"
            is_meant = run.delimiter != "_" and (opener.is_apart or begins_line or ends_phrase)
        else:
            is_meant = ends_phrase and _begins_phrase(after)
        if not is_meant or self._next_run_closes(end, run.delimiter, opener.start):
            return False
        self._pair(opener, run, run.length)
        self.last_run = opener.previous
        return True

    def _next_run_closes(self, at: int, delimiter: str, opener_start: int) -> bool:
        """Whether the next run of a delimiter closes emphasis. If later text says that, the pair so far is noted."""
        for run in _RUN_OR_CODE.finditer(self.text, at, at + MAX_CONSTRUCT_CHARS):
            if run[0][0] == delimiter:
                return not self.text[run.start() - 1].isspace()
        if self.growing and len(self.text) <= at + MAX_CONSTRUCT_CHARS:
            self._undecided_pairs.append(opener_start)
        return False

    def _closes_loosely(self, run: DelimiterRun) -> bool:
        """Closes the emphasis that the run closes with a space behind it, if there is one. Both runs are as long."""
        opener = self._opener(run.start)
        if not opener or not opener.remaining == opener.length == run.remaining:
            return False
        end = opener.start + opener.length
        if run.start - opener.start > opener.max_chars or (run.length == 1 and self.text[end] in "./"):
            return False
        if (
            opener.is_loose
            and not opener.is_apart
            and not (
                run.length > 1 and self.text[opener.start - 1].isalpha() and self.text[run.start + run.length].isalpha()
            )
        ):
            return False
        self._pair(opener, run, run.length)
        self.last_run = opener.previous
        return True

    def _close_emphasis(self, run: DelimiterRun, can_open: bool) -> DelimiterRun:
        """Closes what the run can close; returns the run with the delimiters that remain."""
        opener, considered = self.last_run, 0
        while opener and run.remaining and considered < MAX_OPENERS:
            considered += 1
            if (
                opener.delimiter != run.delimiter
                or _breaks_rule_of_three(opener, run, can_open)
                or (opener.is_loose and not _is_loose_pair(opener, run))
            ):
                opener = opener.previous
                continue
            used = 2 if min(opener.remaining, run.remaining) >= 2 else 1
            self._pair(opener, run, used)
            run = run._replace(remaining=run.remaining - used)
            rest = opener._replace(remaining=opener.remaining - used)
            opener = self.last_run = rest if rest.remaining else rest.previous
        return run

    def _pair(self, opener: DelimiterRun, closer: DelimiterRun, used: int) -> None:
        """Makes emphasis of what is between two runs, by so many delimiters of each."""
        inner, outer = opener.start + opener.remaining, closer.start + closer.length - closer.remaining
        self.marks += [Replacement(inner - used, inner, ""), Replacement(outer, outer + used, "")]
        self._separate_emphasis(opener, closer)

    def _separate_emphasis(self, opener: DelimiterRun, closer: DelimiterRun) -> None:
        """Adds the spaces that Slack needs around emphasis, or removes delimiters that it wouldn't read."""
        start = opener.start
        end = opener.start + opener.length
        last = closer.start + closer.length
        if 0 <= self._undecided_start < closer.start:
            self._undecided_pairs.append(start)
        if closer.start - opener.start > MAX_CONSTRUCT_CHARS:
            return
        inner, inner_end = self._inner(opener, closer)
        space = " " if inner_end < closer.start and self.text[last : last + 1].strip() else ""
        if space and _PHRASE_END.match(self.text, last, last + 1):
            space = ""
        if (
            opener.delimiter == "*"
            and closer.length == opener.length
            and (_begins_with_url(self.text, inner) or _start_of_last_url(self.text, inner_end) is not None)
        ):
            self.inlines.replacements += [Replacement(start, inner, ""), Replacement(inner_end, last, space)]
            return
        self._separate(opener.delimiter, start, self.text[max(0, start - 1) : start], self.text[inner : inner + 1])
        if inner > end:
            self.inlines.replacements.append(Replacement(end, inner, ""))
        if inner_end < closer.start:
            self.inlines.replacements.append(Replacement(inner_end, last, self.text[closer.start : last] + space))
            return
        self._separate(opener.delimiter, last, self.text[last : last + 1], self.text[closer.start - 1 : closer.start])

    def _inner(self, opener: DelimiterRun, closer: DelimiterRun) -> tuple[int, int]:
        """Returns where the text of emphasis begins and ends, without spaces inside its marks."""
        start, end = opener.start + opener.length, closer.start
        while opener.is_apart and self.text.startswith((" ", "\t"), start):
            start += 1
        while self.text.startswith((" ", "\t"), end - 1):
            end -= 1
        return start, end

    def _separate(self, delimiter: str, at: int, outer: str, inner: str) -> None:
        """Adds a space between a run and the letter beside it, where Slack needs one to read the run."""
        space = Replacement(at, at, HAIR_SPACE)
        is_needed = outer.isalnum() and bool(inner) and _is_punctuation(inner)
        if (is_needed or (delimiter == "*" and CJK.match(outer))) and space not in self.inlines.replacements[-8:]:
            self.inlines.replacements.append(space)

    def _parse_url(self, url: re.Match[str]) -> int:
        """Parses the host of a bare URL. While that may continue, nothing of the URL is shown."""
        start, end = url.span()
        if not is_web_address(self.text, start):
            return end
        if self.growing and is_growing_authority(self.text, end):
            before = self.text[max(self._last_end, start - len("https")) : start]
            self.inlines.shown_end = start - len(before) + len(before.rstrip(string.ascii_letters))
            return end
        if closed := self._as_closed_address(start, end):
            self.inlines.replacements.append(closed)
            self._last_end = closed.end
            return closed.end
        if change := sent_authority(self.text, end):
            self.inlines.replacements.append(change)
            self._last_end = end = change.end
        self._end_at_wide_mark(url.end())
        return end

    def _end_at_wide_mark(self, authority: int) -> None:
        """Adds a space before the first mark of another script in a bare URL's path: Slack takes it for the URL's."""
        end = min(len(self.text), authority + MAX_CONSTRUCT_CHARS)
        if found := _ADDRESS_END.search(self.text, authority, end):
            end = found.start()
        mark = WIDE_MARK.search(self.text, authority, end)
        if mark and _PATH_START.search(self.text, authority, mark.start()):
            self.inlines.replacements.append(Replacement(mark.start(), mark.start(), HAIR_SPACE))

    def _as_closed_address(self, separator: int, authority: int) -> Replacement | None:
        """Returns how the address of a file that the readers may not open is sent; None for another URL.

        `separator`, `authority`: where its `://` begins and ends.
        """
        end = min(len(self.text), authority + MAX_CONSTRUCT_CHARS)
        if found := _ADDRESS_END.search(self.text, authority, end):
            end = found.start()
        # Punctuation behind an address isn't part of it.
        address_end = authority + len(self.text[authority:end].rstrip(".,;:!?)}'*_~"))
        url = f"https://{self.text[authority:address_end]}"
        if not may_be_in_slack(url):
            return None
        scheme = _PLAIN_SCHEME.search(self.text, max(0, separator - len("https")), separator)
        if end == len(self.text):
            # It may become a file's, or a longer one.
            self._undecided_start = scheme.start() if scheme else separator
        if not is_closed_file(url, self.open_files):
            return None
        if scheme is None or authority - separator > len("://"):
            # It is written with entities or backslashes: a space makes it no link.
            return Replacement(authority, authority, HAIR_SPACE)
        return Replacement(scheme.start(), address_end, self._apart(scheme.start(), address_end, url))

    def _apart(self, start: int, end: int, url: str) -> str:
        """Returns a URL as code, with spaces where backticks next to it would join those of the code.

        Delimiters of emphasis around a URL may be left out.
        """
        before = self.text[max(0, start - MAX_JOINED_CHARS) : start].rstrip("*_~")
        after = self.text[end : end + MAX_JOINED_CHARS].lstrip("*_~")
        return " " * before.endswith("`") + file_as_code(url) + " " * after.startswith("`")

    def _parse_angle_bracket(self, start: int) -> int:
        if _DESTINATION_START.search(self.text, max(0, start - 10), start):
            # Behind `](`, a `<` begins a link's destination, not an autolink.
            return start + 1
        if autolink := _AUTOLINK.match(self.text, start):
            self.inlines.replacements.append(self._as_address(*autolink.span(), autolink[1]))
        elif autolink := _OTHER_AUTOLINK.match(self.text, start):
            if autolink[1]:
                self.inlines.replacements.append(self._spaced(*autolink.span(), autolink[1]))
            elif _WEB.match(autolink[0]):
                code = self._apart(*autolink.span(), autolink[0][1:-1])
                self.inlines.replacements.append(self._spaced(*autolink.span(), code))
        else:
            if self.growing and _INCOMPLETE_AUTOLINK.match(self.text, start):
                self.inlines.shown_end = start
            return start + 1
        self._end_construct(*autolink.span())
        return autolink.end()

    def _as_address(self, start: int, end: int, destination: str) -> Replacement:
        """Returns what shows the address of a link without a label: a bare URL, or code."""
        is_closed = is_closed_file(destination, self.open_files)
        address = self._apart(start, end, destination) if is_closed else bare_url(destination)
        return self._spaced(start, end, address)

    def _spaced(self, start: int, end: int, address: str) -> Replacement:
        """Returns what takes the place of a link, with spaces where the characters next to it would join it."""
        before, after = self.text[max(0, start - 1) : start], self.text[end : end + 1]
        joins_after = after.isalnum() or not after.isascii() or (after and after in "/_-<[!@&\\")
        return Replacement(start, end, " " * before.isalnum() + address + " " * bool(joins_after))

    def _parse_closing_bracket(self, end: int) -> int:
        if not self.brackets:
            return end + 1
        bracket = self.brackets.pop()
        is_inactive = len(self.brackets) < self.inactive_brackets
        self.inactive_brackets = min(self.inactive_brackets, len(self.brackets))
        if is_inactive and not bracket.is_image:
            return end + 1
        if end - bracket.start > MAX_CONSTRUCT_CHARS:
            # The label is too long for a link. Its `]` is escaped if it would be one's.
            if self.growing and end + 1 == len(self.text):
                self.inlines.shown_end = end
            elif self.destinations or self.text.startswith(("(", "["), end + 1):
                self.inlines.replacements.append(Replacement(end, end, "\\"))
            return end + 1
        after, destinations = self._parse_target(bracket, end)
        if after < 0:
            self.inlines.shown_end = bracket.start
            self.last_run = bracket.last_run
            self.brackets.append(bracket)
        elif destinations:
            self._add_link(bracket, end, after, destinations)
        elif bracket.is_image and self.destinations:
            # Slack may still find a definition for it, in a form that isn't recognized here.
            self.inlines.replacements.append(Replacement(bracket.start, bracket.start, "\\"))
        self._last_end = max(self._last_end, after)
        return after if after > 0 else end + 1

    def _parse_target(self, bracket: Bracket, end: int) -> tuple[int, Sequence[str]]:
        """Returns the end of a link and its possible destinations, which are none if it is no link.

        Returns (-1, ()) if the answer must grow before that is known.
        """
        following = self.text[end + 1 : end + 2]
        if not following and self.growing:
            return -1, ()
        if following == "(":
            after, destination = self._parse_inline_target(end + 1)
            if destination is not None:
                return after, (destination,)
            if after < 0 and self.growing:
                return -1, ()
        label = self.text[bracket.start + 1 + bracket.is_image : end]
        if following == "[":
            reference = _REFERENCE.match(self.text, end + 1)
            if reference is None and self.growing and self.text.find("]", end + 1) < 0:
                return -1, ()
            if reference and (destinations := self.destinations.get(normalized_label(reference[1] or label))):
                return reference.end(), destinations
        return end + 1, self.destinations.get(normalized_label(label), ())

    def _parse_inline_target(self, start: int) -> tuple[int, str | None]:
        """Returns the end of `(destination "title")` and the destination.

        Returns (-1, None) if the text may still grow into one, and (0, None) if it can't.
        """
        text = self.text
        at = _skip_space(text, start + 1)
        if pointed := _POINTED_DESTINATION.match(text, at):
            at, destination = pointed.end(), pointed[1]
        elif text.startswith("<", at):
            return (-1 if _INCOMPLETE_POINTED_DESTINATION.match(text, at) else 0), None
        else:
            start = at
            at = self._destination_end(at)
            if at == len(text):
                return -1, None
            destination = text[start:at]
        if title := _TITLE.match(text, at):
            at = title.end()
        at = _skip_space(text, at)
        if text.startswith(")", at):
            return at + 1, destination
        begins_title = at < len(text) and text[at] in "\"'(" and text[at - 1].isspace()
        may_grow = at == len(text) or (begins_title and _TITLE.match(text, at - 1) is None)
        return (-1 if may_grow else 0), None

    def _destination_end(self, start: int) -> int:
        """Returns the end of a link's destination without `<`: white space, or a parenthesis that isn't its own.

        Its parentheses are balanced; one that isn't ends it. Each run of text is read once, also where it has many
        destinations: what is read says where those end that begin behind one of its parentheses.
        """
        if start - 1 in self._destination_ends:
            return self._destination_ends[start - 1]
        end = len(self.text)
        open_parentheses: list[int] = []
        for mark in _DESTINATION_MARK.finditer(self.text, start):
            if mark[0] == "(":
                open_parentheses.append(mark.start())
            elif mark[0] == ")" and open_parentheses:
                self._destination_ends[open_parentheses.pop()] = mark.start()
            elif mark[0][0] != "\\" or mark[0] == "\\\n":
                end = mark.start()
                break
        for parenthesis in reversed(open_parentheses):
            self._destination_ends[parenthesis] = end
            end = parenthesis if end < len(self.text) else end
        return end

    def _add_link(self, bracket: Bracket, end: int, after: int, destinations: Sequence[str]) -> None:
        """Adds the replacements for a link or image from `bracket` to `after`, whose label ends at `end`."""
        label_start = bracket.start + 1 + bracket.is_image
        inner = bisect(self.images, bracket.start, key=lambda image: image.start)
        images = self.images[inner:]
        shown_label = with_replacements(self.text, images, label_start, end)
        # The label of an image in the label may end the word before it, or continue it: both readings count.
        spaced_images = [image._replace(text=f" {image.text} ") for image in images]
        spaced_label = with_replacements(self.text, spaced_images, label_start, end)
        readings = f"{shown_label} {spaced_label}" if images else shown_label
        before = self._joined_before(bracket.start)
        deceptive = is_deceptive(readings, *destinations)
        if before and not deceptive:
            deceptive = is_deceptive(readings, *destinations, before=before)
        deceptive = deceptive or any(is_closed_file(destination, self.open_files) for destination in destinations)
        is_blank = shows_nothing(readings)
        leads_nowhere = self._is_inline_link(end, after) and not destinations[0]
        deceptive = deceptive or is_blank or leads_nowhere
        self._last_link = (after, before + shown_label)
        if leads_nowhere or (is_blank and self._is_inline_link(end, after)):
            self._add_blank_link(bracket, end, after, destinations[0])
        elif deceptive:
            self.inlines.replacements += self._label_and_destination(bracket, end, after, destinations[0])
        elif bracket.is_image:
            self.inlines.replacements.append(self._without_image_mark(bracket.start))
        elif images:
            # Links can't hold links, so an image in a link's label is replaced by the image's own label.
            since = self.inlines.replacements[bracket.replacement_count :]
            outside = [replacement for replacement in since if not _begins_in(replacement, images)]
            self.inlines.replacements[bracket.replacement_count :] = [*images, *outside]
        if not deceptive and self._is_inline_link(end, after) and _ENCODED.search(self.text, end + 1, after):
            self.inlines.replacements.append(Replacement(end + 1, after, f"({bare_url(destinations[0])})"))
        if bracket.is_image:
            self.images[inner:] = [Replacement(bracket.start, after, shown_label.strip() or "image")]
        elif not deceptive and self._is_inline_link(end, after):
            self.inactive_brackets = len(self.brackets)
        if is_blank or not deceptive:
            self.last_run = bracket.last_run

    def _add_blank_link(self, bracket: Bracket, end: int, after: int, destination: str) -> None:
        """Adds the replacements for an inline link whose label shows nothing, or which leads nowhere."""
        if destination and (bracket.is_image or _WEB_OR_MAIL.match(destination)):
            del self.inlines.replacements[bracket.replacement_count :]
            self.inlines.replacements.append(self._as_address(bracket.start, after, destination))
        else:
            # A function without captures, `[](x)`, or without parameters, `f[x]()`, isn't meant as a link.
            opening = bracket.start + bracket.is_image
            self.inlines.replacements += [Replacement(at, at, "\\") for at in (opening, end)]

    def _joined_before(self, start: int) -> str:
        """Returns what readers see directly before a link. Of another link that ends there, they see the label."""
        last_end, last_label = self._last_link
        before = last_label if last_end == start else self.text[max(0, start - MAX_JOINED_CHARS) : start]
        if not before or _NEVER_JOINED.match(before, len(before) - 1):
            # Nearly always so, and faster to find out than by splitting.
            return ""
        return _NEVER_JOINED.split(before[-MAX_JOINED_CHARS:])[-1]

    def _without_image_mark(self, mark: int) -> Replacement:
        """Removes the `!` that makes a link an image, so that nothing before it makes another construct of the link."""
        if mark and self.text[mark - 1] == "]":
            return Replacement(mark, mark + 1, " ")
        escapes = mark - 1
        while escapes > 0 and self.text[escapes - 1] == "\\":
            escapes -= 1
        if self.text.startswith("!", mark - 1) and mark and (mark - escapes) % 2:
            return Replacement(mark - 1, mark + 1, "\\!")
        return Replacement(mark, mark + 1, "")

    def _label_and_destination(self, bracket: Bracket, end: int, after: int, destination: str) -> list[Replacement]:
        """Returns what makes text of a deceptive link: its label, and its destination in parentheses."""
        if not self._is_inline_link(end, after):
            return [Replacement(at, at, "\\") for at in (bracket.start + bracket.is_image, end)]
        label_start = bracket.start + 1 + bracket.is_image
        is_closed = is_closed_file(destination, self.open_files)
        address = file_as_code(destination) if is_closed else bare_url(destination)
        return [Replacement(bracket.start, label_start, ""), Replacement(end, after, f" ({address})")]

    def _is_inline_link(self, end: int, after: int) -> bool:
        """Whether a link has its own destination. A reference link is one only where Slack finds its definition."""
        return after > end + 1 and self.text.startswith("(", end + 1)

    def _active_brackets(self) -> list[Bracket]:
        """Returns the open brackets that may become a link's or an image's."""
        first = self.inactive_brackets
        return [bracket for bracket in self.brackets[:first] if bracket.is_image] + self.brackets[first:]

    def _end_growing_text(self) -> None:
        """Decides what is held back at the end of a growing text, and what closes the rest for show."""
        text, inlines = self.text, self.inlines
        shown_end = len(text) if inlines.shown_end < 0 else inlines.shown_end
        held = next(
            (bracket for bracket in self._active_brackets() if shown_end - bracket.start <= MAX_HELD_LABEL_CHARS), None
        )
        if held:
            shown_end = held.start
            self.last_run = held.last_run
            inlines.closing = ""
        elif entity := _INCOMPLETE_ENTITY.search(text, 0, shown_end):
            shown_end = shown_end if inlines.closing else entity.start()
        run = self.last_run
        while run:
            if run.is_apart and shown_end - run.start <= run.max_chars:
                shown_end, self.last_run, inlines.closing = run.start, run.previous, ""
            run = run.previous
        run = self.last_run
        if run and run.delimiter == "*" and not inlines.closing:
            url_start = _start_of_last_url(text, shown_end, growing=True)
            shown_end = shown_end if url_start is None else _before(url_start, inlines.replacements)[0]
        shown_end = len(text[:shown_end].rstrip())
        while run and not inlines.closing and run.start + run.length >= shown_end:
            # Nothing is shown behind the run's delimiters yet.
            shown_end = len(text[: run.start].rstrip())
            run = run.previous
        inlines.shown_end = shown_end
        while run:
            if run.is_apart:
                # It is text, because no run that is near enough closes it.
                pass
            elif run.delimiter == "*" and _begins_with_url(text, run.start + run.length):
                inlines.replacements.append(Replacement(run.start, run.start + run.length, ""))
            else:
                self._close_for_show(run)
            run = run.previous
        inlines.replacements = [replacement for replacement in inlines.replacements if replacement.end <= shown_end]

    def _close_for_show(self, run: DelimiterRun) -> None:
        """Closes emphasis that is open at the end of a growing text. Before a mark, as in `*.py`, it is hardly any."""
        end = run.start + run.length
        self.inlines.closing += run.delimiter * run.remaining
        self._separate(run.delimiter, run.start, self.text[max(0, run.start - 1) : run.start], self.text[end : end + 1])
        if self.text[end : end + 1].isalnum():
            self.marks.append(Replacement(run.start, run.start + run.remaining, ""))


def _begins_in(replacement: Replacement, images: Sequence[Replacement]) -> bool:
    """Whether a replacement begins in one of these images, which are in order."""
    before = bisect(images, replacement.start, key=lambda image: image.start)
    return before > 0 and replacement.start < images[before - 1].end


def _breaks_rule_of_three(opener: DelimiterRun, closer: DelimiterRun, closer_can_open: bool) -> bool:
    """Whether CommonMark's rule 9 forbids two runs to match: their lengths add up to a multiple of three."""
    if opener.delimiter == "~" or not (opener.can_close or closer_can_open):
        return False
    return (opener.length + closer.length) % 3 == 0 and bool(opener.length % 3 or closer.length % 3)


def _is_loose_pair(opener: DelimiterRun, closer: DelimiterRun) -> bool:
    """Whether a run closes one that opens loosely: both are whole, and not too far apart."""
    is_near = closer.start - opener.start <= opener.max_chars
    return is_near and opener.remaining == opener.length == closer.length == closer.remaining


def _begins_phrase(character: str) -> bool:
    """Whether a label or sentence may begin with a character, and not a path or an operator."""
    return character.isalnum() or character in "\"'¿¡" or _is_mark(character, "Po", "Pe", "Pf", "Pc", "Sm")


def _may_stand_before(text: str, start: int) -> bool:
    """Whether what is before an offset may stand before emphasis, and not before a pattern of paths or an operator."""
    before = text[max(0, start - 1) : start]
    is_bracket = _is_mark(before, "Po", "Pe", "Pf", "Pc", "Sm", "Sk", "Sc")
    return not before.strip() or is_bracket or bool(CJK.match(before) or _PHRASE_END.match(before))


def _is_mark(character: str, *others: str) -> bool:
    """Whether a character is punctuation of none of these categories, and no backslash."""
    is_punctuation = bool(character) and character != "\\" and _is_punctuation(character)
    return is_punctuation and unicodedata.category(character) not in others


def _touches(mark: str, beyond: str) -> bool:
    """Whether what is beyond a mark isn't white space, which only emoji have between the text and themselves."""
    return not beyond.isspace() or unicodedata.category(mark) == "So"


def _separates(adjacent: str) -> bool:
    """Whether emphasis may begin behind this character, and end before it, next to punctuation."""
    return adjacent.isspace() or _is_punctuation(adjacent) or bool(CJK.match(adjacent))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _skip_space(text: str, at: int) -> int:
    space = _SPACES.match(text, at)
    return space.end() if space else at


def _begins_with_url(text: str, start: int) -> bool:
    """Whether a bare URL begins at an offset."""
    return bool(_URL_START.match(text, start))


def _start_of_last_url(text: str, end: int, *, growing: bool = False) -> int | None:
    """Returns the offset of the bare URL that ends at `end`, or None where none ends.

    `growing`: the text may continue, so the beginning of a URL counts too.
    """
    start = max(0, end - _MAX_WORD_CHARS)
    if not growing and text.rfind("://", start, end) < 0:
        return None
    word = _LAST_WORD.search(text, start, end)
    if word and (_INCOMPLETE_URL.fullmatch(word[1]) if growing else _URL_START.match(word[1])):
        return word.start(1)
    return None
