"""An app's blocks as Slack stores and returns them.

Markdown is translated, defaults are filled in, an app's own rich_text comes back with its emoji and addresses as
elements, and every block has a block_id.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sandbox.block_elements import interactive
from sandbox.inline import merged, text_elements
from sandbox.mrkdwn import mrkdwn_blocks
from sandbox.translation import translate
from sandbox.workspace import Json

_DEFAULTS: Final[Mapping[str, Json]] = {
    "plain_text": {"emoji": True},
    "input": {"optional": False, "dispatch_action": False},
    "plain_text_input": {"multiline": False},
}
_HANDLE: Final = re.compile(r"(?<![\w<!@])@(here|channel|everyone)\b")


def stored(blocks: Sequence[Json]) -> tuple[Json, ...]:
    """The blocks that Slack stores for those that an app sends."""
    return with_ids([kept for block in blocks for kept in _kept(block)])


def stored_text(text: str) -> tuple[Json, ...]:
    """The blocks that Slack stores for a text without blocks."""
    return with_ids(mrkdwn_blocks(text))


def stored_markdown(markdown: str) -> tuple[Json, ...]:
    """The blocks that Slack stores for Markdown alone."""
    return with_ids(translate(markdown))


def with_ids(blocks: Sequence[Json]) -> tuple[Json, ...]:
    """The blocks with a block_id each, and an action_id for each element that people can use.

    Slack makes them up at random; here the same block in the same place gets the same id again.
    """
    taken = {block.get("block_id") for block in blocks}
    out = []
    for place, block in enumerate(blocks):
        kept = block
        if any("action_id" not in element for _, element in interactive([block])):
            kept = json.loads(json.dumps(block))
            for _, element in interactive([kept]):
                element.setdefault("action_id", _made_up(str(element), set()))
        if "block_id" not in kept:
            kept = {**kept, "block_id": _made_up(f"{place} {kept}", taken)}
            taken.add(kept["block_id"])
        out.append(kept)
    return tuple(out)


def _kept(block: Json) -> Sequence[Json]:
    if block["type"] == "markdown":
        return translate(block["text"])
    if block["type"] == "rich_text":
        return [{**block, "elements": _mutated(block.get("elements", []))}]
    return [filled(block)]


def filled(node: Any) -> Any:
    """What an app sends with Slack's defaults; handles in mrkdwn that is not verbatim become tokens."""
    if isinstance(node, list):
        return [filled(child) for child in node]
    if not isinstance(node, dict):
        return node
    kept = {key: filled(value) for key, value in node.items()}
    kept = _DEFAULTS.get(str(kept.get("type")), {}) | kept
    if kept.get("type") == "mrkdwn" and isinstance(kept.get("text"), str) and not kept.setdefault("verbatim", False):
        # Also between backticks.
        kept["text"] = _HANDLE.sub(r"<!\1>", kept["text"])
    return kept


def _mutated(elements: Sequence[Json]) -> list[Json]:
    """An app's rich_text elements, their emoji and bare addresses as elements; code stays as it is."""
    out = []
    for element in elements:
        inner = element.get("elements")
        if isinstance(inner, list) and element.get("type") != "rich_text_preformatted":
            leaves = not any("elements" in each for each in inner)
            element = {**element, "elements": merged(_leaves(inner)) if leaves else _mutated(inner)}
        out.append(element)
    return out


def _leaves(elements: Sequence[Json]) -> Iterator[Json]:
    for element in elements:
        style = element.get("style") or {}
        if element.get("type") == "text" and isinstance(element.get("text"), str) and not style.get("code"):
            for part in text_elements(element["text"]):
                yield part | ({"style": style} if style else {})
        else:
            yield element


def _made_up(said: str, taken: set[str | None]) -> str:
    for number in range(len(taken) + 1):
        made = base64.b64encode(hashlib.sha256(f"{number}{said}".encode(errors="replace")).digest()).decode()[:5]
        if made not in taken:
            break
    return made
