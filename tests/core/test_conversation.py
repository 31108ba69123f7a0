"""Mentions of people and channels in the text of a message."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import (
    File,
    Message,
    Question,
    ThreadKey,
    escape,
    ids_to_name,
    is_addressed_to_another,
    is_only_bot_mention,
    linked_message,
    mentioned_user_ids,
    message_link,
    named_mention,
    with_names,
    without_bot_mention,
    without_user_mentions,
)

NAMES = {"UADA": "Ada", "CBUILD": "build"}


def test_names_are_looked_up_for_people_and_for_channels_without_a_name() -> None:
    assert ids_to_name("<@U1> <#C1|one> <#C2|> <#C3> <@U2|two>") == ["U1", "U2", "C2", "C3"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ask <@UADA>, <@UEVE|eve> or <@UEVE>", "ask @Ada, @eve or @UEVE"),
        ("<@UADA|ada.l>", "@Ada"),
        ("in <#CBUILD>, <#CBUILD|> and <#C1|gen&amp;eral>", "in #build, #build and #gen&eral"),
        ("<@UEVE|@eve>", "@eve"),
        ("ask <!S1|@ops> about <!F1|Q&amp;A> <!EMOJI|:parrot:>", "ask @ops about Q&A :parrot:"),
        (
            "&lt;@UADA&gt; &amp;lt; > [a](https://a.example/?b=1&amp;c=2)",
            "<@UADA> &lt; > [a](https://a.example/?b=1&c=2)",
        ),
        ("<@uada> <!here> <b>", "<@uada> <!here> <b>"),
    ],
)
def test_mentions_become_names(text: str, shown: str) -> None:
    assert with_names(text, NAMES) == shown


@given(st.text("<>&@#|UADA:/ht\n;lgamp", max_size=60))
def test_escaped_text_mentions_nobody_and_is_read_unchanged(text: str) -> None:
    assert mentioned_user_ids(escape(text)) == []
    assert with_names(escape(text), NAMES) == text


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("<@U1> hi", True),
        (" \n<@U1|ada>", True),
        ("@here anybody?", True),
        ("@team-infra look", True),
        ("<!S1|@team-infra> look", True),
        ("<!EMOJI|:wave:> look", False),
        ("@Typist, and why?", False),
        ("hi <@U1>", True),
        ("Thanks! @ada, what do you think?", True),
        ("> It is 42.\nok <@U1>, is that so?", True),
        ("cc: <!S1|@team-infra>", True),
        ("hey @typist, and why?", False),
        ("@typist-dev and why?", True),
        ("@ noon?", False),
        ("Good morning <@U1>, and why?", True),
        ("thanks so much, <@U1>!", True),
        ("that's great <@U1>", True),
        ("danke <@U1>", True),
        ("привет <@U1>", True),
        ("пожалуйста <@U1>, проверь", True),
        ("lutfen <@U1>, bak", True),
        ("\U0001f44b <@U1> lunch?", True),
        ("<!EMOJI|:wave:> <@U1> lunch?", True),
        ("**<@U1>** lunch?", True),
        ("_<@U1>_ lunch?", True),
        ("1. <@U1> does this\n2. <@U2> does that", True),
        ("(<@U1>, what do you think?)", True),
        ("I think <@U1> is right", False),
        ("that's <@U1>", False),
        ("really? <@U1> left", False),
        ("`@here` does what?", False),
        ("“<@U1> lunch?”", False),
        ("mail ada@example.com", False),
        ("what does <@U1> own?", False),
        ("ask <@U1>", False),
        ("hint: <@U1>", False),
        ("> <@U1> knows\nIs that so?", False),
        ("<#C1>", False),
        ("", False),
    ],
)
def test_text_that_begins_with_a_mention_addresses_somebody_else(text: str, addresses: bool) -> None:
    assert is_addressed_to_another(text, "typist") is addresses


def test_mentions_of_people_are_removed_and_those_of_channels_stay() -> None:
    assert without_user_mentions("<@U1|ada> and <@U2> in <#C1>") == " and  in <#C1>"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<@UBOT>", ""),
        ("<@UBOT> why?", "why?"),
        ("  <@UBOT|typist>, why?", "why?"),
        ("<@UBOT>: why?", "why?"),
        ("<@UBOT>:why?", "why?"),
        ("<@UBOT> : why?", "why?"),
        ("<@UBOT>, <@UBOT>: why?", "why?"),
        ("<@UBOT> :wave: why?", ":wave: why?"),
        ("<@UBOT>:wave: why?", ":wave: why?"),
        ("<@UBOT>: :+1::skin-tone-3:", ":+1::skin-tone-3:"),
        ("<@UBOT> :) why?", ":) why?"),
        ("<@UBOT> :D", ":D"),
        ("<@UBOT> <@UBOT> why?", "why?"),
        ("<@UBOT>\n\n- one\n- two", "- one\n- two"),
        ("why, <@UBOT>?", "why?"),
        ("tell me why <@UBOT>", "tell me why"),
        ("tell me why.  <@UBOT> ", "tell me why."),
        ("<@UBOT>!", "!"),
        ("hey <@UBOT|typist>, why?", "hey <@UBOT|typist>, why?"),
        ("<@UBOT> what did <@UBOT> say to <@UGRACE>?", "what did <@UBOT> say to <@UGRACE>?"),
        ("<@UBOT> is 1 &lt; 2 &amp;&amp; 3 &gt; 2?", "is 1 &lt; 2 &amp;&amp; 3 &gt; 2?"),
        ("<@UGRACE> ask <@UBOT>", "<@UGRACE> ask"),
        ("<@UBOTHER> why?", "<@UBOTHER> why?"),
    ],
)
def test_mentions_that_only_address_the_bot_are_removed(text: str, words: str) -> None:
    assert without_bot_mention(text, "UBOT") == words


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        *(
            (text, True)
            for text in ("", "?", "…", "^ this?", "That!", "👀", ":eyes:", ":point_up: this", "👆🏽 :tada:")
        ),
        *((text, True) for text in ("<!EMOJI|:parrot:>", ":)", "Thoughts?", "any thoughts?", "see above 👆", "wdyt")),
        *((text, False) for text in ("why", ":eyes: why?", "these", "5", "何", "<@UGRACE>", "<#C1>")),
        *((text, False) for text in ("thoughts on this?", "the above is wrong", "thoughtful")),
    ],
)
def test_mention_without_words_is_bare(text: str, bare: bool) -> None:
    assert is_only_bot_mention(f"<@UBOT> {text}", "UBOT") is bare


@pytest.mark.parametrize("mark", [":", ":a", ",", " :", ":+", "<@UBOT>:", "<@UBOT> :a"])
def test_address_is_removed_in_linear_time(mark: str) -> None:
    began = time.process_time()
    without_bot_mention(f"<@UBOT>{mark * 20_000}", "UBOT")
    is_only_bot_mention(f"<@UBOT>{mark * 20_000}", "UBOT")
    assert time.process_time() - began < 1


LINK = "https://acme.slack.com/archives/C0AB/p1700000000000100"


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (LINK, ("C0AB", "1700000000.000100", None)),
        (f"{LINK}?thread_ts=1699999999.000200&cid=C0AB", ("C0AB", "1700000000.000100", "1699999999.000200")),
        (f"{LINK}?cid=C0AB&thread_ts=1699999999.000200", ("C0AB", "1700000000.000100", "1699999999.000200")),
        (f"{LINK}?cid=C0AB", ("C0AB", "1700000000.000100", None)),
        (f"{LINK}?other_thread_ts=1699999999.000200", ("C0AB", "1700000000.000100", None)),
        *((LINK.replace("C0AB", place), (place, "1700000000.000100", None)) for place in ("D0AB", "G0AB")),
        *((LINK.replace("C0AB", place), None) for place in ("U0AB", "c0ab", "C")),
        *((other, None) for other in (LINK.replace("https", "http"), f"{LINK}x", f" {LINK}", f"{LINK}? x")),
        ("https://acme.slack.com/archives/C0AB/p000100", None),
        ("https://acme.slack.com/archives/C0AB/p1000100", ("C0AB", "1.000100", None)),
    ],
)
def test_slacks_link_names_a_message_and_its_thread(link: str, message: tuple[str, str, str | None] | None) -> None:
    assert linked_message(link) == message


@pytest.mark.parametrize(
    ("thread_ts", "ending"),
    [*((no_thread, "") for no_thread in (None, "", "5.000100")), ("4.000200", "?thread_ts=4.000200&cid=C0AB")],
)
def test_link_of_a_message_names_its_thread_unless_it_begins_one(thread_ts: str | None, ending: str) -> None:
    base = "https://acme.slack.com/archives/C0AB/p"
    assert message_link(base, "C0AB", "5.000100", thread_ts) == f"{base}5000100{ending}"
    assert message_link("", "C0AB", "5.000100", thread_ts) == ""


@pytest.mark.parametrize(("id_", "mention"), [("S1", "<!S1|a &lt;b&gt;>"), ("", ""), ("s1", ""), ("S1|x", "")])
def test_name_of_somebody_elses_choice_is_a_mention_by_id(id_: str, mention: str) -> None:
    assert named_mention(id_, "a <b>") == mention


PLAN = File("F1", "plan.pdf")
WRITTEN = Message(
    *("T1", "C1", "2.5", "why?", "> so"), thread_ts="1.5", user_id="U1", files=(PLAN,), edited_ts="3.5", app_name="CI"
)
ASKED = Question(ThreadKey("T1", "C1", "1.5"), "2.5", "U1", "why?\n\n> so", (PLAN,), attached_chars=4)


@pytest.mark.parametrize(
    ("message", "question", "own_text"),
    [
        (WRITTEN, ASKED, "why?"),
        (replace(WRITTEN, attached_text=" \n"), replace(ASKED, text="why?", attached_chars=0), "why?"),
        (replace(WRITTEN, text="\n"), replace(ASKED, text="> so"), ""),
        (replace(WRITTEN, bot_id="B1"), replace(ASKED, is_from_bot=True), "why?"),
        (replace(WRITTEN, bot_id="B1", user_id=None), replace(ASKED, is_from_bot=True, user_id="B1"), "why?"),
        (replace(WRITTEN, bot_id="B1", user_id="USLACK"), replace(ASKED, is_from_bot=True, user_id="B1"), "why?"),
        (replace(WRITTEN, user_id="USLACKBOT"), replace(ASKED, user_id="USLACKBOT"), "why?"),
        (replace(WRITTEN, user_id=None), replace(ASKED, user_id=""), "why?"),
    ],
)
def test_message_becomes_a_question_and_the_question_a_message(
    message: Message, question: Question, own_text: str
) -> None:
    asked = message.as_question("1.5")
    assert (asked, asked.own_text) == (question, own_text)
    assert asked.as_message() == Message(
        *("T1", "C1", "2.5", own_text, asked.attached_text),
        thread_ts="1.5",
        user_id=question.user_id,
        is_from_app=question.is_from_bot,
        files=(PLAN,),
    )
    assert message.as_question(None).thread == ThreadKey("T1", "C1", None)


def test_question_whose_text_is_shorter_than_what_is_attached_has_no_words_of_its_own() -> None:
    cut = replace(ASKED, text="so")
    assert (cut.own_text, cut.attached_text) == ("", "so")


@pytest.mark.parametrize(
    ("thread_ts", "name", "begins"), [("2.5", "2.5", True), ("1.5", "1.5", False), (None, "root", False)]
)
def test_question_knows_its_thread(thread_ts: str | None, name: str, begins: bool) -> None:
    asked = replace(ASKED, thread=ThreadKey("T1", "C1", thread_ts))
    assert (str(asked.thread), asked.begins_thread) == (f"T1/C1/{name}", begins)
    assert (asked.channel_and_ts, asked.thread.place) == (("C1", "2.5"), ("T1", "C1"))
