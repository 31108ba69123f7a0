"""Values in Slack's JSON, by type. What is missing or of another type counts as empty: payloads change without notice.

Where a payload is of no use without a value, handlers/payloads.py raises instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack.format import blockkit

Json = Mapping[str, Any]


def string(holder: Json, key: str) -> str:
    """Returns the text under a key; "" if there is none."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def strings(holder: Json, key: str) -> list[str]:
    """Returns the texts in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def count(holder: Json, key: str) -> int:
    """Returns the number under a key; 0 if there is none, or a negative one."""
    value = holder.get(key)
    return max(0, value) if isinstance(value, int) else 0


def json_object(holder: Json, key: str) -> Json:
    """Returns the object under a key; {} if there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def json_objects(holder: Json, key: str) -> list[Json]:
    """Returns the objects in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def next_cursor(page: Json) -> str:
    """Returns the cursor of the page behind this one; "" if this is the last."""
    return string(json_object(page, "response_metadata"), "next_cursor")


_NOT_ANSWER = ("actions", "context_actions", "context")
"""Blocks that are no part of the answer."""


NOTE_LINE = "about-answer-"
"""Begins the block_id of a line about the answer, and of its buttons. Slack keeps our block_ids, and no block of an
answer has one."""


def answer_of(message: Mapping[str, Any]) -> Json:
    """Returns a message of a reply with only the answer's blocks, in the blocks that Slack made of them."""
    answers = [
        block
        for block in json_objects(message, "blocks")
        if block.get("type") not in _NOT_ANSWER and not str(block.get("block_id", "")).startswith(NOTE_LINE)
    ]
    return {"text": "" if message.get("blocks") else message.get("text", ""), "blocks": answers}


def remark(sentence: str) -> list[Json]:
    """Returns a sentence of mrkdwn in a message of its own, which is no part of the answer."""
    return [{**blockkit.section(blockkit.mrkdwn(sentence)), "block_id": f"{NOTE_LINE}remark"}]
