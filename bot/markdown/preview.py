"""A text without Markdown's marks, for notifications and screen readers, and escaped for a message's `text`."""

import html
import re

from bot.markdown.blocks import LeafBlock, LeafKind, code_content, parse_blocks
from bot.markdown.escaping import JOINER
from bot.markdown.links import without_schemes

PREVIEW_CHARS = 150
MAX_READ_CHARS = 1_000
"""How much of a text is read for its preview."""

_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_INCOMPLETE_LINK = re.compile(r"!?\[([^\[\]]*)(?:\]\([^()]*)?$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s|]*)>")
_EMPHASIS = re.compile(r"(?<![\\*])\*+(?=[^\s*])|(?<=[^\s*\\])\*+|~~|`+|(?<![^\W_])_+(?=\S)|(?<=\S)_+(?![^\W_])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HEADING_MARKS = re.compile(r"^\s*#{1,6}(?:\s|$)|\s#+\s*$")
_TASK_MARKER = re.compile(r"^\[[ xX]\]\s")
_CELL_END = re.compile(r"\s*(?<!\\)\|\s*")
_SEEN = re.compile(r"[^\W_]|[^\x00-\x7f\s]")
"""Matches a letter, a digit or an emoji."""
_SENTENCES = re.compile(r".*(?:[.!?](?=\s)|[。！？])", re.DOTALL)
_JOINS_GRAPHEME = re.compile(r"[\u0300-\u036f\u200d\ufe0f\U0001f3fb-\U0001f3ff]")
_BROADCAST_HANDLE = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.I)
_ENTITY = re.compile(r"&(?=(?:lt|gt|amp);)")


def first_words(markdown: str, *, growing: bool) -> str:
    """Returns a text's first sentences or words, about as many as `PREVIEW_CHARS`.

    No word is cut; the result is "" while no word is complete. `growing`: the text may continue.
    """
    head = markdown[:MAX_READ_CHARS].replace("\r\n", "\n")
    incomplete = growing or len(markdown) > MAX_READ_CHARS
    leaf_blocks = parse_blocks(head, last_line_incomplete=incomplete).leaf_blocks
    parts = [_plain_text(head, leaf) for leaf in leaf_blocks if leaf.kind is not LeafKind.FENCED_CODE]
    words = " ".join("".join(_punctuated(part) for part in parts[:-1]).split() + "".join(parts[-1:]).split())
    if not words and not growing:
        # The answer is code alone, or a thematic break.
        code = [code_content(head, leaf) for leaf in leaf_blocks if leaf.kind is LeafKind.FENCED_CODE]
        words = " ".join(" ".join(code).split() or head.split())
    if len(words) > PREVIEW_CHARS:
        return _shortened(words)
    if incomplete and words and not head[-1:].isspace() and leaf_blocks[-1].lines[-1].end == len(head):
        return words.rpartition(" ")[0]
    return words


def has_word(markdown: str, *, growing: bool) -> bool:
    """Returns whether a reader of a text sees a word, and not only Markdown's marks.

    Code counts, and the language of a fence doesn't. `growing`: the text may continue. Only the first `MAX_READ_CHARS`
    are read: a longer text counts as having a word.
    """
    blocks = parse_blocks(markdown, last_line_incomplete=growing) if len(markdown) <= MAX_READ_CHARS else None
    if blocks is None:
        return True
    decided = [leaf for leaf in blocks.leaf_blocks if leaf.lines[0].start != blocks.ambiguous_line]
    texts = (
        code_content(markdown, leaf) if leaf.kind is LeafKind.FENCED_CODE else _plain_text(markdown, leaf)
        for leaf in decided
    )
    return any(map(_SEEN.search, texts))


def beginning(text: str, max_chars: int) -> str:
    """Returns the beginning of a text in one line, cut between words where possible."""
    words = " ".join(text.split())
    if len(words) <= max_chars:
        return words
    return (words[:max_chars].rpartition(" ")[0] or words[: max_chars - 1]) + "…"


def _punctuated(part: str) -> str:
    """Ends a part with a full stop if it has no punctuation of its own, as headings and list items don't."""
    part = part.strip()
    return f"{part}. " if part[-1:].isalnum() else f"{part} "


def _plain_text(markdown: str, leaf: LeafBlock) -> str:
    lines = [markdown[line.content : line.end] for line in leaf.lines]
    match leaf.kind:
        case LeafKind.INDENTED_CODE:
            return " ".join(lines)
        case LeafKind.TABLE:
            rows = (_CELL_END.sub(", ", line.strip().strip("|")).strip() for line in [lines[0], *lines[2:]])
            return "; ".join(_without_marks(row) for row in rows) + "."
        case LeafKind.HEADING:
            return _without_marks(_HEADING_MARKS.sub("", lines[0] if len(lines) == 1 else " ".join(lines)))
    return _without_marks(_TASK_MARKER.sub("", " ".join(lines)))


def _without_marks(text: str) -> str:
    # Links twice: an image may be a link's label.
    for pattern in (_LINK, _LINK, _INCOMPLETE_LINK, _AUTOLINK):
        text = pattern.sub(r"\1", text)
    return html.unescape(_ESCAPE.sub(r"\1", _EMPHASIS.sub("", text)))


def _shortened(words: str) -> str:
    head = words[: PREVIEW_CHARS + 1]
    sentences = _SENTENCES.match(head)
    if sentences and sentences.end() > PREVIEW_CHARS // 3:
        return sentences[0]
    if " " in head:
        return head.rpartition(" ")[0] + "…"
    # A script without spaces, or a URL: cut between graphemes.
    end = PREVIEW_CHARS
    while end and (_JOINS_GRAPHEME.match(words, end) or words[end - 1] == "\u200d"):
        end -= 1
    # Marks alone have no place to cut.
    return words[: end or PREVIEW_CHARS] + "…"


def mrkdwn(text: str) -> str:
    """Escapes plain text for a message's `text`, which Slack reads as mrkdwn, decoding entities once.

    Addresses of files in Slack are no links there.
    """
    text = without_schemes(text)
    return _BROADCAST_HANDLE.sub(f"@{JOINER}", _ENTITY.sub("&amp;", text).replace("<", "&lt;"))
