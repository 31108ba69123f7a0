"""A shape describes the allowed JSON values, as plain data.

- a type, such as `str` or `bool`: a value of exactly that type; `dict` and `list` can contain anything;
- a string, a number or None: that value;
- a compiled pattern: a string that matches it completely;
- `[shape]`: a list of such values;
- `{"key": shape, "other?": shape}`: an object with these keys and no others; those with a `?` can be missing;
- a tuple of shapes: one of them;
- `ByType`: an object, by its key `type`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Shape = Any


@dataclass(frozen=True)
class ByType:
    """Objects by their `type`. The shapes don't include that key."""

    shapes: Mapping[str, Mapping[str, Shape]]


def problems(value: Any, shape: Shape, where: str = "") -> list[str]:
    """Returns a value's differences from the shape, each with its path."""
    return list(_problems(value, shape, where or "(root)"))


def _problems(value: Any, shape: Shape, where: str) -> Iterator[str]:
    match shape:
        case ByType():
            yield from _type_problems(value, shape, where)
        case dict():
            yield from _object_problems(value, shape, where)
        case tuple():
            by_alternative = [list(_problems(value, alternative, where)) for alternative in shape]
            yield from min(by_alternative, key=len)
        case [inner]:
            yield from _list_problems(value, inner, where)
        case re.Pattern():
            if not isinstance(value, str) or not shape.fullmatch(value):
                yield f"{where}: {value!r} does not match {shape.pattern}"
        case type():
            if type(value) is not shape:
                yield f"{where}: {type(value).__name__} instead of {shape.__name__}"
        case _:
            if value != shape or type(value) is not type(shape):
                yield f"{where}: {value!r} instead of {shape!r}"


def _object_problems(value: Any, shape: Mapping[str, Shape], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {type(value).__name__} instead of an object"
        return
    known = {key.removesuffix("?"): inner for key, inner in shape.items()}
    for key in value.keys() - known.keys():
        yield f"{where}/{key}: not a key of it"
    for key in shape.keys() - value.keys():
        if not key.endswith("?"):
            yield f"{where}/{key}: missing"
    for key in value.keys() & known.keys():
        yield from _problems(value[key], known[key], f"{where}/{key}")


def _list_problems(value: Any, inner: Shape, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: {type(value).__name__} instead of a list"
        return
    for index, element in enumerate(value):
        yield from _problems(element, inner, f"{where}/{index}")


def _type_problems(value: Any, shape: ByType, where: str) -> Iterator[str]:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in shape.shapes:
        yield f"{where}: type {kind!r} is not one of {', '.join(shape.shapes)}"
        return
    yield from _object_problems(value, {"type": kind, **shape.shapes[kind]}, where)
