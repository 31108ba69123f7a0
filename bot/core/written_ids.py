"""Finds Slack IDs in a model's text, and replaces them with names. Pure.

Models know people by name, but tool results and pasted text contain IDs: `<@U0123ABCD>`, `<#C0123ABCD>` and
`<!subteam^S0123ABCD>`, or `@U0123ABCD`. IDs in quotation marks or at the beginning of code aren't changed.
"""

import re
from collections.abc import Mapping
from functools import partial

_ID = r"(?=[A-Z]{0,14}\d)[A-Z0-9]"
WRITTEN_ID = re.compile(
    rf"(?<![\w`\"'=])(?:<(?:@|#|!subteam\^)(?P<id>[UWCGS]{_ID}{{2,14}})(?:\|(?P<name>[^<>|\n]{{0,80}}))?>"
    rf"|(?<!<)@(?P<bare>[UW]{_ID}{{4,14}})(?!\w))"
)
PARTIAL_ID = re.compile(r"(?:<(?:[@#]|![subteam^]{0,8})?[A-Z0-9]{0,15}(?:\|[^<>|\n]{0,80})?|@[A-Z0-9]{0,15})?\Z")
"""Matches the end of a text that might become an ID once more text follows. Otherwise, matches the empty string
there."""
_MARKUP = re.compile(r"[\\`*_~\[\]<>|]")
_UNKNOWN = {"C": "a channel", "G": "a channel", "S": "a group", "U": "someone", "W": "someone"}


def written_ids(text: str) -> list[str]:
    return [found["id"] or found["bare"] for found in WRITTEN_ID.finditer(text)]


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Returns text with names instead of IDs. `names`: names by ID. An ID without a name is replaced with a word such
    as “someone”."""
    return WRITTEN_ID.sub(partial(_replacement, names), text)


def _replacement(names: Mapping[str, str], found: re.Match[str]) -> str:
    id_ = found["id"] or found["bare"]
    name = " ".join((names.get(id_) or found["name"] or "").split()).lstrip("@#")
    sign = "#" if id_[0] in "CG" else "@"
    return sign + _MARKUP.sub(r"\\\g<0>", name) if name else _UNKNOWN[id_[0]]
