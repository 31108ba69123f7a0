"""The assistant pane's titles."""

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.surfaces import in_pane, title_of


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
    assert title_of(Question(ThreadKey("T1", "D1", "1.0"), "1.0", "U1", text)) == title


@pytest.mark.parametrize(
    ("channel_id", "thread_ts", "is_there"), [("D1", "1.0", True), ("D1", None, False), ("C1", "1.0", False)]
)
def test_only_a_direct_message_in_a_thread_is_in_the_pane(
    channel_id: str, thread_ts: str | None, is_there: bool
) -> None:
    assert in_pane(Question(ThreadKey("T1", channel_id, thread_ts), "1.0", "U1", "why?")) is is_there
