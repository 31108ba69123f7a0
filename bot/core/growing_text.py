"""A text that grows by a model's deltas. Pure."""

from bot.core.surrogates import Pairing


class GrowingText:
    """Keeps a text as UTF-8. A list of deltas takes seven times the memory, and StringIO keeps one, in Python 3.11."""

    __slots__ = ("_pairing", "_utf8")

    def __init__(self, text: str = "") -> None:
        self._utf8 = bytearray()
        self._pairing = Pairing()
        self.append(text)

    def append(self, delta: str) -> None:
        """Adds to the text. Surrogates are repaired, which would hold up decoding otherwise."""
        self._utf8 += self._pairing.take(delta).encode()

    def clear(self) -> None:
        """Empties the text."""
        self._utf8.clear()
        self._pairing.end()

    def __str__(self) -> str:
        return self._utf8.decode() + self._pairing.held_back

    def __bool__(self) -> bool:
        return bool(self._utf8 or self._pairing.held_back)
