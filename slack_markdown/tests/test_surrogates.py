"""Text that UTF-8 can encode, wherever JSON cuts it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_markdown.growing_text import Pairing, join_halves
from slack_markdown.tests.costs import milliseconds

HALVES = ["\ud83d", "\ude00", "\udbff", "\udc00"]


UNITS = st.lists(st.sampled_from(["a", " ", "?", "\0", "0", "1", "é", "世", "😀", *HALVES]), max_size=12)


def expected(text: str) -> str:
    repaired, at = "", 0
    while at < len(text):
        if "\ud800" <= text[at] <= "\udbff" and "\udc00" <= text[at + 1 : at + 2] <= "\udfff":
            repaired += chr(0x10000 + (ord(text[at]) - 0xD800) * 0x400 + ord(text[at + 1]) - 0xDC00)
            at += 2
        else:
            repaired += "\ufffd" if "\ud800" <= text[at] <= "\udfff" else text[at]
            at += 1
    return repaired


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("plain", "plain"),
        ("Grüße 👋🏽", "Grüße 👋🏽"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
    ],
)
def test_adjacent_halves_are_joined_and_lone_halves_replaced(text: str, repaired: str) -> None:
    assert join_halves(text) == repaired


@given(UNITS, st.lists(st.integers(0, 12)))
def test_deltas_are_repaired_as_the_whole_text_is(units: list[str], cuts: list[int]) -> None:
    text = "".join(units)
    at = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pairing = Pairing()
    repaired = [pairing.add(text[low:high]) for low, high in pairwise(at)]
    assert "".join([*repaired, pairing.end()]) == join_halves(text) == expected(text)
    for delta in repaired:
        delta.encode()


@pytest.mark.parametrize("repeated", ["\ud83d", "?\ud83d", "\0\ude00", "\ud83d\ude00\ud83d"])
def test_many_lone_halves_take_about_as_long_as_one(repeated: str) -> None:
    one, many = "😀" * 300_000 + "\ud83d", repeated * (300_000 // len(repeated))
    assert milliseconds(join_halves, many) < 5 * max(milliseconds(join_halves, one), 1.0)
