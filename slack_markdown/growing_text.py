r"""Growing text from external sources, with lone surrogates repaired so that it can be encoded in UTF-8.

JSON can contain half of a surrogate pair ("\ud83d"), which Python parses into a string that sockets and databases
reject. Some vendors' gateways split text between UTF-16 units, so they send the halves of an emoji in two deltas, or
send only one half.
"""

import json
import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPE = "\0"


def join_halves(text: str) -> str:
    """Joins adjacent halves of surrogate pairs in a text, and replaces lone halves with U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return _replace_lone(json.loads(json.dumps(text)) if _PAIR.search(text) else text)


def _replace_lone(text: str) -> str:
    """Replaces lone halves with U+FFFD. A 3 MB body can contain 500,000 of them, and replacing each one with UTF-16 or
    a regular expression takes a quarter of a second. Encoding as UTF-8 replaces all at once, but with "?",
    so the text's own "?" are escaped in the meantime."""
    text = text.replace(_ESCAPE, f"{_ESCAPE}0").replace("?", f"{_ESCAPE}1")
    text = text.encode(errors="replace").decode().replace("?", "\N{REPLACEMENT CHARACTER}")
    return text.replace(f"{_ESCAPE}1", "?").replace(f"{_ESCAPE}0", _ESCAPE)


class Pairing:
    """Repairs text that arrives in deltas. The first half of a pair is held back until the next delta arrives."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    def add(self, delta: str) -> str:
        """Adds a delta, and returns the text that is complete so far."""
        if not self._high and delta.isascii():
            return delta
        delta, self._high = self._high + delta, ""
        if "\ud800" <= delta[-1:] <= "\udbff":
            delta, self._high = delta[:-1], delta[-1]
        return join_halves(delta)

    @property
    def held_back(self) -> str:
        """The text to add if no further delta arrives: U+FFFD for half of a pair, otherwise ""."""
        return join_halves(self._high)

    def end(self) -> str:
        held_back, self._high = self.held_back, ""
        return held_back


class GrowingText:
    """Stores a text as UTF-8. A list of deltas, which StringIO keeps in Python 3.11, would need seven times the
    memory."""

    __slots__ = ("_chars", "_pairing", "_utf8")

    def __init__(self, text: str = "") -> None:
        self._utf8 = bytearray()
        self._chars = 0
        self._pairing = Pairing()
        self.append(text)

    def append(self, delta: str) -> None:
        complete = self._pairing.add(delta)
        self._utf8 += complete.encode()
        self._chars += len(complete)

    def clear(self) -> None:
        self._utf8.clear()
        self._chars = 0
        self._pairing.end()

    def __str__(self) -> str:
        return self._utf8.decode() + self._pairing.held_back

    def __len__(self) -> int:
        return self._chars + len(self._pairing.held_back)
