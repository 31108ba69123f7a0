"""Converts an app's blocks into the form that Slack stores and returns.

- `markdown` blocks are translated (text/translation.py).
- In an app's own rich_text, emoji and bare URLs become elements.
- Defaults are filled in.
- Every block gets a block_id, every interactive element an action_id.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from slack_sandbox.blocks.elements import interactive
from slack_sandbox.text.inline import merge_texts, text_elements
from slack_sandbox.text.mrkdwn import mrkdwn_blocks
from slack_sandbox.text.translation import end_last_paragraph, translate
from slack_sandbox.workspace import Json

_DEFAULTS: Final[Mapping[str, Json]] = {
    "plain_text": {"emoji": True},
    "input": {"optional": False, "dispatch_action": False},
    "plain_text_input": {"multiline": False},
}
_HANDLE: Final = re.compile(r"(?<![\w<!@])@(here|channel|everyone)\b")


def to_stored_blocks(blocks: Sequence[Json]) -> tuple[Json, ...]:
    translated = [_stored_block(block) for block in blocks]
    for index, parts in enumerate(translated[:-1]):
        if blocks[index]["type"] == "markdown" and parts:
            translated[index] = end_last_paragraph(parts)
    return with_ids([block for parts in translated for block in parts])


def stored_text(text: str) -> tuple[Json, ...]:
    return with_ids(mrkdwn_blocks(text))


def stored_markdown(markdown: str) -> tuple[Json, ...]:
    return with_ids(translate(markdown))


def with_ids(blocks: Sequence[Json]) -> tuple[Json, ...]:
    """Returns the blocks with missing block_ids and action_ids filled in.

    Slack's IDs are random. The sandbox derives its IDs from the block and its position, so that an unchanged block
    keeps its ID.
    """
    used_ids = {block.get("block_id") for block in blocks}
    result = []
    for index, block in enumerate(blocks):
        stored_block = block
        if any("action_id" not in element for _, element in interactive([block])):
            stored_block = json.loads(json.dumps(block))
            for _, element in interactive([stored_block]):
                element.setdefault("action_id", _generated_id(str(element), set()))
        if stored_block["type"] == "container":
            stored_block = {**stored_block, "child_blocks": list(to_stored_blocks(stored_block["child_blocks"]))}
        if stored_block["type"] in ("table", "data_table"):
            stored_block = {**stored_block, "rows": _cells_with_ids(stored_block["rows"], str(index))}
        if "block_id" not in stored_block:
            stored_block = {**stored_block, "block_id": _generated_id(f"{index} {stored_block}", used_ids)}
            used_ids.add(stored_block["block_id"])
        result.append(stored_block)
    return tuple(result)


def with_new_block_ids(blocks: Sequence[Json]) -> list[Json]:
    """Returns the blocks with new block_ids for rich_text. Slack changes these IDs whenever it sends a thread's root
    again."""
    used_ids = {block.get("block_id") for block in blocks}
    return [
        {**block, "block_id": _generated_id(f"other {block}", used_ids)} if block["type"] == "rich_text" else block
        for block in blocks
    ]


def _cells_with_ids(rows: Sequence[Sequence[Json]], seed: str) -> list[list[Json]]:
    return [
        [
            {**cell, "block_id": _generated_id(f"{seed} {row} {column}", set())}
            if cell.get("type") == "rich_text" and "block_id" not in cell
            else cell
            for column, cell in enumerate(cells)
        ]
        for row, cells in enumerate(rows)
    ]


def _stored_block(block: Json) -> Sequence[Json]:
    if block["type"] == "markdown":
        return translate(block["text"])
    if block["type"] == "rich_text":
        return [{**block, "elements": _split_texts(block.get("elements", []))}]
    return [with_defaults(block)]


def with_defaults(node: Any) -> Any:
    """Adds Slack's defaults to a block or element. In non-verbatim mrkdwn, `@here` becomes a token."""
    if isinstance(node, list):
        return [with_defaults(child) for child in node]
    if not isinstance(node, dict):
        return node
    full = {key: with_defaults(value) for key, value in node.items()}
    full = _DEFAULTS.get(str(full.get("type")), {}) | full
    if full.get("type") == "mrkdwn" and isinstance(full.get("text"), str) and not full.setdefault("verbatim", False):
        # Slack also does this between backticks.
        full["text"] = _HANDLE.sub(r"<!\1>", full["text"])
    return full


def _split_texts(elements: Sequence[Json]) -> list[Json]:
    """Turns emoji and bare URLs in an app's rich_text into elements. Code stays unchanged."""
    result = []
    for element in elements:
        children = element.get("elements")
        if isinstance(children, list) and element.get("type") != "rich_text_preformatted":
            leaves = not any("elements" in child for child in children)
            element = {**element, "elements": merge_texts(_leaves(children)) if leaves else _split_texts(children)}
        result.append(element)
    return result


def _leaves(elements: Sequence[Json]) -> Iterator[Json]:
    for element in elements:
        style = element.get("style") or {}
        if element.get("type") == "text" and isinstance(element.get("text"), str) and not style.get("code"):
            for part in text_elements(element["text"]):
                yield part | ({"style": style} if style else {})
        else:
            yield element


def _generated_id(seed: str, used_ids: set[str | None]) -> str:
    """Returns an ID of 3 to 6 characters, like Slack's."""
    for number in range(len(used_ids) + 1):
        digest = hashlib.sha256(f"{number}{seed}".encode(errors="replace")).digest()
        block_id = base64.b64encode(digest).decode()[: 3 + digest[-1] % 4]
        if block_id not in used_ids:
            break
    return block_id
