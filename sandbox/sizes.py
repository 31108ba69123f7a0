"""Slack's limits on a message's blocks, counted on what it stores: after Markdown is translated."""

from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.workspace import Json, SlackError

BLOCKS = 50
ALL_TEXT = 13_200
"""All text in a message's blocks, `&`, `<` and `>` counted as their entities."""
HEADER_COST = 100
"""What each header counts besides its text."""
HEADER_TEXT = 150
"""Measured for an app's own header. Here also for a heading in Markdown: what Slack does there is not known."""
TABLE_ROWS = 100
TABLE_COLUMNS = 20
TABLE_TEXT = 10_000
"""In the cells of all tables of a message."""
ONE_TABLE = True
"""A second table is refused, as in 2025. Whether Slack takes two by now is not known."""

_COUNTED = ("text", "alt_text")


def check_stored(blocks: Sequence[Json], most: int = BLOCKS) -> None:
    """Raises SlackError: invalid_blocks, invalid_attachments, msg_blocks_too_long."""
    tables = [(place, block) for place, block in enumerate(blocks) if block["type"] == "table"]
    if found := [*_too_many(blocks, most), *_long_headers(blocks), *_large_tables(tables)]:
        raise refused("invalid_blocks", found)
    if ONE_TABLE and len(tables) > 1:
        raise refused("invalid_attachments", [f"only_one_table_allowed [json-pointer:/blocks/{tables[1][0]}]"])
    headers = sum(block["type"] == "header" for block in blocks)
    if text_length(blocks) + HEADER_COST * headers > ALL_TEXT:
        raise SlackError("msg_blocks_too_long")


def refused(error: str, problems: Sequence[str]) -> SlackError:
    """The refusal, with what is wrong and where."""
    messages = [f"[ERROR] {problem}" for problem in problems]
    return SlackError(error, errors=list(problems), response_metadata={"messages": messages})


def text_length(node: Any) -> int:
    """The characters of all text in blocks, as Slack counts them."""
    if isinstance(node, (list, tuple)):
        return sum(text_length(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = sum(_escaped(node[key]) for key in _COUNTED if isinstance(node.get(key), str))
    if node.get("type") == "link" and "text" not in node:
        own += _escaped(str(node.get("url", "")))
    return own + sum(text_length(child) for child in node.values() if isinstance(child, (dict, list, tuple)))


def _escaped(text: str) -> int:
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _too_many(blocks: Sequence[Json], most: int) -> Iterator[str]:
    if len(blocks) > most:
        yield f"no more than {most} items allowed [json-pointer:/blocks]"


def _long_headers(blocks: Sequence[Json]) -> Iterator[str]:
    for place, block in enumerate(blocks):
        if block["type"] == "header" and len(block["text"]["text"]) > HEADER_TEXT:
            yield f"must be less than {HEADER_TEXT + 1} characters [json-pointer:/blocks/{place}/text/text]"


def _large_tables(tables: Sequence[tuple[int, Json]]) -> Iterator[str]:
    for place, table in tables:
        rows = table.get("rows") or []
        if len(rows) > TABLE_ROWS:
            yield f"no more than {TABLE_ROWS} items allowed [json-pointer:/blocks/{place}/rows]"
        for number, row in enumerate(rows):
            if len(row) > TABLE_COLUMNS:
                yield f"no more than {TABLE_COLUMNS} items allowed [json-pointer:/blocks/{place}/rows/{number}]"
        if sum(text_length(each.get("rows")) for _, each in tables) > TABLE_TEXT:
            yield f"must be less than {TABLE_TEXT + 1} characters [json-pointer:/blocks/{place}/rows]"
