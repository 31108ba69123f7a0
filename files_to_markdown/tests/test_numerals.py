"""List numbers as letters, words and symbols, up to the highest usual number."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from files_to_markdown.numerals import chinese, circled, in_words, letters, ordinal, roman, russian

WRITTEN: Mapping[str, tuple[Callable[[int], str | None], Mapping[int, str | None]]] = {
    "roman": (
        roman,
        {0: None, 1: "i", 4: "iv", 9: "ix", 14: "xiv", 48: "xlviii", 90: "xc", 444: "cdxliv", 1_994: "mcmxciv"}
        | {3_999: "mmmcmxcix", 4_000: None},
    ),
    "letters": (letters, {0: None, 1: "a", 26: "z", 27: "aa", 53: "aaa", 54: "bbb", 520: "z" * 20, 521: None}),
    "letters that count on": (
        partial(letters, counts_on=True),
        {0: None, 1: "a", 26: "z", 27: "aa", 53: "ba", 54: "bb", 520: "sz", 521: None},
    ),
    "russian": (russian, {1: "а", 9: "и", 10: "к", 29: "я", 30: "аа", 580: "я" * 20, 581: None}),
    "ordinal": (
        ordinal,
        {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 10: "10th", 11: "11th", 12: "12th", 13: "13th"}
        | {21: "21st", 101: "101st", 111: "111th", 112: "112th", 123: "123rd", 213: "213th"},
    ),
    "chinese": (
        chinese,
        {-1: None, 0: "零", 9: "九", 10: "十", 11: "十一", 20: "二十", 21: "二十一", 99: "九十九", 100: None},
    ),
    "circled": (circled, {0: None, 1: "①", 20: "⑳", 21: None}),
    "words": (in_words, {-1: None, 0: "Zero", 1: "One", 12: "Twelve", 20: "Twenty", 21: None}),
    "ordinal words": (
        partial(in_words, is_ordinal=True),
        {0: "Zeroth", 1: "First", 12: "Twelfth", 20: "Twentieth", 21: None},
    ),
}


@pytest.mark.parametrize(("write", "numbers"), WRITTEN.values(), ids=WRITTEN)
def test_number_is_written_as_people_see_it(
    write: Callable[[int], str | None], numbers: Mapping[int, str | None]
) -> None:
    assert {number: write(number) for number in numbers} == numbers
