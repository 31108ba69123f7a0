"""JSON from outside, which may hold half of a surrogate pair in a string, one key twice, and forms of its own."""

from collections.abc import Mapping
from typing import Any

from slack_markdown.growing_text import paired


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


def objects_in(value: Any) -> list[Mapping[str, Any]]:
    """Returns the objects in a list, or the one that stands in its place; anything else counts as nothing."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Mapping)]


def object_in(value: Any) -> Mapping[str, Any]:
    """Returns the first of such objects; {} if there is none."""
    return next(iter(objects_in(value)), {})


class RepeatedKey(ValueError):
    """A JSON object has a key twice. `str()` is the key."""


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object, as json.loads hands over its members. Raises RepeatedKey.

    Of a key that it has twice, some readers take the first value and others the last.
    """
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise RepeatedKey(key)
        members[key] = value
    return members
