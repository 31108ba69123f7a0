"""Texts that grow by a model's deltas, wherever the deltas are cut."""

from hypothesis import given
from hypothesis import strategies as st

from slack_markdown.growing_text import GrowingText, join_halves

CHARACTERS = st.characters(exclude_categories=[]) | st.sampled_from("\ud83d\ude00ab")


@given(st.lists(st.text(CHARACTERS)))
def test_text_is_that_of_its_deltas_with_surrogates_repaired(deltas: list[str]) -> None:
    text = GrowingText()
    for delta in deltas:
        text.append(delta)
    whole = join_halves("".join(deltas))
    assert (str(text), bool(text)) == (whole, bool(whole))


def test_text_that_was_emptied_begins_without_half_a_pair() -> None:
    text = GrowingText("half: \ud83d")
    text.clear()
    assert not text
    text.append("\ude00")
    assert str(text) == "\ufffd"
