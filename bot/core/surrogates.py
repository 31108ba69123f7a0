"""Repair of lone surrogates, so that UTF-8 can encode text that was read from JSON.

JSON may contain half of a surrogate pair ("\\ud83d"). Python reads it into a string that no socket and no database
accepts. Some vendors' gateways cut text by UTF-16 units: they send an emoji as two halves in two deltas, or only one.
"""

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def paired(text: str) -> str:
    """Returns the text with adjacent halves of a pair joined and lone halves replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def paired_json(value: Any) -> Any:
    """Returns a value that was read from JSON, with each of its strings repaired."""
    match value:
        case str():
            return paired(value)
        case dict():
            return {paired_json(key): paired_json(member) for key, member in value.items()}
        case list():
            return [paired_json(element) for element in value]
    return value


class Pairing:
    """Repairs a text that comes in deltas. The first half of a pair is held back until the next delta."""

    def __init__(self) -> None:
        self._high = ""

    def take(self, delta: str) -> str:
        """Adds a delta; returns the text that is complete by now."""
        if not self._high and delta.isascii():
            return delta
        delta, self._high = self._high + delta, ""
        if "\ud800" <= delta[-1:] <= "\udbff":
            delta, self._high = delta[:-1], delta[-1]
        return paired(delta)

    def end(self) -> str:
        """Ends the text; returns U+FFFD if half of a pair was held back, else ""."""
        lone_half, self._high = self._high, ""
        return paired(lone_half)
