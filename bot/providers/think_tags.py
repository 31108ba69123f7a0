"""Tells the reasoning from the answer where a compatible server leaves both in one text."""

import re

from bot.core.stream import Thinking

# Of the chat templates of open models, as their servers pass them on where no reasoning parser is set.
_CLOSED_BY = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
# Their templates put the opening tag into the prompt, so that the text begins in the middle of the reasoning:
# https://huggingface.co/Qwen/Qwen3-30B-A3B-Thinking-2507, https://huggingface.co/Qwen/QwQ-32B
_BEGINS_WITHIN = re.compile(r"deepseek-r1|qwq|qwen3.*thinking", re.IGNORECASE)


class ThinkTags:
    """Takes an answer's text as it comes; reasoning counts only before the answer's first word.

    A tag that is never closed leaves no answer. A model known to leave out the opening tag has its text held back
    until the closing one; without that, all of it is the answer.
    """

    def __init__(self, model: str) -> None:
        self._closing = "</think>" if _BEGINS_WITHIN.search(model) else ""
        """The tag that would end the reasoning; "" where none has begun."""
        self._unopened = bool(self._closing)
        self._thought = self._unopened
        self._answering = False
        self._held = ""

    def separated(self) -> None:
        """The server gives the reasoning in a field of its own: what is in the text is the answer."""
        if self._unopened:
            self._unopened, self._closing = False, ""

    def take(self, delta: str) -> str | Thinking:
        """What of the answer can be said now."""
        if self._answering:
            return delta
        self._held += delta
        while not self._answering:
            if not (self._closed() if self._closing else self._opened()):
                return Thinking(len(delta)) if self._closing else ""
        said, self._held = self._held, ""
        return said

    def end(self, whole: bool) -> str:
        """What was held back and is the answer after all; `whole`: the model came to its end."""
        said, self._held = self._held, ""
        return said if not self._closing or (self._unopened and whole) else ""

    def _opened(self) -> bool:
        """Whether it is known now what the text begins with."""
        text = self._held.lstrip()
        if self._thought:
            self._held = text
        for tag, closing in _CLOSED_BY.items():
            if text.startswith(tag):
                self._closing, self._held, self._thought = closing, text[len(tag) :], True
                return True
        self._answering = not any(tag.startswith(text) for tag in _CLOSED_BY)
        return self._answering

    def _closed(self) -> bool:
        """Whether the reasoning has ended; of an opened one only what may be the closing tag's start is kept."""
        if self._unopened and self._held.lstrip().startswith("<think>"):
            self._unopened = False
        _, closed, rest = self._held.partition(self._closing)
        if closed:
            self._held, self._closing, self._unopened = rest, "", False
            return True
        if not self._unopened:
            self._held = self._held[-len(self._closing) :]
        return False
