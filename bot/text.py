"""External text and JSON, which can contain control characters, half of a surrogate pair, or repeated keys."""

import re
from collections.abc import Mapping
from typing import Any

from slack_markdown.growing_text import join_halves

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """Returns text without the characters that could control a terminal. Keeps line breaks (LF) and tabs."""
    return _CONTROLS.sub("", text)


def with_joined_surrogates(value: Any) -> Any:
    match value:
        case str():
            return join_halves(value)
        case dict():
            return {with_joined_surrogates(key): with_joined_surrogates(member) for key, member in value.items()}
        case list():
            return [with_joined_surrogates(element) for element in value]
    return value


def objects_in(value: Any) -> list[Mapping[str, Any]]:
    """Returns the objects in a list, or a single object that was sent instead of a list. Ignores other values."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Mapping)]


def object_in(value: Any) -> Mapping[str, Any]:
    return next(iter(objects_in(value)), {})


class RepeatedKey(ValueError):
    """A JSON object has a repeated key, which `str()` returns."""


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds a JSON object for json.loads. Raises RepeatedKey, because parsers disagree on a repeated key's value."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise RepeatedKey(key)
        members[key] = value
    return members
