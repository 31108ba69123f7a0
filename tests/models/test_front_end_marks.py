"""The marks of vendors' own front ends leave an answer, however it is cut into deltas, and nothing else does."""

import time

import pytest

from bot.models.front_end_marks import FrontEndMarks

OPEN, PART, CLOSE = "\ue200", "\ue202", "\ue201"


def mark(*parts: str) -> str:
    return f"{OPEN}{PART.join(parts)}{CLOSE}"


def read(text: str, size: int) -> str:
    marks = FrontEndMarks()
    return "".join([*(marks.add(text[at : at + size]) for at in range(0, len(text), size)), marks.end()])


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"It grew.{mark('cite', 'turn0search0', 'turn1search2')} Then", "It grew. Then"),
        (f"As agreed{mark('filecite', 'turn0file0', 'L3-L9')}.", "As agreed."),
        (mark("image_group", '{"query": ["cats"]}') + "Cats.", "Cats."),
        ("In " + mark("entity", '["city", "Paris", "capital of France"]') + ", it rains.", "In Paris, it rains."),
        (f"In {mark('entity', 'Paris')}.", "In ."),
        ("It says so.【4:0†source】 Also【12†notes.md】.", "It says so. Also."),
        ("It does.:contentReference[oaicite:0]{index=0}", "It does."),
        ("It does.:contentReference[oaicite:12]", "It does."),
        ("这是【重要】的。【4】", "这是【重要】的。【4】"),
        ("See :contentReference and :content", "See :contentReference and :content"),
        ("It does【6†】, also【turn0search1】.", "It does, also."),
        (f"Cut off {OPEN}cit", "Cut off "),
        (f"Cut off {OPEN}cite{PART}turn0sea", "Cut off "),
        ("Cut off【4:0†sou", "Cut off"),
        ("Cut off:contentReference[oaicite:1", "Cut off"),
        (f"An open {OPEN}mark and words", f"An open {OPEN}mark and words"),
        ("Note: at 10:15", "Note: at 10:15"),
    ],
)
def test_marks_of_a_front_end_leave_the_text(text: str, expected: str, size: int) -> None:
    assert read(text, size) == expected


@pytest.mark.parametrize("text", ["a: b【重", "10:1", "Note: "])
def test_text_that_begins_no_mark_is_not_held_back(text: str) -> None:
    assert FrontEndMarks().add(text) == text


@pytest.mark.parametrize("text", [OPEN, "【1:2†a", ":contentReference[oaicite:", f"{OPEN}entity{PART}", ":", "【"])
def test_time_is_linear_in_the_length(text: str) -> None:
    began = time.process_time()
    read(text * (200_000 // len(text)), 4_000)
    assert time.process_time() - began < 2
