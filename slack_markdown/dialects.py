r"""Rewrites HTML, LaTeX and Slack's own markup in a block's text as Markdown.

Models write such markup, and Slack shows it unformatted in a `markdown` block. One pass over a block's text rewrites it
before `inlines.py` parses the result, so all rules for links, mentions and emphasis apply.

- **HTML** (`tags.py`). Elements that Markdown can express, such as emphasis, code, links and images, are converted.
  Block tags become line breaks, bullets and rows. Other harmless tags are removed, but their text stays. Only names
  from the HTML standard count as tags, so `<T>` and `<your-name>` stay. An opening tag without an end tag also stays if
  it could be a placeholder, such as `<source>` in the middle of a line. Tags that do more than show text, such as
  `<script>`, stay with their content.
- **LaTeX** (`formulas.py`). A formula becomes code, so that none of its characters are parsed as Markdown.
- **Footnotes.** `[^1]` becomes ¹, and `[^name]` becomes [name], both in the text and before the note itself.
- **Callouts.** If a quote begins with a marker such as `[!NOTE]`, the marker becomes a bold word.
- **Slack's markup.** `<https://…|label>` becomes a link. Mentions become plain names, so nobody is notified. An ID
  without a name becomes a word.
- **URLs with spaces**, such as `[doc](https://a.example/my file.pdf)`. The spaces are encoded.
- **Entities** become the characters that they stand for, unless Slack or Markdown would interpret those as markup.

Code spans, bare URLs and escaped characters are skipped. While text is streaming, a construct that might not be
complete yet is held back. Opening tags are the exception, because they take effect immediately. `undecided` is the
offset of the earliest one that is still open.
"""

import html
import re
import sys
import unicodedata
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter, methodcaller

import regex

from slack_markdown import tags
from slack_markdown.blocks import CELL_END, FOOTNOTE, LeafKind
from slack_markdown.escaping import HAIR_SPACE, Replacement, longest_ticks, with_replacements
from slack_markdown.formulas import (
    DOLLARS,
    ENVIRONMENT,
    HALF_DOLLARS,
    MAX_DISPLAY_CHARS,
    NOTHING_BEHIND,
    has_sentence,
    is_formula,
    is_in_dollars,
    readable_formula,
)
from slack_markdown.rewriting import Rewriting

MAX_CONSTRUCT_CHARS = 400
"""The maximum length of a construct. Longer constructs are sent as text, and longer emphasis is sent as written. After
this many characters, an open construct can't change how its beginning is sent (`inlines.decided_inlines`)."""
MAX_TAG_CHARS = 1_000
"""The maximum length of a tag or comment. Longer tags and comments are text."""
MAX_SCRIPT_CHARS = 60
MAX_TAG_DEPTH = 100
MAX_ENCODED_CHARS = 20
"""The maximum number of characters to encode in a URL. URLs that need more stay as text."""
TEXT_BACKTICK = "ˋ"
"""The replacement for a backtick that Slack would interpret as the beginning of a code span."""

_MAYBE = re.compile(r"[<$&]|\[\^|\\(?:[(\[]|begin)|\]\([^\s()]*[ \t]+")
"""Matches any text that needs rewriting, except for table rows."""
_MARK = re.compile(r"[<$&\\\]]")
"""Matches more texts than `_MAYBE` does. It is faster, so it is tried first."""
_CODE_WITH_CELL_END = re.compile(r"`(?!\s)[^`\n|]*\|")
_SPECIAL = re.compile(
    r"(?P<url>https?://[^\s<>\]`|]*)|(?P<formula>\\[(\[]|\\begin\{|\$+)|\\.?|(?P<ticks>`+)|(?P<target>\]\()|<"
    r"|(?P<footnote>\[\^)|(?P<entity>&\#?\w{1,31};)",
    re.IGNORECASE | re.DOTALL,
)
_SPECIAL_IN_ROW = re.compile(rf"{_SPECIAL.pattern}|\|", _SPECIAL.flags)
_LABEL_WITH_CELL_END = regex.compile(
    r"\[[^\[\]|]*+\|[^\[\]]*+(?=\]\([ \t]*+(?:https?://|mailto:)"
    r"[^\s()|]*+(?:\([^\s()|]*+\)[^\s()|]*+)*+(?:[ \t]++\"[^\"|]*+\")?[ \t]*+\))",
    regex.IGNORECASE,
)
_OPEN_LABEL = re.compile(r"\[[^\[\]]*+(?:\](?:\([^()|]*+)?)?\Z")
"""Matches a possible incomplete link at the end of a row."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(?:https?://|mailto:)", re.IGNORECASE)
_TARGET = re.compile(r"<[^<>\n]*>|[^\s()]*")
_SPACED_TARGET = re.compile(
    r"[ \t]*+((?:[^\s()<>]|[ \t]++(?![\"'()])|[ \t]*+\([^()\n]*+\))+?)"
    r"(?:[ \t]++(?:\"[^\"\n]*+\"|'[^'\n]*+'))?[ \t]*+(?=\))"
)
"""Matches the text up to the end of a destination. Quantifiers are possessive, because the spaces could otherwise be
divided among them in 2^n ways."""
_TITLED_TARGET = re.compile(r"[ \t]*[^\s()<>]+[ \t]+\([^()\n]*\)[ \t]*\)")
"""Matches a destination with a title in parentheses."""
_GROWING_TARGET = re.compile(r"[^\n<>]*\Z")
_UNSAFE = re.compile(r"[\s()<>\"\\|`]")

_TOKEN = re.compile(
    r"<(?:(?P<sign>[@#!])(?P<what>[\w.^{}: ,-]{1,200})(?:\|(?P<name>[^<>|\n]{0,200}))?"
    r"|(?P<url>(?:https?://|mailto:|tel:)[^<>|\s]{1,1000})\|(?P<label>[^<>|\n]{0,400})|(?P<mail>mailto:[^<>|\s?]+))>"
)
_ID = re.compile(r"[UWCGS](?=[A-Z]*\d)[A-Z0-9]{7,14}")
_WORDS_FOR_UNNAMED = {"@": "someone", "#": "a channel"}
"""The words that replace an ID without a name in Slack's markup."""
_GROUPS = frozenset(["here", "channel", "everyone", "group"])
_HALF_TOKEN = re.compile(
    r"<(?:[@#!][\w.^{}: ,-]{0,200}|(?:https?|mailto|tel):[^<>|\s]{0,1000})(?:\|[^<>|\n]{0,400})?\Z"
)

_FOOTNOTE = re.compile(FOOTNOTE)
_HALF_FOOTNOTE = re.compile(r"\[\^[\w.-]{0,60}\]?:?\Z")
_BEFORE_NAMED = re.compile(r"[\w.,;:!?)\"'”’*`~]")
"""Matches the character before a footnote with a name. Before a number, there can be a space."""
_BEHIND_CLASS = re.compile(r"[\w+*?{|$]")
"""Matches the character after a character class, such as `a[^bcd]+`, but not after a footnote."""
_RAISED = frozenset(tags.RAISED["sup"].values())

_CALLOUT = re.compile(r"\[!([a-z]{2,20})\][-+]?(?=\s|\Z)", re.IGNORECASE)
"""Matches a callout's marker. A sign after it can set whether the callout is collapsed."""
_COMMENT_END = "-->"
_BLANK = re.compile(r"\s*")
_SPACE = re.compile(r"[ \t]*")
_WHITE_SPACE = re.compile(r"\s")
_BEGINS_TEXT = re.compile(r"[^\W\d_]|\*{1,2}[^\s*]|`{1,2}[^`]|[(\[\"'“<\n]|\Z")
"""Matches text that can't begin another block, even at the beginning of a line."""

_AROUND_ROW = re.compile(r"^[ \t\r>]*+\|?|\|[ \t\r>]*+$", re.MULTILINE)
_LONGER_CELLS = re.compile(r"[`<$]|\\[(\[]|\]\(")
_DELIMITERS = re.compile(r"^[ \t>|:-]++(?=\r?\n)", re.MULTILINE)
_LONGER_TOKEN = re.compile(r"<(?:https?:|mailto:|tel:)[^<>|\s]{1,1000}\|")
_LONGER_TARGET = re.compile(rf"\]\([^\n]{{1,{MAX_CONSTRUCT_CHARS}}}")
_LONGER_LINES = re.compile(r"\\\[|\\begin|\$\$|<pre", re.IGNORECASE)


def _escaped_cell_ends(code: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\|", code)


def rewrite(text: str, *, growing: bool, start: int = 0, kind: LeafKind = LeafKind.PARAGRAPH) -> Rewriting:
    """Rewrites a block's text as Markdown. `growing`: whether more text can follow. If so, the end is left out if later
    text can change it. `start`: the first offset to rewrite. `kind`: the block's type, because headings and table rows
    can't have line breaks."""
    if not can_be_rewritten(text, kind, start):
        return Rewriting(text, (), len(text), False)
    is_quote = kind is LeafKind.QUOTE
    is_one_line = not (is_quote or kind is LeafKind.PARAGRAPH)
    return _Rewriter(text, growing, is_one_line, kind is LeafKind.TABLE, is_quote).rewrite(start)


def can_be_rewritten(text: str, kind: LeafKind, start: int = 0) -> bool:
    """Returns whether a block's text might need rewriting. The check is fast, and the result is rarely True."""
    if _MARK.search(text, start) and _MAYBE.search(text, start):
        return True
    if kind is not LeafKind.TABLE:
        return kind is LeafKind.QUOTE and bool(_CALLOUT.match(text, start))
    return bool(
        ("`" in text and _CODE_WITH_CELL_END.search(text)) or ("[" in text and _LABEL_WITH_CELL_END.search(text))
    )


def last_cell_start(row: str) -> int:
    """Returns the start of a growing row's last cell. A `|` in code, in a formula or in a link's label doesn't end a
    cell."""
    markdown = rewrite(row, growing=True, kind=LeafKind.TABLE)
    label = _OPEN_LABEL.search(row)
    undecided = min(markdown.undecided, label.start() if label else len(row))
    ends = [cell.end() for cell in CELL_END.finditer(row, 0, undecided)]
    for replacement in reversed(markdown.replacements):
        while ends and replacement.start < ends[-1] <= replacement.end:
            ends.pop()
    return ends[-1] if ends else 0


def as_markdown(text: str, kind: LeafKind = LeafKind.HEADING) -> str:
    """Rewrites a complete text as Markdown, on a single line unless `kind` allows several."""
    return rewrite(text, growing=False, kind=kind).text


def _can_have_surplus_cells(markdown: str) -> bool:
    """Returns whether a row might have more cells than its table has columns. Once True, the result stays True as text
    is added."""
    delimiters = [row for row in _DELIMITERS.findall(markdown) if "-" in row and ("|" in row or ":" in row)]
    return bool(delimiters) and max(_cell_ends(markdown)) > min(_cell_ends("\n".join(delimiters)))


def _cell_ends(lines: str) -> Iterator[int]:
    """Yields, for each line, the number of `|` between cells, including escaped ones."""
    return map(methodcaller("count", "|"), _AROUND_ROW.sub("", lines).split("\n"))


def max_added_chars(markdown: str) -> int:
    """Returns an upper bound on the number of characters that rewriting adds, not counting those added for each `<`."""
    targets: list[str] = _LONGER_TARGET.findall(markdown)
    added = 2 * sum(target.count(" ") + target.count("\t") for target in targets) + markdown.count("[!")
    if _LONGER_LINES.search(markdown):
        rows = markdown.count("\\\\") + markdown.count("&")
        added += 2 * (markdown.count("\n") + markdown.count("\\begin")) + rows
    if "|" in markdown and (_LONGER_CELLS.search(markdown) or _can_have_surplus_cells(markdown)):
        added += markdown.count("|") + 2 * sum(map(len, map(_UNSAFE.findall, _LONGER_TOKEN.findall(markdown))))
    return added


@dataclass(slots=True)
class _OpenTag:
    name: str
    start: int
    end: int
    index: int
    closing: str
    """The replacement for the end tag. It doesn't contain line breaks."""
    can_be_text: bool
    """Whether the tag stays as written if it doesn't have an end tag."""
    dropped_text: str
    """The tag's replacement if it doesn't have an end tag and `can_be_text` is False."""


@dataclass
class _Rewriter:
    text: str
    growing: bool
    is_one_line: bool
    is_row: bool
    """Whether the text is a table row, where Slack treats an unescaped `|` in code as the end of a cell."""
    is_quote: bool
    replacements: list[Replacement | None] = field(default_factory=list)
    """The replacements so far. None stands for a tag that stays as written."""
    tags: list[_OpenTag] = field(default_factory=list)
    lists: list[int | None] = field(default_factory=list)
    """For each open list, the next item's number, or None in a bullet list."""
    is_line_empty: bool = True
    """Whether the current output line is still without visible text. A list item's marker doesn't count."""
    is_in_row: bool = False
    has_cell: bool = False
    is_empty: bool = True
    read_end: int = 0
    held_from: int = -1
    labels: list[tuple[int, int]] = field(default_factory=list)
    """The start and end of each link label in a row that contains a `|`."""
    open_code_start: int = sys.maxsize
    """The start of a code span that is open at the end of a growing row."""
    closed_at: int = -1
    """The offset after the last end tag that became a mark."""

    def rewrite(self, position: int) -> Rewriting:
        self.read_end = position
        callout = _CALLOUT.match(self.text, position) if self.is_quote else None
        # At the end of the text, it can still become a link's label.
        if callout and not (callout.end() == len(self.text) and self._hold_back(position)):
            position = self._replace(*callout.span(), f"**{callout[1].capitalize()}**")
        if self.is_row:
            self.labels = [label.span() for label in _LABEL_WITH_CELL_END.finditer(self.text)]
        pattern = _SPECIAL_IN_ROW if self.labels else _SPECIAL
        while self.held_from < 0 and (special := pattern.search(self.text, position)):
            position = self._read_special(special)
        size = len(self.text) if self.held_from < 0 else self.held_from
        undecided, is_open = (
            min(size, self.open_code_start),
            bool(self.tags or self.held_from >= 0 or self.open_code_start < size),
        )
        for tag in self.tags:
            if self.growing and size - tag.start <= MAX_CONSTRUCT_CHARS:
                undecided = min(undecided, tag.start)
            else:
                self._resolve_unclosed(tag)
        replacements = [replacement for replacement in self.replacements if replacement]
        return Rewriting(with_replacements(self.text, replacements, 0, size), replacements, undecided, is_open)

    def _read_special(self, special: re.Match[str]) -> int:
        """Reads the construct that begins at a special character, and returns the offset to continue from."""
        start, end = special.span()
        if special["ticks"]:
            return self._read_code_span(special)
        if special["target"]:
            return self._read_target(end)
        if special["formula"]:
            return self._read_formula(special)
        if special["entity"]:
            return self._read_entity(special)
        if special["footnote"]:
            return self._read_footnote(start)
        if special[0] == "|":
            return self._replace(start, end, "\\|") if self._is_in_label(start) else end
        return self._read_angle_bracket(start) if special[0] == "<" else end

    def _is_in_label(self, offset: int) -> bool:
        """Returns whether an offset in a row is within a link label that contains a `|`."""
        index = bisect(self.labels, (offset,)) - 1
        return index >= 0 and offset < self.labels[index][1]

    def _hold_back(self, start: int, limit: int = MAX_CONSTRUCT_CHARS) -> bool:
        """Holds back the construct at an offset if its end might still follow. Returns whether it did."""
        if self.growing and self.held_from < 0 and len(self.text) - start <= limit:
            self.held_from = start
        return self.held_from >= 0

    def _replace(self, start: int, end: int, sent: str, *, is_seen: bool = True) -> int:
        if is_seen:
            self._record_visible_text(start)
            self.is_line_empty = self.is_empty = False
        self.replacements.append(Replacement(start, end, sent))
        self.read_end = end
        return end

    def _record_visible_text(self, end: int) -> None:
        """Records whether there is any visible text between the last replacement and an offset."""
        gap = self.text[self.read_end : end]
        self.is_empty = self.is_empty and not gap.strip()
        _, has_ended, line = ("", "", gap) if self.is_in_row else gap.rpartition("|" if self.is_one_line else "\n")
        self.is_line_empty = (self.is_line_empty or bool(has_ended)) and not line.strip()
        self.read_end = end

    def _character_before(self, at: int) -> str:
        """Returns the character that will be sent before an offset."""
        last = next((replacement for replacement in self.replacements[-1:] if replacement), None)
        if last and last.end == at and last.text:
            return last.text[-1]
        return self.text[at - 1 : at]

    # Code, URLs and entities.

    def _read_code_span(self, opening: re.Match[str]) -> int:
        """Skips a code span, using the same rules as `inlines.py`."""
        ticks, start = opening[0], opening.end()
        search_end = start + MAX_CONSTRUCT_CHARS + len(ticks) + 1
        at = start
        while (at := self.text.find(ticks, at, search_end)) >= 0:
            end = at + len(ticks)
            while self.text.startswith("`", end):
                end += 1
            if end - at == len(ticks):
                if at - start > MAX_CONSTRUCT_CHARS:
                    return start
                if self.is_row and not self.text[at - 1].isspace():
                    self._escape_cell_ends(start, at)
                return end
            at = end
        if not self.growing or search_end <= len(self.text):
            return start
        # `inlines.py` can find a link destination here instead, and then the text after it is code or text.
        self.open_code_start = opening.start()
        if self.is_row:
            self._escape_cell_ends(start, len(self.text))
        return len(self.text)

    def _escape_cell_ends(self, start: int, end: int) -> None:
        """Escapes each `|` in a code span of a row, unless the code begins with a space, because the backticks could
        then be in different cells."""
        if not self.text[start : start + 1].isspace():
            for mark in CELL_END.finditer(self.text, start, end):
                self._replace(mark.start(), mark.end(), "\\|")

    def _read_target(self, start: int) -> int:
        """Skips a link's destination, and encodes its spaces."""
        before = self.text.rfind("[", max(0, start - MAX_CONSTRUCT_CHARS), start)
        is_image = before > 0 and self.text[before - 1] == "!"
        end = start + MAX_CONSTRUCT_CHARS
        if before < 0 or not (is_image or _ADDRESS.match(self.text, start)):
            return _TARGET.match(self.text, start).end()  # type: ignore[union-attr]
        target = None if _TITLED_TARGET.match(self.text, start, end) else _SPACED_TARGET.match(self.text, start, end)
        if target:
            address = re.sub(r"[ \t]", "%20", target[1])
            if address != target[1]:
                self._replace(start, target.end(1), address)
            return target.end()
        if self.growing and not target and len(self.text) <= end and _GROWING_TARGET.match(self.text, start):
            # Its end can still arrive, so it counts as a destination for now.
            if before > 0 and is_image:
                before -= 1
            self._hold_back(before)
        return _TARGET.match(self.text, start).end()  # type: ignore[union-attr]

    def _read_entity(self, entity: re.Match[str]) -> int:
        character = html.unescape(entity[0])
        is_shown = character[-1:] != ";" and not character.isascii() and unicodedata.category(character[0])[0] != "C"
        if is_shown and not (character.isalnum() and self._is_in_url(entity.start())):
            self._replace(*entity.span(), character)
        return entity.end()

    def _is_in_url(self, offset: int) -> bool:
        separator = self.text.rfind("://", max(0, offset - 300), offset)
        return separator >= 0 and not _WHITE_SPACE.search(self.text, separator, offset)

    def _read_footnote(self, start: int) -> int:
        """Replaces the mark of a footnote, in the text or before the note itself."""
        mark = _FOOTNOTE.match(self.text, start)
        if _HALF_FOOTNOTE.match(self.text, start) and self._hold_back(start, MAX_SCRIPT_CHARS):
            return start + 2
        if not mark or self.text.startswith("(", mark.end()):
            return start + 2
        label, end = mark[0][2:-1], mark.end()
        _, is_below, indent = self.text[max(0, start - 4) : start].rpartition("\n")
        if self.text.startswith(":", end) and not indent.strip() and (is_below or start < 4):
            end += 1
        elif not label.isdecimal() and not (
            _BEFORE_NAMED.match(self.text[max(0, start - 1) : start]) and not _BEHIND_CLASS.match(self.text, end)
        ):
            return start + 2
        raised = label.translate(tags.RAISED["sup"])
        if not (label.isdecimal() or (len(label) == 1 and raised != label)):
            return self._replace(start, end, f"\\[{label}\\]")
        # So that ¹ and ² aren't read as 12.
        return self._replace(start, end, f",{raised}" if self._character_before(start) in _RAISED else raised)

    # Formulas.

    def _read_formula(self, opening: re.Match[str]) -> int:
        start, end = opening.span()
        mark = opening[0].lower()
        if mark == "$":
            return self._read_dollars(start)
        if mark.startswith("$$$"):
            return end
        closing, limit = {"\\(": ("\\)", MAX_CONSTRUCT_CHARS), "\\[": ("\\]", MAX_DISPLAY_CHARS)}.get(
            mark, ("$$", MAX_DISPLAY_CHARS)
        )
        if mark == "\\begin{":
            environment = ENVIRONMENT.match(self.text, start)
            if not environment:
                self._hold_back(start, MAX_SCRIPT_CHARS)
                return end
            closing, end = f"\\end{{{environment[1]}}}", environment.end()
        stop = self.text.find(closing, end, start + limit)
        if stop < 0:
            can_grow = self.growing and len(self.text) - start <= limit
            if can_grow and (mark == "\\begin{" or not has_sentence(self.text[end:])):
                self._hold_back(start, limit)
            return end
        formula, after = self.text[end:stop], stop + len(closing)
        if mark in ("$$", "\\[") and not self.text[after:].strip(" \t") and self._hold_back(start, limit):
            return end
        if not is_formula(self.text, mark, formula, start, after):
            return end
        row_end = "; " if mark == "\\(" or self.is_one_line or self.is_in_row else "\n"
        whole = self.text[start:after] if mark == "\\begin{" else formula.lstrip(" \t")
        return self._replace_with_code(start, after, readable_formula(whole, row_end, has_rows=mark in ("$$", "\\[")))

    def _read_dollars(self, start: int) -> int:
        before = self.text[max(0, start - 1) : start]
        if before.isalnum():
            return start + 1
        if dollars := DOLLARS.match(self.text, start):
            if is_in_dollars(dollars[1]):
                return self._replace_with_code(*dollars.span(), readable_formula(dollars[1], "; ", has_rows=False))
            return start + 1
        if HALF_DOLLARS.match(self.text, start) and not has_sentence(self.text[start : start + MAX_CONSTRUCT_CHARS]):
            self._hold_back(start)
        return start + 1

    def _replace_with_code(self, start: int, end: int, code: str) -> int:
        if longest_ticks(code) > 1:
            code = code.replace("`", TEXT_BACKTICK)
        ticks = "``" if "`" in code else "`"
        lines = [" ".join(code.split())] if self.is_one_line or self.is_in_row else code.expandtabs(4).splitlines()
        lines = [_escaped_cell_ends(line.rstrip()) if self.is_row else line.rstrip() for line in lines if line.strip()]
        if len(lines) == 1:
            lines[0] = lines[0].strip()
        pieces = [
            piece
            for line in lines
            for piece in (
                line[at : at + MAX_CONSTRUCT_CHARS - 2] for at in range(0, len(line), MAX_CONSTRUCT_CHARS - 2)
            )
        ]
        pad = " " if "`" in code else ""
        spans = "\n".join(f"{ticks}{pad}{piece}{pad}{ticks}" for piece in pieces)
        before = HAIR_SPACE if self._character_before(start) == "`" else ""
        after = HAIR_SPACE if self.text.startswith("`", end) else ""
        return self._replace(start, end, f"{before}{spans}{after}")

    # Constructs that begin with `<`.

    def _read_angle_bracket(self, start: int) -> int:
        if self.text.startswith("<!--", start):
            return self._read_comment(start)
        if token := _TOKEN.match(self.text, start):
            return self._read_token(token)
        tag = tags.TAG.match(self.text, start, start + MAX_TAG_CHARS)
        if tag and tag["name"].lower() in tags.KNOWN:
            return self._read_tag(tag)
        can_grow = not tag and self.growing and len(self.text) - start <= MAX_TAG_CHARS
        if can_grow and (tags.HALF_TAG.match(self.text, start) or _HALF_TOKEN.match(self.text, start)):
            self._hold_back(start, MAX_TAG_CHARS)
        return start + 1

    def _read_comment(self, start: int) -> int:
        end = self.text.find(_COMMENT_END, start, start + MAX_TAG_CHARS)
        if end < 0 and self._hold_back(start, MAX_TAG_CHARS):
            return start + 1
        end = start + len("<!--") if end < 0 else end + len(_COMMENT_END)
        self._record_visible_text(start)
        return self._replace(start, end, self._block_guard(end), is_seen=False)

    def _read_token(self, token: re.Match[str]) -> int:
        sign, what, name = token["sign"], token["what"], (token["name"] or "").strip()
        sent = ""
        if token["mail"]:
            sent = token["mail"].removeprefix("mailto:")
        elif token["url"]:
            label = token["label"].translate({ord("["): "(", ord("]"): ")"}).strip()
            address = _encode_unsafe(html.unescape(token["url"]))
            sent = f"[{label}]({address})" if label else f"<{address}>"
        elif sign in ("@", "#") and re.fullmatch(r"[\w.-]+", what):
            unnamed = _WORDS_FOR_UNNAMED[sign] if _ID.fullmatch(what) else sign + what
            sent = sign + name.lstrip(sign) if name.lstrip(sign) else unnamed
        elif what in _GROUPS:
            sent = f"@{what}"
        elif what and what.startswith("subteam^"):
            unnamed = "a group" if _ID.fullmatch(what, len("subteam^")) else f"@{what.removeprefix('subteam^')}"
            sent = f"@{name.lstrip('@')}" if name.lstrip("@") else unnamed
        elif what and what.startswith("date^"):
            sent = name
        return self._replace(*token.span(), sent) if sent else token.start() + 1

    def _read_tag(self, tag: regex.Match[str]) -> int:
        name = tag["name"].lower()
        self._record_visible_text(tag.start())
        if tag["end"]:
            return self._read_end_tag(name, tag)
        if name == "br":
            return self._break_line(tag)
        if name == "img":
            return self._read_image(tag)
        if name in tags.ENDS and (end := self._read_element(name, tag)):
            return end
        if self.held_from >= 0:
            return tag.end()
        return self._open_tag(name, tag)

    def _break_line(self, tag: regex.Match[str]) -> int:
        start = self._space_before(tag.start(), " \t")
        end = _SPACE.match(self.text, tag.end()).end()  # type: ignore[union-attr]
        if end == len(self.text) and self._hold_back(start):
            return end
        if self.is_one_line or self.is_in_row:
            return self._replace_with_separator(tag.start(), tag.end(), "; ")
        if self.text.startswith("\n", end) or end == len(self.text) or self.is_empty:
            sent = HAIR_SPACE if self.is_line_empty and not self.is_empty else ""
            return self._replace(tag.start(), end, sent, is_seen=False)
        sent = (HAIR_SPACE if self.is_line_empty else "") + "\n" + self._block_guard(end, always=True)
        self._replace(tag.start(), end, sent, is_seen=False)
        self.is_line_empty = True
        return end

    def _replace_with_separator(self, start: int, end: int, separator: str) -> int:
        """Replaces a line-breaking tag with a separator, because the text must stay on one line."""
        tag_end, end = end, _SPACE.match(self.text, end).end()  # type: ignore[union-attr]
        is_last = bool(NOTHING_BEHIND.match(self.text, end))
        if is_last and end == len(self.text) and self._hold_back(start):
            return end
        before = self.text[:start].rstrip()[-1:] if self.read_end == start else self._character_before(start)
        sent = "" if self.is_line_empty or is_last else separator if before.isalnum() else " "
        self._replace(start, tag_end if is_last else end, sent, is_seen=False)
        self.is_line_empty = self.is_line_empty or bool(sent)
        return end

    def _space_before(self, at: int, characters: str | None = None) -> int:
        floor = next((replacement.end for replacement in self.replacements[-1:] if replacement), 0)
        return floor + len(self.text[floor:at].rstrip(characters))

    def _block_guard(self, end: int, *, always: bool = False) -> str:
        """Returns a prefix that keeps the text at the beginning of a line from becoming another block, or "" if none is
        needed."""
        if not (always or self.is_line_empty) or self.is_one_line or _BEGINS_TEXT.match(self.text, end):
            return ""
        return HAIR_SPACE

    def _read_image(self, tag: regex.Match[str]) -> int:
        attributes = tags.attributes(tag["attributes"])
        label = _link_label(attributes.get("alt", ""))
        address = _link_url(attributes.get("src", ""))
        sent = f"![{label}]({address})" if address else label
        return self._replace(*tag.span(), sent, is_seen=bool(sent))

    def _read_element(self, name: str, tag: regex.Match[str]) -> int:
        """Replaces an element together with its content (code or a superscript). Returns 0 if it doesn't have an end
        tag."""
        limit = MAX_SCRIPT_CHARS if name in tags.SCRIPTS else MAX_TAG_CHARS if name == "pre" else MAX_CONSTRUCT_CHARS
        end = tags.ENDS[name].search(self.text, tag.end(), tag.end() + limit)
        if not end:
            self._hold_back(tag.start(), limit + len(tag[0]))
            return 0
        content = self.text[tag.end() : end.start()]
        if name in tags.SCRIPTS:
            return self._replace_script(name, tag, end, content)
        if name == "pre" and not self.is_line_empty:
            self._begin_line(tag.start(), tag.start())
        code = html.unescape(tags.KNOWN_TAG.sub("", tags.LINE_BREAK.sub("\n", content)))
        if not code.strip():
            return self._replace(tag.start(), end.end(), "", is_seen=False)
        return self._replace_with_code(tag.start(), end.end(), code)

    def _replace_script(self, name: str, tag: regex.Match[str], end: re.Match[str], content: str) -> int:
        raised = content.strip().translate(tags.RAISED[name])
        is_raised = all(ord(character) in tags.RAISED[name] for character in content.strip())
        if is_raised:
            return self._replace(tag.start(), end.end(), raised)
        if not content.strip() or not re.fullmatch(r"[\w\s.,+*/()=-]+", content):
            # It contains a link or other markup, so only the tag is removed.
            self._replace(*tag.span(), "", is_seen=False)
            return tag.end()
        mark = "^" if name == "sup" else "\\_"
        inner = content.strip().replace("*", "\\*").replace("_", "\\_")
        return self._replace(tag.start(), end.end(), mark + (inner if content.strip().isalnum() else f"({inner})"))

    def _open_tag(self, name: str, tag: regex.Match[str]) -> int:
        start, end = tag.span()
        if name in tags.EMPTY and name not in tags.OFTEN_OPEN and not tag["attributes"]:
            return start + 1
        is_first = self.is_line_empty
        before = self._character_before(start)
        closing = tags.STYLES.get(name, "")
        address = ""
        if name == "a":
            address = _link_url(tags.attributes(tag["attributes"]).get("href", ""))
            closing = f"]({address})" if address else ""
            self._end_links()
        if name in tags.CELLS or name in tags.LINES:
            dropped = self._begin_line(start, end, name, tag["attributes"])
        else:
            dropped = "" if closing else self._block_guard(end)
            self._replace(start, end, dropped, is_seen=False)
        if self.held_from >= 0:
            return end
        index = len(self.replacements) - 1
        if closing and not self._open_style(index, start, "[" if address else closing):
            closing = ""
        if name not in tags.EMPTY:
            is_behind_word = before.isalnum() and tag["name"][0].isupper()
            is_meant = name in tags.OFTEN_OPEN and not is_behind_word and self.tags and not self.tags[-1].can_be_text
            can_be_text = not tag["attributes"] and not is_first and not is_meant
            self.tags.append(_OpenTag(name, start, end, index, closing, can_be_text, dropped))
        return self.read_end

    def _open_style(self, index: int, start: int, mark: str) -> bool:
        """Adds an emphasis mark after an opening tag and its white space. Returns False if one of Markdown's own marks
        is adjacent."""
        replacement = self.replacements[index]
        assert replacement
        end = _BLANK.match(self.text, replacement.end).end()  # type: ignore[union-attr]
        if end == len(self.text) and self._hold_back(start):
            return False
        if mark in "**~~" and (self.text.startswith(mark[0], end) or self.text[:start].endswith(mark[0])):
            return False
        if mark in map(attrgetter("closing"), self.tags[-MAX_TAG_DEPTH:]):
            return False
        space = " " if end > replacement.end and not self.is_line_empty else ""
        before = replacement.text[-1:] or self.text[replacement.start - 1 : replacement.start]
        if not replacement.text and index and (last := self.replacements[index - 1]) and last.end == replacement.start:
            before = last.text[-1:] or before
        after = self.text[end : end + 1]
        is_apart = mark in "**~~" and not space and before.isalnum() and not after.isalnum() and after != "<"
        hair = HAIR_SPACE if is_apart or (before == mark[0] and self.closed_at == replacement.start) else ""
        self.replacements[index] = Replacement(replacement.start, end, f"{replacement.text}{space}{hair}{mark}")
        self.read_end = end
        self.is_line_empty = self.is_empty = False
        return True

    def _read_end_tag(self, name: str, tag: regex.Match[str]) -> int:
        start, end = tag.span()
        opened = None
        if name in map(attrgetter("name"), self.tags[-MAX_TAG_DEPTH:]):
            while (opened := self.tags.pop()).name != name:
                self._resolve_unclosed(opened)
        closing = ""
        if opened and start - opened.start > MAX_CONSTRUCT_CHARS:
            self._resolve_unclosed(opened)
        elif opened and opened.closing:
            closing = self._closing_mark(opened, start)
        if name in tags.LINES:
            if closing:
                self._close_style(start, start, closing)
            self._begin_line(start, end, f"/{name}")
            return max(self.read_end, end)
        if closing:
            return self._close_style(start, end, closing)
        if opened and opened.name == "a" and not closing and not opened.closing:
            return self._replace(start, end, "", is_seen=False)
        return self._replace(start, end, self._block_guard(end), is_seen=False)

    def _closing_mark(self, opened: _OpenTag, start: int) -> str:
        """Returns the mark that closes a style, or "" for an empty element."""
        replacement = self.replacements[opened.index]
        assert replacement
        if not self.text[replacement.end : start].strip():
            self._drop_tag(opened)
            return ""
        return opened.closing

    def _close_style(self, start: int, end: int, closing: str) -> int:
        before = self._space_before(start)
        inner, after = self._character_before(before), self.text[end : end + 1]
        if before < start and not after and self._hold_back(before):
            return end
        space = " " if before < start and after.strip() else ""
        is_apart = closing in ("*", "**", "~~") and not space and after.isalnum() and not inner.isalnum()
        hair = HAIR_SPACE if is_apart or (closing[0] == after and closing[0] in "*~") else ""
        self.closed_at = end
        return self._replace(before, end, f"{closing}{space}{hair}")

    def _resolve_unclosed(self, tag: _OpenTag) -> None:
        """Keeps or drops an opening tag that doesn't have an end tag."""
        if tag.can_be_text:
            self.replacements[tag.index] = None
        else:
            self._drop_tag(tag)

    def _drop_tag(self, tag: _OpenTag) -> None:
        if replacement := self.replacements[tag.index]:
            space = self.text[tag.end : replacement.end] if tag.closing else ""
            self.replacements[tag.index] = replacement._replace(text=tag.dropped_text + space)

    def _end_links(self) -> None:
        """Ends any open links, because links can't be nested."""
        for at, tag in enumerate(self.tags[-MAX_TAG_DEPTH:]):
            if tag.name == "a" and tag.closing:
                self._resolve_unclosed(tag)
                self.tags[max(0, len(self.tags) - MAX_TAG_DEPTH) + at].closing = ""

    def _begin_line(self, start: int, end: int, name: str = "", attributes: str = "") -> str:
        """Replaces a tag that begins a new line, and the surrounding white space. Returns the replacement."""
        if name in ("tr", "/tr", "/table"):
            # The line of a finished row isn't empty.
            self.is_line_empty = self.is_line_empty and not self.is_in_row
            self.is_in_row, self.has_cell = name == "tr", False
        if self.is_in_row and name != "tr" and name not in tags.CELLS:
            return self._replace_in_one_line(start, end, " ")
        if self.is_one_line:
            return self._replace_in_one_line(start, end, "; " if name.strip("/") in tags.ITEMS else " ")
        # Only an open tag guarantees that the lines above are rewritten together with this one.
        start = self._space_before(start, None if self.tags else " \t")
        after = _BLANK.match(self.text, end).end()  # type: ignore[union-attr]
        if after == len(self.text) and self._hold_back(start):
            return ""
        sent = self._line_start(name, attributes)
        self.is_line_empty = True
        if not (name in tags.CELLS or name == "li" or name in tags.STYLES):
            sent += self._block_guard(after)
        self._replace(start, after, sent, is_seen=False)
        return sent

    def _line_start(self, name: str, attributes: str) -> str:
        """Returns the replacement for a tag that begins a new line, which consists of a line break, if one is needed,
        and a marker."""
        line_end = "" if self.is_line_empty or self.is_empty else "\n"
        if name in tags.CELLS:
            is_first, self.has_cell = not (self.has_cell and self.is_in_row), True
            return line_end if is_first else " \\| "
        if name in ("ul", "ol"):
            number = re.search(r"start\s*=\s*\W?(\d{1,6})", attributes)
            self.lists.append(None if name == "ul" else int(number[1]) if number else 1)
        elif name in ("/ul", "/ol"):
            del self.lists[-1:]
        elif name == "li":
            return line_end + self._item_marker()
        return line_end + ("———\n" if name == "hr" else "")

    def _replace_in_one_line(self, start: int, end: int, separator: str) -> str:
        self._replace_with_separator(start, end, separator)
        last = self.replacements[-1] if self.replacements else None
        return last.text if last else ""

    def _item_marker(self) -> str:
        """Returns the next list item's marker as text, without indentation, because the list's indentation isn't known
        here."""
        number = self.lists[-1] if self.lists else None
        indent = "\u2003" * min(2, max(0, len(self.lists) - 1))
        if number is None:
            return f"{indent}• "
        self.lists[-1] = number + 1
        return f"{indent or HAIR_SPACE}{number}. "


def _link_url(url: str) -> str:
    """Encodes a URL for a Markdown link. Returns "" if it doesn't have a usable scheme or has too many unsafe
    characters."""
    is_address = _SCHEME.match(url) and len(_UNSAFE.findall(url)) <= MAX_ENCODED_CHARS // 4
    return _encode_unsafe(url) if is_address else ""


def _encode_unsafe(url: str) -> str:
    return _UNSAFE.sub(lambda mark: "".join(f"%{byte:02X}" for byte in mark[0].encode()), url)


def _link_label(text: str) -> str:
    return " ".join(text.split()).translate({ord("["): "(", ord("]"): ")", ord("<"): " "})
