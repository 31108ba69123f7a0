"""Makes text that UTF-8 can encode of what JSON lets through.

JSON may hold half of a surrogate pair ("\\ud83d"), and Python reads it into a string that no socket and no database
takes. Gateways that cut by UTF-16 units send an emoji as two halves in two deltas; some send a half alone.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")


def paired(text: str) -> str:
    """The text with halves that stand side by side joined, and lone ones replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def paired_json(value: Any) -> Any:
    """A value read from JSON with each of its strings paired."""
    match value:
        case str():
            return paired(value)
        case dict():
            return {paired_json(key): paired_json(each) for key, each in value.items()}
        case list():
            return [paired_json(each) for each in value]
    return value


class Pairing:
    """Pairs a text that comes in deltas: a first half is held back until the next delta."""

    def __init__(self) -> None:
        self._high = ""

    def take(self, delta: str) -> str:
        """What of the text can be said now."""
        if not self._high and delta.isascii():
            return delta
        delta, self._high = self._high + delta, ""
        if "\ud800" <= delta[-1:] <= "\udbff":
            delta, self._high = delta[:-1], delta[-1]
        return paired(delta)

    def end(self) -> str:
        """What was held back: its second half never came."""
        alone, self._high = self._high, ""
        return paired(alone)
