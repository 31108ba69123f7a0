"""Charts: which tables Slack draws, and what readers have where it draws none."""

import random
import re
import time

import pytest

from bot.core import texts
from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.reply import blocks as reply_blocks
from bot.reply.charts import MAX_PARTS, MAX_POINTS, has_charts, split_at_charts, without_chart_marks
from bot.reply.edits import Post
from bot.reply.messages import PageView
from bot.reply.reply import Reply
from bot.reply.streams import needs_edit
from bot.slack.blockkit import Json
from slack_sandbox.blocks.rules import check_blocks
from tests.core import conversations
from tests.pictures import ended
from tests.reply.outcomes import done, refused

SALES = "| Quarter | 2025 | 2026 |\n|---|---|---|\n| Q1 | 4 | 5.5 |\n| Q2 | 1,200 | -3 |\n"
ENDED = End(EndReason.WHOLE, footer="openai/test")


def marked(table: str, line: str = "bar: Sales", fence: str = "```") -> str:
    return f"Here it is.\n\n{table}\n{fence}chart\n{line}\n{fence}\n\nThat is all."


def drawn(markdown: str) -> list[Json]:
    """Returns the charts of an ended page, as Slack takes them. The message's text has their titles."""
    sent = reply_blocks.message(ended(markdown, ENDED))
    blocks = sent["blocks"]
    check_blocks(blocks)
    assert "chart\n" not in str(blocks[0]["text"])
    charts = [block for block in blocks if block["type"] == "data_visualization"]
    assert re.findall(r"^Chart: (.*)$", sent["text"], re.MULTILINE) == [chart["title"] for chart in charts]
    return charts


@pytest.mark.parametrize("kind", ["bar", "line", "area"])
@pytest.mark.parametrize("fence", ["```", "````", "~~~"])
def test_table_becomes_series_over_its_first_column(kind: str, fence: str) -> None:
    [chart] = drawn(marked(SALES, f"{kind}: Sales of 2026", fence))
    assert chart["title"] == "Sales of 2026"
    assert chart["chart"] == {
        "type": kind,
        "series": [
            {"name": "2025", "data": [{"label": "Q1", "value": 4}, {"label": "Q2", "value": 1_200}]},
            {"name": "2026", "data": [{"label": "Q1", "value": 5.5}, {"label": "Q2", "value": -3}]},
        ],
        "axis_config": {"categories": ["Q1", "Q2"]},
    }


def test_table_of_one_column_becomes_a_pie() -> None:
    [chart] = drawn(marked("| Fruit | Share |\n|:--|--:|\n| **Apples** | 60 % |\n| Pears | 40% |\n", "Pie"))
    assert (chart["title"], chart["chart"]["segments"]) == (
        "Share",
        [{"label": "Apples", "value": 60}, {"label": "Pears", "value": 40}],
    )


@pytest.mark.parametrize("sizes", [(0, 60, 40), (60, 0, 40), (60, 40, 0), (0, 0, 7)])
def test_part_of_zero_has_no_place_in_a_pie(sizes: tuple[int, ...]) -> None:
    parts = list(zip("abc", sizes, strict=True))
    table = "| Fruit | Share |\n|---|---|\n" + "".join(f"| {name} | {size} |\n" for name, size in parts)
    [chart] = drawn(marked(table, "pie"))
    assert chart["chart"]["segments"] == [{"label": name, "value": size} for name, size in parts if size]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("9007199254740992", 2**53),
        ("9007199254740993", None),
        ("12,345,678,901,234,567,890", None),
        ("10000000000000000000", 10**19),
        ("0.1", 0.1),
        ("0.10", 0.1),
        ("0.12345678901234567890", None),
        ("-3.0", -3),
        (f"0.{'0' * 400}1", None),
    ],
)
def test_number_is_drawn_if_a_float_holds_its_digits(cell: str, value: float | None) -> None:
    charts = drawn(marked(SALES.replace("5.5", cell)))
    values = [chart["chart"]["series"][1]["data"][0]["value"] for chart in charts]
    assert values == ([] if value is None else [value])


def rows(count: int) -> str:
    return "| a | b |\n|---|---|\n" + "".join(f"| r{number} | {number} |\n" for number in range(count))


UNDRAWN = {
    "a cell that is no number": SALES.replace("5.5", "about five"),
    "an empty cell": SALES.replace("5.5", ""),
    "a number of two units": SALES.replace("5.5", "4 h 30"),
    "no number that a float holds": SALES.replace("5.5", "9" * 400),
    "two rows of one name": SALES.replace("Q2", "Q1"),
    "two columns of one name": SALES.replace("2025", "2026"),
    "a name that mentions": SALES.replace("Q2", "<@U0ADA>"),
    "a name that is an address": SALES.replace("Q2", "https://evil.example"),
    "rows of other lengths": SALES + "| Q3 | 4 |\n",
    "no rows": "| a | b |\n|---|---|\n",
    "one column": "| a |\n|---|\n| 1 |\n",
    "more rows than Slack draws": rows(MAX_POINTS + 1),
    "more columns than Slack draws": "|a|b|c|d|e|f|g|h|\n|-|-|-|-|-|-|-|-|\n|x|1|2|3|4|5|6|7|\n",
    "no table": "Words.\n",
    "a table above other words": f"{SALES}\nWords.\n",
}


@pytest.mark.parametrize("table", UNDRAWN.values(), ids=UNDRAWN)
def test_table_that_slack_does_not_draw_stays_a_table(table: str) -> None:
    assert drawn(marked(table)) == []
    shown = shapes(marked(table))
    assert texts.answers.CHART_NOT_DRAWN in "".join(shown)
    assert shapes(without_chart_marks(marked(table))) == [shown[0].replace(f"\n{texts.answers.CHART_NOT_DRAWN}", "")]


@pytest.mark.parametrize(
    "table",
    [
        "| R | Sales | Change | By |\n|---|---|---|---|\n| N | 1,204,113 € | +12% | Ada |\n| S | 9 € | -3% | Al |\n",
        "| Region | Weight | Share |\n|---|---|---|\n| North | 4 kg | 12 pp |\n| South | 5.5\u00a0kg | -1 pp |\n",
        "| Region | State | A | B |\n|---|---|---|---|\n| North | open | $4 | 1 |\n| South | | 5 % | 2 |\n",
    ],
)
def test_text_columns_and_units_cost_no_chart(table: str) -> None:
    [chart] = drawn(marked(table))
    assert len(chart["chart"]["series"]) == 2
    assert texts.answers.CHART_NOT_DRAWN not in str(shapes(marked(table)))


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (rows(MAX_POINTS), "bar"),
        ("|a|b|c|d|e|f|g|\n|-|-|-|-|-|-|-|\n|x|1|2|3|4|5|6|\n", "line"),
        (rows(MAX_PARTS), "pie"),
    ],
    ids=["rows", "columns", "parts"],
)
def test_as_much_as_slack_draws_is_drawn(table: str, kind: str) -> None:
    assert len(drawn(marked(table, kind))) == 1


@pytest.mark.parametrize(
    "table", [rows(MAX_PARTS + 1), SALES, "| a | b |\n|---|---|\n| x | -1 |\n", "| a | b |\n|---|---|\n| x | 0 |\n"]
)
def test_numbers_that_make_no_whole_are_no_pie(table: str) -> None:
    assert drawn(marked(table, "pie")) == []


@pytest.mark.parametrize("line", ["", "radar: Sales", "bar: Sales\nx = 1", "new Chart(context)"])
def test_code_of_another_kind_stays_code(line: str) -> None:
    markdown = marked(SALES, line)
    assert (has_charts(markdown), without_chart_marks(markdown), split_at_charts(markdown)) == (
        False,
        markdown,
        [(markdown, None)],
    )


def test_message_has_two_charts_at_most() -> None:
    *drawn, (rest, last) = split_at_charts("\n\n".join([marked(SALES)] * 3))
    assert len(drawn) == 2
    assert last is None
    assert "Q1" in rest, "a table"
    assert "chart\n" not in rest
    assert texts.answers.CHART_NOT_DRAWN in rest


def shapes(markdown: str) -> list[str]:
    """Returns what an ended page's blocks show, in their order: the text of each, or "chart"."""
    blocks = reply_blocks.message(ended(markdown, ENDED))["blocks"]
    check_blocks(blocks)
    above = [block for block in blocks if block["type"] in ("markdown", "data_visualization")]
    return [re.sub(r"\n+", "\n", block["text"]).strip() if block["type"] == "markdown" else "chart" for block in above]


MARK = "```chart\nbar: Sales\n```\n"
TABLE = "| a | b |\n|---|---|\n| x | 1 |"
IN_LIST = TABLE.replace("\n", "\n   ")


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (f"{TABLE}\n\n{MARK}\nas the chart above shows.", [TABLE, "chart", "as the chart above shows."]),
        (f"{TABLE}\n{MARK}as the chart above shows.", [TABLE, "chart", "as the chart above shows."]),
        (f"{TABLE}\n\n{MARK}", [TABLE, "chart"]),
        # Slack would not know in one piece what another one defines.
        (
            f"See [x].\n\n{TABLE}\n\n{MARK}\n\n[x]: https://a.example",
            [f"See [x].\n{TABLE}\n[x]: https://a.example", "chart"],
        ),
        # A chart divides no list and no quotation.
        (
            "1. Sales:\n\n   " + IN_LIST + "\n\n   " + MARK.replace("\n", "\n   ").rstrip() + "\n   More.\n\nEnd.",
            [f"1. Sales:\n   {IN_LIST}\n   More.", "chart", "End."],
        ),
        (
            "> " + f"{TABLE}\n\n{MARK}".rstrip().replace("\n", "\n> ") + "\n> More.\n\nEnd.",
            ["> " + f"{TABLE}\n\nMore.".replace("\n", "\n> "), "chart", "End."],
        ),
    ],
)
def test_chart_stands_where_its_mark_stood(markdown: str, expected: list[str]) -> None:
    assert shapes(markdown) == expected


def test_page_that_grows_shows_the_table_alone() -> None:
    blocks = reply_blocks.message(PageView(marked(SALES), growing=True))["blocks"]
    assert "data_visualization" not in [block["type"] for block in blocks]
    assert "bar: Sales" not in str(blocks)


def test_charts_that_slack_refuses_cost_the_answer_neither_its_table_nor_its_form() -> None:
    reply = Reply(conversations.answer())
    reply.append(marked(SALES))
    reply.finish(ENDED)
    first = reply.next_call()
    assert isinstance(first, Post)
    assert "data_visualization" in str(reply_blocks.message(first.view))
    refused(reply, first, Refusal.UNREADABLE)
    again = reply.next_call()
    assert isinstance(again, Post)
    message = reply_blocks.message(again.view)
    assert "data_visualization" not in str(message)
    assert "| Q1 | 4 | 5.5 |" in message["blocks"][0]["text"]
    done(reply, again, "1.0")
    assert reply.life.is_over


def test_stream_is_left_before_it_shows_a_mark() -> None:
    assert needs_edit(PageView(marked(SALES), growing=True))


def test_charts_take_linear_time() -> None:
    rng = random.Random(1)

    def seconds(count: int) -> float:
        text = "".join(rng.choice((marked(rows(3)), "```chart\n", "| a | b |\n|---|\n")) for _ in range(count))
        began = time.thread_time()
        split_at_charts(text)
        without_chart_marks(text)
        return time.thread_time() - began

    seconds(100)
    assert min(seconds(2_000) for _ in range(3)) < 8 * min(seconds(1_000) for _ in range(3))
