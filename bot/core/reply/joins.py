r"""What is missing between an answer's text and a model's continuation: a space, a line break, or nothing. Pure.

An answer is continued in a new turn of the model. Few models begin a turn with white space, even where the text ends
after a whole word or a whole sentence, so the parts can't always be put side by side: "…Earth." and "The moon" would be
glued. White space that a model does write is kept as it is, and so is white space that the text ends with. Without
either, the first of these cases decides that fits:

| The text ends | The continuation begins | Between | Reason |
| --- | --- | --- | --- |
| in fenced code that is open | with the closing fence | line break | Within a line, it would close nothing |
| in code, or a code span that is open | with anything else | nothing | In code, any character may be meant |
| with closed code, a thematic break or an underline | with anything | blank line | The rest of the line stays empty |
| in a table, with a complete row | with `\|` | line break | It is the next row |
| in a table, with a complete row | with anything else | blank line | Only that ends a table |
| with another line in pipes | with `\|` | line break | It is a table's next line |
| in an incomplete row | with anything else | nothing | Cells need no space |
| anywhere | with a fence, or `##` | blank line | These occur nowhere but at a line's start |
| in a list item or a quote | with a marker of the same kind | line break | It is the next item or line |
| with a whole sentence, or in a heading | with a marker of a block | blank line | It is another block |
| in a heading, after a word or sentence | with a capital | blank line | A heading is one line |
| in a list item, with a whole sentence | with a word | blank line | The item is complete |
| with a sentence or clause | with a word | space | Two sentences are never glued |
| with a closed bracket, quote or emphasis | with a word | space | A word seldom goes on behind one |
| with a letter | with `**`, a quote or a code span | space | These seldom open within a word |
| with a small letter | with a capital and a small letter | space | Two words; a capital within a word is rarer |
| anywhere else | with anything else | nothing | The text ends in mid-word, or the script has no spaces |

Some ends look like sentences and are none: a number (`3.` and `14`, `1,` and `000`), an acronym (`U.` and `S.`), an
address or a path (`https://example.` and `com`). Nothing is put there.

The table decides by at most LOOKAHEAD_CHARS of the continuation, so that it never depends on how a stream is split.
"""

import re

from bot.core.reply.markdown.block_parser import BlockParser, LeafBlock, LeafKind, cell_count, recent_part

LOOKAHEAD_CHARS = 8
"""How much of a continuation the cases look at."""

LINE = "\n"
PARAGRAPH = "\n\n"

_SCRIPTS_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u9fff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Chinese and Japanese. Korean has spaces."""
_CLOSERS = "\"'”’»)]*_`~"
_FULL_WIDTH_CLOSERS = "」』）】》"
_OPENERS = "([“‘«"
_MARK = re.compile(r"\*+|_+|~+|[\"'`(\[“‘«]")
_LAST_MARK = re.compile(r"(?:\*+|_+|~+|[\"`])$")
_OPENS_A_WORD = re.compile(r"\*\*|[\"“«`]")
_SENTENCE_END = re.compile(r"\S[.!?…。！？．｡؟।:;]$")
_ITEM_END = re.compile(r"\S[.!?…。！？．｡؟।]$")
_CLAUSE_END = re.compile(r"\S,$")
_FULL_WIDTH = "。！？．｡"
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+")
_ACRONYM_GOES_ON = re.compile(r"[^\W\d_]\.")
_ADDRESS = re.compile(r"[/@\\_]|[^\W\d_]{2,}\.\w")
_FENCE = re.compile(r"`{3}|~{3}")
_SUBHEADING = re.compile(r"#{2,6} ")
_BULLET = re.compile(r"[-*] ")
_NUMBER = re.compile(r"\d{1,4}[.)] ")
_MARKER = re.compile(r"#{1,6} |> |[-*] |\d{1,4}[.)] |\|")
MAX_WORD_CHARS = 100
"""A longer word isn't begun again. Without a limit, the whole text would be searched for its last word."""
_LAST_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{3,}$")


class TextEnd:
    """Where and how a text ends that a model continues. The text doesn't end with white space."""

    def __init__(self, text: str) -> None:
        self.recent = text = recent_part(text)
        self._parser = BlockParser(text)
        self._line = ""
        start = 0
        for line in self._parser.lines():
            self._parser.parse_line(line)
            self._line = text[line.content : line.end]
            start = line.start
        leaves = self._parser.blocks.leaf_blocks
        self._leaf = leaves[-1] if leaves and leaves[-1].lines[-1].start == start else None
        is_underline = bool(leaves) and leaves[-1].kind is LeafKind.HEADING and not self._line.strip("=- \t")
        self._is_rule = self._parser.blocks.thematic_breaks[-1:] == [start] or (self._leaf is None and is_underline)
        """Whether the last line is a thematic break, or the underline of a heading."""

    @property
    def last_word(self) -> str:
        """The word that the text ends in or with, if it is long enough to be recognized when it is repeated.

        "" in code, and in scripts without spaces.
        """
        word = _LAST_WORD.search(self.recent, max(0, len(self.recent) - MAX_WORD_CHARS))
        is_word = word and not self._in_code and not _SCRIPTS_WITHOUT_SPACES.search(word[0])
        return word[0] if word and is_word else ""

    def missing_before(self, continuation: str) -> str:
        """Returns what is missing between the text and a continuation that doesn't begin with white space."""
        begins = continuation[:LOOKAHEAD_CHARS]
        if self._in_code:
            return LINE if self._closes_fence(begins) else ""
        if self._ends_closed_line:
            return "" if begins[:1] == self.recent[-1:] else PARAGRAPH
        between_blocks = self._between_blocks(begins)
        return self._within_line(begins) if between_blocks is None else between_blocks

    @property
    def closes_code(self) -> bool:
        """Whether the text ends with the fence that closes code."""
        return self._kind is LeafKind.FENCED_CODE and not self._in_code

    @property
    def _ends_closed_line(self) -> bool:
        """Whether nothing can follow in the text's last line."""
        return self.closes_code or self._is_rule

    @property
    def _kind(self) -> LeafKind | None:
        return self._leaf.kind if self._leaf else None

    @property
    def _in_code(self) -> bool:
        if self._kind is LeafKind.FENCED_CODE:
            return bool(self._leaf and self._leaf.closing)
        return self._kind is LeafKind.INDENTED_CODE or self._line.count("`") % 2 == 1

    def _closes_fence(self, begins: str) -> bool:
        fence = self._leaf.fence if self._leaf else ""
        line, newline, _ = begins.partition("\n")
        rest = line.removeprefix(fence).lstrip(fence[:1])
        is_whole = bool(newline) or len(begins) < LOOKAHEAD_CHARS
        return bool(fence) and line.startswith(fence) and is_whole and not rest.strip()

    def _between_blocks(self, begins: str) -> str | None:
        """Returns the line break before another row, item or block; None if the line goes on."""
        if self._kind is LeafKind.TABLE or self._line.startswith("|"):
            return self._between_rows(begins)
        if begins[:1] == self.recent[-1:]:
            # The second half of a mark, as of `**`, is no marker.
            return None
        if _FENCE.match(begins) or _SUBHEADING.match(begins):
            return PARAGRAPH
        if self._repeats_marker(begins):
            return LINE
        is_heading = self._kind is LeafKind.HEADING
        is_sentence = bool(_SENTENCE_END.search(self._core))
        if _MARKER.match(begins):
            return PARAGRAPH if is_heading or is_sentence else None
        if is_heading and _is_word(begins):
            return PARAGRAPH if is_sentence or _first_of(begins).isupper() else None
        is_item = bool(self._parser.containers) and self._parser.containers[-1] is not None
        if is_item and _ITEM_END.search(self._core) and self._within_line(begins):
            return PARAGRAPH
        return None

    def _between_rows(self, begins: str) -> str:
        if not self._line.endswith("|"):
            return ""
        if begins.startswith("|"):
            return LINE
        return PARAGRAPH if self._leaf and self._is_complete_row(self._leaf) else ""

    def _is_complete_row(self, leaf: LeafBlock) -> bool:
        header = self.recent[leaf.lines[0].content : leaf.lines[0].end]
        return leaf.kind is LeafKind.TABLE and cell_count(self._line) >= cell_count(header)

    def _repeats_marker(self, begins: str) -> bool:
        """Whether the continuation begins with a marker like that of the list item or quote that the text ends in."""
        if not self._parser.containers:
            return False
        item = self._parser.containers[-1]
        if item is None:
            return begins.startswith("> ")
        return bool((_BULLET if item.number is None else _NUMBER).match(begins))

    def _within_line(self, begins: str) -> str:
        """Returns the space that is missing in a line that goes on, or ""."""
        if not _is_word(begins) or self._closes_mark(begins) or self._ends_with_open_mark:
            return ""
        first = _first_of(begins)
        core = self._core
        if _SENTENCE_END.search(core) or _CLAUSE_END.search(core):
            return "" if self._is_no_sentence(begins, first) else " "
        last = self.recent[-1]
        if begins[0] != first:
            return " " if last.isalpha() and _OPENS_A_WORD.match(begins) else ""
        if last in _CLOSERS:
            return "" if last in "'’" else " "
        is_new_word = last.islower() and first.isupper() and not begins[1:2].isupper()
        return " " if is_new_word and not _ADDRESS.search(self._last_token) else ""

    @property
    def _core(self) -> str:
        """The last characters of the text, without the quotes, brackets and emphasis that close behind a sentence."""
        return self.recent[-40:].rstrip(_CLOSERS + _FULL_WIDTH_CLOSERS)[-2:]

    @property
    def _last_token(self) -> str:
        return self.recent[-200:].rpartition(" ")[2].rpartition("\n")[2]

    def _closes_mark(self, begins: str) -> bool:
        """Whether the continuation begins with the second half of a pair, such as `**` or a quote."""
        mark = _MARK.match(begins)
        if not mark:
            return False
        if mark[0] in _OPENERS:
            # The address of a link, or an image.
            return self.recent.endswith(("]", " !")) or self.recent == "!"
        return self._is_open(mark[0])

    @property
    def _ends_with_open_mark(self) -> bool:
        mark = _LAST_MARK.search(self.recent[-40:])
        return mark is not None and self._is_open(mark[0])

    def _is_open(self, mark: str) -> bool:
        """Whether a mark that looks the same where it opens and where it closes is open in the last line."""
        return self._line.count(mark) % 2 == 1

    def _is_no_sentence(self, begins: str, first: str) -> bool:
        """Whether a number, an acronym or an address may go on behind the mark that the text ends with."""
        token, mark = self._last_token, self._core[-1]
        if first.isdigit():
            return mark in _FULL_WIDTH or (mark in ".,:" and self.recent[-1] == mark and token[-2:-1].isdigit())
        if first != begins[0] or self.recent[-1] != mark:
            return False
        if _ACRONYM.fullmatch(token.lstrip("([\"'“‘*_")) and _ACRONYM_GOES_ON.match(begins):
            return True
        return not first.isupper() and bool(_ADDRESS.search(token[:-1]))


def _first_of(begins: str) -> str:
    """Returns the first character behind brackets, quotes and emphasis; "" if there is none."""
    mark = _MARK.match(begins)
    return begins[mark.end() if mark else 0 :][:1]


def _is_word(begins: str) -> bool:
    """Whether a continuation begins with a word of a script that has spaces between words, or with a number."""
    first = _first_of(begins)
    return first.isalnum() and not _SCRIPTS_WITHOUT_SPACES.match(first)
