"""An answer that was broken off goes on at a good place, and what a model says then joins it without a seam."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import Job
from bot.core.job import Checkpoint, Closing, EndReason
from bot.core.reply.resuming import NOTHING_MISSING, SHORTEST_CHARS, Seam, start_of
from tests.core.conversations import question

JOB = Job(1, question(), attempts=2, may_have_posts=True)
PROSE = "".join(f"Sentence {number} of the answer. " for number in range(30))
CODE = f"{PROSE}\n\n```python\n" + "".join(f"    print({number})\n" for number in range(20))
TABLE = f"{PROSE}\n\n| name | size |\n| --- | --- |\n" + "".join(
    f"| row {number} | {number} |\n" for number in range(20)
)


def left(text: str, **job: object) -> Job:
    return replace(JOB, checkpoint=Checkpoint(text), **job)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (PROSE, PROSE),
        (f"{PROSE}And a wor", f"{PROSE}And a "),
        (f"{PROSE}And a word", f"{PROSE}And a "),
        (f"{PROSE}\n\n- one\n- tw", f"{PROSE}\n\n- one\n- "),
        (f"{CODE}    print(2", CODE),
        (f"{TABLE}| row 20 | 2", TABLE),
        (PROSE + "漢字" * 300, PROSE + "漢字" * 300),
    ],
    ids=["after a word", "in a word", "after a word that may go on", "in an item", "in code", "in a row", "no spaces"],
)
def test_an_answer_goes_on_from_the_last_place_where_nothing_is_cut(text: str, kept: str) -> None:
    assert start_of(left(text)) == kept


def test_what_is_said_again_in_a_moment_is() -> None:
    assert start_of(JOB) == ""
    assert start_of(left("word " * (SHORTEST_CHARS // 5 - 1))) == ""
    assert start_of(left("word " * (SHORTEST_CHARS // 5))) == "word " * (SHORTEST_CHARS // 5)


def test_of_an_answer_that_continues_no_less_than_it_said_before_stays() -> None:
    assert start_of(replace(JOB, so_far=PROSE)) == PROSE
    assert start_of(left(f"{PROSE} and on", so_far=PROSE)) == PROSE
    assert start_of(left(PROSE + PROSE, so_far=PROSE)) == PROSE + PROSE


def test_what_had_come_to_its_end_is_not_cut() -> None:
    assert start_of(replace(JOB, checkpoint=Checkpoint("Yes", Closing(EndReason.WHOLE)))) == "Yes"


JOINS = {
    "a word after a space": ("It is a ", "word.", "It is a word."),
    "a space on both sides": ("It is a ", " word.", "It is a word."),
    "in mid-word": ("It is a wo", "rd.", "It is a word."),
    "a line after a line's end": ("- one\n", "- two", "- one\n- two"),
    "a line's end on both sides": ("- one\n", "\n- two", "- one\n- two"),
    "a paragraph after a line's end": ("- one\n", "\n\nThat is all.", "- one\n\nThat is all."),
    "a paragraph's end in two ways": ("One.\n\n", "\nTwo.", "One.\n\nTwo."),
    "a line's end after a space": ("One. ", "\n\nTwo.", "One. \n\nTwo."),
    "code that is indented": ("```\nif a:\n", "    b()\n", "```\nif a:\n    b()\n"),
    "code that is indented, after a line's end": ("```\nif a:\n", "\n    b()\n", "```\nif a:\n    b()\n"),
    "the last words again": ("He said that it was ", "that it was late.", "He said that it was late."),
    "all of it again": (PROSE, PROSE + "The end.", PROSE + "The end."),
    "all of it again, and no more": (PROSE, PROSE.rstrip(), PROSE),
    "a few letters that are alike": ("It is the ", "the one.", "It is the the one."),
    "a line that has come before": ("- zero, zero\n- zero, zero\n", "- zero, zero\n", "- zero, zero\n" * 3),
    "a fence opened again": (CODE, "```python\n    print(20)\n```", f"{CODE}    print(20)\n```"),
    "a fence that ends": (CODE, "```\n\nDone.", f"{CODE}```\n\nDone."),
    "a table's header again": (TABLE, "| name | size |\n| --- | --- |\n| row 20 | 20 |\n", f"{TABLE}| row 20 | 20 |\n"),
    "nothing missing": (PROSE, f"{NOTHING_MISSING}\n", PROSE),
    "nothing missing, as a sentence": (PROSE, f"{NOTHING_MISSING}.", PROSE),
    "nothing": (PROSE, "", PROSE),
    "no text before": ("", NOTHING_MISSING, NOTHING_MISSING),
}


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize(("so_far", "said", "whole"), JOINS.values(), ids=JOINS)
def test_what_a_model_says_joins_the_text(so_far: str, said: str, whole: str, step: int) -> None:
    assert so_far + joined(so_far, said, step) == whole


def joined(so_far: str, said: str, step: int) -> str:
    seam = Seam(so_far)
    parts = [seam.join(said[at : at + step]) for at in range(0, len(said), step)]
    return "".join(parts) + seam.rest()


@given(st.text("ab \n`|-", max_size=60), st.text("ab \n`|-", max_size=60), st.integers(1, 10))
def test_how_it_joins_does_not_depend_on_deltas(so_far: str, said: str, step: int) -> None:
    assert joined(so_far, said, step) == joined(so_far, said, 1_000)


def test_once_it_is_joined_nothing_is_held_back() -> None:
    seam = Seam("It is a ")
    assert seam.join("w") == "w"
    assert [seam.join(delta) for delta in ("It", " is", " a ")] == ["It", " is", " a "]
