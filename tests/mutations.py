"""Payloads as Slack never sent them: a value is missing, null, nested one level deeper, or of another type."""

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

OTHERS: tuple[Any, ...] = ("other", 7, [], {"type": "other"}, True, [None], 0.5, {}, "")
GONE = object()


def mutations(payload: Any, depth: int = 100) -> Iterator[tuple[str, Any]]:
    """Yields each mutation of a payload with its name: the path, and what became of the value there."""
    for number, (path, value) in enumerate(_values(payload, depth)):
        where = "/".join(map(str, path))
        other = next(o for o in OTHERS[number % len(OTHERS) :] + OTHERS if type(o) is not type(value))
        yield f"{where} is missing", _changed(payload, path, GONE)
        yield f"{where} is null", _changed(payload, path, None)
        yield f"{where} is nested", _changed(payload, path, [value] if number % 2 else {"value": value})
        yield f"{where} is {other!r}", _changed(payload, path, other)


def _values(value: Any, depth: int, before: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, inner in _items(value) if depth else ():
        yield (*before, key), inner
        yield from _values(inner, depth - 1, (*before, key))


def _items(value: Any) -> list[tuple[str | int, Any]]:
    return list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())


def _changed(payload: Any, path: Path, value: Any) -> Any:
    """Returns the payload with another value at the path; everything else is shared with it."""
    if not path:
        return value
    key, *rest = path
    inner = value if not rest else _changed(payload[key], tuple(rest), value)
    items = [(k, inner if k == key else v) for k, v in _items(payload)]
    left = [(k, v) for k, v in items if v is not GONE]
    return dict(left) if isinstance(payload, dict) else [v for _, v in left]
