"""What Slack's JSON holds: values by type. Pure.

What is missing or of another type counts as empty, because payloads change without notice. Where a payload is of no use
without a value, handlers/payloads.py raises instead.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Payload = Mapping[str, Any]


def string(holder: Payload, key: str) -> str:
    """Returns the text under a key; "" if there is none."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def strings(holder: Payload, key: str) -> list[str]:
    """Returns the texts in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def count(holder: Payload, key: str) -> int:
    """Returns the number under a key; 0 if there is none, or a negative one."""
    value = holder.get(key)
    return max(0, value) if isinstance(value, int) else 0


def json_object(holder: Payload, key: str) -> Payload:
    """Returns the object under a key; {} if there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def json_objects(holder: Payload, key: str) -> list[Payload]:
    """Returns the objects in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def in_utc(seconds: str) -> str:
    """Returns a time such as "2026-11-23 09:00 UTC" of its seconds since the epoch; "" if they are none."""
    try:
        return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def next_cursor(page: Payload) -> str:
    """Returns the cursor of the page behind this one; "" if this is the last."""
    return string(json_object(page, "response_metadata"), "next_cursor")


def messages_in(answer: Payload) -> list[Payload]:
    """Returns the messages in an answer of Slack's. What has no ts is no message."""
    return [message for message in json_objects(answer, "messages") if string(message, "ts")]
