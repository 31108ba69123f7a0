"""Any view of a message may replace any other in Slack, because each has a `rich_text`."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.actions import LABELS, ActionResponse, ReplyAction
from bot.core.job import End, sentence_notice
from bot.core.picture import Picture
from bot.errors import EndReason
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.slack.notices import action_message
from bot.slack.text import answer_of
from slack_markdown.tests.markdown_texts import MARKDOWN, paged
from slack_probe.forms import STATES, TABLE, TEXTS
from slack_sandbox.blocks.rules import check_blocks, check_replacement
from tests.pictures import ended
from tests.reply.stored_messages import Json, kinds, leaves, shown_text, stored


def has_rich_text(view: PageView) -> bool:
    return "rich_text" in kinds(stored(view))


@pytest.mark.parametrize("state", STATES)
def test_each_view_has_a_rich_text(state: str) -> None:
    assert [text for text, view in views_in(state).items() if not has_rich_text(view)] == []


@pytest.mark.parametrize("state", STATES)
def test_any_view_may_replace_any_other(state: str) -> None:
    for after in map(stored, views_in(state).values()):
        for before in all_stored():
            check_replacement(before, after)


def views_in(state: str) -> dict[str, PageView]:
    return {name: replace(STATES[state], markdown=text) for name, text in TEXTS.items()}


@cache
def all_stored() -> list[Sequence[Json]]:
    return [stored(view) for state in STATES for view in views_in(state).values()]


ends = st.builds(
    Picture,
    st.sampled_from(EndReason),
    st.sampled_from([(), ("It failed.",)]) | st.tuples(st.text(max_size=30)),
    st.sampled_from(["", "openai/gpt-test"]),
    buttons=st.lists(st.sampled_from([*LABELS, ReplyAction.FEEDBACK]), unique=True).map(tuple),
    has_menu=st.booleans(),
)
views = st.builds(
    PageView,
    MARKDOWN | st.text(max_size=80),
    growing=st.booleans(),
    queued=st.booleans(),
    rest_in_file=st.booleans(),
    end=st.none() | ends,
    plain=st.booleans(),
)


@given(views, views)
def test_no_transition_is_a_block_mismatch(before: PageView, after: PageView) -> None:
    first, second = (paged_view(view) for view in (before, after))
    assert has_rich_text(first)
    assert has_rich_text(second)
    if not second.plain:
        check_replacement(stored(first), stored(second))


def paged_view(view: PageView) -> PageView:
    """Returns the view of the text's first page, because a message holds at most one table."""
    return replace(view, markdown=paged(view.markdown, 11_800)[0].markdown)


@pytest.mark.parametrize(
    ("view", "line"),
    [
        (PageView(TABLE), texts.answers.CONTINUED_BELOW),
        (PageView("# Title\n\n---"), texts.answers.CONTINUED_BELOW),
        (ended(TABLE, End(EndReason.WHOLE)), texts.answers.END_OF_ANSWER),
        (PageView("", growing=True), texts.answers.THINKING),
        (PageView("", growing=True, queued=True), texts.answers.QUEUED),
        (ended("", End(EndReason.BAD_KEY, sentence_notice("It failed."))), "It failed."),
        (ended(TABLE, End(EndReason.STOPPED, footer="a/b")), "a/b · stopped"),
    ],
)
def test_line_about_the_answer_is_plain_italic_text_where_nothing_else_is_rich_text(view: PageView, line: str) -> None:
    last = [block for block in reply_blocks.message(view)["blocks"] if block["type"] == "rich_text"]
    assert leaves(last) == [{"type": "text", "text": line, "style": {"italic": True}}]


@pytest.mark.parametrize(
    ("view", "lines"),
    [
        (PageView("Words.", growing=True), [texts.answers.WRITING]),
        (ended("Words.", End(EndReason.STOPPED, footer="a/b")), ["a/b · stopped"]),
        (
            ended(f"{TABLE}\n\nWords.", End(EndReason.CUT, sentence_notice("It failed."), "a/b")),
            ["It failed.", "a/b · incomplete"],
        ),
    ],
)
def test_line_about_the_answer_is_small_print_below_a_paragraph(view: PageView, lines: list[str]) -> None:
    blocks = reply_blocks.message(view)["blocks"]
    small_print = [block for block in blocks if block["type"] == "context"]
    assert leaves(small_print) == [{"type": "plain_text", "text": line} for line in lines]
    assert "rich_text" not in kinds(blocks)


def test_notice_that_is_too_long_for_small_print_stays_whole() -> None:
    view = ended("Words.", End(EndReason.WHOLE, notices=sentence_notice("much " * 1_000)))
    assert shown_text(stored(view)).count("much") == 1_000


@pytest.mark.parametrize(
    "view",
    [PageView("Words."), PageView(f"{TABLE}\n\nWords."), ended("Words.", End(EndReason.WHOLE))],
)
def test_page_with_a_paragraph_needs_no_line_about_the_answer(view: PageView) -> None:
    assert "rich_text" not in kinds(reply_blocks.message(view)["blocks"])
    assert has_rich_text(view)


@pytest.mark.parametrize("text", ["Words.", TABLE, "word " * 5_000])
def test_details_are_shown_below_a_sentence(text: str) -> None:
    message = action_message(ActionResponse(texts.approvals.TOOLS_USED, text))
    assert leaves(check_blocks(message["blocks"]))[0]["text"] == texts.approvals.TOOLS_USED
    assert (texts.actions.REST_LEFT_OUT in str(message)) is (len(text) > 20_000)


def test_history_reads_only_the_answer_of_a_message() -> None:
    view = ended("Words.", End(EndReason.CUT, sentence_notice("It failed."), "openai/gpt-test"))
    assert shown_text(answer_of({"blocks": stored(view)})["blocks"]).strip() == "Words."
