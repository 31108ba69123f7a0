"""Slack's rules for a message's blocks and metadata. Sizes are in characters unless a name says bytes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from slack_sandbox.blocks.elements import (
    IDENTIFIER,
    INPUT_LABEL,
    element_problems,
    length_problems,
    text_object_problems,
)
from slack_sandbox.blocks.newer_rules import CHARTS, chart_problems, container_problems, data_table_problems
from slack_sandbox.blocks.sizes import BLOCKS, HEADER_TEXT, check_stored, invalid_blocks_error
from slack_sandbox.blocks.stored import stored_markdown, to_stored_blocks
from slack_sandbox.workspace import Json, SlackError

UPDATE_TEXT_BYTES = 4_000
"""The longest text that chat.update accepts, in UTF-8. Measured for text alone; also applied here with blocks."""
POST_TEXT = 40_000
"""chat.postMessage truncates longer text."""
MARKDOWN = 12_000
"""The longest text in one markdown block, or in markdown_text."""
SECTION_TEXT = 3_000
SECTION_FIELD = 2_000
SECTION_FIELDS = 10

_PLAIN_TYPES = ("alert", "card", "carousel", "divider", "file", "image", "plan")
_TYPES = frozenset({*_PLAIN_TYPES, "task_card", "video"})
"""Known block types whose content isn't checked. `_CHECKS` has the other types."""
_RICH_TEXT = frozenset({"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"})
_CELLS = {"raw_text": "text", "raw_number": "value", "rich_text": "elements"}
"""The field that each type of table cell requires."""


def check_blocks(blocks: Any, limit: int = BLOCKS) -> tuple[Json, ...]:
    """Returns blocks as Slack stores them: translated and with IDs. Limits apply to the stored blocks.

    Raises SlackError: invalid_blocks(_format), invalid_attachments, msg_too_long, msg_blocks_too_long.
    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if problems := list(_problems(blocks)):
        raise invalid_blocks_error("invalid_blocks", problems)
    if any(len(block["text"]) > MARKDOWN for block in blocks if block["type"] == "markdown"):
        raise SlackError("msg_too_long")
    stored_blocks = to_stored_blocks(blocks)
    check_stored(stored_blocks, limit)
    return stored_blocks


def check_markdown(markdown: str, limit: int = BLOCKS) -> tuple[Json, ...]:
    """Returns the blocks that Slack stores for a `markdown_text`. Raises the same errors as check_blocks."""
    if len(markdown) > MARKDOWN:
        raise SlackError("msg_too_long")
    stored_blocks = stored_markdown(markdown)
    check_stored(stored_blocks, limit)
    return stored_blocks


def check_replacement(before: Sequence[Json], after: Sequence[Json]) -> None:
    """Raises SlackError("block_mismatch") if a message that begins with rich_text would lose all rich_text."""
    if before and before[0]["type"] == "rich_text" and all(block["type"] != "rich_text" for block in after):
        raise SlackError("block_mismatch")


def check_metadata(metadata: Any) -> Json | None:
    """Returns the metadata, or None for `{}`, which removes it. Raises SlackError("invalid_metadata_format")."""
    if metadata == {}:
        return None
    is_valid = isinstance(metadata, dict) and isinstance(metadata.get("event_type"), str)
    if not is_valid or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    return dict(metadata)


def _problems(blocks: Sequence[Json], path: str = "/blocks") -> Iterator[str]:
    block_ids: set[str] = set()
    if sum(block.get("type") == "data_visualization" for block in blocks) > CHARTS:
        yield f"no more than {CHARTS} data_visualization blocks allowed [json-pointer:{path}]"
    for index, block in enumerate(blocks):
        pointer = f"{path}/{index}"
        if block.get("type") not in _TYPES and block.get("type") not in _CHECKS:
            yield f"unsupported type: {block.get('type')} [json-pointer:{pointer}/type]"
            continue
        yield from length_problems(block, "block_id", IDENTIFIER, pointer)
        if (block_id := block.get("block_id")) and block_id in block_ids:
            yield f"`block_id` already exists [json-pointer:{pointer}/block_id]"
        block_ids.add(str(block_id))
        check = _CHECKS.get(block["type"])
        if check is not None:
            yield from check(block, pointer)


def _markdown_problems(block: Json, pointer: str) -> Iterator[str]:
    if not isinstance(block.get("text"), str) or not block["text"]:
        yield f"missing required field: text [json-pointer:{pointer}]"


def _section_problems(block: Json, pointer: str) -> Iterator[str]:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text or fields [json-pointer:{pointer}]"
    if len(block.get("fields", ())) > SECTION_FIELDS:
        yield f"no more than {SECTION_FIELDS} items allowed [json-pointer:{pointer}/fields]"
    if "text" in block:
        yield from text_object_problems(block["text"], SECTION_TEXT, f"{pointer}/text")
    for index, entry in enumerate(block.get("fields", ())):
        yield from text_object_problems(entry, SECTION_FIELD, f"{pointer}/fields/{index}")
    if "accessory" in block:
        yield from element_problems(block["accessory"], "section", f"{pointer}/accessory")


def _header_problems(block: Json, pointer: str) -> Iterator[str]:
    yield from text_object_problems(block.get("text"), HEADER_TEXT, f"{pointer}/text", plain=True)


def _input_problems(block: Json, pointer: str) -> Iterator[str]:
    yield from text_object_problems(block.get("label"), INPUT_LABEL, f"{pointer}/label", plain=True)
    if "hint" in block:
        yield from text_object_problems(block["hint"], INPUT_LABEL, f"{pointer}/hint", plain=True)
    yield from element_problems(block.get("element"), "input", f"{pointer}/element")


def _elements_checker(limit: int) -> Callable[[Json, str], Iterator[str]]:
    def check(block: Json, pointer: str) -> Iterator[str]:
        elements = block.get("elements")
        if not isinstance(elements, list) or not 1 <= len(elements) <= limit:
            yield f"must have 1 to {limit} elements [json-pointer:{pointer}/elements]"
            return
        for index, element in enumerate(elements):
            yield from element_problems(element, block["type"], f"{pointer}/elements/{index}")
        ids = [e["action_id"] for e in elements if isinstance(e, dict) and "action_id" in e]
        if len(ids) != len(set(ids)):
            yield f"`action_id` already exists [json-pointer:{pointer}/elements]"

    return check


def _context_problems(block: Json, pointer: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield f"must have 1 to 10 elements [json-pointer:{pointer}/elements]"
        return
    for index, element in enumerate(elements):
        if not isinstance(element, dict) or element.get("type") != "image":
            yield from text_object_problems(element, SECTION_TEXT, f"{pointer}/elements/{index}")


def _rich_text_problems(block: Json, pointer: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list):
        yield f"missing required field: elements [json-pointer:{pointer}]"
        return
    for index, element in enumerate(elements):
        child_pointer = f"{pointer}/elements/{index}"
        if not isinstance(element, dict) or element.get("type") not in _RICH_TEXT:
            yield f"unsupported type [json-pointer:{child_pointer}/type]"
        elif element["type"] == "rich_text_list":
            yield from _rich_text_problems(element, child_pointer)
        else:
            yield from _leaf_problems(element.get("elements"), child_pointer)


def _leaf_problems(elements: Any, pointer: str) -> Iterator[str]:
    """Yields the problems of a line, quote or code, which can't be empty. A link's text can be empty."""
    if not isinstance(elements, list) or not elements:
        yield f"missing required field: elements [json-pointer:{pointer}]"
        return
    for index, element in enumerate(elements):
        child_pointer = f"{pointer}/elements/{index}"
        if not isinstance(element, dict) or not isinstance(element.get("type"), str):
            yield f"missing required field: type [json-pointer:{child_pointer}]"
        elif element["type"] == "text" and not isinstance(element.get("text"), str):
            yield f"missing required field: text [json-pointer:{child_pointer}]"
        elif element.get("text") == "":
            yield f"must be more than 0 characters [json-pointer:{child_pointer}/text]"


def _table_problems(block: Json, pointer: str) -> Iterator[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        yield f"missing required field: rows [json-pointer:{pointer}]"
        return
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            child_pointer = f"{pointer}/rows/{number}/{column}"
            key = _CELLS.get(str(cell.get("type"))) if isinstance(cell, dict) else None
            if key is None or key not in cell:
                yield f"missing required field: {key or 'type'} [json-pointer:{child_pointer}]"
            elif cell[key] == "":
                yield f"must be more than 0 characters [json-pointer:{child_pointer}/{key}]"
            elif key == "elements":
                yield from _rich_text_problems(cell, child_pointer)


def _container_problems(block: Json, pointer: str) -> Iterator[str]:
    yield from container_problems(block, pointer)
    children = block.get("child_blocks")
    if isinstance(children, list) and all(isinstance(child, dict) for child in children):
        yield from _problems(children, f"{pointer}/child_blocks")


def _data_table_problems(block: Json, pointer: str) -> Iterator[str]:
    if problems := list(_table_problems(block, pointer)):
        yield from problems
    else:
        yield from data_table_problems(block, pointer)


_CHECKS: dict[str, Callable[[Json, str], Iterator[str]]] = {
    "container": _container_problems,
    "data_table": _data_table_problems,
    "data_visualization": chart_problems,
    "actions": _elements_checker(25),
    "context": _context_problems,
    "context_actions": _elements_checker(5),
    "header": _header_problems,
    "input": _input_problems,
    "markdown": _markdown_problems,
    "rich_text": _rich_text_problems,
    "section": _section_problems,
    "table": _table_problems,
}
