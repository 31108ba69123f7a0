"""A text that grows by a model's deltas. Pure."""


class GrowingText:
    """Keeps a text as UTF-8. A list of deltas takes seven times the memory, and StringIO keeps one, in Python 3.11."""

    __slots__ = ("_utf8",)

    def __init__(self, text: str = "") -> None:
        self._utf8 = bytearray()
        self.append(text)

    def append(self, delta: str) -> None:
        """Adds to the text. Half of a surrogate pair is kept as it is."""
        self._utf8 += delta.encode("utf-8", "surrogatepass")

    def clear(self) -> None:
        """Empties the text."""
        self._utf8.clear()

    def __str__(self) -> str:
        return self._utf8.decode("utf-8", "surrogatepass")

    def __bool__(self) -> bool:
        return bool(self._utf8)
