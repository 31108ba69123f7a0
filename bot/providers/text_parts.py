"""Puts a blank line between the text parts of one answer: in the vendors' streams nothing stands between them."""


class Parts:
    """The text of an answer whose parts are told from each other by begin().

    An answer may hold a commentary and the final text, or text before and after a tool. Anthropic also begins a new
    part at each citation, in mid-sentence; we ask for none.
    """

    def __init__(self) -> None:
        self._begun = False
        self._said = False
        self._tail = ""

    def begin(self) -> None:
        """What is added next belongs to another part."""
        self._begun = True

    def add(self, text: str) -> str:
        """The text, after a blank line where it begins another part."""
        if self._begun and text:
            self._begun = False
            if self._said:
                newlines = _count(self._tail[::-1]) + _count(text)
                text = "\n" * max(0, 2 - newlines) + text
        self._said = self._said or bool(text.strip())
        self._tail = text[-2:] if len(text) > 1 else (self._tail + text)[-2:]
        return text


def _count(text: str) -> int:
    """How many newlines it begins with."""
    return len(text) - len(text.lstrip("\n"))
