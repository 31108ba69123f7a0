"""A text that grows by a model's deltas. Pure."""

from bot.core.surrogates import paired


class GrowingText:
    """Keeps a text as UTF-8. A list of deltas takes seven times the memory, and StringIO keeps one, in Python 3.11."""

    __slots__ = ("_half", "_utf8")

    def __init__(self, text: str = "") -> None:
        self._utf8 = bytearray()
        self._half = ""
        """The first half of a surrogate pair, whose second half may come with the next delta."""
        self.append(text)

    def append(self, delta: str) -> None:
        """Adds to the text. Surrogates are repaired, which would hold up decoding otherwise."""
        if not delta.isascii() or self._half:
            delta, self._half = self._half + delta, ""
            if "\ud800" <= delta[-1] <= "\udbff":
                delta, self._half = delta[:-1], delta[-1]
            delta = paired(delta)
        self._utf8 += delta.encode()

    def clear(self) -> None:
        """Empties the text."""
        self._utf8.clear()
        self._half = ""

    def __str__(self) -> str:
        return self._utf8.decode() + paired(self._half)

    def __bool__(self) -> bool:
        return bool(self._utf8 or self._half)
