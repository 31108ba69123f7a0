"""mrkdwn as the text of a message, and that text as a reader sees it."""

import re
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.entities import escape
from bot.core.inbound.mentions import mentioned_users, with_names
from bot.slack.format.mrkdwn import emphasized, labels, link, message_text

NAMES = {"UADA": "Ada", "WGRACE": "Grace", "CBUILD": "build"}

READ_AS = {
    "a person": ("ask <@UADA>!", "ask @Ada!"),
    "a person with an old label": ("<@UADA|ada.l>", "@Ada"),
    "a person of an enterprise": ("<@WGRACE>", "@Grace"),
    "a person unknown to Slack": ("<@UEVE|eve>", "@eve"),
    "a person without any name": ("<@UEVE>", "@UEVE"),
    "a channel with its name": ("<#C1|general>", "#general"),
    "a channel whose name was looked up": ("<#CBUILD>", "#build"),
    "a channel with an empty name": ("<#CBUILD|>", "#build"),
    "a channel without any name": ("<#C1>", "#C1"),
    "a group": ("<!subteam^S1|@ops>", "@ops"),
    "a group without its name": ("<!subteam^S1>", "@S1"),
    "the people who are here": ("<!here>, lunch?", "@here, lunch?"),
    "a channel's people, with a label": ("<!channel|@channel>", "@channel"),
    "everybody": ("<!everyone>", "@everyone"),
    "a date": ("<!date^1392734382^{date} at {time}|18 February 2014>", "18 February 2014"),
    "a date without words": ("<!date^1392734382^{date}>", "2014-02-18 14:39 UTC"),
    "an invalid date": ("<!date^soon>", "soon"),
    "a date beyond time": ("<!date^999999999999999999>", "999999999999999999"),
    "a link": ("<https://a.example/?q=1&amp;r=2>", "https://a.example/?q=1&r=2"),
    "a link with a label": ("<https://a.example|the &lt;page&gt;>", "[the <page>](https://a.example)"),
    "a link whose label is its address": ("<https://a.example/x|https://a.example/x>", "https://a.example/x"),
    "a link that Slack made of a host": ("<http://a.example|a.example>", "http://a.example"),
    "an e-mail address": ("<mailto:ada@a.example|ada@a.example>", "ada@a.example"),
    "an e-mail address with a label": ("<mailto:ada@a.example|write to Ada>", "[write to Ada](ada@a.example)"),
    "a telephone number": ("<tel:+1555|+1 555>", "[+1 555](+1555)"),
    "escapes": ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
    "an escape of an escape": ("&amp;lt;", "&lt;"),
    "text that only looks like a mention": ("&lt;@UADA&gt;", "<@UADA>"),
    "an emoji": (":wave::skin-tone-2:", ":wave::skin-tone-2:"),
    "text without markup": ("a < b > c <>", "a < b > c <>"),
    "HTML in a markdown block": ("<b>bold</b>", "<b>bold</b>"),
}


def as_shown(mrkdwn: str, names: Mapping[str, str]) -> str:
    return with_names(message_text(mrkdwn), names)


@pytest.mark.parametrize(("markup", "shown"), READ_AS.values(), ids=READ_AS.keys())
def test_markup_is_shown_as_a_reader_sees_it(markup: str, shown: str) -> None:
    assert as_shown(markup, NAMES) == shown


@pytest.mark.parametrize(("markup", "shown"), READ_AS.values(), ids=READ_AS.keys())
def test_only_mentions_stay_as_markup(markup: str, shown: str) -> None:
    text = message_text(markup)
    assert re.sub(r"<[@#!][A-Z0-9]+(\|[^<>]*)?>", "", text).count("<") == 0
    assert mentioned_users(text) == re.findall(r"<@([A-Z]+)", markup)


def test_names_in_the_markup_itself_are_found() -> None:
    assert labels("<@U1|ada> <#C1|one> <#C2|> <!subteam^S1|@ops>") == {"U1": "ada", "C1": "one", "S1": "ops"}


@pytest.mark.parametrize(
    ("url", "label", "shown"),
    [
        ("https://a.example/a|b>c", "x", "[x](https://a.example/a%7Cb%3Ec)"),
        ("https://a.example/?a=1&b=2", "", "https://a.example/?a=1&b=2"),
        ("https://a.example", "<@UADA>", "[<@UADA>](https://a.example)"),
        ("https://a.example", "two\nlines", "[two lines](https://a.example)"),
    ],
)
def test_link_shows_its_label_and_its_address(url: str, label: str, shown: str) -> None:
    assert as_shown(link(url, label), NAMES) == shown


@given(st.text("<>&@#!|^UADA:/ht\n;lgamp", max_size=60))
def test_escaped_text_comes_back_unchanged(text: str) -> None:
    assert as_shown(escape(text), NAMES) == text


unescaped = [markup for markup, _ in READ_AS.values() if "&" not in markup]


@given(st.lists(st.sampled_from([*unescaped, "<", ">", "|", "<@", "<!", "x"])))
def test_no_persons_mention_is_left_in_any_markup(parts: list[str]) -> None:
    assert not re.search(r"<@[UW]\w+", as_shown("".join(parts), NAMES))


@pytest.mark.parametrize(
    ("mrkdwn", "markdown"),
    [
        ("*bold* _it_ ~gone~", "**bold** _it_ ~~gone~~"),
        ("*<https://a.example/~me/|Build *7*>* is _*red*_", "**<https://a.example/~me/|Build *7*>** is _**red**_"),
        ("*~both~*, *see `a*b`*", "**~~both~~**, **see `a*b`**"),
        ("`*x*` ```\n*y* ~z~\n```", "`*x*` ```\n*y* ~z~\n```"),
        ("2 * 3 * 4, a*b*c, *.py and *.js, ~/x ~/y", "2 * 3 * 4, a*b*c, *.py and *.js, ~/x ~/y"),
        ("**bold** * a\n* b", "**bold** * a\n* b"),
        ("*one\ntwo*", "*one\ntwo*"),
    ],
)
def test_emphasis_in_mrkdwn_becomes_markdown(mrkdwn: str, markdown: str) -> None:
    assert emphasized(mrkdwn) == markdown


def test_parsing_time_is_linear_in_the_text() -> None:
    began = time.process_time()
    for mark in ("<", "<@", "<@U1|", "<https:", "<!date^", "&lt;"):
        as_shown(mark * 50_000, NAMES)
    for mark in ("*", "*a", " *a", "*<", "*`a", "*<b>", "```a ", "~<a`*"):
        emphasized(mark * 50_000)
    assert time.process_time() - began < 2


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text: str) -> None:
    assert isinstance(as_shown(text, {}), str)
