"""Resuming: an interrupted answer continues below its last whole line, and the continuation joins it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.job import Checkpoint, End, Job
from bot.core.prompt import NOTHING_MISSING
from bot.core.steps import MIN_CHARS, Seam, kept_text, starting_text, text_to_continue
from bot.errors import EndReason
from tests.core.conversations import question

CHINESE = "漢字" * 300
JOB = Job(1, question(), attempts=2)
PROSE = "".join(f"Sentence {number} of the answer. " for number in range(30))
LINES = "".join(f"Line {number} of the answer.\n" for number in range(30))
CODE = f"{PROSE}\n\n```python\n" + "".join(f"    print({number})\n" for number in range(20))
TABLE = f"{PROSE}\n\n| name | size |\n| --- | --- |\n" + "".join(
    f"| row {number} | {number} |\n" for number in range(20)
)


def interrupted(text: str, **job: object) -> Job:
    return replace(JOB, checkpoint=Checkpoint(text), **job)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (f"{LINES}And a wor", LINES),
        (f"{LINES}\n", f"{LINES}\n"),
        (LINES, LINES[: LINES.rindex("Line")]),
        (f"{CODE}    print(2", CODE),
        (f"{TABLE}| row 20 | 2", TABLE),
        (f"{LINES}{PROSE[:400]}", LINES),
        (f"{LINES}{PROSE}And a wo", f"{LINES}{PROSE}And a "),
        (f"{LINES}{PROSE}And", f"{LINES}{PROSE}"),
        (f"{LINES}{CHINESE}", f"{LINES}{CHINESE}"),
    ],
    ids=[
        *("in a line", "between paragraphs", "at a break that may go on", "in code", "in a row"),
        *("in a short paragraph", "in a long one", "at its last word", "without spaces"),
    ],
)
def test_answer_resumes_below_its_last_whole_line_or_at_a_word_of_a_long_one(text: str, start: str) -> None:
    assert starting_text(interrupted(text)) == start


def test_short_answer_is_generated_again() -> None:
    assert starting_text(JOB) == ""
    assert starting_text(interrupted("word\n" * (MIN_CHARS // 5 - 1))) == ""
    assert starting_text(interrupted("word\n" * (MIN_CHARS // 5) + "w")) == "word\n" * (MIN_CHARS // 5)


def test_continued_answer_keeps_at_least_the_whole_lines_of_its_first_part() -> None:
    assert starting_text(replace(JOB, continued_text=f"{LINES}And")) == LINES
    assert starting_text(interrupted(f"{LINES}And on", continued_text=f"{LINES}And")) == LINES
    assert starting_text(interrupted(f"{LINES}{LINES}And", continued_text=LINES)) == LINES + LINES


def test_complete_text_is_not_cut() -> None:
    assert starting_text(replace(JOB, checkpoint=Checkpoint("Yes", End(EndReason.WHOLE)))) == "Yes"


LATE = "He said:\nIt was late.\nI left."
JOINS = {
    "a line": ("- one\n", "- two", "- one\n- two"),
    "a line break on both sides": ("- one\n", "\n- two", "- one\n- two"),
    "a paragraph": ("- one\n", "\n\nThat is all.", "- one\n\nThat is all."),
    "a paragraph, whose line breaks the text has": ("One.\n\n", "\nTwo.", "One.\n\nTwo."),
    "code that is indented": ("```\nif a:\n", "    b()\n", "```\nif a:\n    b()\n"),
    "code that is indented, after a line break": ("```\nif a:\n", "\n    b()\n", "```\nif a:\n    b()\n"),
    "the last line again": ("He said:\nIt was late.\n", "It was late.\nI left.", "He said:\nIt was late.\nI left."),
    "the last line again, which goes on": ("He said:\nIt was late.\n", "It was late. I left.", LATE),
    "all of it again": (LINES, f"{LINES}The end.", f"{LINES}The end."),
    "all of it again, and no more": (LINES, LINES.rstrip(), LINES),
    "a few equal letters": ("It is the\n", "the one.", "It is the\nthe one."),
    "a line that occurred before": ("- zero, zero\n- zero, zero\n", "- zero, zero\n", "- zero, zero\n" * 3),
    "a word of a long line": (PROSE, "And more.", f"{PROSE}And more."),
    "a word of a long line, behind a space": (PROSE, " And more.", f"{PROSE}And more."),
    "a paragraph behind a long line": (PROSE, "\n\nAnd more.", f"{PROSE}\n\nAnd more."),
    "the last words of a long line again": (PROSE, f"{PROSE[-30:]}And more.", f"{PROSE}And more."),
    "text without spaces": (CHINESE, "和更多", f"{CHINESE}和更多"),
    "a fence opened again": (CODE, "```python\n    print(20)\n```", f"{CODE}    print(20)\n```"),
    "a fence that ends": (CODE, "```\n\nDone.", f"{CODE}```\n\nDone."),
    "a table's header again": (TABLE, "| name | size |\n| --- | --- |\n| row 20 | 20 |\n", f"{TABLE}| row 20 | 20 |\n"),
    "a table's next row": (TABLE, "| row 20 | 20 |\n", f"{TABLE}| row 20 | 20 |\n"),
    "words below a table": (TABLE, "That is all.", f"{TABLE}\nThat is all."),
    "nothing missing": (LINES, f"{NOTHING_MISSING}\n", LINES),
    "nothing missing, as a sentence": (LINES, f"{NOTHING_MISSING}.", LINES),
    "nothing": (LINES, "", LINES),
    "no text before": ("", NOTHING_MISSING, NOTHING_MISSING),
}


@pytest.mark.parametrize("continuation", ["There are 3.", "\n\nThere are 3.", "I'll look.\n\nThere are 3."])
def test_answer_goes_on_in_a_new_paragraph_after_the_limit_of_steps(continuation: str) -> None:
    so_far = text_to_continue("I'll look.", EndReason.STEP_LIMIT)
    assert kept_text(so_far) == so_far
    assert so_far + joined(so_far, continuation, 3) == "I'll look.\n\nThere are 3."


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize(("so_far", "continuation", "whole"), JOINS.values(), ids=JOINS)
def test_continuation_joins_the_text(so_far: str, continuation: str, whole: str, step: int) -> None:
    assert so_far + joined(so_far, continuation, step) == whole


def joined(so_far: str, continuation: str, step: int) -> str:
    seam = Seam(so_far)
    parts = [seam.join(continuation[at : at + step]) for at in range(0, len(continuation), step)]
    return "".join(parts) + seam.finish()


@given(st.text("ab \n`|-", max_size=60), st.text("ab \n`|-", max_size=60), st.integers(1, 10))
def test_joint_does_not_depend_on_deltas(so_far: str, continuation: str, step: int) -> None:
    assert joined(so_far, continuation, step) == joined(so_far, continuation, 1_000)


def test_nothing_is_held_back_after_the_joint() -> None:
    seam = Seam("It is a\n")
    assert seam.join("w") == "w"
    assert [seam.join(delta) for delta in ("It", " is", " a ")] == ["It", " is", " a "]


@given(
    st.lists(st.sampled_from(["ab", "a\n", "abcabcabcabc", "b ", "xyzxyz"]), max_size=20).map("".join),
    st.integers(3, 60),
)
def test_words_that_the_text_ends_with_are_repeated_once(text: str, chars: int) -> None:
    text = f"{text}The end of it\n"
    seam = Seam(text)
    repeated = text[-chars - 11 : -1]
    assert seam.join(repeated) + seam.join("\nAll, which is long.") == "All, which is long."
