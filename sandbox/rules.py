"""Slack's rules for what a message may hold; sizes are in characters."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sandbox.block_elements import IDENTIFIER, INPUT_LABEL, problems, text_object, too_long
from sandbox.sizes import BLOCKS, HEADER_TEXT, check_stored, refused
from sandbox.stored import stored, stored_markdown
from sandbox.workspace import Json, SlackError

UPDATE_TEXT_BYTES = 4_000
"""chat.update refuses more text than this, in UTF-8. Measured for text alone; here also where blocks come with it."""
POST_TEXT = 40_000
"""chat.postMessage cuts text here."""
MARKDOWN = 12_000
"""One markdown block, or markdown_text."""
SECTION_TEXT = 3_000
SECTION_FIELD = 2_000

_PLAIN_TYPES = ("alert", "card", "carousel", "data_table", "divider", "file", "image", "plan")
_TYPES = frozenset({*_PLAIN_TYPES, "task_card", "video"})
_RICH_TEXT = frozenset({"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"})
_CELLS = {"raw_text": "text", "raw_number": "value", "rich_text": "elements"}
"""What each kind of a table's cell must have."""
"""Known, and not looked into; those in _CHECKS are."""


def check_blocks(blocks: Any, most: int = BLOCKS) -> tuple[Json, ...]:
    """The blocks as Slack stores them: translated, with their ids. Limits count what is stored.

    Raises SlackError: invalid_blocks(_format), invalid_attachments, msg_too_long, msg_blocks_too_long.
    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if found := list(_problems(blocks)):
        raise refused("invalid_blocks", found)
    if any(len(block["text"]) > MARKDOWN for block in blocks if block["type"] == "markdown"):
        raise SlackError("msg_too_long")
    kept = stored(blocks)
    check_stored(kept, most)
    return kept


def check_markdown(markdown: str, most: int = BLOCKS) -> tuple[Json, ...]:
    """The blocks that Slack stores for a `markdown_text`. Raises SlackError, as check_blocks does."""
    if len(markdown) > MARKDOWN:
        raise SlackError("msg_too_long")
    kept = stored_markdown(markdown)
    check_stored(kept, most)
    return kept


def check_replacement(before: Sequence[Json], after: Sequence[Json]) -> None:
    """Raises SlackError("block_mismatch") where a message that begins with rich_text would lose all rich_text."""
    if before and before[0]["type"] == "rich_text" and all(block["type"] != "rich_text" for block in after):
        raise SlackError("block_mismatch")


def check_metadata(metadata: Any) -> Json | None:
    """None where it is empty, which removes it. Raises SlackError("invalid_metadata_format")."""
    if metadata == {}:
        return None
    good = isinstance(metadata, dict) and isinstance(metadata.get("event_type"), str)
    if not good or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    return dict(metadata)


def _problems(blocks: Sequence[Json]) -> Iterator[str]:
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


def _rich_text(block: Json, where: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list):
        yield f"missing required field: elements [json-pointer:{where}]"
        return
    for index, element in enumerate(elements):
        place = f"{where}/elements/{index}"
        if not isinstance(element, dict) or element.get("type") not in _RICH_TEXT:
            yield f"unsupported type [json-pointer:{place}/type]"
        elif element["type"] == "rich_text_list":
            yield from _rich_text(element, place)
        elif not _are_elements(element.get("elements")):
            yield f"missing required field: elements [json-pointer:{place}]"


def _are_elements(elements: Any) -> bool:
    return isinstance(elements, list) and all(isinstance(e, dict) and isinstance(e.get("type"), str) for e in elements)


def _table(block: Json, where: str) -> Iterator[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        yield f"missing required field: rows [json-pointer:{where}]"
        return
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            place = f"{where}/rows/{number}/{column}"
            key = _CELLS.get(str(cell.get("type"))) if isinstance(cell, dict) else None
            if key is None or key not in cell:
                yield f"missing required field: {key or 'type'} [json-pointer:{place}]"
            elif cell[key] == "":
                yield f"must be more than 0 characters [json-pointer:{place}/{key}]"
            elif key == "elements":
                yield from _rich_text(cell, place)


_CHECKS: dict[str, Callable[[Json, str], Iterator[str]]] = {
    "actions": _elements(25),
    "context": _context,
    "context_actions": _elements(5),
    "header": _header,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
}
