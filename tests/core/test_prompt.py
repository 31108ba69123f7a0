"""From a conversation to a prompt: who said what, what fits, and the vendors' rules."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import prompt as prompts
from bot.core.conversation import Message, Prompt, Turn
from bot.core.prompt import Conversation, Spoken
from bot.errors import QuestionTooLong
from tests.core.conversations import ME, message, question

NAMES = {"UADA": "Ada", "UGRACE": "Grace"}


def build(
    messages: list[Message],
    asked: str = "<@UBOT> why?",
    replies: dict[str, str] | None = None,
    limit: int = 1_000,
) -> Prompt:
    """A prompt with a token for each character."""
    conversation = Conversation(question(asked, ts="50.0", thread_ts="1.0"), messages, replies or {})
    fitting = prompts.fit(prompts.spoken(conversation, ME), len, limit)
    return prompts.prompt_of("be brief", fitting, NAMES)


def test_a_question_alone_is_one_turn_without_a_name() -> None:
    assert build([]) == Prompt("be brief", (Turn("user", "why?"),))


def test_the_thread_goes_before_it_with_our_answers_as_the_assistants() -> None:
    said = [
        message("<@UBOT> what is it?", ts="1.0"),
        message("short text", ts="2.0", user_id="UBOT", bot_id="BBOT"),
        message("<@UBOT> why?", ts="50.0"),
    ]
    assert build(said, replies={"2.0": "the **whole** answer"}).turns == (
        Turn("user", "what is it?"),
        Turn("assistant", "the **whole** answer"),
        Turn("user", "why?"),
    )


def test_later_pages_and_replies_without_text_are_no_turns() -> None:
    said = [
        message("what is it?", ts="1.0"),
        message("page one", ts="2.0", user_id="UBOT"),
        message("page two", ts="3.0", user_id="UBOT"),
        message("Ask me anything", ts="4.0", user_id="UBOT"),
    ]
    turns = build(said, replies={"2.0": "page one, page two", "3.0": "", "4.0": ""}).turns
    assert [turn.text for turn in turns] == ["what is it?", "page one, page two", "why?"]


def test_what_came_after_the_question_does_not_count_but_an_earlier_questions_answer_does() -> None:
    said = [
        message("first?", ts="1.0"),
        message("answer to first", ts="60.0", user_id="UBOT"),
        message("later talk", ts="61.0", user_id="UGRACE"),
        message("a placeholder", ts="62.0", user_id="UBOT"),
    ]
    turns = build(said, replies={"60.0": "answer to first"}).turns
    assert [turn.text for turn in turns] == ["first?", "answer to first", "why?"]


def test_where_several_people_talk_each_message_begins_with_its_writers_name() -> None:
    said = [message("lunch?", ts="1.0"), message("or dinner?", ts="2.0", user_id="UGRACE")]
    assert build(said).turns == (Turn("user", "Ada: lunch?\n\nGrace: or dinner?\n\nAda: why?"),)


def test_joins_and_the_like_are_not_said_by_anybody() -> None:
    assert len(build([message("has joined", ts="1.0", subtype="channel_join")]).turns) == 1


def test_the_newest_whole_messages_are_kept() -> None:
    said = [message("a" * 40, ts="1.0"), message("b" * 40, ts="2.0"), message("c" * 40, ts="3.0")]
    text = build(said, limit=4 + 85).turns[0].text
    assert "a" not in text
    assert "b" * 40 in text
    assert text.index("b") < text.index("c") < text.index("why?")


def test_a_question_that_does_not_fit_is_refused_with_a_sentence() -> None:
    with pytest.raises(QuestionTooLong, match=r"about 2,000 tokens long and I can read 1,000"):
        build([], asked="x" * 2_000)


speakers = st.sampled_from([None, "UADA", "UGRACE", "BOTHER"])
texts = st.text(st.sampled_from("ab \n\t\u3000é"), max_size=12)
histories = st.lists(st.tuples(speakers, texts), max_size=12)


@given(histories, st.integers(0, 60))
def test_every_history_obeys_anthropics_message_rules(history: list[tuple[str | None, str]], limit: int) -> None:
    said = [
        message(text, ts=f"{at}.0", user_id=speaker or "UBOT", bot_id=None if speaker else "BBOT")
        for at, (speaker, text) in enumerate(history, start=10)
    ]
    turns = build(said, limit=limit + len("why?")).turns
    assert turns[0].role == turns[-1].role == "user"
    assert all(a.role != b.role for a, b in pairwise(turns))
    assert all(turn.text.strip() for turn in turns)
    assert turns[-1].text.endswith("why?")


@given(st.lists(st.tuples(speakers, st.text("ab", min_size=1, max_size=9)), max_size=9), st.integers(1, 60))
def test_what_fits_is_the_end_of_what_was_said_and_within_the_limit(
    history: list[tuple[str | None, str]], limit: int
) -> None:
    said = [Spoken(speaker, text) for speaker, text in history] + [Spoken("UADA", "?")]
    kept = prompts.fit(said, len, limit)
    assert kept == said[len(said) - len(kept) :]
    assert sum(len(each.text) for each in kept) <= limit
    assert kept[0].speaker is not None
