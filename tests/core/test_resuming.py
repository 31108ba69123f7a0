"""Resuming: an interrupted answer continues at a boundary, and the model's continuation joins it without a seam."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import Job
from bot.core.job import Checkpoint, End
from bot.core.reply.resuming import NOTHING_MISSING, SHORTEST_CHARS, Seam, continued, start_of
from bot.errors import EndReason
from tests.core.conversations import question

JOB = Job(1, question(), attempts=2)
PROSE = "".join(f"Sentence {number} of the answer. " for number in range(30))
CODE = f"{PROSE}\n\n```python\n" + "".join(f"    print({number})\n" for number in range(20))
TABLE = f"{PROSE}\n\n| name | size |\n| --- | --- |\n" + "".join(
    f"| row {number} | {number} |\n" for number in range(20)
)


def interrupted(text: str, **job: object) -> Job:
    return replace(JOB, checkpoint=Checkpoint(text), **job)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "start"),
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
def test_answer_resumes_at_the_last_line_or_word_boundary(text: str, start: str) -> None:
    assert start_of(interrupted(text)) == start


def test_short_answer_is_generated_again() -> None:
    assert start_of(JOB) == ""
    assert start_of(interrupted("word " * (SHORTEST_CHARS // 5 - 1))) == ""
    assert start_of(interrupted("word " * (SHORTEST_CHARS // 5))) == "word " * (SHORTEST_CHARS // 5)


def test_continued_answer_keeps_at_least_its_first_part() -> None:
    assert start_of(replace(JOB, so_far=PROSE)) == PROSE
    assert start_of(interrupted(f"{PROSE} and on", so_far=PROSE)) == PROSE
    assert start_of(interrupted(PROSE + PROSE, so_far=PROSE)) == PROSE + PROSE


def test_complete_text_is_not_cut() -> None:
    assert start_of(replace(JOB, checkpoint=Checkpoint("Yes", End(EndReason.WHOLE)))) == "Yes"


JOINS = {
    "a word after a space": ("It is a ", "word.", "It is a word."),
    "a space on both sides": ("It is a ", " word.", "It is a word."),
    "in mid-word": ("It is a wo", "rd.", "It is a word."),
    "a line after a newline": ("- one\n", "- two", "- one\n- two"),
    "a newline on both sides": ("- one\n", "\n- two", "- one\n- two"),
    "a paragraph after a newline": ("- one\n", "\n\nThat is all.", "- one\n\nThat is all."),
    "an end of a paragraph on both sides": ("One.\n\n", "\nTwo.", "One.\n\nTwo."),
    "a newline after a space": ("One. ", "\n\nTwo.", "One. \n\nTwo."),
    "code that is indented": ("```\nif a:\n", "    b()\n", "```\nif a:\n    b()\n"),
    "code that is indented, after a newline": ("```\nif a:\n", "\n    b()\n", "```\nif a:\n    b()\n"),
    "the last words again": ("He said that it was ", "that it was late.", "He said that it was late."),
    "all of it again": (PROSE, PROSE + "The end.", PROSE + "The end."),
    "all of it again, and no more": (PROSE, PROSE.rstrip(), PROSE),
    "a few equal letters": ("It is the ", "the one.", "It is the the one."),
    "a line that occurred before": ("- zero, zero\n- zero, zero\n", "- zero, zero\n", "- zero, zero\n" * 3),
    "a fence opened again": (CODE, "```python\n    print(20)\n```", f"{CODE}    print(20)\n```"),
    "a fence that ends": (CODE, "```\n\nDone.", f"{CODE}```\n\nDone."),
    "a table's header again": (TABLE, "| name | size |\n| --- | --- |\n| row 20 | 20 |\n", f"{TABLE}| row 20 | 20 |\n"),
    "nothing missing": (PROSE, f"{NOTHING_MISSING}\n", PROSE),
    "nothing missing, as a sentence": (PROSE, f"{NOTHING_MISSING}.", PROSE),
    "nothing": (PROSE, "", PROSE),
    "no text before": ("", NOTHING_MISSING, NOTHING_MISSING),
}


@pytest.mark.parametrize(
    ("end_reason", "continuation", "whole"),
    [
        (EndReason.STEP_LIMIT, "There are 3.", "I'll look.\n\nThere are 3."),
        (EndReason.STEP_LIMIT, "\n\nThere are 3.", "I'll look.\n\nThere are 3."),
        (EndReason.STEP_LIMIT, "I'll look. There are 3.", "I'll look.\n\n There are 3."),
        (EndReason.LENGTH_LIMIT, "There are 3.", "I'll look. There are 3."),
        (EndReason.STOPPED, "There are 3.", "I'll look. There are 3."),
    ],
)
def test_answer_goes_on_in_a_new_paragraph_after_the_limit_of_steps(
    end_reason: EndReason, continuation: str, whole: str
) -> None:
    so_far = continued("I'll look.", end_reason)
    assert so_far + joined(so_far, continuation, 3) == whole


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize(("so_far", "continuation", "whole"), JOINS.values(), ids=JOINS)
def test_continuation_joins_the_text(so_far: str, continuation: str, whole: str, step: int) -> None:
    assert so_far + joined(so_far, continuation, step) == whole


def joined(so_far: str, continuation: str, step: int) -> str:
    seam = Seam(so_far)
    parts = [seam.join(continuation[at : at + step]) for at in range(0, len(continuation), step)]
    return "".join(parts) + seam.rest()


@given(st.text("ab \n`|-", max_size=60), st.text("ab \n`|-", max_size=60), st.integers(1, 10))
def test_joint_does_not_depend_on_deltas(so_far: str, continuation: str, step: int) -> None:
    assert joined(so_far, continuation, step) == joined(so_far, continuation, 1_000)


def test_nothing_is_held_back_after_the_joint() -> None:
    seam = Seam("It is a ")
    assert seam.join("w") == "w"
    assert [seam.join(delta) for delta in ("It", " is", " a ")] == ["It", " is", " a "]


@given(
    st.lists(st.sampled_from(["ab", "a", "abcabcabcabc", "b ", "xyzxyz"]), max_size=20).map("".join), st.integers(3, 60)
)
def test_words_that_the_text_ends_with_are_repeated_once(text: str, chars: int) -> None:
    text = f"{text}The end of it"
    seam = Seam(text)
    repeated = text[-chars - 10 :]
    assert seam.join(repeated) + seam.join(" all, which is long.") == " all, which is long."
