"""What a failure's detail keeps of a vendor's words: no part of a key, wherever the key stands."""

import pytest

from bot.errors import EndReason
from bot.models.failures import RequestAttempt

KEY = "sk-proj-Zz0123456789abcdefghijklmnopqrs"
OF_ANOTHER_FORM = "0123456789abcdefghijklmnopqrstuvwxyzABC"
MIN_PART = 6
MORE_CHARS_THAN_A_DETAIL = 400


def parts_of(key: str) -> set[str]:
    return {key[at : at + MIN_PART] for at in range(8, len(key) - MIN_PART + 1)}


@pytest.mark.parametrize(
    ("known", "key"),
    [(KEY, KEY), ("another-key", KEY), ("", KEY), (OF_ANOTHER_FORM, OF_ANOTHER_FORM)],
    ids=["our key", "a key like ours", "no key known", "our key of another form"],
)
def test_key_is_masked_at_any_place_of_a_detail(known: str, key: str) -> None:
    """A detail is cut at a length: a key that the cut divided would no longer look like one."""
    attempt = RequestAttempt("openai/test", known)
    for before in range(MORE_CHARS_THAN_A_DETAIL):
        detail = attempt.failure(EndReason.UNEXPECTED, f"{'.' * before} {key} is wrong").detail
        assert not [part for part in parts_of(key) if part in detail], before


@pytest.mark.parametrize("key", ["k", "none", "ollama", "EMPTY"])
def test_what_stands_for_a_key_that_a_server_does_not_check_is_left_in_words(key: str) -> None:
    words = "unknown model: ollama has none; the list is EMPTY"
    assert RequestAttempt("openai/test", key).failure(EndReason.UNEXPECTED, words).detail == words
