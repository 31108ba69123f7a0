"""Slack's limits on a message's stored blocks. Markdown is translated before anything is counted."""

from collections.abc import Iterator, Sequence
from typing import Any

from slack_sandbox.workspace import Json, SlackError

BLOCKS = 50
ALL_TEXT = 13_200
"""The maximum length of all text in a message's blocks. `&`, `<` and `>` count as entities."""
HEADER_COST = 100
"""The number of characters that each header adds to the length of its text."""
HEADER_TEXT = 150
"""The longest text in a header. Measured for header blocks; assumed for Markdown headings."""
TABLE_ROWS = 100
TABLE_COLUMNS = 20
TABLE_TEXT = 10_000
"""The maximum length of the text in all table cells of a message."""
ONE_TABLE = True
"""Whether a second table is rejected, as in 2025. Slack's current rule is unknown."""

_TABLES = ("table", "data_table")
UNCOUNTED = ("task_card", "plan")
"""Blocks whose text isn't counted. 40,000 characters of a task's output were accepted."""

_EMPTY_LINE = {"type": "text", "text": "\n\n"}
_COUNTED = ("text", "alt_text")


def check_stored(blocks: Sequence[Json], limit: int = BLOCKS) -> None:
    """Raises SlackError if stored blocks exceed a limit: invalid_blocks, invalid_attachments, msg_blocks_too_long."""
    tables = [(index, block) for index, block in enumerate(blocks) if block["type"] in _TABLES]
    if problems := [*_count_problems(blocks, limit), *_header_problems(blocks), *_table_problems(tables)]:
        raise invalid_blocks_error("invalid_blocks", problems)
    if ONE_TABLE and len(tables) > 1:
        raise invalid_blocks_error(
            "invalid_attachments", [f"only_one_table_allowed [json-pointer:/blocks/{tables[1][0]}]"]
        )
    headers = sum(block["type"] == "header" for block in blocks)
    counted = [block for block in blocks if block["type"] not in UNCOUNTED]
    if text_length(counted) + HEADER_COST * headers > ALL_TEXT:
        raise SlackError("msg_blocks_too_long")


def invalid_blocks_error(error: str, problems: Sequence[str]) -> SlackError:
    messages = [f"[ERROR] {problem}" for problem in problems]
    return SlackError(error, errors=list(problems), response_metadata={"messages": messages})


def text_length(node: Any) -> int:
    """Returns the length of all text in blocks, as Slack counts it."""
    if isinstance(node, (list, tuple)):
        return sum(text_length(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = sum(_escaped_text(node[key]) for key in _COUNTED if isinstance(node.get(key), str))
    if node.get("type") == "rich_text_section" and node.get("elements") and node["elements"][-1] == _EMPTY_LINE:
        # Slack adds it itself, before the next block. 13,200 characters in two blocks were accepted.
        own -= len(_EMPTY_LINE["text"])
    if node.get("type") == "link" and "text" not in node:
        own += _escaped_text(str(node.get("url", "")))
    return own + sum(text_length(child) for child in node.values() if isinstance(child, (dict, list, tuple)))


def _escaped_text(text: str) -> int:
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _count_problems(blocks: Sequence[Json], limit: int) -> Iterator[str]:
    if len(blocks) > limit:
        yield f"no more than {limit} items allowed [json-pointer:/blocks]"


def _header_problems(blocks: Sequence[Json]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        if block["type"] == "header" and len(block["text"]["text"]) > HEADER_TEXT:
            yield f"must be less than {HEADER_TEXT + 1} characters [json-pointer:/blocks/{index}/text/text]"


def _table_problems(tables: Sequence[tuple[int, Json]]) -> Iterator[str]:
    for index, table in tables:
        rows = table.get("rows") or []
        if table["type"] == "table" and len(rows) > TABLE_ROWS:
            yield f"no more than {TABLE_ROWS} items allowed [json-pointer:/blocks/{index}/rows]"
        for number, row in enumerate(rows):
            if len(row) > TABLE_COLUMNS:
                yield f"no more than {TABLE_COLUMNS} items allowed [json-pointer:/blocks/{index}/rows/{number}]"
        if sum(text_length(other.get("rows")) for _, other in tables) > TABLE_TEXT:
            yield f"must be less than {TABLE_TEXT + 1} characters [json-pointer:/blocks/{index}/rows]"
