"""An answer: each of its characters is recorded once, in any order of appends and writes."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.calls import CallState, RecordedCall, Step
from bot.core.job import Checkpoint, End, Job, Piece
from bot.core.steps import fixed_text
from bot.errors import EndReason
from bot.models.events import Citation, Thinking
from bot.reply.answer import Answer, CurrentStep
from tests.contracts.store_model import Expected
from tests.core.conversations import question

SOURCE = Citation("https://a.example", "A")
JOB = Job(1, question(), attempts=1)
END = End(EndReason.WHOLE)
CUT = End(EndReason.CUT)
LEFT = "What was left."


def test_only_new_text_is_recorded() -> None:
    answer = Answer(JOB)
    assert answer.piece_to_record() is None
    answer.append("One ")
    first = answer.piece_to_record()
    assert first == Piece(0, "One ")
    answer.append("two ")
    answer.on_recorded(first)
    assert answer.piece_to_record() == Piece(4, "two ")
    answer.on_recorded(Piece(4, "two "))
    assert answer.piece_to_record() is None


def test_answer_that_starts_over_replaces_an_earlier_attempts_text_at_its_end() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint("word\n" * 200)))
    answer.start_over()
    assert (answer.text, answer.text_to_keep, answer.piece_to_record()) == ("", "", None)
    answer.append("Less.")
    assert answer.piece_to_record() is None
    answer.finish(CUT)
    assert answer.piece_to_record() == Piece(0, "Less.", CUT)


@pytest.mark.parametrize("text", ["", "Less.", LEFT, "Other words"])
def test_text_of_a_step_is_recorded_even_if_an_earlier_attempt_left_more(text: str) -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint(LEFT)))
    answer.append(text)
    piece = answer.unrecorded_piece
    assert piece == Piece(0, text)
    answer.on_recorded(piece)
    answer.steps.append(Step(0, piece.chars, (), "a model"))
    assert (answer.step_text, answer.piece_to_record()) == ("", None)
    assert answer.text_to_keep == (LEFT if len(text) < len(LEFT) else text), "readers see the longer text"
    answer.append("\n\nSo")
    assert (answer.step_text, answer.piece_to_record()) == ("\n\nSo", Piece(len(text), "\n\nSo"))


def test_answer_may_link_the_files_of_its_conversation_and_those_that_slack_search_found() -> None:
    answer = Answer(JOB)
    answer.open_files |= frozenset({"F0SHARED"})
    found = "#plans, Ada\n> See https://acme.slack.com/docs/T0ACME/F0FOUND"
    results = {"slack__search": found, "notes__list": found.replace("FOUND", "OTHER")}
    done = [
        RecordedCall(0, number, "", tool, {}, "a hash", CallState.DONE, result=result)
        for number, (tool, result) in enumerate(results.items())
    ]
    assert answer.open_files == {"F0SHARED"}
    answer.steps.append(Step(0, 0, (), "a model", ()))
    answer.on_calls_made(done)
    assert answer.open_files == {"F0SHARED", "F0FOUND"}


def test_text_takes_little_more_memory_than_its_characters() -> None:
    answer = Answer(JOB)
    tracemalloc.start()
    try:
        for number in range(1_000):
            answer.append(f"word {number:03} ")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * len(answer.text)


def test_continued_answer_has_its_first_part_on_record() -> None:
    answer = Answer(replace(JOB, continued_text="One\n\n"))
    assert (answer.text, answer.piece_to_record()) == ("One\n\n", None)
    answer.append("two")
    assert answer.piece_to_record() == Piece(5, "two")


def test_earlier_attempts_text_stays_until_this_one_is_longer() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint(LEFT)))
    answer.append(LEFT[:10])
    assert answer.piece_to_record() is None
    answer.append(" is this, and more.")
    assert answer.piece_to_record() == Piece(0, answer.text)


def test_end_is_recorded_once_even_without_new_text() -> None:
    answer = Answer(JOB)
    answer.append("One.")
    answer.on_recorded(Piece(0, "One."))
    answer.finish(END)
    assert answer.piece_to_record() == Piece(4, "", END)
    answer.on_recorded(Piece(4, "", END))
    assert answer.piece_to_record() is None


def test_end_is_recorded_with_the_earlier_attempts_text_if_that_stays() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint(LEFT)))
    answer.append("Less.")
    answer.finish(CUT)
    assert answer.piece_to_record() == Piece(0, LEFT, CUT)


@pytest.mark.parametrize(
    ("left", "text", "end", "stays"),
    [
        ("Because it", "Because it is.", CUT, "Because it is."),
        ("Because it is.", "Because", CUT, "Because it is."),
        ("Because it is.", "Because", END, "Because"),
        ("", "Because", CUT, "Because"),
    ],
    ids=["longer than the record", "shorter than the record", "a whole answer", "nothing on record"],
)
def test_what_stays_of_an_answer(left: str, text: str, end: End, stays: str) -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint(left)))
    answer.append(text)
    answer.finish(end)
    assert answer.text == stays


def test_complete_text_needs_no_record() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint(LEFT, END)))
    assert (answer.text, answer.piece_to_record()) == (LEFT, None)


@given(st.lists(st.text(min_size=1, max_size=5) | st.sampled_from(["write", "done", "done first"]), max_size=40))
def test_recorded_pieces_make_the_text_in_any_order_of_writes(steps: list[str]) -> None:
    answer, writing, written = Answer(JOB), list[Piece](), list[Piece]()
    for step in [*steps, "write", *["done"] * len(steps)]:
        if step == "write":
            writing += filter(None, [answer.piece_to_record()])
        elif step.startswith("done"):
            if writing:
                written.append(writing.pop(0 if "first" in step else -1))
                answer.on_recorded(written[-1])
        else:
            answer.append(step)
    text = ""
    for piece in sorted(written, key=lambda piece: piece.chars):
        assert piece.start <= len(text)
        text = text[: piece.start] + piece.text
    assert text == answer.text[: len(text)]
    assert writing or len(text) == len(answer.text)


@given(
    st.lists(
        st.tuples(st.just("append"), st.sampled_from(["One ", "two.\n", "A long part. " * 40]))
        | st.tuples(st.sampled_from(["write", "lose", "step", "kill"]), st.just("")),
        max_size=40,
    )
)
def test_each_recorded_step_keeps_its_text_however_often_attempts_are_killed(events: list[tuple[str, str]]) -> None:
    on_record, ends = Expected(question(), pieces=()), dict[int, str]()
    answer = Answer(JOB)

    def record(piece: Piece) -> None:
        nonlocal on_record
        on_record = replace(on_record, pieces=(*on_record.pieces, (0, answer.job.attempts, piece)))

    for event, text in [*events, ("kill", "")]:
        match event:
            case "append":
                answer.append(text)
            case "write" | "lose" if piece := answer.piece_to_record():
                record(piece)
                if event == "write":
                    answer.on_recorded(piece)
            case "step":
                record(piece := answer.unrecorded_piece)
                answer.on_recorded(piece)
                ends[len(ends)] = answer.text
                answer.steps.append(Step(len(ends) - 1, piece.chars, (), "a model"))
            case "kill":
                job = answer.job
                steps = tuple(answer.steps)
                answer = Answer(replace(job, attempts=job.attempts + 1, checkpoint=on_record.checkpoint, steps=steps))
                assert [on_record.checkpoint.text[: step.chars] for step in steps] == [*ends.values()]
                assert fixed_text(answer.job) == ([*ends.values()] or [""])[-1]
                assert answer.text.startswith(fixed_text(answer.job))


def test_sources_are_recorded_with_the_text_or_after_it() -> None:
    answer = Answer(JOB)
    answer.append("One.")
    answer.on_recorded(Piece(0, "One."))
    answer.on_event(SOURCE)
    piece = answer.piece_to_record()
    assert piece == Piece(4, "", sources=(SOURCE,))
    answer.on_recorded(piece)
    assert answer.piece_to_record() is None


def test_sources_alone_never_shorten_an_earlier_attempts_text() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint("word\n" * 200 + "cut off", sources=(SOURCE,))))
    assert answer.sources == (SOURCE,)
    answer.on_event(Citation("https://b.example", ""))
    assert answer.piece_to_record() is None


def test_continued_answer_begins_with_its_sources() -> None:
    answer = Answer(replace(JOB, continued_text="One.\n\n", sources=(SOURCE,)))
    answer.append("Two.")
    assert answer.piece_to_record() == Piece(6, "Two.", sources=(SOURCE,))


def test_piece_that_is_recorded_after_the_text_became_another_one_hides_none_of_it() -> None:
    answer = Answer(replace(JOB, checkpoint=Checkpoint("What an earlier attempt left.")))
    answer.append("Other words.")
    late = Piece(0, "Other words.")
    answer.finish(CUT)
    answer.on_recorded(late)
    assert answer.piece_to_record() == Piece(0, "What an earlier attempt left.", CUT)


def test_hidden_thinking_that_is_counted_elsewhere_is_not_charged() -> None:
    step = CurrentStep("openai/m", 100)
    step.receive(Thinking(), 10.0)
    step.clear_request_usage()
    step.count_thinking_until(70.0)
    assert (step.usage.input_tokens, step.usage.output_tokens) == (0, 0)
