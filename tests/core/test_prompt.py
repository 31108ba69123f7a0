"""From a conversation to a prompt: speakers, truncation, and the vendors' rules."""

import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import File, Message, Prompt, RecordedReply, Turn
from bot.core.inbound import prompt as prompts
from bot.core.inbound.channel_settings import Length
from bot.core.inbound.marks import Marks
from bot.core.inbound.prompt import BEGUN_BY_BOT, MESSAGES_OMITTED, Conversation, PromptMessage
from tests.core.conversations import ME, message, question
from tests.core.counted import FEW_STEPS, steps
from tests.marked import unmarked

MARKS = Marks("0123abcd")
NAMES = {"UADA": "Ada", "UGRACE": "Grace", "UBOT": "typist"}


def build(
    messages: list[Message],
    question_text: str = "<@UBOT> why?",
    replies: dict[str, str] | None = None,
    limit: int = 1_000,
) -> Prompt:
    """Returns a prompt for a conversation, counting one token per character."""
    recorded = {ts: RecordedReply(text) for ts, text in (replies or {}).items()}
    conversation = Conversation(question(question_text, ts="50.0", thread_ts="1.0"), messages, recorded)
    prompt_messages = prompts.resolve_names(prompts.prompt_messages(conversation, ME), NAMES, MARKS)
    prompt = prompts.build_prompt("be brief", prompts.truncate(prompt_messages, len, limit))
    return replace(prompt, turns=tuple(replace(turn, text=unmarked(turn.text)) for turn in prompt.turns))


def test_default_prompt_asks_for_short_answers_and_any_other_decides_for_itself() -> None:
    short = prompts.LENGTH_RULES[Length.NORMAL]
    assert prompts.length_rule(prompts.DEFAULT_SYSTEM_PROMPT, Length.NORMAL) == short
    assert prompts.length_rule("Be brief.", Length.NORMAL) == ""
    for length in (Length.BRIEF, Length.FULL):
        for system in (prompts.DEFAULT_SYSTEM_PROMPT, "Be brief."):
            assert prompts.length_rule(system, length) == prompts.LENGTH_RULES[length]


def messages_in(turns: tuple[Turn, ...]) -> list[str]:
    """Returns the messages in a prompt's turns."""
    return [text for turn in turns for text in turn.text.split("\n\n")]


def test_single_question_is_one_turn_without_a_name() -> None:
    assert build([]) == Prompt("be brief", (Turn("user", "why?"),))


def test_thread_comes_before_the_question_with_our_answers_as_the_assistants() -> None:
    messages = [
        message("<@UBOT> what is it?", ts="1.0"),
        message("short text", ts="2.0", user_id="UBOT", bot_id="BBOT"),
        message("<@UBOT> why?", ts="50.0"),
    ]
    assert build(messages, replies={"2.0": "the **whole** answer"}).turns == (
        Turn("user", "what is it?"),
        Turn("assistant", "the **whole** answer"),
        Turn("user", "why?"),
    )


@pytest.mark.parametrize("user_id", ["USLACK", "USLACKBOT"])
def test_notices_of_slack_itself_are_no_turns(user_id: str) -> None:
    asked = message("what is it?", ts="1.0")
    assert build([asked, message("A reminder", ts="2.0", user_id=user_id)]) == build([asked])


def test_question_has_the_files_that_slack_has_with_it_now() -> None:
    asked, photo = question(ts="50.0", thread_ts="1.0"), File("F1", "photo.png")
    [last] = prompts.prompt_messages(Conversation(asked, [replace(asked.as_message(), files=(photo,))], {}), ME)
    assert last.files == (photo,)


def test_nothing_is_said_to_be_left_out_behind_a_first_message_that_is_only_cut() -> None:
    prompt = build([message("x" * 5_000, ts="1.0"), message("and then?", ts="2.0")])
    assert "characters are left out" in prompt.turns[0].text
    assert MESSAGES_OMITTED not in messages_in(prompt.turns)


def test_later_pages_and_replies_without_text_are_no_turns() -> None:
    messages = [
        message("what is it?", ts="1.0"),
        message("page one", ts="2.0", user_id="UBOT"),
        message("page two", ts="3.0", user_id="UBOT"),
        message("Ask me anything", ts="4.0", user_id="UBOT"),
    ]
    turns = build(messages, replies={"2.0": "page one, page two", "3.0": "", "4.0": ""}).turns
    assert [turn.text for turn in turns] == ["what is it?", "page one, page two", "why?"]


def test_messages_after_the_question_are_left_out_except_answers_to_earlier_questions() -> None:
    messages = [
        message("first?", ts="1.0"),
        message("answer to first", ts="60.0", user_id="UBOT"),
        message("later talk", ts="61.0", user_id="UGRACE"),
        message("a placeholder", ts="62.0", user_id="UBOT"),
    ]
    turns = build(messages, replies={"60.0": "answer to first"}).turns
    assert [turn.text for turn in turns] == ["first?", "answer to first", "why?"]


def test_messages_of_several_people_begin_with_their_writers_names() -> None:
    messages = [message("lunch?", ts="1.0"), message("or dinner?", ts="2.0", user_id="UGRACE")]
    assert build(messages).turns == (Turn("user", "Ada: lunch?\n\nGrace: or dinner?\n\nAda: why?"),)


def test_joins_are_left_out() -> None:
    assert len(build([message("has joined", ts="1.0", subtype="channel_join")]).turns) == 1


def test_message_of_an_app_begins_with_the_apps_name() -> None:
    messages = [
        message("red", ts="2.0", user_id="UCI", bot_id="BCI", app_name="CI"),
        message("down", ts="3.0", user_id=None, bot_id="BHOOK", subtype="bot_message", app_name="Alerts"),
    ]
    assert messages_in(build(messages).turns) == ["CI: red", "Alerts: down", "Ada: why?"]


@pytest.mark.parametrize("text", ["- one\n- two", "2. one", "> quoted", "```\ncode\n```"])
def test_list_quote_or_code_begins_below_the_mark_of_its_writer(text: str) -> None:
    messages = [message(text, ts="2.0", user_id="UGRACE")]
    assert messages_in(build(messages).turns) == [f"Grace: {text}", "Ada: why?"]


def test_mentions_become_names_ours_included() -> None:
    messages = [message("ask <@UGRACE> or <@UBOT>, <@UNOBODY>", ts="2.0")]
    assert messages_in(build(messages).turns) == ["ask @Grace or @typist, @UNOBODY", "why?"]


def test_attachments_are_read_with_their_message() -> None:
    messages = [message("see this", ts="2.0", attached="Forwarded from Grace: a &lt; b")]
    assert messages_in(build(messages).turns) == ["see this", "Forwarded from Grace: a < b", "why?"]


def test_our_own_answers_are_never_read_as_markup() -> None:
    messages = [message("what?", ts="2.0"), message("short", ts="3.0", user_id="UBOT")]
    assert (
        build(messages, replies={"3.0": "write &lt;@UADA&gt; or <@UADA>"}).turns[1].text
        == "write &lt;@UADA&gt; or <@UADA>"
    )


def test_question_edited_while_queued_is_read_with_its_new_text() -> None:
    assert build([message("<@UBOT> why not?", ts="50.0")]).turns[-1].text == "why not?"


def test_names_are_looked_up_for_speakers_and_mentions_newest_first_and_never_for_us() -> None:
    messages = [
        message("<#C9> with <@UALAN>", ts="2.0", user_id="UGRACE"),
        message("our <@UEVE>", ts="3.0", user_id="UBOT"),
        message("red", ts="4.0", user_id="UCI", bot_id="BCI", app_name="CI"),
    ]
    conversation = Conversation(question("ask <@UGRACE>, <@UBOT>, in <#C8|eight>", ts="50.0"), messages, {})
    prompt_messages = prompts.prompt_messages(conversation, ME)
    assert prompts.ids_to_look_up(prompt_messages, ME) == ["UADA", "UGRACE", "UALAN", "C9"]


def test_name_of_a_single_speaker_is_not_looked_up() -> None:
    assert (
        prompts.ids_to_look_up(prompts.prompt_messages(Conversation(question(), [message("hi", ts="2.0")], {}), ME), ME)
        == []
    )


def test_conversation_that_we_began_says_so() -> None:
    messages = [message("good morning", ts="1.0", user_id="UBOT")]
    assert build(messages, replies={"1.0": "good morning"}).turns == (
        Turn("user", BEGUN_BY_BOT),
        Turn("assistant", "good morning"),
        Turn("user", "why?"),
    )


def test_message_of_a_file_that_is_shown_elsewhere_is_no_turn() -> None:
    messages = [PromptMessage("UADA", ""), PromptMessage(None, "I see."), PromptMessage("UADA", "why?")]
    assert prompts.build_prompt("", messages).turns == (
        Turn("user", BEGUN_BY_BOT),
        Turn("assistant", "I see."),
        Turn("user", "why?"),
    )


def test_first_message_and_newest_that_fit_stay_whole_with_a_line_for_the_gap() -> None:
    messages = [message(letter * (100 if at > 1 else 4), ts=f"{at}.0") for at, letter in enumerate("abcde", start=1)]
    room = 4 + 205 + len("why?") + len(MESSAGES_OMITTED)
    assert messages_in(build(messages, limit=room).turns) == ["aaaa", MESSAGES_OMITTED, "d" * 100, "e" * 100, "why?"]


def test_gap_in_the_history_is_marked_in_its_place() -> None:
    messages = [message("first", ts="1.0"), message("later", ts="40.0", after_gap=True)]
    assert messages_in(build(messages).turns) == ["first", MESSAGES_OMITTED, "later", "why?"]


def test_gap_before_a_message_that_is_left_out_is_marked() -> None:
    messages = [message("first", ts="1.0"), message("joined", ts="40.0", subtype="channel_join", after_gap=True)]
    assert messages_in(build(messages).turns) == ["first", MESSAGES_OMITTED, "why?"]


def test_first_message_of_a_direct_message_is_not_kept() -> None:
    messages = [message("a" * 60, ts="1.0"), message("b" * 60, ts="2.0")]
    conversation = Conversation(question("why?", ts="50.0", thread_ts=None), messages, {})
    fitting = prompts.truncate(prompts.prompt_messages(conversation, ME), len, 120)
    assert [fits.text for fits in fitting] == ["b" * 60, "why?"]


def test_answer_stays_if_its_question_is_left_out() -> None:
    messages = [PromptMessage("UADA", "x" * 80), PromptMessage(None, "the answer"), PromptMessage("UADA", "why?")]
    turns = prompts.build_prompt("", prompts.truncate(messages, len, 60)).turns
    assert turns == (Turn("user", MESSAGES_OMITTED), Turn("assistant", "the answer"), Turn("user", "why?"))


def test_question_that_does_not_fit_is_cut_in_its_middle_with_a_mark() -> None:
    text = build([], question_text="begin " + "x" * 2_000 + " end").turns[0].text
    assert len(text) <= 1_000
    assert text.startswith("begin x")
    assert text.endswith("x end")
    assert "characters are left out here" in text


def test_message_longer_than_the_limit_is_cut_and_earlier_ones_are_dropped() -> None:
    messages = [
        message("first", ts="1.0"),
        message("old", ts="2.0"),
        message("begin " + "x" * 2_000 + " end", ts="3.0"),
    ]
    first, gap, long, middle, end, last = messages_in(build(messages).turns)
    assert (first, gap, last) == ("first", MESSAGES_OMITTED, "why?")
    assert (long[:7], end[-5:]) == ("begin x", "x end")
    assert "left out" in middle


def test_first_message_that_does_not_fit_gets_half_of_the_room() -> None:
    messages = [message("a" * 2_000, ts="1.0"), message("b" * 400, ts="2.0"), message("c" * 400, ts="3.0")]
    turns = messages_in(build(messages).turns)
    assert turns[-3:] == [MESSAGES_OMITTED, "c" * 400, "why?"]
    assert turns[0].startswith("aaa")


@pytest.mark.parametrize("text", ["e\u0301" * 400, "👩\u200d🔬" * 300, "❤\ufe0f" * 500])
@pytest.mark.parametrize("limit", range(200, 206))
def test_cut_separates_no_combining_mark_from_its_character(text: str, limit: int) -> None:
    head, mark, tail = prompts.cut_middle(text, len, limit).split("\n\n")
    assert "left out" in mark
    assert text.startswith(head)
    assert text.endswith(tail)
    for rest in (tail, text[len(head) :]):
        assert not unicodedata.combining(rest[0])
        assert rest[0] not in "\u200d\ufe0f"


@pytest.mark.parametrize("text", ["\u0301" * 40_000, "a" + "\u200d" * 40_000])
def test_cut_of_endless_combining_marks_takes_few_steps(text: str) -> None:
    assert steps(lambda text: prompts.cut_middle(text, len, 30_000), text) < 2 * FEW_STEPS
    assert len(prompts.cut_middle(text, len, 30_000)) > 29_000


speakers = st.sampled_from([None, "UADA", "UGRACE", "BOTHER"])
texts = st.text(st.sampled_from("ab \n\t\u3000é<@U>&"), max_size=12)
histories = st.lists(st.tuples(speakers, texts, st.booleans()), max_size=12)


@given(histories, st.integers(0, 200), st.booleans())
def test_every_history_obeys_anthropics_message_rules(
    history: list[tuple[str | None, str, bool]], limit: int, first: bool
) -> None:
    messages = [
        message(text, ts=f"{at}.0", user_id=speaker or "UBOT", bot_id=None if speaker else "BBOT", after_gap=gap)
        for at, (speaker, text, gap) in enumerate(history, start=10)
    ]
    if messages and first:
        messages[0] = replace(messages[0], ts="1.0")
    turns = build(messages, limit=limit + len("[0123abcd-0123 Ada]\nwhy?")).turns
    assert turns[0].role == turns[-1].role == "user"
    assert all(a.role != b.role for a, b in pairwise(turns))
    assert all(turn.text.strip() for turn in turns)
    assert turns[-1].text.endswith("why?")


@given(st.lists(st.tuples(speakers, st.text("ab", min_size=1, max_size=300)), max_size=9), st.integers(150, 700))
def test_truncated_history_is_its_first_and_newest_messages_within_the_limit(
    history: list[tuple[str | None, str]], limit: int
) -> None:
    messages = [PromptMessage(speaker, text) for speaker, text in history] + [PromptMessage("UADA", "?")]
    messages[0] = replace(messages[0], first=len(messages) > 1)
    truncated = prompts.truncate(messages, len, limit)
    texts = [read.text for read in messages]
    whole = [read.text for read in truncated if "left out" not in read.text]
    has_gap = any(read.after_gap for read in truncated)
    assert sum(len(read.text) for read in truncated) + len(MESSAGES_OMITTED) * has_gap <= limit
    assert truncated[0].text[:20] == texts[0][:20]
    assert whole[1:] == texts[len(texts) - len(whole[1:]) :]
    assert has_gap == (len(truncated) < len(messages))
