"""A draft: each of its characters is recorded once, in any order of appends and writes."""

import tracemalloc
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import Job
from bot.core.job import Checkpoint, End, EndReason, Piece
from bot.core.reply.draft import Draft
from bot.core.stream import Citation
from tests.core.conversations import question

SOURCE = Citation("https://a.example", "A")
JOB = Job(1, question(), attempts=1)
END = End(EndReason.WHOLE)
LEFT = "What was left."


def test_only_new_text_is_recorded() -> None:
    draft = Draft(JOB)
    assert draft.piece() is None
    draft.append("One ")
    first = draft.piece()
    assert first == Piece(0, "One ")
    draft.append("two ")
    draft.recorded(first)
    assert draft.piece() == Piece(4, "two ")
    draft.recorded(Piece(4, "two "))
    assert draft.piece() is None


def test_text_takes_little_more_memory_than_its_characters() -> None:
    draft = Draft(JOB)
    tracemalloc.start()
    try:
        for number in range(1_000):
            draft.append(f"word {number:03} ")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * draft.chars


def test_continued_answer_has_its_first_part_on_record() -> None:
    draft = Draft(replace(JOB, so_far="One "))
    assert (draft.text, draft.piece()) == ("One ", None)
    draft.append("two")
    assert draft.piece() == Piece(4, "two")


def test_earlier_attempts_text_stays_until_this_one_is_longer() -> None:
    draft = Draft(replace(JOB, checkpoint=Checkpoint(LEFT)))
    draft.append(LEFT[:10])
    assert draft.piece() is None
    draft.append(" is this, and more.")
    assert draft.piece() == Piece(0, draft.text)


def test_end_is_recorded_once_even_without_new_text() -> None:
    draft = Draft(JOB)
    draft.append("One.")
    draft.recorded(Piece(0, "One."))
    draft.close(END)
    assert draft.piece() == Piece(4, "", END)
    draft.recorded(Piece(4, "", END))
    assert draft.piece() is None


def test_end_is_recorded_with_the_earlier_attempts_text_if_that_stays() -> None:
    draft = Draft(replace(JOB, checkpoint=Checkpoint(LEFT)))
    draft.append("Less.")
    draft.replace_text(LEFT)
    draft.close(END)
    assert draft.piece() == Piece(0, LEFT, END)


def test_complete_text_needs_no_record() -> None:
    draft = Draft(replace(JOB, checkpoint=Checkpoint(LEFT, END)))
    assert (draft.text, draft.piece()) == (LEFT, None)


@given(st.lists(st.text(min_size=1, max_size=5) | st.sampled_from(["write", "done", "done first"]), max_size=40))
def test_recorded_pieces_make_the_text_in_any_order_of_writes(steps: list[str]) -> None:
    draft, writing, written = Draft(JOB), list[Piece](), list[Piece]()
    for step in [*steps, "write", *["done"] * len(steps)]:
        if step == "write":
            writing += filter(None, [draft.piece()])
        elif step.startswith("done"):
            if writing:
                written.append(writing.pop(0 if "first" in step else -1))
                draft.recorded(written[-1])
        else:
            draft.append(step)
    text = ""
    for piece in sorted(written, key=lambda piece: piece.chars):
        assert piece.start <= len(text)
        text = text[: piece.start] + piece.text
    assert text == draft.text[: len(text)]
    assert writing or len(text) == draft.chars


def test_sources_are_recorded_with_the_text_or_after_it() -> None:
    draft = Draft(JOB)
    draft.append("One.")
    draft.recorded(Piece(0, "One."))
    draft.cite(SOURCE)
    piece = draft.piece()
    assert piece == Piece(4, "", sources=(SOURCE,))
    draft.recorded(piece)
    assert draft.piece() is None


def test_sources_alone_never_shorten_an_earlier_attempts_text() -> None:
    draft = Draft(replace(JOB, checkpoint=Checkpoint("word " * 200 + "cut off", sources=(SOURCE,))))
    assert draft.sources == (SOURCE,)
    draft.cite(Citation("https://b.example", ""))
    assert draft.piece() is None


def test_continued_answer_begins_with_its_sources() -> None:
    draft = Draft(replace(JOB, so_far="One.", sources=(SOURCE,)))
    draft.append(" Two.")
    assert draft.piece() == Piece(4, " Two.", sources=(SOURCE,))
