"""Puts a blank line between the text parts of one answer.

An answer may hold a commentary and the final text, or text before and after a tool call. Nothing stands between such
parts in the vendors' streams. Anthropic begins a content block at each citation, within a sentence, so text blocks that
follow each other directly are one part.
"""

from collections.abc import Iterable


class TextParts:
    """The text of one answer, whose parts begin at start_part()."""

    @classmethod
    def joined(cls, texts: Iterable[str]) -> str:
        """Returns the text of an answer that came whole, from the texts of its parts."""
        parts = cls()
        joined = ""
        for text in texts:
            parts.start_part()
            joined += parts.add(text)
        return joined

    def __init__(self) -> None:
        self._part_started = False
        self._has_text = False
        self._tail = ""
        """The last two characters, which may be newlines."""

    def start_part(self) -> None:
        """Begins another part, to which the text that is added next belongs."""
        self._part_started = True

    def add(self, text: str) -> str:
        """Returns the text to append to the answer, after newlines where `text` starts another part."""
        if self._part_started and text:
            self._part_started = False
            if self._has_text:
                newlines = _leading_newlines(self._tail[::-1]) + _leading_newlines(text)
                text = "\n" * max(0, 2 - newlines) + text
        self._has_text = self._has_text or bool(text.strip())
        self._tail = text[-2:] if len(text) > 1 else (self._tail + text)[-2:]
        return text


def _leading_newlines(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))
