r"""A parser for the inlines of one block: emphasis, links, images, code spans, autolinks and escapes.

It implements the second phase of CommonMark's parsing strategy
(https://spec.commonmark.org/0.31.2/#phase-2-inline-structure) with GitHub's strikethrough (`~~`).

The parser doesn't build a tree. Slack parses the Markdown itself, so the result is only the difference between the
source and the sent text, as a list of replacements:

- `<` is escaped, because every instruction to Slack begins with it (`escaping.py`).
- Images become links to the image, because Slack doesn't show images in Markdown.
- A link whose label names a host other than its destination becomes text that shows both. A link whose label is
  invisible becomes its URL (`links.py`).
- Emphasis gets hair spaces next to CJK letters and is removed around bare URLs, because Slack doesn't interpret `*` and
  `**` there the way CommonMark does. Nobody has measured exactly which forms Slack accepts, so the simplest forms are
  sent.
- Spaces inside emphasis marks, such as in `**Note: **text`, are moved outside if emphasis is meant. Operators, path
  patterns, parameters (`**kwargs`) and single marks stay as they are.
- Products (`5*4*3`), Python names and blanks to fill in aren't treated as emphasis.
- Autolinks (`<https://…>`) become bare URLs with the real host (`links.py`).
- URLs of Slack files that readers can't open become code (`links.py`).

Like CommonMark, the parser goes through the text once, with two stacks. Each delimiter run (`**`, `_`, `~~`) that can
open emphasis is pushed onto a stack; a run that can close emphasis searches the stack for its opener. Each `[` or `![`
is pushed onto the other stack, and a `]` pops one to see whether the two form a link. Each search is limited, so
parsing takes linear time for any text.

If the text is the end of a growing answer, the parser also decides how much of it to show:

- A construct that is complete enough to show is closed temporarily: `**bo` is sent as `**bo**`, so that the word is
  bold from its first letter.
- A construct that is still ambiguous, such as a link without its destination, a single `*` or half an entity, is held
  back. `InlineStructure.shown_end` is the offset where the held-back text starts.
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
from slack_markdown.dialects import MAX_CONSTRUCT_CHARS, TEXT_BACKTICK, rewrite
from slack_markdown.escaping import HAIR_SPACE, Replacement, with_replacements
from slack_markdown.links import (
    URL_START,
    WIDE_MARK,
    authority_replacement,
    bare_url,
    can_be_in_slack,
    file_as_code,
    follows_web_scheme,
    is_closed_file,
    is_deceptive,
    is_growing_authority,
    is_invisible,
)

MAX_HELD_LABEL_CHARS = 120
"""The maximum number of characters to hold back after a `[` without its `]`. Longer text is shown."""
MAX_JOINED_CHARS = 100
"""The number of characters directly before a link to read together with its label."""
STRUCK = "(struck out: "
"""The words that precede struck-out text in plain text, so that nobody takes that text to be true."""
MAX_OPENERS = 100
"""The maximum number of open delimiter runs to consider for a closing one."""
_MAX_WORD_CHARS = 1_000

CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u318f\u31a0-\u31ff\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00020000-\U0003ffff]"
)
_SPECIAL = re.compile(rf"(?P<url>{URL_START})|\\|`+|\*+|_+|~+|!\[|\[|\]|<")
_NEVER_JOINED = re.compile(r"[\s()\[\]{}<>!]")
_BACKTICKS = re.compile(r"`+")
_AUTOLINK = re.compile(r"<(https?://[^\s<>|]*)>", re.IGNORECASE)
_OTHER_AUTOLINK = re.compile(r"<(?:[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*|([\w.+-]+@[\w.-]+))>")
_WEB_OR_MAIL = re.compile(r"https?:|mailto:", re.IGNORECASE)
_WEB = re.compile(r"<https?:(?!//)", re.IGNORECASE)
r"""Matches the start of a URL without `//`, such as `<https:\/\/…>`. Browsers read `\` as `/`, so it becomes code."""
_INCOMPLETE_AUTOLINK = re.compile(r"<[^\s<>]*\Z")
_DESTINATION_START = re.compile(r"\]\([ \t]*$")
_INCOMPLETE_ENTITY = re.compile(r"(?:&#?\w{0,8}|(?<!\S)!)$")
"""Matches half an entity, or a `!` that might begin an image, at the end of a text."""
_REFERENCE = re.compile(r"\[([^\[\]\\]*(?:\\.[^\[\]\\]*)*)\]")
_TITLE = re.compile(r"""\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))""", re.DOTALL)
_POINTED_DESTINATION = re.compile(r"<((?:[^<>\\\n]|\\.)*)>")
_INCOMPLETE_POINTED_DESTINATION = re.compile(r"<(?:[^<>\\\n]|\\.)*\\?\Z")
_DESTINATION_MARK = re.compile(r"\s|[()]|\\.?", re.DOTALL)
"""Matches a possible end of a destination, or characters within one that affect where it ends."""
_ENCODED = re.compile(r"<|&#?\w+;")
"""Matches parts of a destination to decode before sending, because Slack doesn't decode them there."""
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
"""Matches the end of a label or sentence. A comma doesn't count, because `**` after one can begin another parameter."""
PRODUCT = re.compile(r"(?:[0-9]|(?<![A-Za-z])[A-Za-z])\*(?=[A-Za-z0-9])")
"""Matches a multiplication sign. As emphasis, 5*4*3 would be displayed as 543 (oobabooga/textgen#5608)."""
NAME_OR_GAP = re.compile(
    r"(?<!\w)__[a-z][a-z0-9_]{0,60}?__(?=\(|\.[a-z])|(?<=\w\.)__[a-z][a-z0-9_]{0,60}?__(?!\w)"
    r"|_{2,40}(?:[-/.,:()+#]{1,3}+_{2,40}(?!_)){1,8}"
)
"""Matches Python names inside longer names, such as `__init__.py` and `a.__dict__`, and blanks to fill in, such as
`__/__/____`."""
_DELIMITER = re.compile("[*_~]")
_RUN_OR_CODE = re.compile(r"\\.|`[^`]*`|\*+|_+|~+", re.DOTALL)
_SPACES = re.compile(r"\s*")
_WORD_CHARS = "".join(map(chr, range(ord("!"), ord("~") + 1)))
LinkDestinations = Mapping[str, Sequence[str]]
"""The destinations of link reference definitions by normalized label. A label that is defined twice has two."""


class DelimiterRun(NamedTuple):
    """A sequence of `*`, `_` or `~` that can open emphasis."""

    delimiter: str
    start: int
    length: int
    remaining: int
    can_close: bool
    is_loose: bool
    """Whether it can open emphasis only if a space is added before it (`_loose_flanking`) or removed after it."""
    is_followed_by_space: bool
    """Whether it opens emphasis although a space follows it (`_opens_before_space`)."""
    previous: "DelimiterRun | None"

    @property
    def max_distance(self) -> int:
        """The maximum distance to a closing run, if this run opens loosely."""
        return MAX_HELD_LABEL_CHARS if self.is_followed_by_space else MAX_CONSTRUCT_CHARS


class Bracket(NamedTuple):
    """A `[` or `![` without its `]`."""

    start: int
    is_image: bool
    last_run: DelimiterRun | None
    """The top of the stack of delimiter runs when the bracket was read."""
    replacement_count: int


@dataclass(slots=True)
class InlineStructure:
    replacements: list[Replacement] = field(default_factory=list)
    code_spans: list[tuple[int, int]] = field(default_factory=list)
    shown_end: int = -1
    """The offset where a growing text's held-back part starts, or -1 if that isn't decided yet."""
    closing: str = ""
    """The delimiters that temporarily close the constructs that are open at `shown_end`."""


class DecidedInlines(NamedTuple):
    """The beginning of a growing text whose rendering is final."""

    end: int
    is_open: bool
    """Whether a construct is open at the end and changes how later text is parsed."""
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
    """Parses a block's text (for a table, the text of a row or cell) and returns its replacements. `growing`: whether
    more text can follow. If so, open constructs are closed temporarily or held back. `start`: the offset after the
    text's link reference definitions. `open_files`: the IDs of Slack files that can be linked."""
    markdown = rewrite(text, growing=growing, start=start, kind=kind)
    inlines = _InlineParser(markdown.text, destinations, growing, open_files).parse(start)
    inlines.replacements = markdown.compose(inlines.replacements)
    if growing:
        inlines.shown_end, inlines.replacements = _cut_before(
            markdown.source_offset(inlines.shown_end), inlines.replacements
        )
    return inlines


def decided_inlines(text: str, *, kind: LeafKind = LeafKind.PARAGRAPH) -> DecidedInlines:
    """Returns the beginning of a growing text whose rendering later text can't change, except by defining a link."""
    markdown = rewrite(text, growing=True, kind=kind)
    # The text after a delimiter run determines what the run does.
    end, is_open, replacements = _InlineParser(markdown.decided_text, {}, growing=True).parse_decided()
    end = min(markdown.source_offset(end), markdown.undecided)
    end, replacements = _cut_before(end, markdown.compose(replacements))
    return DecidedInlines(end, is_open or markdown.is_open, replacements)


def emphasis_marks(text: str, *, growing: bool = False) -> list[Replacement]:
    """Returns the replacements that remove paired delimiters or replace them with words, in order. All other delimiters
    are visible to readers."""
    if not _DELIMITER.search(text):
        return []
    parser = _InlineParser(text, {}, growing)
    parser.parse(0)
    return sorted(parser.marks)


def _cut_before(end: int, replacements: Sequence[Replacement]) -> tuple[int, list[Replacement]]:
    """Moves an offset before any replacement that contains it. Returns that offset and the replacements before it."""
    end = min([end, *(replacement.start for replacement in replacements if replacement.start < end < replacement.end)])
    # An insertion at the offset belongs to the text after it: the rest of an element whose end is held back.
    return end, [replaced for replaced in replacements if replaced.start < replaced.end <= end or replaced.end < end]


def normalize_label(label: str) -> str:
    """Returns a reference label in the form in which CommonMark compares labels, which is case-folded with single
    spaces."""
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
        self.brackets: list[Bracket] = []
        self.inactive_brackets = 0
        """The number of brackets at the bottom of the stack that contain a link and so can't be links themselves."""
        self.images: list[Replacement] = []
        """The replacements that turn the images so far into their labels, in order. None of the images contains another
        one."""
        self.marks: list[Replacement] = []
        """Removals of delimiters that are markup. Words replace the delimiters of struck-out text."""
        self._undecided_start = -1
        """The start of a code span or autolink that might be open at the end of a growing text."""
        self._undecided_pairs: list[int] = []
        """The offsets of emphasis that later text can undo.

        One case is a closing run after a space, which a later run can close. The other is a closing run after a URL
        that might continue beyond it.
        """
        self._destination_ends: dict[int, int] = {}
        """The ends of the destinations that have been scanned so far, by the offset of their opening parenthesis."""
        self._last_end = 0
        self._last_link = (-1, "")
        """The end of the last link, and its label along with the text directly before it."""
        self.inlines = InlineStructure()

    def parse(self, position: int) -> InlineStructure:
        inlines = self.inlines
        for definition in _DEFINED.finditer(self.text, 0, position):
            url = definition["pointed"] or definition["url"]
            if is_closed_file(url, self.open_files):
                # No link uses it. As code, it isn't a link either if Slack doesn't recognize a definition there.
                inlines.replacements.append(Replacement(*definition.span(), f" {file_as_code(url)}"))
            elif definition["pointed"]:
                inlines.replacements.append(Replacement(*definition.span(), f" {bare_url(url)}"))
        self._parse_until_undecided(position)
        if self.growing:
            self._end_growing_text()
        inlines.replacements = self._safe_replacements(inlines.shown_end if self.growing else len(self.text))
        return inlines

    def parse_decided(self) -> DecidedInlines:
        self._parse_until_undecided(0)
        size, stop = len(self.text), self.inlines.shown_end
        if self._undecided_start >= 0 or stop < 0:
            stop = self._undecided_start if self._undecided_start >= 0 else size
        # `!` before `![` is escaped with it.
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
        # The rest of the word decides whether a run is part of a name.
        starts += [at for at in [self.text.find("__", len(self.text.rstrip(_WORD_CHARS)))] if at >= 0]
        end = min([stop, *(start for start in starts if stop - start <= MAX_CONSTRUCT_CHARS)])
        if end == size:
            end = self._last_end + len(self.text[self._last_end :].rstrip(_WORD_CHARS))
        replacements = self._safe_replacements(end)
        return DecidedInlines(end, is_open, [replaced for replaced in replacements if replaced.end <= end])

    def _parse_until_undecided(self, position: int) -> None:
        """Parses the text up to its end, or to the first construct that can't be shown without more text."""
        while self.inlines.shown_end < 0 and (special := _SPECIAL.search(self.text, position)):
            position = self._parse_special(special)

    def _safe_replacements(self, end: int) -> list[Replacement]:
        """Returns all replacements up to an offset in order, including those that escape `<`."""
        inlines = self.inlines
        escapes = escaping.escape_prose(self.text, inlines.code_spans, inlines.replacements)
        shown_escapes = [escape for escape in escapes if escape.end <= end]
        safe = [
            replacement._replace(text=replacement.text.replace("<", "&lt;")) for replacement in inlines.replacements
        ]
        return sorted([*safe, *shown_escapes])

    def _parse_special(self, special: re.Match[str]) -> int:
        """Parses the construct that a special character begins or ends, and returns the offset to continue from."""
        if special["url"]:
            return self._parse_url(special)
        match special[0][0]:
            case "\\":
                if self.growing and len(self.text) - special.end() <= self.text.endswith("\n"):
                    # It can escape the next character, or break the line.
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
        # The character after the last possible closing run decides whether that run has the same length.
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
        """Records the end of a code span or autolink. At the end of the text, the next character can still change
        it."""
        self._last_end = end
        if end == len(self.text):
            self._undecided_start = start

    def _parse_delimiter_run(self, match: re.Match[str]) -> int:
        start, end = match.span()
        if self.growing and end == len(self.text):
            # The run can get longer.
            self.inlines.shown_end = start
            return end
        delimiter, length = match[0][0], end - start
        if start and PRODUCT.match(self.text, start - 1):
            return self._escape_delimiters(start, end)
        if delimiter == "_" and (name := NAME_OR_GAP.match(self.text, start)):
            return self._escape_delimiters(*name.span())
        can_open, can_close = self._flanking(start, end, delimiter)
        opens_loosely, closes_loosely = self._loose_flanking(start, end)
        # Strikethrough needs two tildes.
        remaining = length - length % 2 if delimiter == "~" else length
        is_followed_by_space = self._opens_before_space(start, end)
        is_loose = is_followed_by_space or (opens_loosely and not can_open)
        run = DelimiterRun(delimiter, start, length, remaining, can_close, is_loose, is_followed_by_space, None)
        if can_close:
            run = self._close_emphasis(run, can_open)
        elif (closes_loosely and self._close_loosely(run)) or self._close_before_space(run):
            return end
        if (can_open or is_loose) and run.remaining:
            self.last_run = run._replace(previous=self.last_run)
        return end

    def _flanking(self, start: int, end: int, delimiter: str) -> tuple[bool, bool]:
        """Returns whether a run can open emphasis, and whether it can close emphasis (is left- or right-flanking). CJK
        letters count as punctuation, because a hair space will separate them from the run."""
        before = self.text[start - 1] if start else " "
        after = self.text[end] if end < len(self.text) else " "
        left = not after.isspace() and (not _is_punctuation(after) or _can_separate(before))
        right = not before.isspace() and (not _is_punctuation(before) or _can_separate(after))
        if delimiter != "_":
            return left, right
        return left and (not right or _is_punctuation(before)), right and (not left or _is_punctuation(after))

    def _loose_flanking(self, start: int, end: int) -> tuple[bool, bool]:
        """Returns whether a run opens, and whether it closes, emphasis once a hair space separates it from the adjacent
        letter, such as in `**Status:**OK` and `word**(bold)**`. Emphasis can't end with an opening quotation mark or
        bracket, or begin with a closing one."""
        if end - start == 1 and self.text[start] != "*":
            return False, False
        before, after = self.text[max(0, start - 2) : start], self.text[end : end + 2]
        if before[-1:].isalnum() and _is_mark(after[:1], "Pe", "Pf"):
            # A single asterisk after a digit or a single letter is a multiplication sign.
            is_sign = end - start == 1 and not (len(before) == 2 and before.isalpha())
            return not is_sign and _touches_text(after[:1], after[1:]), False
        is_close = after[:1].isalnum() and _is_mark(before[-1:], "Ps", "Pi")
        return False, is_close and len(before) == 2 and _touches_text(before[1], before[0])

    def _opens_before_space(self, start: int, end: int) -> bool:
        """Returns whether a run opens emphasis once the space after it is removed, such as in `** Note:** text`. The
        run must begin a line or sentence, where it can't be an operator. Single marks are excluded because they can
        begin a footnote, and `__` because it can be a blank to fill in."""
        if not 1 < end - start < 4 or self.text[start] == "_" or not self.text.startswith((" ", "\t"), end):
            return False
        if self.text[start - 1 : start] not in " \t\n|" or self._find_opener(start):
            return False
        line = self.text[max(0, start - MAX_JOINED_CHARS) : start].rpartition("\n")[2].rstrip(" \t")
        is_first = not line or line.endswith("|") or self.text[start] == "~" or bool(_PHRASE_END.search(line))
        return is_first and not line.endswith("\\")

    def _escape_delimiters(self, start: int, end: int) -> int:
        """Escapes the delimiters between two offsets. In a URL, which can't contain backslashes, percent signs escape
        them. Returns the second offset."""
        address = self.text.rfind("://", max(0, start - MAX_CONSTRUCT_CHARS), start)
        is_in_url = address >= 0 and not (
            _ADDRESS_END.search(self.text, address + 3, start) or WIDE_MARK.search(self.text, address, start)
        )
        for at in range(start, end):
            if self.text[at] in "*_":
                sent = f"%{ord(self.text[at]):02X}" if is_in_url else f"\\{self.text[at]}"
                self.inlines.replacements.append(Replacement(at, at + 1, sent))
        return end

    def _find_opener(self, offset: int) -> DelimiterRun | None:
        """Returns the last run on the stack with the same delimiter as the one at an offset."""
        run, considered = self.last_run, 0
        while run and run.delimiter != self.text[offset] and considered < MAX_OPENERS:
            run, considered = run.previous, considered + 1
        return run if run and run.delimiter == self.text[offset] else None

    def _close_before_space(self, run: DelimiterRun) -> bool:
        """Closes emphasis despite a space before the closing run (`**Note: **text`), which it removes. Returns whether
        it closed any."""
        is_behind_space = run.length > 1 and self.text[run.start - 1 : run.start] in (" ", "\t")
        opener = self._find_opener(run.start) if is_behind_space else None
        if not opener or not _is_loose_pair(opener, run) or not _can_precede_emphasis(self.text, opener.start):
            return False
        inner, inner_end = self._inner_range(opener, run)
        if inner >= inner_end or not _begins_phrase(self.text[inner]):
            return False
        end = run.start + run.length
        after = self.text[end : end + 1]
        ends_phrase = bool(_PHRASE_END.search(self.text, max(inner, inner_end - 8), inner_end))
        ends_phrase = ends_phrase or bool(CJK.match(self.text, inner_end - 1))
        if not after.strip() or _PHRASE_END.match(after):
            begins_line = not opener.start or self.text[opener.start - 1] == "\n"
            is_meant = run.delimiter != "_" and (opener.is_followed_by_space or begins_line or ends_phrase)
        else:
            is_meant = ends_phrase and _begins_phrase(after)
        if not is_meant or self._next_run_closes(end, run.delimiter, opener.start):
            return False
        self._pair_runs(opener, run, run.length)
        self.last_run = opener.previous
        return True

    def _next_run_closes(self, start: int, delimiter: str, opener_start: int) -> bool:
        """Returns whether the next run of the same delimiter closes emphasis. Records the pair if that depends on later
        text."""
        for run in _RUN_OR_CODE.finditer(self.text, start, start + MAX_CONSTRUCT_CHARS):
            if run[0][0] == delimiter:
                return not self.text[run.start() - 1].isspace()
        if self.growing and len(self.text) <= start + MAX_CONSTRUCT_CHARS:
            self._undecided_pairs.append(opener_start)
        return False

    def _close_loosely(self, run: DelimiterRun) -> bool:
        """Closes emphasis and adds a space after the closing run, if both runs have the same length. Returns whether it
        closed any."""
        opener = self._find_opener(run.start)
        if not opener or not opener.remaining == opener.length == run.remaining:
            return False
        end = opener.start + opener.length
        if run.start - opener.start > opener.max_distance or (run.length == 1 and self.text[end] in "./"):
            return False
        if (
            opener.is_loose
            and not opener.is_followed_by_space
            and not (
                run.length > 1 and self.text[opener.start - 1].isalpha() and self.text[run.start + run.length].isalpha()
            )
        ):
            return False
        self._pair_runs(opener, run, run.length)
        self.last_run = opener.previous
        return True

    def _close_emphasis(self, run: DelimiterRun, can_open: bool) -> DelimiterRun:
        """Pairs a closing run with its openers, and returns the run with the delimiters that are left."""
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
            self._pair_runs(opener, run, used)
            run = run._replace(remaining=run.remaining - used)
            rest = opener._replace(remaining=opener.remaining - used)
            opener = self.last_run = rest if rest.remaining else rest.previous
        return run

    def _pair_runs(self, opener: DelimiterRun, closer: DelimiterRun, delimiters: int) -> None:
        """Turns the text between two runs into emphasis, using this many delimiters of each."""
        inner, outer = opener.start + opener.remaining, closer.start + closer.length - closer.remaining
        begin, end = (STRUCK, ")") if opener.delimiter == "~" else ("", "")
        self.marks += [Replacement(inner - delimiters, inner, begin), Replacement(outer, outer + delimiters, end)]
        self._separate_emphasis(opener, closer)

    def _separate_emphasis(self, opener: DelimiterRun, closer: DelimiterRun) -> None:
        """Adds the spaces that Slack needs around emphasis, or removes delimiters that it wouldn't recognize."""
        start = opener.start
        end = opener.start + opener.length
        last = closer.start + closer.length
        if 0 <= self._undecided_start < closer.start:
            self._undecided_pairs.append(start)
        if closer.start - opener.start > MAX_CONSTRUCT_CHARS:
            return
        inner, inner_end = self._inner_range(opener, closer)
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
        self._add_space(opener.delimiter, start, self.text[max(0, start - 1) : start], self.text[inner : inner + 1])
        if inner > end:
            self.inlines.replacements.append(Replacement(end, inner, ""))
        if inner_end < closer.start:
            self.inlines.replacements.append(Replacement(inner_end, last, self.text[closer.start : last] + space))
            return
        self._add_space(opener.delimiter, last, self.text[last : last + 1], self.text[closer.start - 1 : closer.start])

    def _inner_range(self, opener: DelimiterRun, closer: DelimiterRun) -> tuple[int, int]:
        """Returns the start and end of the emphasized text, without spaces inside its marks."""
        start, end = opener.start + opener.length, closer.start
        while opener.is_followed_by_space and self.text.startswith((" ", "\t"), start):
            start += 1
        while self.text.startswith((" ", "\t"), end - 1):
            end -= 1
        return start, end

    def _add_space(self, delimiter: str, offset: int, outer: str, inner: str) -> None:
        """Adds a space between a run and the adjacent letter where Slack needs one to recognize the run."""
        space = Replacement(offset, offset, HAIR_SPACE)
        is_needed = outer.isalnum() and bool(inner) and _is_punctuation(inner)
        if (is_needed or (delimiter == "*" and CJK.match(outer))) and space not in self.inlines.replacements[-8:]:
            self.inlines.replacements.append(space)

    def _parse_url(self, url: re.Match[str]) -> int:
        """Parses the host of a bare URL. As long as the host might continue, the URL is held back."""
        start, end = url.span()
        if not follows_web_scheme(self.text, start):
            return end
        if self.growing and is_growing_authority(self.text, end):
            before = self.text[max(self._last_end, start - len("https")) : start]
            self.inlines.shown_end = start - len(before) + len(before.rstrip(string.ascii_letters))
            return end
        if closed := self._closed_file_replacement(start, end):
            self.inlines.replacements.append(closed)
            self._last_end = closed.end
            return closed.end
        if change := authority_replacement(self.text, end):
            self.inlines.replacements.append(change)
            self._last_end = end = change.end
        self._separate_wide_mark(url.end())
        return end

    def _separate_wide_mark(self, authority: int) -> None:
        """Adds a space before wide punctuation in a bare URL's path, because Slack would include it in the URL."""
        end = min(len(self.text), authority + MAX_CONSTRUCT_CHARS)
        if found := _ADDRESS_END.search(self.text, authority, end):
            end = found.start()
        mark = WIDE_MARK.search(self.text, authority, end)
        if mark and _PATH_START.search(self.text, authority, mark.start()):
            self.inlines.replacements.append(Replacement(mark.start(), mark.start(), HAIR_SPACE))

    def _closed_file_replacement(self, separator: int, authority: int) -> Replacement | None:
        """Returns the replacement for the URL of a file that readers can't open, or None for any other URL.
        `separator`, `authority`: the offsets of the URL's `://` and of the authority after it."""
        end = min(len(self.text), authority + MAX_CONSTRUCT_CHARS)
        if found := _ADDRESS_END.search(self.text, authority, end):
            end = found.start()
        # Punctuation after a URL isn't part of it.
        address_end = authority + len(self.text[authority:end].rstrip(".,;:!?)}'*_~"))
        url = f"https://{self.text[authority:address_end]}"
        if not can_be_in_slack(url):
            return None
        scheme = _PLAIN_SCHEME.search(self.text, max(0, separator - len("https")), separator)
        if end == len(self.text):
            # It can still become a file's URL, or a longer one.
            self._undecided_start = scheme.start() if scheme else separator
        if not is_closed_file(url, self.open_files):
            return None
        if scheme is None or authority - separator > len("://"):
            # It is written with entities or backslashes, so a space stops it from being a link.
            return Replacement(authority, authority, HAIR_SPACE)
        return Replacement(scheme.start(), address_end, self._spaced_code(scheme.start(), address_end, url))

    def _spaced_code(self, start: int, end: int, url: str) -> str:
        """Returns a URL as code, with spaces where adjacent backticks would otherwise join the backticks of the code.
        Emphasis delimiters around the URL are ignored, because they can be removed later."""
        before = self.text[max(0, start - MAX_JOINED_CHARS) : start].rstrip("*_~")
        after = self.text[end : end + MAX_JOINED_CHARS].lstrip("*_~")
        return " " * before.endswith("`") + file_as_code(url) + " " * after.startswith("`")

    def _parse_angle_bracket(self, start: int) -> int:
        if _DESTINATION_START.search(self.text, max(0, start - 10), start):
            # A `<` after `](` begins a link's destination, not an autolink.
            return start + 1
        if autolink := _AUTOLINK.match(self.text, start):
            self.inlines.replacements.append(self._url_replacement(*autolink.span(), autolink[1]))
        elif autolink := _OTHER_AUTOLINK.match(self.text, start):
            if autolink[1]:
                self.inlines.replacements.append(self._spaced_replacement(*autolink.span(), autolink[1]))
            elif _WEB.match(autolink[0]):
                code = self._spaced_code(*autolink.span(), autolink[0][1:-1])
                self.inlines.replacements.append(self._spaced_replacement(*autolink.span(), code))
        else:
            if self.growing and _INCOMPLETE_AUTOLINK.match(self.text, start):
                self.inlines.shown_end = start
            return start + 1
        self._end_construct(*autolink.span())
        return autolink.end()

    def _url_replacement(self, start: int, end: int, destination: str) -> Replacement:
        """Returns the replacement that shows the URL of an unlabeled link, either bare or as code."""
        is_closed = is_closed_file(destination, self.open_files)
        address = self._spaced_code(start, end, destination) if is_closed else bare_url(destination)
        return self._spaced_replacement(start, end, address)

    def _spaced_replacement(self, start: int, end: int, address: str) -> Replacement:
        """Returns the replacement for a link, with spaces where adjacent characters would otherwise join its URL."""
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
            # The label is too long for a link. Its `]` is escaped if it could end one.
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
            # Slack may still find a definition for it in a form that isn't recognized here.
            self.inlines.replacements.append(Replacement(bracket.start, bracket.start, "\\"))
        self._last_end = max(self._last_end, after)
        return after if after > 0 else end + 1

    def _parse_target(self, bracket: Bracket, end: int) -> tuple[int, Sequence[str]]:
        """Returns the end of a link and its possible destinations, or (-1, ()) if they depend on later text."""
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
            if reference and (destinations := self.destinations.get(normalize_label(reference[1] or label))):
                return reference.end(), destinations
        return end + 1, self.destinations.get(normalize_label(label), ())

    def _parse_inline_target(self, start: int) -> tuple[int, str | None]:
        """Returns the end of `(destination "title")` and the destination. Returns (-1, None) if the text might still
        become a target, and (0, None) if it can't."""
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
        can_grow = at == len(text) or (begins_title and _TITLE.match(text, at - 1) is None)
        return (-1 if can_grow else 0), None

    def _destination_end(self, start: int) -> int:
        """Returns the end of a link's destination without `<`, which is at white space or an unbalanced parenthesis.
        Each part of the text is scanned only once, because a scan also records the ends of destinations that begin
        after inner parentheses."""
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
        """Adds the replacements for a link or image that extends from `bracket` to `after` and whose label ends at
        `end`."""
        label_start = bracket.start + 1 + bracket.is_image
        inner = bisect(self.images, bracket.start, key=lambda image: image.start)
        images = self.images[inner:]
        shown_label = with_replacements(self.text, images, label_start, end)
        # The label of a nested image can end the word before it or continue it, so both readings count.
        spaced_images = [image._replace(text=f" {image.text} ") for image in images]
        spaced_label = with_replacements(self.text, spaced_images, label_start, end)
        readings = f"{shown_label} {spaced_label}" if images else shown_label
        before = self._text_joined_before(bracket.start)
        deceptive = is_deceptive(readings, *destinations)
        if before and not deceptive:
            deceptive = is_deceptive(readings, *destinations, before=before)
        deceptive = deceptive or any(is_closed_file(destination, self.open_files) for destination in destinations)
        is_blank = is_invisible(readings)
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
            # Links can't contain links, so an image in a link's label is replaced by the image's own label.
            since = self.inlines.replacements[bracket.replacement_count :]
            outside = [replacement for replacement in since if not _begins_within(replacement, images)]
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
        """Adds the replacements for an inline link whose label is invisible or whose destination is empty."""
        if destination and (bracket.is_image or _WEB_OR_MAIL.match(destination)):
            del self.inlines.replacements[bracket.replacement_count :]
            self.inlines.replacements.append(self._url_replacement(bracket.start, after, destination))
        else:
            # A function without captures, `[](x)`, or without parameters, `f[x]()`, isn't meant as a link.
            opening = bracket.start + bracket.is_image
            self.inlines.replacements += [Replacement(at, at, "\\") for at in (opening, end)]

    def _text_joined_before(self, start: int) -> str:
        """Returns the text that readers see directly before a link. If another link ends there, that is its label."""
        last_end, last_label = self._last_link
        before = last_label if last_end == start else self.text[max(0, start - MAX_JOINED_CHARS) : start]
        if not before or _NEVER_JOINED.match(before, len(before) - 1):
            # True for nearly all text, and faster than splitting.
            return ""
        return _NEVER_JOINED.split(before[-MAX_JOINED_CHARS:])[-1]

    def _without_image_mark(self, mark: int) -> Replacement:
        """Returns the replacement for the `!` of an image, so that text before it can't turn the link into another
        construct."""
        if mark and self.text[mark - 1] == "]":
            return Replacement(mark, mark + 1, " ")
        escapes = mark - 1
        while escapes > 0 and self.text[escapes - 1] == "\\":
            escapes -= 1
        if self.text.startswith("!", mark - 1) and mark and (mark - escapes) % 2:
            return Replacement(mark - 1, mark + 1, "\\!")
        return Replacement(mark, mark + 1, "")

    def _label_and_destination(self, bracket: Bracket, end: int, after: int, destination: str) -> list[Replacement]:
        """Returns the replacements that turn a deceptive link into text: its label, followed by its destination in
        parentheses."""
        if not self._is_inline_link(end, after):
            return [Replacement(at, at, "\\") for at in (bracket.start + bracket.is_image, end)]
        label_start = bracket.start + 1 + bracket.is_image
        is_closed = is_closed_file(destination, self.open_files)
        address = file_as_code(destination) if is_closed else bare_url(destination)
        return [Replacement(bracket.start, label_start, ""), Replacement(end, after, f" ({address})")]

    def _is_inline_link(self, end: int, after: int) -> bool:
        return after > end + 1 and self.text.startswith("(", end + 1)

    def _active_brackets(self) -> list[Bracket]:
        first = self.inactive_brackets
        return [bracket for bracket in self.brackets[:first] if bracket.is_image] + self.brackets[first:]

    def _end_growing_text(self) -> None:
        """Decides how much of the end of a growing text to hold back, and how to close the rest temporarily."""
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
            if run.is_followed_by_space and shown_end - run.start <= run.max_distance:
                shown_end, self.last_run, inlines.closing = run.start, run.previous, ""
            run = run.previous
        run = self.last_run
        if run and run.delimiter == "*" and not inlines.closing:
            url_start = _start_of_last_url(text, shown_end, growing=True)
            shown_end = shown_end if url_start is None else _cut_before(url_start, inlines.replacements)[0]
        shown_end = len(text[:shown_end].rstrip())
        while run and not inlines.closing and run.start + run.length >= shown_end:
            # Nothing after the run's delimiters is shown yet.
            shown_end = len(text[: run.start].rstrip())
            run = run.previous
        inlines.shown_end = shown_end
        while run:
            if run.is_followed_by_space:
                # It is text, because no closing run is near enough.
                pass
            elif run.delimiter == "*" and _begins_with_url(text, run.start + run.length):
                inlines.replacements.append(Replacement(run.start, run.start + run.length, ""))
            else:
                self._close_temporarily(run)
            run = run.previous
        inlines.replacements = [replacement for replacement in inlines.replacements if replacement.end <= shown_end]

    def _close_temporarily(self, run: DelimiterRun) -> None:
        """Temporarily closes emphasis at the end of a growing text. A mark before punctuation (`*.py`) counts as
        text."""
        end = run.start + run.length
        self.inlines.closing += run.delimiter * run.remaining
        self._add_space(
            run.delimiter, run.start, self.text[max(0, run.start - 1) : run.start], self.text[end : end + 1]
        )
        if self.text[end : end + 1].isalnum():
            begin = STRUCK if run.delimiter == "~" else ""
            self.marks.append(Replacement(run.start, run.start + run.remaining, begin))


def _begins_within(replacement: Replacement, images: Sequence[Replacement]) -> bool:
    """Returns whether a replacement begins within one of these images, which are in order."""
    before = bisect(images, replacement.start, key=lambda image: image.start)
    return before > 0 and replacement.start < images[before - 1].end


def _breaks_rule_of_three(opener: DelimiterRun, closer: DelimiterRun, closer_can_open: bool) -> bool:
    """Returns whether CommonMark's rule 9 prevents a match because the lengths of the runs add up to a multiple of
    three."""
    if opener.delimiter == "~" or not (opener.can_close or closer_can_open):
        return False
    return (opener.length + closer.length) % 3 == 0 and bool(opener.length % 3 or closer.length % 3)


def _is_loose_pair(opener: DelimiterRun, closer: DelimiterRun) -> bool:
    """Returns whether a run closes a loosely opening run, which requires that both are unused and close enough."""
    is_near = closer.start - opener.start <= opener.max_distance
    return is_near and opener.remaining == opener.length == closer.length == closer.remaining


def _begins_phrase(character: str) -> bool:
    """Returns whether a character can begin a label or sentence, as opposed to a path or an operator."""
    return character.isalnum() or character in "\"'¿¡" or _is_mark(character, "Po", "Pe", "Pf", "Pc", "Sm")


def _can_precede_emphasis(text: str, start: int) -> bool:
    """Returns whether the text before an offset can precede emphasis and isn't part of a path pattern or an
    operator."""
    before = text[max(0, start - 1) : start]
    is_bracket = _is_mark(before, "Po", "Pe", "Pf", "Pc", "Sm", "Sk", "Sc")
    return not before.strip() or is_bracket or bool(CJK.match(before) or _PHRASE_END.match(before))


def _is_mark(character: str, *excluded_categories: str) -> bool:
    """Returns whether a character is punctuation other than a backslash and isn't in any of the excluded Unicode
    categories."""
    is_punctuation = bool(character) and character != "\\" and _is_punctuation(character)
    return is_punctuation and unicodedata.category(character) not in excluded_categories


def _touches_text(mark: str, next_character: str) -> bool:
    """Returns whether a mark touches the character beyond it. An emoji counts as touching it even across white
    space."""
    return not next_character.isspace() or unicodedata.category(mark) == "So"


def _can_separate(character: str) -> bool:
    """Returns whether emphasis next to punctuation can begin after this character or end before it."""
    return character.isspace() or _is_punctuation(character) or bool(CJK.match(character))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _skip_space(text: str, at: int) -> int:
    space = _SPACES.match(text, at)
    return space.end() if space else at


def _begins_with_url(text: str, start: int) -> bool:
    return bool(_URL_START.match(text, start))


def _start_of_last_url(text: str, end: int, *, growing: bool = False) -> int | None:
    """Returns the offset of the bare URL that ends at `end`, or None. An incomplete URL counts in a growing text."""
    start = max(0, end - _MAX_WORD_CHARS)
    if not growing and text.rfind("://", start, end) < 0:
        return None
    word = _LAST_WORD.search(text, start, end)
    if word and (_INCOMPLETE_URL.fullmatch(word[1]) if growing else _URL_START.match(word[1])):
        return word.start(1)
    return None
