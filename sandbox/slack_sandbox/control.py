"""Slack's escaping of text, and the control sequences that notify people."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

_LIVE = re.compile(r"<(?:!(?:channel|here|everyone)|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LIVE_ELEMENTS = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range"}


def escape(text: str) -> str:
    """Returns text with `&`, `<` and `>` as entities, as Slack stores it. Slack doesn't escape anything else."""
    return re.sub("[&<>]", lambda mark: _ESCAPES[mark[0]], text)


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def live_controls(text: str, blocks: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the control sequences in a message's text and blocks that would notify people."""
    controls = _LIVE.findall(text)
    for block in blocks:
        controls.extend(_controls_in(block))
    return controls


def _controls_in(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _controls_in(child)
    elif isinstance(node, dict):
        element_type = node.get("type")
        if element_type in _LIVE_ELEMENTS and (value := node.get(_LIVE_ELEMENTS[element_type])):
            yield f"{element_type}:{value}"
        elif element_type == "mrkdwn":
            yield from _LIVE.findall(str(node.get("text", "")))
        else:
            for child in node.values():
                yield from _controls_in(child)
