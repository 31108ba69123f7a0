"""The assistant pane's titles, and the lists of App Home."""

import pytest

from bot.core.caps import Amount
from bot.core.conversation import Question, ThreadKey
from bot.core.surfaces import MAX_LISTED, Ranking, TypedCommand, rank, thread_title, was_asked_in_pane


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How do I *rebase*?", "How do I rebase?"),
        ("<@U1> see [this](https://example.org)\n\n```\ncode\n```", "see this"),
        ("word " * 40, "word " * 11 + "word…"),
        ("", "Files"),
    ],
)
def test_title_is_the_first_words_of_the_question(text: str, title: str) -> None:
    assert thread_title(Question(ThreadKey("T1", "D1", "1.0"), "1.0", "U1", text)) == title


@pytest.mark.parametrize(
    ("channel_id", "thread_ts", "is_there"), [("D1", "1.0", True), ("D1", None, False), ("C1", "1.0", False)]
)
def test_only_a_direct_message_in_a_thread_is_in_the_pane(
    channel_id: str, thread_ts: str | None, is_there: bool
) -> None:
    assert was_asked_in_pane(Question(ThreadKey("T1", channel_id, thread_ts), "1.0", "U1", "why?")) is is_there


@pytest.mark.parametrize(
    ("text", "subcommand"), [("usage", "usage"), ("  Usage by day", "usage"), ("", "help"), (" ", "help")]
)
def test_first_word_is_the_subcommand(text: str, subcommand: str) -> None:
    assert TypedCommand("/typist", text).subcommand == subcommand


def test_largest_users_of_this_month_and_then_of_the_last_are_listed_and_the_others_are_a_sum() -> None:
    used = {f"U{number:02}": Amount(10 + number, 1.0) for number in range(MAX_LISTED + 2)}
    this = {"UCOSTS": Amount(1, 2.0), **used}
    last = {"UCOSTS": Amount(5, 0.5), "U00": Amount(7, 0.25), "ULAST": Amount(9, 9.0)}
    first, second, *_ = (found := rank(this, last, Amount())).top
    assert first == ("UCOSTS", this["UCOSTS"], last["UCOSTS"])
    assert second == (f"U{MAX_LISTED + 1}", this[f"U{MAX_LISTED + 1}"], Amount())
    assert (len(found.top), found.other_count) == (MAX_LISTED, 4)
    rest = [this["U02"], this["U01"], this["U00"]]
    assert found.other_usage == (sum(rest, Amount()), Amount(16, 9.25))


def test_of_equal_users_the_larger_one_of_the_last_month_comes_first() -> None:
    top = [("c", 3, 0), ("b", 2, 5), ("a", 2, 1)]
    assert rank({"a": 2, "b": 2, "c": 3}, {"a": 1, "b": 5}, 0) == Ranking(top, 0, (0, 0))
