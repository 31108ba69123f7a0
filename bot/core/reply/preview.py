"""A Markdown text's first words without its marks: for notifications, and for those who hear a message read."""

import html
import re

from bot.core.reply.markdown import block_parser
from bot.core.reply.markdown.block_parser import BlockKind, Leaf

SHORT_CHARS = 150
READ_CHARS = 1_000
"""No more than this of the text is looked at."""

_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_HALF_LINK = re.compile(r"!?\[([^\[\]]*)(?:\]\([^()]*)?$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s|]*)>")
_EMPHASIS = re.compile(r"(?<![\\*])\*+(?=[^\s*])|(?<=[^\s*\\])\*+|~~|`+|(?<![^\W_])_+(?=\S)|(?<=\S)_+(?![^\W_])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HEADING = re.compile(r"^\s*#{1,6}(?:\s|$)|\s#+\s*$")
_TASK = re.compile(r"^\[[ xX]\]\s")
_CELL = re.compile(r"\s*(?<!\\)\|\s*")
_SENTENCE = re.compile(r".*(?:[.!?](?=\s)|[。！？])", re.DOTALL)
_JOINED = re.compile(r"[\u0300-\u036f\u200d\ufe0f\U0001f3fb-\U0001f3ff]")


def first_words(markdown: str, *, growing: bool) -> str:
    """The first sentence or so, never cut inside a word; "" where no word is whole yet."""
    head = markdown[:READ_CHARS].replace("\r\n", "\n")
    partial = growing or len(markdown) > READ_CHARS
    found = block_parser.scan(head, partial=partial).leaves
    parts = [_words(head, leaf) for leaf in found if leaf.kind is not BlockKind.FENCE]
    words = " ".join("".join(_ended(part) for part in parts[:-1]).split() + "".join(parts[-1:]).split())
    if not words and not growing:
        # An answer may be but code, or a rule.
        code = [block_parser.code(head, leaf) for leaf in found if leaf.kind is BlockKind.FENCE]
        words = " ".join(" ".join(code).split() or head.split())
    if len(words) > SHORT_CHARS:
        return _shortened(words)
    if partial and words and not head[-1:].isspace() and found[-1].lines[-1].end == len(head):
        return words.rpartition(" ")[0]
    return words


def beginning(text: str, most_chars: int) -> str:
    """A text's beginning in one line, cut between words where there are any."""
    words = " ".join(text.split())
    if len(words) <= most_chars:
        return words
    return (words[:most_chars].rpartition(" ")[0] or words[: most_chars - 1]) + "…"


def _ended(part: str) -> str:
    """A title and an item have no full stop of their own."""
    part = part.strip()
    return f"{part}. " if part[-1:].isalnum() else f"{part} "


def _words(markdown: str, leaf: Leaf) -> str:
    lines = [markdown[line.content : line.end] for line in leaf.lines]
    match leaf.kind:
        case BlockKind.CODE:
            return " ".join(lines)
        case BlockKind.TABLE:
            rows = (_CELL.sub(", ", line.strip().strip("|")).strip() for line in [lines[0], *lines[2:]])
            return "; ".join(_unmarked(row) for row in rows) + "."
        case BlockKind.HEADING:
            return _unmarked(_HEADING.sub("", lines[0] if len(lines) == 1 else " ".join(lines)))
    return _unmarked(_TASK.sub("", " ".join(lines)))


def _unmarked(text: str) -> str:
    for pattern in (_LINK, _LINK, _HALF_LINK, _AUTOLINK):
        text = pattern.sub(r"\1", text)
    return html.unescape(_ESCAPE.sub(r"\1", _EMPHASIS.sub("", text)))


def _shortened(words: str) -> str:
    head = words[: SHORT_CHARS + 1]
    sentence = _SENTENCE.match(head)
    if sentence and sentence.end() > SHORT_CHARS // 3:
        return sentence[0]
    if " " in head:
        return head.rpartition(" ")[0] + "…"
    # A script without spaces, or an address.
    end = SHORT_CHARS
    while _JOINED.match(words, end) or words[end - 1] == "\u200d":
        end -= 1
    return words[:end] + "…"
