"""Slack's own marks in text: escaping, and the control sequences that notify people."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

_LIVE = re.compile(r"<(?:!(?:channel|here|everyone)|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LIVE_ELEMENTS = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range"}


def escape(text: str) -> str:
    """Text as Slack keeps it: only these three are escaped."""
    return re.sub("[&<>]", lambda mark: _ESCAPES[mark[0]], text)


def unescape(text: str) -> str:
    """Text as readers see it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def live_controls(text: str, blocks: Sequence[dict[str, Any]]) -> list[str]:
    """All that would notify somebody in a message's text and blocks."""
    found = _LIVE.findall(text)
    for block in blocks:
        found.extend(_in_block(block))
    return found


def _in_block(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _in_block(child)
    elif isinstance(node, dict):
        kind = node.get("type")
        if kind in _LIVE_ELEMENTS and (what := node.get(_LIVE_ELEMENTS[kind])):
            yield f"{kind}:{what}"
        elif kind == "mrkdwn":
            yield from _LIVE.findall(str(node.get("text", "")))
        else:
            for child in node.values():
                yield from _in_block(child)
