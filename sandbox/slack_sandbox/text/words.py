"""Extracts a message's words from its text, blocks, attachments and files, for search.

An app's `text` often has less content than its blocks or attachments, and an alert has no text at all. Typed text is in
both `text` and blocks. Extraction takes linear time in the message's length.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slack_sandbox.workspace import Json, Message

_VISIBLE_KEYS = frozenset(
    (
        *("text", "title", "pretext", "author_name", "service_name", "footer", "alt_text", "caption", "label"),
        *("description", "details", "output"),
    )
)
"""The keys in blocks and attachments whose strings people see."""
_CONTROLS = frozenset({"actions", "context_actions", "input", "button", "overflow", "static_select"})
_ONE_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words, where each character counts as a word."""
_WORD = re.compile(rf"[{_ONE_CHARACTER}]|[^\W_{_ONE_CHARACTER}]+")
_MAX_CHARS = 40_000
"""The maximum length of a message's words: Slack's own limit for a text."""
_MAX_WORD_CHARS = 40
_ASCII_WORDS = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
"""Splits ASCII text into words faster than a regular expression."""


def words_of(text: str) -> list[str]:
    """Returns a text's words in lower case, cut to a length that still distinguishes them."""
    read = text[:_MAX_CHARS]
    found = read.translate(_ASCII_WORDS).split() if read.isascii() else _WORD.findall(read.lower())
    return [word[:_MAX_WORD_CHARS] for word in found] if len(text) > _MAX_WORD_CHARS else found


def full_text(message: Message) -> str:
    return message_words(message.text, message.blocks, message.attachments, message.files)


def message_words(
    text: str, blocks: Sequence[Json] = (), attachments: Sequence[Json] = (), files: Sequence[Json] = ()
) -> str:
    """Returns a message's text, and each line of its blocks, attachments and files that adds words."""
    lines, known = [text] if text else [], set(words_of(text))
    for line in _lines(blocks, attachments, files):
        words = set(words_of(line))
        if words - known:
            lines.append(line)
            known |= words
    return "\n".join(lines)[:_MAX_CHARS]


def _lines(blocks: Sequence[Json], attachments: Sequence[Json], files: Sequence[Json]) -> Iterator[str]:
    for block in blocks:
        yield from _block_lines(block)
    for attachment in attachments:
        lines = list(_visible_strings(attachment))
        yield from lines or [str(attachment.get("fallback") or "")]
    for file in files:
        names = [str(file[key]) for key in ("title", "name", "preview") if file.get(key)]
        yield "\n".join(dict.fromkeys(names))


def _block_lines(block: Json) -> Iterator[str]:
    """Yields a block's lines. A person's rich text is one line, although styles and mentions divide it."""
    is_written = isinstance(block, dict) and block.get("type") == "rich_text"
    yield from [" ".join(_visible_strings(block))] if is_written else _visible_strings(block)


def _visible_strings(value: Any) -> Iterator[str]:
    """Yields the strings that people see in a JSON value, in order and at any depth."""
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        key, value = left.pop()
        if isinstance(value, str):
            if key in _VISIBLE_KEYS and value:
                yield value
        elif isinstance(value, list | tuple):
            left += [(key, entry) for entry in reversed(value)]
        elif isinstance(value, Mapping) and value.get("type") not in _CONTROLS:
            left += [(_effective_key(name, value), entry) for name, entry in reversed([*value.items()])]


def _effective_key(name: str, holder: Mapping[str, Any]) -> str:
    """Returns the key that a value is treated as, because an attachment field has its words in `value`."""
    if name == "value" and "title" in holder and "type" not in holder:
        return "text"
    return "text" if name == "url" and holder.get("type") == "link" and not holder.get("text") else name
