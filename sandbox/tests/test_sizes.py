"""Slack's limits on stored blocks and on edits, with the sizes that other projects measured."""

from collections.abc import Sequence

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.blocks import sizes
from slack_sandbox.blocks.rules import check_blocks, check_markdown
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Json, SlackError

GENERAL = "C0GENERAL"


def markdown(text: str) -> list[Json]:
    return [{"type": "markdown", "text": text}]


def context(text: str = "quiet") -> Json:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def headings(count: int, prose: int) -> list[Json]:
    """Returns Markdown with headings of alternately 31 and 32 characters, followed by prose."""
    lines = [f"# {'h' * (31 + number % 2)}" for number in range(count)]
    return markdown("\n".join([*lines, "x" * prose]))


def table(rows: int = 1, columns: int = 1, cell: str = "x") -> str:
    row = f"|{cell}" * columns + "|"
    return "\n".join([row, "|-" * columns + "|", *[row] * (rows - 1)])


CHART: Json = {
    "type": "data_visualization",
    "title": "Answers",
    "chart": {"type": "pie", "segments": [{"label": "long", "value": 1}]},
}


def bars(count: int, label: str = "Nov", categories: int | None = None) -> Json:
    """Returns a chart with this many bars. `categories`: the number of categories on the axis, if different."""
    labels = [f"{label} {number}" for number in range(count)]
    series = {"name": "tokens", "data": [{"label": name, "value": 0} for name in labels]}
    axis = {"categories": labels[:categories]}
    return {**CHART, "chart": {"type": "bar", "series": [series], "axis_config": axis}}


def data_table(rows: int = 2) -> Json:
    return {"type": "data_table", "caption": "c", "rows": [[{"type": "raw_text", "text": "a"}]] * rows}


def container(*blocks: Json) -> Json:
    return {"type": "container", "title": {"type": "plain_text", "text": "t"}, "child_blocks": list(blocks)}


def rich_text(*elements: Json, kind: str = "rich_text_section") -> list[Json]:
    return [{"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}]


def refusal(blocks: Sequence[Json]) -> str | None:
    """Returns the error's name with its first message, or None if the blocks are accepted."""
    try:
        check_blocks(list(blocks))
    except SlackError as error:
        messages = error.fields.get("response_metadata", {}).get("messages", [""])
        return f"{error.error} {messages[0]}".strip()
    return None


SIZES: dict[str, tuple[Sequence[Json], str | None]] = {
    "12,000 characters of Markdown": (markdown("x" * 12_000), None),
    "12,000 characters of two bytes": (markdown("é" * 12_000), None),
    "12,001 characters of Markdown": (markdown("x" * 12_001), "msg_too_long"),
    "metabase: under 13,202 in all": ([*markdown("x" * 12_000), *markdown("x" * 1_200)], None),
    "metabase: 13,202 in all": ([*markdown("x" * 12_000), *markdown("x" * 1_202)], "msg_blocks_too_long"),
    "2,640 entities": (markdown("&" * 2_640), None),
    "2,641 entities": (markdown("&" * 2_641), "msg_blocks_too_long"),
    "markup does not count": ([*markdown("**x** " * 2_000), *markdown("x" * 9_000)], None),
    "chickpea: 20 headings and 10,563": (headings(20, 10_563), None),
    "chickpea: 20 headings and 10,625": (headings(20, 10_625), "msg_blocks_too_long"),
    "chickpea: 40 headings and 7,875": (headings(40, 7_875), None),
    "chickpea: 40 headings and 7,954": (headings(40, 7_954), "msg_blocks_too_long"),
    "chickpea: 49 headings and a paragraph": (headings(49, 100), None),
    "50 blocks": (markdown("---\n" * 50), None),
    "51 blocks": (
        markdown("---\n" * 51),
        "invalid_blocks [ERROR] no more than 50 items allowed [json-pointer:/blocks]",
    ),
    "16 parts of heading, text and rule are 48": (markdown("# a\nb\n\n---\n" * 16), None),
    "17 parts are 51": (
        markdown("# a\nb\n\n---\n" * 17),
        "invalid_blocks [ERROR] no more than 50 items allowed [json-pointer:/blocks]",
    ),
    "the app's own blocks count": (
        [*markdown("---\n" * 49), context(), context()],
        "invalid_blocks [ERROR] no more than 50 items allowed [json-pointer:/blocks]",
    ),
    "a heading of 150 characters": (markdown("# " + "x" * 150), None),
    "a heading of 151 characters": (
        [context(), *markdown("# " + "x" * 151)],
        "invalid_blocks [ERROR] must be less than 151 characters [json-pointer:/blocks/1/text/text]",
    ),
    "a table of 100 rows": (markdown(table(rows=100)), None),
    "a table of 101 rows": (
        markdown(table(rows=101)),
        "invalid_blocks [ERROR] no more than 100 items allowed [json-pointer:/blocks/0/rows]",
    ),
    "a table of 20 columns": (markdown(table(columns=20)), None),
    "a table of 21 columns": (
        markdown(table(columns=21)),
        "invalid_blocks [ERROR] no more than 20 items allowed [json-pointer:/blocks/0/rows/0]",
    ),
    "10,000 characters in cells": (markdown(table(rows=10, columns=10, cell="x" * 100)), None),
    "10,001 characters in cells": (
        markdown(table(rows=10, columns=10, cell="x" * 100) + f"\n|{'x'}|"),
        "invalid_blocks [ERROR] must be less than 10001 characters [json-pointer:/blocks/0/rows]",
    ),
    "two tables": (
        markdown(f"{table()}\n\nand\n\n{table()}"),
        "invalid_attachments [ERROR] only_one_table_allowed [json-pointer:/blocks/2]",
    ),
    "a table's empty cell, from Markdown": (markdown("|a|\n|-|\n||"), None),
    "a table's empty cell, the app's own": (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}],
        "invalid_blocks [ERROR] must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]",
    ),
    "a link without a text": (rich_text({"type": "link", "url": "https://example.com"}), None),
    "hermes-agent: a quote of nothing": (
        rich_text(kind="rich_text_quote"),
        "invalid_blocks [ERROR] missing required field: elements [json-pointer:/blocks/0/elements/0]",
    ),
    "hermes-agent: empty code": (
        rich_text({"type": "text", "text": ""}, kind="rich_text_preformatted"),
        "invalid_blocks [ERROR] must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]",
    ),
    "slack-go: a link with an empty text": (
        rich_text({"type": "link", "url": "https://example.com", "text": ""}),
        "invalid_blocks [ERROR] must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]",
    ),
    "a data table, a container with Markdown and two charts": (
        [data_table(), {**container(*markdown("a")), "subtitle": {"type": "mrkdwn", "text": "b"}}, CHART, CHART],
        None,
    ),
    "a data table shares the limit of one table": (
        [*markdown(table()), data_table()],
        "invalid_attachments [ERROR] only_one_table_allowed [json-pointer:/blocks/1]",
    ),
    "a data table without rows below its header": (
        [data_table(rows=1)],
        "invalid_blocks [ERROR] must have 2 to 101 rows [json-pointer:/blocks/0/rows]",
    ),
    "a data table without a caption": (
        [{**data_table(), "caption": ""}],
        "invalid_blocks [ERROR] missing required field: caption [json-pointer:/blocks/0]",
    ),
    "a container of 11 blocks": (
        [container(*[{"type": "divider"}] * 11)],
        "invalid_blocks [ERROR] must have 1 to 10 blocks [json-pointer:/blocks/0/child_blocks]",
    ),
    "an invalid block in a container": (
        [container({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}})],
        "invalid_blocks [ERROR] must be less than 151 characters [json-pointer:/blocks/0/child_blocks/0/text/text]",
    ),
    "three charts": (
        [CHART] * 3,
        "invalid_blocks [ERROR] no more than 2 data_visualization blocks allowed [json-pointer:/blocks]",
    ),
    "a chart of an unknown type": (
        [{**CHART, "chart": {"type": "radar"}}],
        "invalid_blocks [ERROR] value must be one of pie, bar, area, line [json-pointer:/blocks/0/chart/type]",
    ),
    "rich_text without elements": (
        [{"type": "rich_text"}],
        "invalid_blocks [ERROR] missing required field: elements [json-pointer:/blocks/0]",
    ),
    "20 bars": ([bars(20)], None),
    "21 bars": (
        [bars(21)],
        "invalid_blocks [ERROR] must have 1 to 20 items [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    "a bar's label of 21 characters": (
        [bars(1, "x" * 19)],
        "invalid_blocks [ERROR] must be less than 21 characters [json-pointer:/blocks/0/chart/series/0/data/0/label]",
    ),
    "a bar that the axis lacks": (
        [bars(2, categories=1)],
        "invalid_blocks [ERROR] labels must match the categories [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    "a rich_text element without a type": (
        [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{}]}]}],
        "invalid_blocks [ERROR] missing required field: type [json-pointer:/blocks/0/elements/0/elements/0]",
    ),
}


@pytest.mark.parametrize(("blocks", "error"), SIZES.values(), ids=SIZES.keys())
def test_limits_apply_to_stored_blocks(blocks: Sequence[Json], error: str | None) -> None:
    assert refusal(blocks) == error


def test_two_tables_are_accepted_without_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "ONE_TABLE", False)
    two = f"{table(10, 10, 'x' * 50)}\n\nand\n\n"
    assert refusal(markdown(two + table(10, 10, "x" * 50))) is None
    error = "invalid_blocks [ERROR] must be less than 10001 characters [json-pointer:/blocks/0/rows]"
    assert refusal(markdown(two + table(10, 10, "x" * 51))) == error, "the cells of both count"


def test_markdown_text_has_the_same_limits() -> None:
    with pytest.raises(SlackError, match="msg_too_long"):
        check_markdown("x" * 12_001)
    with pytest.raises(SlackError, match="invalid_blocks"):
        check_markdown("---\n" * 51)


async def post(web: AsyncWebClient, **content: object) -> str:
    return str((await web.api_call("chat.postMessage", json={"channel": GENERAL, **content}))["ts"])


async def error_of(web: AsyncWebClient, ts: str, **content: object) -> str | None:
    """Edits a message and returns the error's name, or None on success."""
    try:
        await web.api_call("chat.update", json={"channel": GENERAL, "ts": ts, **content})
    except SlackApiError as error:
        return str(error.response["error"])
    return None


BYTES = {
    "3,971 bytes": ({"text": "x" * 3_971}, None),
    "4,121 bytes of 1,993 characters": ({"text": "é" * 2_060 + "x"}, "msg_too_long"),
    "4,000 bytes": ({"text": "é" * 2_000}, None),
    "4,001 bytes": ({"text": "é" * 2_000 + "x"}, "msg_too_long"),
    "2,001 two-byte characters with blocks": ({"text": "é" * 2_001, "blocks": markdown("a")}, "msg_too_long"),
}


@pytest.mark.parametrize(("content", "error"), BYTES.values(), ids=BYTES.keys())
async def test_edit_text_is_limited_in_bytes(web: AsyncWebClient, content: Json, error: str | None) -> None:
    assert await error_of(web, await post(web, text="…"), **content) == error


RICH = {"blocks": markdown("words")}
HEADER = {"blocks": markdown("# a")}
TABLE = {"blocks": markdown(table())}
SECTION = {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Hello"}}, context()]}
CHANGES: dict[str, tuple[Json, Json, str | None]] = {
    "rich_text to a header": (RICH, HEADER, "block_mismatch"),
    "rich_text to a table": (RICH, TABLE, "block_mismatch"),
    "rich_text to a section and context": ({"text": "…"}, SECTION, "block_mismatch"),
    "text alone to a header": ({"text": "…"}, HEADER, "block_mismatch"),
    "the same by markdown_text": ({"markdown_text": "words"}, {"markdown_text": "# a"}, "block_mismatch"),
    "rich_text to header and rich_text": (RICH, {"blocks": markdown("# a\nwords")}, None),
    "rich_text to table and rich_text": (RICH, {"blocks": markdown(f"{table()}\n\nwords")}, None),
    "header and rich_text to a header": ({"blocks": markdown("# a\nwords")}, HEADER, None),
    "table and rich_text to a table": ({"blocks": markdown(f"{table()}\n\nwords")}, TABLE, None),
    "rich_text to text alone": (RICH, {"text": "words"}, None),
    "rich_text to text and no blocks": (RICH, {"text": "words", "blocks": []}, None),
    "a section to a header": (SECTION, HEADER, None),
    "an app's own rich_text to a header": (
        {"blocks": rich_text({"type": "text", "text": "x"})},
        HEADER,
        "block_mismatch",
    ),
}


@pytest.mark.parametrize(("before", "after", "error"), CHANGES.values(), ids=CHANGES.keys())
async def test_edit_cannot_remove_all_rich_text(
    web: AsyncWebClient, before: Json, after: Json, error: str | None
) -> None:
    ts = await post(web, **({"text": "x"} | before if "markdown_text" not in before else before))
    content = after if "markdown_text" in after else {"text": "x"} | after
    assert await error_of(web, ts, **content) == error
    assert await error_of(web, ts, **content) == error, "a repeated call gets the same error"


async def test_refused_edit_leaves_the_message_unchanged(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await post(web, text="x", **RICH)
    (before,) = sandbox.messages("general")
    assert await error_of(web, ts, text="y", **HEADER) == "block_mismatch"
    assert sandbox.messages("general") == [before]
