"""Pages fit Slack's limits after translation, in every frame, and each line is counted once."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.reply.messages import PageView, Upload
from bot.reply.reply import MAX_PAGES, Reply
from slack_markdown.escaping import HAIR_SPACE
from slack_markdown.extent import MAX_BLOCKS, MAX_ROWS, Extent
from slack_markdown.pages import PAGE_CHARS, Pages
from slack_markdown.render import rendered
from slack_markdown.tests.markdown_texts import paged
from slack_sandbox.blocks.rules import check_blocks
from tests.core import conversations
from tests.reply.outcomes import done, refused
from tests.reply.stored_messages import StoredMessages, grow, kinds, leaves, show, shown_text, stored

ROW = "| a cell with some words | and *another* one |\n"
TABLE = f"| a | b |\n|---|---|\n{ROW * 3}"
HEADING = "## A heading of the answer\n"
LONG = {
    "headings": f"{HEADING}\nWords.\n\n" * 120,
    "headings alone": "# A\n" * 200,
    "headings that are underlined": "A heading\n===\n" * 120,
    "empty headings and words": "#\nwords\n" * 150,
    "headings, words and dividers": f"{HEADING}Words of it.\n\n---\n\n" * 60,
    "dividers": "words\n\n---\n\n" * 120,
    "headings among long paragraphs": f"{HEADING}\n{'word ' * 60}\n\n" * 60,
    "tables": f"{TABLE}\nWords.\n\n" * 4,
    "tables below headings": f"{HEADING}\n{TABLE}\n" * 4,
    "tables after each other": f"{TABLE}\n" * 4,
    "tables in a list": "".join(f"- item\n\n  | a | b |\n  |---|---|\n  | {n} | 2 |\n\n" for n in range(4)),
    "a table of many rows": f"| a | b |\n|---|---|\n{ROW * 350}",
    "a table of long rows": "| a | b |\n|---|---|\n" + f"| {'word ' * 120} | {'& ' * 40} |\n" * 60,
    "a table of one longest row": f"| a | b |\n|---|---|\n| {'word ' * 2_000} | b |\n| c | d |\n",
    "a table of many columns": "|a" * 30 + "|\n" + "|-" * 30 + "|\n" + ("|1" * 30 + "|\n") * 30,
    "a wide table in a quote": "> " + "|a" * 30 + "|\n> " + "|-" * 30 + "|\n> " + "|1" * 30 + "|\n",
    "a table without a final newline": f"{TABLE}\nWords.\n\n| a | b |\n|---|---|",
    "long headings": f"# {'word ' * 60}\nwords\n" * 30,
    "long headings that are underlined": f"{'word ' * 60}\n===\nwords\n" * 20,
    "long headings in a list": f"- # {'word ' * 60}\n  words\n" * 20,
    "less and more": "a < b > c & d > e\n" * 2_000,
    "code of arrows": "```\n" + "x -> y => z >>= w & v << 2\n" * 1_500 + "```\n",
    "code after code": "```py\nx = 1\n```\n" * 200,
    "code and words": "Do this:\n\n```sh\nls > x && cat < x\n```\n\n" * 120,
    "quotes": "> quoted words of somebody\n\nand mine\n\n" * 200,
    "CJK": "这是**粗体**和*斜体*，还有**重点**。\n" * 700,
    "bold": "**a** " * 5_000,
    "handles": "@here " * 3_000,
    "emoji": "👨‍👩‍👧‍👦 :wave: 👍🏽 " * 600,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
@pytest.mark.parametrize("step", [pytest.param(397, marks=pytest.mark.long), 10**9])
def test_every_frame_of_every_page_fits(text: str, step: int) -> None:
    slack = StoredMessages()
    reply = grow(text, step, slack)
    reply.finish(End(EndReason.LENGTH_LIMIT, "A notice of some words.", "openai/gpt-test", has_previous=True))
    show(reply, slack)
    call = reply.next_call()
    if isinstance(call, Upload):
        done(reply, call, "9.0")
        show(reply, slack)
    assert reply.life.is_over
    assert len(slack.messages) <= MAX_PAGES + 1


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_plain_pages_fit_in_bytes(text: str) -> None:
    slack, reply = StoredMessages(), Reply(conversations.answer())
    placeholder = reply.next_call()
    assert placeholder
    refused(reply, placeholder, Refusal.UNREADABLE)
    for start in range(0, len(text), 997):
        reply.append(text[start : start + 997])
        show(reply, slack)
    reply.finish(End(EndReason.WHOLE, "A notice. " * 60, "openai/gpt-test"))
    show(reply, slack)
    assert slack.messages


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_pages_do_not_depend_on_deltas(text: str) -> None:
    whole = paged(text, PAGE_CHARS)
    assert "".join(page.source for page in whole) == text
    for step in (1 if len(text) < 5_000 else 53, 1_000):
        assert paged(text, PAGE_CHARS, step) == whole


def answer(seed: int) -> str:
    """Returns a text with everything that Slack counts, in random order."""
    chance = random.Random(seed)
    pieces = [HEADING, "Words of it.\n\n", f"{'word ' * 50}\n\n", "---\n\n", f"{TABLE}\n", f"> {'q & a ' * 9}\n\n"]
    pieces += [
        "```py\nif a < b > c:\n    pass\n```\n\n",
        "- one\n- two\n  - three\n\n",
        "Title\n===\n",
        "这是**粗体**字。\n\n",
    ]
    pieces += [
        f"# {'long ' * 40}\n",
        ROW,
        "1. ## heading in a list\n\n   | a |\n   |---|\n\n",
        "[a]: https://a.example\n\n",
    ]
    return "".join(chance.choices(pieces, k=chance.randint(5, 150)))


@given(st.integers(0, 10**6), st.sampled_from([127, 700]))
def test_no_frame_of_any_answer_is_refused(seed: int, step: int) -> None:
    text, slack = answer(seed), StoredMessages()
    reply = grow(text, step, slack)
    reply.finish(End(EndReason.WHOLE, footer="openai/gpt-test", has_previous=True))
    show(reply, slack)
    assert paged(text, PAGE_CHARS, 17) == paged(text, PAGE_CHARS)


@given(st.integers(0, 10**6))
def test_slack_makes_no_more_blocks_than_were_counted(seed: int) -> None:
    """Pages are cut by a count that is never below Slack's own."""
    text = answer(seed)
    for page in paged(text, PAGE_CHARS):
        sent = check_blocks([{"type": "markdown", "text": rendered(page.markdown, growing=False) or "x"}])
        assert len(sent) <= MAX_BLOCKS
        assert kinds(sent).count("table") <= 1


def test_page_ends_before_the_heading_of_a_second_table() -> None:
    text = f"Words.\n\n{TABLE}\nMore words.\n\n{HEADING}\nOf this:\n\n{TABLE}"
    first, second = paged(text, PAGE_CHARS)
    assert second.source.startswith(HEADING)
    assert first.source.endswith("More words.\n\n")


def test_long_table_continues_below_its_header() -> None:
    pages = paged(f"| a | b |\n|---|---|\n{ROW * 250}", PAGE_CHARS)
    tables = [[block for block in stored(PageView(page.markdown)) if block["type"] == "table"] for page in pages]
    assert [len(on_page) for on_page in tables] == [1] * len(pages)
    rows = [table["rows"] for (table,) in tables]
    assert all(shown_text(table[0]) == "ab" for table in rows)
    assert sum(len(table) - 1 for table in rows) == 250
    assert max(map(len, rows)) <= MAX_ROWS


def test_many_small_tables_end_in_a_file() -> None:
    slack = StoredMessages()
    reply = grow(f"{TABLE}\nWords.\n\n" * 30, 40, slack)
    reply.finish(End(EndReason.WHOLE))
    show(reply, slack)
    assert len(slack.messages) == MAX_PAGES
    assert isinstance(reply.next_call(), Upload)


def test_wide_table_is_shown_as_code_with_all_its_columns() -> None:
    wide = "|a" * 30 + "|\n" + "|-" * 30 + "|\n" + "|1" * 30 + "|"
    for growing in (False, True):
        (block, *_) = stored(PageView(f"{wide}\n", growing=growing))
        assert block["elements"][0]["type"] == "rich_text_preformatted"
        assert shown_text(block["elements"][0]) == wide


@pytest.mark.parametrize("underlined", ["{}\n---", "{}\n===\nafter", "> {}\n> ---", "- {}\n  ---"])
def test_long_paragraph_with_an_underline_stays_a_paragraph(underlined: str) -> None:
    words = ("word " * 40).strip()
    blocks = stored(PageView(underlined.format(words) + "\n"))
    assert "header" not in kinds(blocks)
    assert [leaf.get("style") for leaf in leaves(blocks) if words in leaf["text"]] == [None]


@pytest.mark.parametrize("heading", ["# {}", "### {} ###", "- # {}", "> # {}", "Before\n# {}\nafter"])
def test_long_heading_is_shown_as_a_bold_paragraph(heading: str) -> None:
    words = ("word " * 40).strip()
    for growing in (False, True):
        blocks = stored(PageView(heading.format(words) + "\n", growing=growing))
        assert "header" not in kinds(blocks)
        assert [leaf.get("style") for leaf in leaves(blocks) if words in leaf["text"]] == [{"bold": True}]


@pytest.mark.parametrize(
    ("written", "bold"),
    [
        ("这是**粗体**文字", "粗体"),
        ("**粗体**文字", "粗体"),
        ("これは**太字**です。", "太字"),
        ("이것은**굵은**글자", "굵은"),
        ("他说**「你好」**然后走了", "「你好」"),
        ("这是**bold**文字", "bold"),
        ("| 这是**粗体**文字 |\n|---|", "粗体"),
        ("- 这是**粗体**文字", "粗体"),
        ("这是 **粗体** 文字", "粗体"),
        ("这是（**粗体**）文字", "粗体"),
    ],
)
def test_bold_beside_cjk_letters_is_bold(written: str, bold: str) -> None:
    for growing in (False, True):
        blocks = stored(PageView(f"{written}\n\n下一段", growing=growing))
        assert [leaf["text"] for leaf in leaves(blocks) if leaf.get("style") == {"bold": True}] == [bold]
        assert (
            shown_text(blocks)
            .replace(HAIR_SPACE, "")
            .startswith(written.strip("-| \n").replace("**", "").split(" |")[0])
        )


def test_growing_bold_beside_a_cjk_letter_is_bold() -> None:
    blocks = stored(PageView("这是**粗体", growing=True))
    assert [leaf["text"] for leaf in leaves(blocks[:1]) if leaf.get("style") == {"bold": True}] == ["粗体"]


@pytest.mark.parametrize(
    "written", ["snake_case 和 2*3*4", "`这**不是**粗体`", "```\n这**不是**粗体\n```", "没有**关闭"]
)
def test_text_without_emphasis_stays_unchanged(written: str) -> None:
    assert HAIR_SPACE not in rendered(written, growing=False)


@pytest.mark.parametrize(
    "written", ["**https://a.example/b**", "**see https://a.example/b**", "**https://a.example/b is it**"]
)
def test_marks_around_a_bare_url_are_no_part_of_it(written: str) -> None:
    for growing in (False, True):
        blocks = stored(PageView(f"{written}\n\nand on", growing=growing))
        assert [leaf["url"] for leaf in leaves(blocks) if leaf["type"] == "link"] == ["https://a.example/b"]
        assert "*" not in shown_text(blocks)


def test_lines_are_counted_once() -> None:
    """Counting a growing page costs what its newest lines cost."""
    reads = []

    class Counted(Extent):
        def _count(self, line: object) -> None:
            reads.append(line)
            super()._count(line)  # type: ignore[arg-type]

    pages = Pages()
    pages._extent = Counted()
    for number in range(400):
        pages.append(f"line {number}\n")
    assert len(reads) == 400
