"""The text parts of one answer stand a blank line apart, however a vendor divides them into deltas."""

import pytest

from bot.models.streams import TextParts

PART = None
"""Begins another part."""


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (["One.", PART, "Two."], "One.\n\nTwo."),
        (["One.\n", PART, "Two."], "One.\n\nTwo."),
        (["One.", PART, "\nTwo."], "One.\n\nTwo."),
        (["One.\n", PART, "\nTwo."], "One.\n\nTwo."),
        (["One.\n\n", PART, "Two."], "One.\n\nTwo."),
        (["One.", "\n", "\n", PART, "Two."], "One.\n\nTwo."),
        (["One.\n", "\n", PART, "Two."], "One.\n\nTwo."),
        (["One.\n\n", "", PART, "Two."], "One.\n\nTwo."),
        (["One.\n\n\n", PART, "\nTwo."], "One.\n\n\n\nTwo."),
        (["One.", PART, "", "Two."], "One.\n\nTwo."),
        (["One.", PART, PART, "Two.", " Three."], "One.\n\nTwo. Three."),
        ([PART, "One."], "One."),
        (["\n", PART, "One."], "\nOne."),
        (["One.", PART], "One."),
    ],
)
def test_parts_stand_a_blank_line_apart(stream: list[str | None], answer: str) -> None:
    parts = TextParts()
    added = []
    for delta in stream:
        if delta is PART:
            parts.start_part()
        else:
            added.append(parts.add(delta))
    assert "".join(added) == answer


def test_answer_that_came_whole_has_its_parts_apart() -> None:
    assert TextParts.join(["One.", "", "Two.\n", "Three."]) == "One.\n\nTwo.\n\nThree."
