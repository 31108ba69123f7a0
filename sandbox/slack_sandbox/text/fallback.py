"""The `text` that Slack itself gives a message with blocks: their content as mrkdwn.

Recorded for native streams: it contains rich_text, headers and task titles one after the other, but not tables, and a
final part indicates that there is more than text.
"""

from collections.abc import Sequence
from typing import Final

from slack_sandbox.control import escape
from slack_sandbox.workspace import Json

_MARKS: Final = (("code", "`"), ("strike", "~"), ("italic", "_"), ("bold", "*"))
_TOKENS: Final = {
    "user": "<@{user_id}>",
    "channel": "<#{channel_id}>",
    "usergroup": "<!subteam^{usergroup_id}>",
    "broadcast": "<!{range}>",
    "emoji": ":{name}:",
}
_MORE: Final = ", with interactive elements"


def fallback_text(blocks: Sequence[Json]) -> str:
    """Returns the text that Slack stores for a stream's blocks. `&`, `<` and `>` are entities."""
    parts = [part for part in map(_block, blocks) if part]
    has_more = any(block["type"] not in ("rich_text", "header", "divider") for block in blocks)
    return " ".join(parts).rstrip() + (_MORE if has_more else "")


def _block(block: Json) -> str:
    match block["type"]:
        case "rich_text":
            return "".join(_part(element) for element in block["elements"])
        case "header":
            return escape(block["text"]["text"])
        case "task_card" | "plan":
            return escape(str(block.get("title", "")))
    return ""


def _part(element: Json) -> str:
    children: Sequence[Json] = element.get("elements", ())
    match element["type"]:
        case "rich_text_list":
            return "\n".join(_item(element, number, child) for number, child in enumerate(children))
        case "rich_text_preformatted":
            return f"```\n{_inline(children)}\n```"
        case "rich_text_quote":
            return "\n".join(f"&gt; {line}" for line in _inline(children).splitlines())
    return _inline(children)


def _item(list_: Json, index: int, item: Json) -> str:
    number = list_.get("offset", 0) + index + 1
    mark = f"{number}." if list_.get("style") == "ordered" else "•"
    return f"{'    ' * list_.get('indent', 0)}{mark} {_inline(item.get('elements', ()))}"


def _inline(elements: Sequence[Json]) -> str:
    return "".join(_styled(element) for element in elements)


def _styled(element: Json) -> str:
    text, style = _element_text(element), element.get("style") or {}
    for name, mark in _MARKS:
        if style.get(name) and text.strip():
            text = f"{mark}{text}{mark}"
    return text


def _element_text(element: Json) -> str:
    kind = element["type"]
    if token := _TOKENS.get(kind):
        return token.format(**element)
    if kind == "link":
        return f"<{element['url']}|{escape(element['text'])}>" if element.get("text") else f"<{element['url']}>"
    return escape(str(element.get("text") or element.get("fallback", "")))
