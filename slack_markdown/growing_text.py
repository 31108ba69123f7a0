"""Text from outside as it grows, with lone surrogates repaired, so that UTF-8 can encode what was read from JSON.

JSON may contain half of a surrogate pair ("\\ud83d"). Python reads it into a string that no socket and no database
accepts. Some vendors' gateways cut text by UTF-16 units: they send an emoji as two halves in two deltas, or only one.
"""

import json
import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPE = "\0"


def paired(text: str) -> str:
    """Returns the text with adjacent halves of a pair joined and lone halves replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return _without_lone(json.loads(json.dumps(text)) if _PAIR.search(text) else text)


def _without_lone(text: str) -> str:
    """Replaces lone halves by U+FFFD.

    A body of 3 MB may hold 500,000, which UTF-16 or an expression replaces one by one, in a quarter of a second. UTF-8
    replaces them at once, but by "?". So each "?" of the text itself becomes something else meanwhile.
    """
    text = text.replace(_ESCAPE, f"{_ESCAPE}0").replace("?", f"{_ESCAPE}1")
    text = text.encode(errors="replace").decode().replace("?", "\N{REPLACEMENT CHARACTER}")
    return text.replace(f"{_ESCAPE}1", "?").replace(f"{_ESCAPE}0", _ESCAPE)


class Pairing:
    """Repairs a text that comes in deltas. The first half of a pair is held back until the next delta."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    def add(self, delta: str) -> str:
        """Adds a delta; returns the text that is complete by now."""
        if not self._high and delta.isascii():
            return delta
        delta, self._high = self._high + delta, ""
        if "\ud800" <= delta[-1:] <= "\udbff":
            delta, self._high = delta[:-1], delta[-1]
        return paired(delta)

    @property
    def held_back(self) -> str:
        """What the text would end with if no delta followed: U+FFFD for half of a pair, else ""."""
        return paired(self._high)

    def end(self) -> str:
        """Ends the text; returns what was held back."""
        held_back, self._high = self.held_back, ""
        return held_back


class GrowingText:
    """Keeps a text as UTF-8. A list of deltas takes seven times the memory, and StringIO keeps one, in Python 3.11."""

    __slots__ = ("_chars", "_pairing", "_utf8")

    def __init__(self, text: str = "") -> None:
        self._utf8 = bytearray()
        self._chars = 0
        self._pairing = Pairing()
        self.append(text)

    def append(self, delta: str) -> None:
        """Adds to the text. Surrogates are repaired, which would hold up decoding otherwise."""
        complete = self._pairing.add(delta)
        self._utf8 += complete.encode()
        self._chars += len(complete)

    def clear(self) -> None:
        """Empties the text."""
        self._utf8.clear()
        self._chars = 0
        self._pairing.end()

    def __str__(self) -> str:
        return self._utf8.decode() + self._pairing.held_back

    def __len__(self) -> int:
        return self._chars + len(self._pairing.held_back)
