"""Reads typed values from Slack's JSON. Pure.

A value that is missing or has the wrong type is read as empty, because payloads change without notice. If a payload is
useless without a value, handlers/payloads.py raises an exception instead.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Payload = Mapping[str, Any]


def string(holder: Payload, key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def strings(holder: Payload, key: str) -> list[str]:
    value = holder.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def count(holder: Payload, key: str) -> int:
    value = holder.get(key)
    return max(0, value) if isinstance(value, int) else 0


def json_object(holder: Payload, key: str) -> Payload:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def json_objects(holder: Payload, key: str) -> list[Payload]:
    value = holder.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def utc_text(seconds: str) -> str:
    """Formats a string of seconds since the epoch as "2026-11-23 09:00 UTC". Returns "" if the string isn't a time."""
    try:
        return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def next_cursor(page: Payload) -> str:
    return string(json_object(page, "response_metadata"), "next_cursor")


def messages_in(answer: Payload) -> list[Payload]:
    """Returns the messages in a response from Slack. Skips objects without a ts."""
    return [message for message in json_objects(answer, "messages") if string(message, "ts")]
