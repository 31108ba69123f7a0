"""Slack's rules for what a message may hold; sizes are in characters."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sandbox.block_elements import IDENTIFIER, INPUT_LABEL, problems, text_object, too_long, with_ids
from sandbox.workspace import Json, SlackError

UPDATE_TEXT = 4_000
"""chat.update refuses more text than this where no blocks come with it."""
POST_TEXT = 40_000
"""chat.postMessage cuts text here."""
MARKDOWN = 12_000
"""All markdown blocks of a message together."""
ALL_BLOCKS = 13_200
"""All text in a message's blocks (slackapi/bolt-js#2509 measured 13,297 with markdown blocks alone)."""
BLOCKS = 50
SECTION_TEXT = 3_000
SECTION_FIELD = 2_000
HEADER_TEXT = 150

_PLAIN_TYPES = ("alert", "card", "carousel", "data_table", "divider", "file", "image", "plan")
_TYPES = frozenset({*_PLAIN_TYPES, "rich_text", "table", "task_card", "video"})
"""Known, and not looked into; those in _CHECKS are."""


def check_blocks(blocks: Any, most: int = BLOCKS) -> tuple[Json, ...]:
    """The blocks, what people can use with its ids.

    Raises SlackError: invalid_blocks(_format), msg_blocks_too_long.
    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if found := list(_problems(blocks, most)):
        raise SlackError("invalid_blocks", errors=found, response_metadata={"messages": found})
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > MARKDOWN or _text_length(blocks) > ALL_BLOCKS:
        raise SlackError("msg_blocks_too_long")
    return with_ids(blocks)


def check_metadata(metadata: Any) -> Json | None:
    """None where it is empty, which removes it. Raises SlackError("invalid_metadata_format")."""
    if metadata == {}:
        return None
    good = isinstance(metadata, dict) and isinstance(metadata.get("event_type"), str)
    if not good or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    return dict(metadata)


def _problems(blocks: Sequence[Json], most: int) -> Iterator[str]:
    if len(blocks) > most:
        yield f"no more than {most} items allowed [json-pointer:/blocks]"
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        where = f"/blocks/{index}"
        if block.get("type") not in _TYPES and block.get("type") not in _CHECKS:
            yield f"unsupported type: {block.get('type')} [json-pointer:{where}/type]"
            continue
        yield from too_long(block, "block_id", IDENTIFIER, where)
        if (block_id := block.get("block_id")) and block_id in seen:
            yield f"`block_id` already exists [json-pointer:{where}/block_id]"
        seen.add(str(block_id))
        check = _CHECKS.get(block["type"])
        if check is not None:
            yield from check(block, where)


def _markdown(block: Json, where: str) -> Iterator[str]:
    if not isinstance(block.get("text"), str) or not block["text"]:
        yield f"missing required field: text [json-pointer:{where}]"


def _section(block: Json, where: str) -> Iterator[str]:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text or fields [json-pointer:{where}]"
    if "text" in block:
        yield from text_object(block["text"], SECTION_TEXT, f"{where}/text")
    for index, entry in enumerate(block.get("fields", ())):
        yield from text_object(entry, SECTION_FIELD, f"{where}/fields/{index}")
    if "accessory" in block:
        yield from problems(block["accessory"], "section", f"{where}/accessory")


def _header(block: Json, where: str) -> Iterator[str]:
    yield from text_object(block.get("text"), HEADER_TEXT, f"{where}/text", plain=True)


def _input(block: Json, where: str) -> Iterator[str]:
    yield from text_object(block.get("label"), INPUT_LABEL, f"{where}/label", plain=True)
    yield from problems(block.get("element"), "input", f"{where}/element")


def _elements(most: int) -> Callable[[Json, str], Iterator[str]]:
    def check(block: Json, where: str) -> Iterator[str]:
        elements = block.get("elements")
        if not isinstance(elements, list) or not 1 <= len(elements) <= most:
            yield f"must have 1 to {most} elements [json-pointer:{where}/elements]"
            return
        for index, element in enumerate(elements):
            yield from problems(element, block["type"], f"{where}/elements/{index}")
        ids = [e["action_id"] for e in elements if isinstance(e, dict) and "action_id" in e]
        if len(ids) != len(set(ids)):
            yield f"`action_id` already exists [json-pointer:{where}/elements]"

    return check


def _context(block: Json, where: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield f"must have 1 to 10 elements [json-pointer:{where}/elements]"
        return
    for index, element in enumerate(elements):
        if not isinstance(element, dict) or element.get("type") != "image":
            yield from text_object(element, SECTION_TEXT, f"{where}/elements/{index}")


def _text_length(node: Any) -> int:
    if isinstance(node, (list, tuple)):
        return sum(_text_length(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = len(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(_text_length(child) for child in node.values())


_CHECKS: dict[str, Callable[[Json, str], Iterator[str]]] = {
    "actions": _elements(25),
    "context": _context,
    "context_actions": _elements(5),
    "header": _header,
    "input": _input,
    "markdown": _markdown,
    "section": _section,
}
