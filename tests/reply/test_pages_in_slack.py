"""Pages fit Slack's limits after translation, in every frame, and each line is counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.job import End, sentence_notice
from bot.errors import EndReason, Refusal
from bot.reply.messages import PageView, Upload
from bot.reply.reply import MAX_PAGES, Reply
from slack_markdown.escaping import HAIR_SPACE
from slack_markdown.extent import MAX_BLOCKS, MAX_ROWS
from slack_markdown.pages import PAGE_CHARS
from slack_markdown.render import render_page
from slack_markdown.tests.markdown_texts import LONG, ROW, TABLE, drawn_answer, paged
from slack_sandbox.blocks.rules import check_blocks
from tests.core import conversations
from tests.reply.outcomes import done, refused
from tests.reply.stored_messages import StoredMessages, grow, kinds, leaves, show, shown_text, stored

pytestmark = pytest.mark.wide


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
@pytest.mark.parametrize("step", [pytest.param(397, marks=pytest.mark.long), 10**9])
@pytest.mark.long(after_row=8)
def test_every_frame_of_every_page_fits(text: str, step: int) -> None:
    slack = StoredMessages()
    reply = grow(text, step, slack)
    reply.finish(End(EndReason.LENGTH_LIMIT, sentence_notice("A notice of some words."), "openai/gpt-test"))
    show(reply, slack)
    call = reply.next_call()
    if isinstance(call, Upload):
        done(reply, call, "9.0")
        show(reply, slack)
    assert reply.life.is_over
    assert len(slack.messages) <= MAX_PAGES + 1


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
@pytest.mark.long(after_row=8)
def test_plain_pages_fit_in_bytes(text: str) -> None:
    slack, reply = StoredMessages(), Reply(conversations.answer())
    placeholder = reply.next_call()
    assert placeholder
    refused(reply, placeholder, Refusal.UNREADABLE)
    for start in range(0, len(text), 997):
        reply.append(text[start : start + 997])
        show(reply, slack)
    reply.finish(End(EndReason.WHOLE, sentence_notice("A notice. " * 60), "openai/gpt-test"))
    show(reply, slack)
    assert slack.messages


@given(st.integers(0, 10**6), st.sampled_from([127, 700]))
@pytest.mark.long
def test_no_frame_of_any_answer_is_refused(seed: int, step: int) -> None:
    text, slack = drawn_answer(seed), StoredMessages()
    reply = grow(text, step, slack)
    reply.finish(End(EndReason.WHOLE, footer="openai/gpt-test"))
    show(reply, slack)


@given(st.integers(0, 10**6))
def test_slack_makes_no_more_blocks_than_were_counted(seed: int) -> None:
    """Pages are cut by a count that is never below Slack's own."""
    text = drawn_answer(seed)
    for page in paged(text, PAGE_CHARS):
        sent = check_blocks([{"type": "markdown", "text": render_page(page.markdown, growing=False) or "x"}])
        assert len(sent) <= MAX_BLOCKS
        assert kinds(sent).count("table") <= 1


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
    "written", ["**https://a.example/b**", "**see https://a.example/b**", "**https://a.example/b is it**"]
)
def test_marks_around_a_bare_url_are_no_part_of_it(written: str) -> None:
    for growing in (False, True):
        blocks = stored(PageView(f"{written}\n\nand on", growing=growing))
        assert [leaf["url"] for leaf in leaves(blocks) if leaf["type"] == "link"] == ["https://a.example/b"]
        assert "*" not in shown_text(blocks)
