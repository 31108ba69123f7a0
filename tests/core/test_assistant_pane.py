"""The assistant pane's suggested prompts and titles."""

import pytest

from bot.core.assistant_pane import Suggestion, in_pane, parse_suggestions, title_of
from bot.core.conversation import Question, ThreadKey


@pytest.mark.parametrize(
    ("text", "suggestions"),
    [
        ("Say hi: Say hi to me", (Suggestion("Say hi", "Say hi to me"),)),
        (
            "Draft a reply | Sum up: Sum this up: briefly |",
            (
                Suggestion("Draft a reply", "Draft a reply"),
                Suggestion("Sum up", "Sum this up: briefly"),
            ),
        ),
    ],
)
def test_suggestions_are_parsed_from_one_line(text: str, suggestions: tuple[Suggestion, ...]) -> None:
    assert parse_suggestions(text) == suggestions


@pytest.mark.parametrize("text", [": a message", "a title:", "a|b|c|d|e"])
def test_invalid_suggestions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prompts"):
        parse_suggestions(text)


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
