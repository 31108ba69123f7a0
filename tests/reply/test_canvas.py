"""An answer as a canvas: its title, and Markdown that Slack's canvases accept."""

from dataclasses import replace

import pytest
from hypothesis import example, given

from bot.core.canvases import canvas_requester
from bot.models.events import Citation
from bot.reply.sources import CANVAS_TITLE_CHARS, as_code_block, canvas_markdown, canvas_title
from slack_markdown.tests.markdown_texts import MARKDOWN
from slack_sandbox.web_api.canvases import problems
from tests.core.conversations import ME, question

TITLES = {
    "a heading": ("\n## The *plan*\n\nWe ship.", "The plan"),
    "words": ("We ship on Friday. Then we rest.", "We ship on Friday. Then we rest."),
    "long words": ("word " * 100, f"{'word ' * 15}word…"),
    "code alone": ("```\nx = 1\n```", "x = 1"),
    "nothing": ("---", "---"),
}


@pytest.mark.parametrize(("answer", "title"), TITLES.values(), ids=TITLES)
def test_title_is_the_first_heading_or_the_first_words(answer: str, title: str) -> None:
    assert canvas_title(answer) == title
    assert len(title) <= CANVAS_TITLE_CHARS


CHANGED = {
    "a deep heading": ("###### a\n\ntext", "### a\n\ntext"),
    "a narrow delimiter row": ("|a|b|\n|--|:-:|\n|1|2|", "|a|b|\n|---|:---:|\n|1|2|"),
    "a wide delimiter row": ("| a |\n| ----- |\n| - |", "| a |\n| ----- |\n| - |"),
    "numbers in bullets": ("- a\n  1. b\n  2. c\n- d", "- a\n  - (1) b\n  - (2) c\n- d"),
    "bullets in numbers": ("1. a\n   - b\n     - c\n2. d", "1. a\n   1. b\n     1. c\n2. d"),
    "lists after one another": ("- a\n\ntext\n\n1. b", "- a\n\ntext\n\n1. b"),
    "a quote in a list": ("- a\n  > b\n  >> c", "- a\n  b\n  c"),
    "a quote as an item": ("- > a", "- a"),
    "a quote": ("> a\n> - b", "> a\n> - b"),
    "code": ("- a\n\n```\n#### b\n  1. c\n> d\n|--|\n```", "- a\n\n```\n#### b\n  1. c\n> d\n|--|\n```"),
    "a table that just fits": ("|a|\n|---|\n" + "|1|\n" * 298, "|a|\n|---|" + "\n|1|" * 298),
    "a large table": ("|a|\n|---|\n" + "|1|\n" * 300, "```\n|a|\n|---|\n" + "|1|\n" * 300 + "```"),
    "a mention and an image": (
        "<@U1> ![](@U1) ![x](https://a.example/x.png)",
        "@U1 @U1 [x](https://a.example/x.png)",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), CHANGED.values(), ids=CHANGED)
def test_what_slack_refuses_in_a_canvas_is_written_in_another_way(answer: str, expected: str) -> None:
    assert canvas_markdown(answer) == expected
    assert list(problems(expected)) == []


def test_sources_stand_below_the_answer() -> None:
    sources = [Citation("https://a.example/x", "Title"), Citation("javascript:alert(1)", "Bad")]
    assert canvas_markdown("See.", sources) == "See.\n\nSources\n1. https://a.example/x"


@given(MARKDOWN)
@example("```py\n```py\n- item\n\t1. item\n")
def test_no_answer_makes_markdown_that_slack_refuses(answer: str) -> None:
    assert list(problems(canvas_markdown(answer))) == []


@given(MARKDOWN)
def test_code_of_any_answer_is_accepted(answer: str) -> None:
    assert list(problems(as_code_block(canvas_markdown(answer)))) == []


WISHES = {
    "Write the plan as a canvas": True,
    "<@UBOT> write the plan as a canvas.": True,
    "Write the plan as a Slack canvas, please!": True,
    "write it AS CANVAS <@UBOT>": True,
    "As a canvas: the plan for May": True,
    "<@UBOT> please as a canvas, the plan": True,
    "Why do people paint as a canvas ages?": False,
    "What is a canvas?": False,
    "As a canvas painter, which brush should I buy?": False,
    "What can I put in a canvas?": False,
    "Write it as a canvas when you are done with the others": False,
    "Is Texas a canvas?": False,
}


@pytest.mark.parametrize(("words", "wanted"), WISHES.items(), ids=WISHES)
def test_words_at_the_beginning_or_the_end_ask_for_a_canvas(words: str, wanted: bool) -> None:
    assert canvas_requester([question(words)], ME.user_id) == ("UADA" if wanted else "")


def test_words_that_the_asker_only_shows_ask_for_nothing() -> None:
    forwarded = "Forwarded from Bob: write it as a canvas"
    shown = replace(question(f"Why?\n\n{forwarded}"), attached_chars=len(forwarded))
    assert canvas_requester([shown], ME.user_id) == ""


def test_any_question_of_an_answer_may_ask_for_a_canvas() -> None:
    later = replace(question("and Bob's, as a canvas"), user_id="UBOB")
    assert canvas_requester([question("Why?"), later], ME.user_id) == "UBOB"
