"""From a conversation to a prompt: who said what, what fits, and the vendors' rules."""

import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.conversation import Message, Prompt, Turn
from bot.core.inbound import prompt as prompts
from bot.core.inbound.prompt import BEGUN_BY_BOT, MESSAGES_OMITTED, Conversation, PromptMessage
from tests.core.conversations import ME, message, question

NAMES = {"UADA": "Ada", "UGRACE": "Grace", "UBOT": "typist"}


def build(
    messages: list[Message],
    asked: str = "<@UBOT> why?",
    replies: dict[str, str] | None = None,
    limit: int = 1_000,
) -> Prompt:
    """A prompt with a token for each character."""
    conversation = Conversation(question(asked, ts="50.0", thread_ts="1.0"), messages, replies or {})
    read = prompts.resolve_names(prompts.prompt_messages(conversation, ME), NAMES)
    return prompts.build_prompt("be brief", prompts.truncate(read, len, limit))


def told(turns: tuple[Turn, ...]) -> list[str]:
    """All that they say, message by message."""
    return [said for turn in turns for said in turn.text.split("\n\n")]


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


def test_an_apps_message_begins_with_the_apps_name() -> None:
    said = [
        message("red", ts="2.0", user_id="UCI", bot_id="BCI", app_name="CI"),
        message("down", ts="3.0", user_id=None, bot_id="BHOOK", subtype="bot_message", app_name="Alerts"),
    ]
    assert told(build(said).turns) == ["CI: red", "Alerts: down", "Ada: why?"]


@pytest.mark.parametrize("text", ["- one\n- two", "2. one", "> quoted", "```\ncode\n```"])
def test_what_begins_with_a_structure_begins_below_its_writers_name(text: str) -> None:
    said = [message(text, ts="2.0", user_id="UGRACE")]
    assert told(build(said).turns) == [f"Grace:\n{text}", "Ada: why?"]


def test_people_are_called_by_their_names_and_we_by_ours() -> None:
    said = [message("ask <@UGRACE> or <@UBOT>, <@UNOBODY>", ts="2.0")]
    assert told(build(said).turns) == ["ask @Grace or @typist, @UNOBODY", "why?"]


def test_what_hangs_below_a_message_is_read_with_it() -> None:
    said = [message("see this", ts="2.0", attached="Forwarded from Grace: a &lt; b")]
    assert told(build(said).turns) == ["see this", "Forwarded from Grace: a < b", "why?"]


def test_our_own_words_are_never_read_as_markup() -> None:
    said = [message("what?", ts="2.0"), message("short", ts="3.0", user_id="UBOT")]
    assert (
        build(said, replies={"3.0": "write &lt;@UADA&gt; or <@UADA>"}).turns[1].text == "write &lt;@UADA&gt; or <@UADA>"
    )


def test_a_question_that_was_edited_while_it_waited_is_read_as_it_is_now() -> None:
    assert build([message("<@UBOT> why not?", ts="50.0")]).turns[-1].text == "why not?"


def test_names_are_asked_for_whoever_speaks_or_is_spoken_of_the_newest_first_and_never_for_us() -> None:
    said = [
        message("<#C9> with <@UALAN>", ts="2.0", user_id="UGRACE"),
        message("our <@UEVE>", ts="3.0", user_id="UBOT"),
        message("red", ts="4.0", user_id="UCI", bot_id="BCI", app_name="CI"),
    ]
    conversation = Conversation(question("ask <@UGRACE>, <@UBOT>, in <#C8|eight>", ts="50.0"), said, {})
    spoken = prompts.prompt_messages(conversation, ME)
    assert prompts.ids_to_look_up(spoken, ME) == ["UADA", "UGRACE", "UALAN", "C9"]


def test_of_one_person_no_name_is_asked_for() -> None:
    assert (
        prompts.ids_to_look_up(prompts.prompt_messages(Conversation(question(), [message("hi", ts="2.0")], {}), ME), ME)
        == []
    )


def test_a_conversation_that_we_began_is_told_as_such() -> None:
    said = [message("good morning", ts="1.0", user_id="UBOT")]
    assert build(said, replies={"1.0": "good morning"}).turns == (
        Turn("user", BEGUN_BY_BOT),
        Turn("assistant", "good morning"),
        Turn("user", "why?"),
    )


def test_a_message_that_was_but_a_file_shown_elsewhere_is_no_turn() -> None:
    said = [PromptMessage("UADA", ""), PromptMessage(None, "I see."), PromptMessage("UADA", "why?")]
    assert prompts.build_prompt("", said).turns == (
        Turn("user", BEGUN_BY_BOT),
        Turn("assistant", "I see."),
        Turn("user", "why?"),
    )


def test_the_first_message_and_the_newest_that_fit_are_kept_whole_and_a_line_says_what_is_not() -> None:
    said = [message(letter * (100 if at > 1 else 4), ts=f"{at}.0") for at, letter in enumerate("abcde", start=1)]
    room = 4 + 205 + len("why?") + len(MESSAGES_OMITTED)
    assert told(build(said, limit=room).turns) == ["aaaa", MESSAGES_OMITTED, "d" * 100, "e" * 100, "why?"]


def test_what_was_not_read_is_told_where_it_was() -> None:
    said = [message("first", ts="1.0"), message("later", ts="40.0", after_gap=True)]
    assert told(build(said).turns) == ["first", MESSAGES_OMITTED, "later", "why?"]


def test_a_gap_is_told_though_the_message_after_it_is_nothing_that_was_said() -> None:
    said = [message("first", ts="1.0"), message("joined", ts="40.0", subtype="channel_join", after_gap=True)]
    assert told(build(said).turns) == ["first", MESSAGES_OMITTED, "why?"]


def test_a_direct_messages_first_is_like_any_other() -> None:
    said = [message("a" * 60, ts="1.0"), message("b" * 60, ts="2.0")]
    conversation = Conversation(question("why?", ts="50.0", thread_ts=None), said, {})
    fitting = prompts.truncate(prompts.prompt_messages(conversation, ME), len, 120)
    assert [each.text for each in fitting] == ["b" * 60, "why?"]


def test_an_answer_whose_question_is_left_out_stays() -> None:
    said = [PromptMessage("UADA", "x" * 80), PromptMessage(None, "the answer"), PromptMessage("UADA", "why?")]
    turns = prompts.build_prompt("", prompts.truncate(said, len, 60)).turns
    assert turns == (Turn("user", MESSAGES_OMITTED), Turn("assistant", "the answer"), Turn("user", "why?"))


def test_a_question_that_does_not_fit_is_cut_in_its_middle_with_a_mark() -> None:
    text = build([], asked="begin " + "x" * 2_000 + " end").turns[0].text
    assert len(text) <= 1_000
    assert text.startswith("begin x")
    assert text.endswith("x end")
    assert "characters are left out here" in text


def test_a_message_that_would_fit_nowhere_is_cut_and_what_is_before_it_dropped() -> None:
    said = [message("first", ts="1.0"), message("old", ts="2.0"), message("begin " + "x" * 2_000 + " end", ts="3.0")]
    first, gap, long, middle, end, asked = told(build(said).turns)
    assert (first, gap, asked) == ("first", MESSAGES_OMITTED, "why?")
    assert (long[:7], end[-5:]) == ("begin x", "x end")
    assert "left out" in middle


def test_a_first_message_that_does_not_fit_leaves_half_of_the_room() -> None:
    said = [message("a" * 2_000, ts="1.0"), message("b" * 400, ts="2.0"), message("c" * 400, ts="3.0")]
    turns = told(build(said).turns)
    assert turns[-3:] == [MESSAGES_OMITTED, "c" * 400, "why?"]
    assert turns[0].startswith("aaa")


@pytest.mark.parametrize("text", ["e\u0301" * 400, "👩\u200d🔬" * 300, "❤\ufe0f" * 500])
@pytest.mark.parametrize("limit", range(200, 206))
def test_a_cut_parts_no_mark_from_what_it_belongs_to(text: str, limit: int) -> None:
    head, mark, tail = prompts.cut_middle(text, len, limit).split("\n\n")
    assert "left out" in mark
    assert text.startswith(head)
    assert text.endswith(tail)
    for begun in (tail, text[len(head) :]):
        assert not unicodedata.combining(begun[0])
        assert begun[0] not in "\u200d\ufe0f"


speakers = st.sampled_from([None, "UADA", "UGRACE", "BOTHER"])
texts = st.text(st.sampled_from("ab \n\t\u3000é<@U>&"), max_size=12)
histories = st.lists(st.tuples(speakers, texts, st.booleans()), max_size=12)


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(0, 200), st.booleans())
def test_every_history_obeys_anthropics_message_rules(
    history: list[tuple[str | None, str, bool]], limit: int, first: bool
) -> None:
    said = [
        message(text, ts=f"{at}.0", user_id=speaker or "UBOT", bot_id=None if speaker else "BBOT", after_gap=gap)
        for at, (speaker, text, gap) in enumerate(history, start=10)
    ]
    if said and first:
        said[0] = replace(said[0], ts="1.0")
    turns = build(said, limit=limit + len("Ada: why?")).turns
    assert turns[0].role == turns[-1].role == "user"
    assert all(a.role != b.role for a, b in pairwise(turns))
    assert all(turn.text.strip() for turn in turns)
    assert turns[-1].text.endswith("why?")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(speakers, st.text("ab", min_size=1, max_size=300)), max_size=9), st.integers(150, 700))
def test_what_fits_is_the_beginning_and_the_end_of_what_was_said_and_within_the_limit(
    history: list[tuple[str | None, str]], limit: int
) -> None:
    said = [PromptMessage(speaker, text) for speaker, text in history] + [PromptMessage("UADA", "?")]
    said[0] = replace(said[0], first=len(said) > 1)
    kept = prompts.truncate(said, len, limit)
    told = [each.text for each in said]
    whole = [each.text for each in kept if "left out" not in each.text]
    assert sum(len(each.text) for each in kept) + len(MESSAGES_OMITTED) * any(each.after_gap for each in kept) <= limit
    assert kept[0].text[:20] == told[0][:20]
    assert whole[1:] == told[len(told) - len(whole[1:]) :]
    assert any(each.after_gap for each in kept) == (len(kept) < len(said))
