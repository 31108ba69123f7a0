"""Separates reasoning from the answer where a compatible server leaves both in one text.

Open models write their reasoning between tags at the beginning of a text, and servers without a reasoning parser pass
it on as it is. Reasoning counts only before the answer's first word: tags in an answer are text. Since a tag may be cut
by deltas, text is withheld as long as it could be the start of a tag.

Some models' templates put the opening tag into the prompt, so that the text starts within the reasoning. Their text is
withheld until the closing tag. If that never comes and the answer is whole, all of the text is the answer.

Each character is looked at a fixed number of times: models were seen that write line breaks without end.
"""

import re

from bot.models.stream import Thinking

# From the chat templates of open models.
_CLOSING_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
# https://huggingface.co/Qwen/Qwen3-30B-A3B-Thinking-2507, https://huggingface.co/Qwen/QwQ-32B
_STARTS_WITHIN_REASONING = re.compile(r"deepseek-r1|qwq|qwen3.*thinking", re.IGNORECASE)
_MAX_TAG_CHARS = max(map(len, _CLOSING_TAGS))
"""How long an opening tag can be."""
_NOT_BLANK = re.compile(r"\S")


class ThinkTags:
    """The text of one answer, whose reasoning is taken out as the text comes."""

    def __init__(self, model: str) -> None:
        self._closing_tag = "</think>" if _STARTS_WITHIN_REASONING.search(model) else ""
        """What ends the reasoning; "" outside of reasoning."""
        self._opening_tag_missing = bool(self._closing_tag)
        self._has_reasoning = self._opening_tag_missing
        self._answering = False
        """Whether the answer has begun. Then nothing more is taken out."""
        self._withheld: list[str] = []
        """What was looked at, and belongs to the answer if no reasoning follows."""
        self._text = ""
        """The end of the text so far. What is before `_at` was looked at."""
        self._at = 0

    def reasoning_is_separate(self) -> None:
        """Notes that the server sends the reasoning in its own field, so that all text is the answer."""
        if self._opening_tag_missing:
            self._opening_tag_missing = False
            self._closing_tag = ""

    def add(self, delta: str) -> str | Thinking:
        """Returns the text of the answer that can be shown now, or a sign of thinking."""
        if self._answering:
            return delta
        self._text = self._text[self._at :] + delta
        self._at = 0
        while not self._answering:
            if not (self._skip_reasoning() if self._closing_tag else self._find_opening_tag()):
                return Thinking(len(delta)) if self._closing_tag else ""
        return self._taken()

    def end(self, complete: bool) -> str:
        """Returns withheld text that is the answer after all. `complete`: the model ended by itself."""
        text = self._taken()
        return text if not self._closing_tag or (self._opening_tag_missing and complete) else ""

    def _taken(self) -> str:
        """Empties what is withheld, and returns it."""
        text = "".join((*self._withheld, self._text[self._at :]))
        self._withheld = []
        self._text = ""
        self._at = 0
        return text

    def _find_opening_tag(self) -> bool:
        """Returns whether the text's start is known by now: reasoning, or the answer."""
        blanks = self._skip_blanks()
        if not self._has_reasoning:
            self._withheld.append(blanks)
        for opening_tag, closing_tag in _CLOSING_TAGS.items():
            if self._text.startswith(opening_tag, self._at):
                self._closing_tag = closing_tag
                self._has_reasoning = True
                self._withheld = []
                self._at += len(opening_tag)
                return True
        start = self._text[self._at : self._at + _MAX_TAG_CHARS]
        self._answering = not any(opening_tag.startswith(start) for opening_tag in _CLOSING_TAGS)
        return self._answering

    def _skip_reasoning(self) -> bool:
        """Returns whether the reasoning has ended. While it lasts, only a possible start of the closing tag is kept."""
        if self._opening_tag_missing and not self._withheld:
            self._skip_blanks()
            self._opening_tag_missing = not self._text.startswith("<think>", self._at)
        closed_at = self._text.find(self._closing_tag, self._at)
        if closed_at >= 0:
            self._at = closed_at + len(self._closing_tag)
            self._closing_tag = ""
            self._opening_tag_missing = False
            self._withheld = []
            return True
        seen = max(self._at, len(self._text) - len(self._closing_tag))
        if self._opening_tag_missing and seen > self._at:
            # So long a text can't begin with the opening tag any more.
            self._withheld.append(self._text[self._at : seen])
        self._at = seen
        return False

    def _skip_blanks(self) -> str:
        """Passes over the blanks at the text's start, and returns them."""
        start = self._at
        found = _NOT_BLANK.search(self._text, start)
        self._at = found.start() if found else len(self._text)
        return self._text[start : self._at]
