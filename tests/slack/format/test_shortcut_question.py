"""A question that the bot wrote for somebody is read back as theirs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.entities import escape
from bot.core.inbound.mentions import with_names
from bot.core.message_question import AskAbout
from bot.slack.format import shortcut_question


@pytest.mark.parametrize(
    ("quote", "question", "words"),
    [
        ("", "why?", "why?"),
        ("", "is a < b & c?", "is a &lt; b &amp; c?"),
        ("one\ntwo", "why?", "&gt; one\n&gt; two\n\nwhy?"),
        ("<!channel>", "<@U2>?", "&gt; &lt;!channel&gt;\n\n&lt;@U2&gt;?"),
    ],
)
def test_it_is_theirs_and_says_what_they_asked(quote: str, question: str, words: str) -> None:
    assert shortcut_question.asked_in(shortcut_question.message("U1", "<@U1> asks:", quote, question)) == ("U1", words)


@given(st.text(min_size=1, max_size=200).filter(str.strip))
@settings(max_examples=50, deadline=None)
def test_whatever_is_asked_is_read_as_it_was_written(question: str) -> None:
    message = shortcut_question.message("U1", "", "", question)
    read = shortcut_question.asked_in(message)
    assert read is not None
    if escape(question) == question.replace("<", "&lt;").replace(">", "&gt;"):
        assert with_names(read[1], {}) == question
    assert "<" not in message["text"]


def test_other_messages_of_ours_hold_nobodys_question() -> None:
    assert shortcut_question.asked_in({"text": "An answer"}) is None
    assert shortcut_question.asked_in({"blocks": [{"type": "markdown", "text": "An answer", "block_id": "x1"}]}) is None


@pytest.mark.parametrize(("ts", "recalled"), [("1.0", ""), ("2.0", "first second")])
def test_a_message_is_recalled_where_the_thread_does_not_begin_with_it(ts: str, recalled: str) -> None:
    assert shortcut_question.reminder(AskAbout("C1", ts, "1.0", "first\nsecond", "")) == recalled
