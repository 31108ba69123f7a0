"""A question that the bot posts for a person is attributed to that person."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import escape, with_names
from bot.core.texts.settings import REACTION_QUESTION
from bot.core.texts.shortcut import MY_CHOICE
from bot.core.unposted import MessageQuestion, QuotedMessage, post_text, quote_in_post, reaction_view_id
from bot.slack.posted_questions import modal_id_of, parse_posted_question, posted_question


def ask(question: str, quote: str = "", ts: str = "2.0") -> MessageQuestion:
    about = QuotedMessage("C1", ts, "1.0", quote, "")
    return MessageQuestion("T1", "V1", "U1", about, question, 0.0)


@pytest.mark.parametrize(
    ("quote", "question", "words", "quoted"),
    [
        ("", "why?", "why?", ""),
        ("", "is a < b & c?", "is a &lt; b &amp; c?", ""),
        ("one\ntwo", "why?", "why?", "&gt; one\n&gt; two"),
        ("<!channel>", "<@U2>?", "&lt;@U2&gt;?", "&gt; &lt;!channel&gt;"),
    ],
)
def test_posted_question_has_its_asker_and_text_apart_from_the_quote(
    quote: str, question: str, words: str, quoted: str
) -> None:
    message = posted_question(ask(question, quote), elsewhere=True)
    assert parse_posted_question(message) == ("U1", words, quoted)
    assert modal_id_of(message) == "V1"


@given(st.text(min_size=1, max_size=200).filter(str.strip))
def test_any_question_is_read_back_unchanged(question: str) -> None:
    message = posted_question(ask(question), elsewhere=False)
    asker_and_text = parse_posted_question(message)
    assert asker_and_text is not None
    if escape(question) == question.replace("<", "&lt;").replace(">", "&gt;"):
        assert with_names(asker_and_text[1], {}) == question
    assert "<" not in message["text"].removeprefix("<@U1>")


texts = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&;lgtamp@#|\n "), max_size=60)


@given(texts.filter(bool), texts, st.booleans())
def test_history_reads_the_same_question_as_the_record(question: str, quote: str, elsewhere: bool) -> None:
    posted = ask(question, quote)
    texts = post_text(posted.about, question, elsewhere=elsewhere)
    assert parse_posted_question(posted_question(posted, elsewhere=elsewhere)) == ("U1", *texts)


@given(texts)
def test_question_by_emoji_shows_the_emoji_and_is_read_back_as_the_models_instruction(quote: str) -> None:
    posted = replace(ask(REACTION_QUESTION, quote), view_id=reaction_view_id("robot_face", "C1", "2.0"))
    message = posted_question(posted, elsewhere=False)
    assert parse_posted_question(message) == ("U1", *post_text(posted.about, REACTION_QUESTION, elsewhere=False))
    assert message["blocks"][-1]["elements"][0]["text"] == ":robot_face:"
    assert message["text"].endswith("\n\n:robot_face:")
    assert REACTION_QUESTION not in str(message)
    assert modal_id_of(message) == posted.view_id


@given(texts.filter(bool))
def test_choice_that_somebody_pressed_is_read_as_words_that_are_not_theirs(choice: str) -> None:
    posted = replace(ask(choice), about=QuotedMessage("C1", "2.0", "", "", "", offered_by=7))
    message = posted_question(posted, elsewhere=False)
    assert parse_posted_question(message) == ("U1", *post_text(posted.about, choice, elsewhere=False))
    assert parse_posted_question(message) == ("U1", MY_CHOICE, escape(choice))
    assert modal_id_of(message) == "V1"


def test_other_messages_of_ours_contain_no_question() -> None:
    assert parse_posted_question({"text": "An answer"}) is None
    assert parse_posted_question({"blocks": [{"type": "markdown", "text": "An answer", "block_id": "x1"}]}) is None


@pytest.mark.parametrize(("ts", "quote"), [("1.0", ""), ("2.0", "first second")])
def test_message_is_quoted_unless_it_begins_the_thread(ts: str, quote: str) -> None:
    assert quote_in_post(ask("why?", "first\nsecond", ts).about, elsewhere=False) == quote
