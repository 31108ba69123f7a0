"""Separates reasoning from the answer where a compatible server leaves both in one text.

Open models write their reasoning between tags at the beginning of a text, and servers without a reasoning parser pass
it on as it is. Reasoning counts only before the answer's first word: tags in an answer are text. Since a tag may be cut
by deltas, text is withheld as long as it could be the start of a tag.

Some models' templates put the opening tag into the prompt, so that the text starts within the reasoning. Their text is
withheld until the closing tag. If that never comes and the answer is whole, all of the text is the answer.
"""

import re

from bot.core.stream import Thinking

# From the chat templates of open models.
_CLOSING_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
# https://huggingface.co/Qwen/Qwen3-30B-A3B-Thinking-2507, https://huggingface.co/Qwen/QwQ-32B
_STARTS_WITHIN_REASONING = re.compile(r"deepseek-r1|qwq|qwen3.*thinking", re.IGNORECASE)


class ThinkTags:
    """The text of one answer, whose reasoning is taken out as the text comes."""

    def __init__(self, model: str) -> None:
        self._closing_tag = "</think>" if _STARTS_WITHIN_REASONING.search(model) else ""
        """What ends the reasoning; "" outside of reasoning."""
        self._opening_tag_missing = bool(self._closing_tag)
        self._has_reasoning = self._opening_tag_missing
        self._answering = False
        """Whether the answer has begun. Then nothing more is taken out."""
        self._withheld = ""

    def reasoning_is_separate(self) -> None:
        """Notes that the server sends the reasoning in its own field, so that all text is the answer."""
        if self._opening_tag_missing:
            self._opening_tag_missing = False
            self._closing_tag = ""

    def add(self, delta: str) -> str | Thinking:
        """Returns the text of the answer that can be shown now, or a sign of thinking."""
        if self._answering:
            return delta
        self._withheld += delta
        while not self._answering:
            if not (self._skip_reasoning() if self._closing_tag else self._find_opening_tag()):
                return Thinking(len(delta)) if self._closing_tag else ""
        text = self._withheld
        self._withheld = ""
        return text

    def end(self, complete: bool) -> str:
        """Returns withheld text that is the answer after all. `complete`: the model ended by itself."""
        text = self._withheld
        self._withheld = ""
        return text if not self._closing_tag or (self._opening_tag_missing and complete) else ""

    def _find_opening_tag(self) -> bool:
        """Returns whether the text's start is known by now: reasoning, or the answer."""
        text = self._withheld.lstrip()
        if self._has_reasoning:
            self._withheld = text
        for opening_tag, closing_tag in _CLOSING_TAGS.items():
            if text.startswith(opening_tag):
                self._closing_tag = closing_tag
                self._has_reasoning = True
                self._withheld = text[len(opening_tag) :]
                return True
        self._answering = not any(opening_tag.startswith(text) for opening_tag in _CLOSING_TAGS)
        return self._answering

    def _skip_reasoning(self) -> bool:
        """Returns whether the reasoning has ended. While it lasts, only a possible start of the closing tag is kept."""
        if self._opening_tag_missing and self._withheld.lstrip().startswith("<think>"):
            self._opening_tag_missing = False
        _, closed, rest = self._withheld.partition(self._closing_tag)
        if closed:
            self._withheld = rest
            self._closing_tag = ""
            self._opening_tag_missing = False
            return True
        if not self._opening_tag_missing:
            self._withheld = self._withheld[-len(self._closing_tag) :]
        return False
