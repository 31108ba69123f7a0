"""Deceptive links, bare URLs, and addresses of files, as Slack stores a reply that has them."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings

from bot.core.job import End
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import EndReason, Refusal
from bot.models.events import Citation
from bot.reply import blocks as reply_blocks
from bot.reply.edits import Post
from bot.reply.messages import PageView
from bot.reply.reply import Reply
from bot.reply.sources import shown_sources
from bot.slack.posted_questions import posted_question
from slack_markdown.links import (
    is_closed_file,
    might_have_link,
)
from slack_markdown.lookalikes import ipv4
from slack_markdown.render import has_definitions
from slack_markdown.tests.test_links import CANVAS, CODE, CYRILLIC, FILES, GITHUB, TEXTS, URLS
from tests.core.conversations import answer
from tests.reply.outcomes import refused
from tests.reply.stored_messages import leaves, shown_text, stored


def test_host_says_where_it_leads_in_plain_text_and_previews() -> None:
    code = "```\ncurl https://ada:secret@g\u0456thub.com\n```"
    text = f"See {CYRILLIC} and `https://a@b.example`.\n\n{code}"
    plain = reply_blocks.message(PageView(text, plain=True))["text"]
    assert GITHUB in plain
    assert plain.endswith(code)
    assert "`https://a@b.example`" in plain
    assert GITHUB in reply_blocks.message(PageView(text))["text"]


@given(URLS)
@example("https://g\u0456thub.com")
@example("https://github.com@evil.example")
@example("https://&gr\u00fcn.de")
@example("https://github.com:80gr\u00fcn.de")
@example("https://github.com&gr\u00fcn.de")
@example("https://github.com)gr\u00fcn.de")
@example("https://\\\u0456.com")
@example("https://\uff47**gr\u00fcn.de")
@example("<https://>\U0001f4a9")
@example("<https://>\\@")
@example("<https:\\/\\/gr\u00fcn.de>")
@example("<https:\\/\\/2130706433>")
@example("https://\U0001f4a9\\<@")
@example("https://\U0001f4a9\\<gr\u00fcn.de")
def test_slack_links_no_host_that_is_not_as_it_is_looked_up(text: str) -> None:
    for leaf in leaves(stored(PageView(f"See {text}"))):
        # No browser opens a URL with one of these in its host, unless it is an IPv6 address.
        if leaf["type"] == "link" and "text" not in leaf and not set("[]|") & set(leaf["url"]):
            # Browsers read a backslash as a slash.
            authority = urlsplit(leaf["url"].replace("\\", "/")).netloc
            assert "@" not in authority
            assert authority.isascii()
            assert not ipv4(authority) or ipv4(authority) == authority


def links_of(markdown: str, open_files: frozenset[str] = frozenset(), *, growing: bool = False) -> list[str]:
    """Returns the addresses to which Slack makes links in a page, and those in its preview text."""
    view = PageView(markdown, growing=growing, open_files=open_files)
    blocks = [leaf["url"] for leaf in leaves(stored(view)) if leaf["type"] == "link"]
    preview = reply_blocks.message(view)["text"]
    return blocks + [word for word in preview.split() if "://" in word]


@pytest.mark.parametrize("address", FILES.values(), ids=FILES)
@pytest.mark.parametrize(
    "around",
    [
        "See {}.",
        "See **{}**",
        "See ({})",
        "<{}>",
        "[the plan]({})",
        "[the plan](<{}> 'title')",
        "![the plan]({})",
        "[![a]({})]({})",
        "[{}](https://a.example)",
        "# {}",
        "> - {} x",
        "| {} |\n|---|\n| [a]({}) |",
        "[the plan][1]\n\n[1]: {}",
        "[the plan]\n\n[the plan]: <{}>",
        "a ` b {}",
    ],
)
def test_address_of_a_file_is_no_link_in_any_form(around: str, address: str) -> None:
    text = around.replace("{}", address)
    assert [link for link in links_of(text) if is_closed_file(link)] == []
    assert [link for link in links_of(text, growing=True) if is_closed_file(link)] == []
    plain = reply_blocks.message(PageView(text, plain=True))["text"]
    assert not any(is_closed_file(word.strip("[]()<>*'`!|")) for word in plain.split())


def test_file_that_all_readers_may_open_stays_a_link() -> None:
    other = CANVAS.replace("F0SECRET", "F0OTHER")
    text = f"{CANVAS} and [it]({CANVAS}), {other}"
    assert links_of(text, frozenset({"F0SECRET"})) == [CANVAS, CANVAS]
    assert is_closed_file("https://acme.slack.com/docs/F0OPEN/F0SECRET", {"F0OPEN"})


def test_links_that_slack_refuses_are_broken_and_the_answer_keeps_its_form() -> None:
    reply = Reply(answer())
    reply.answer.open_files = frozenset({"F0SECRET"})
    reply.append(f"See {CANVAS} **now**")
    reply.finish(End(EndReason.WHOLE))
    call = reply.next_call()
    assert isinstance(call, Post)
    assert CANVAS in str(reply_blocks.message(call.view))
    refused(reply, call, Refusal.LINK_BLOCKED)
    again = reply.next_call()
    assert isinstance(again, Post)
    assert not again.view.plain
    assert CODE in str(reply_blocks.message(again.view))
    assert CANVAS not in str(reply_blocks.message(again.view))


def test_other_texts_of_a_reply_link_no_file() -> None:
    assert shown_sources([Citation(CANVAS, "Plan"), Citation("https://a.example", "A")])[0].url == "https://a.example"
    heard = reply_blocks.message(PageView("Yes.", transcript=f"Look at {CANVAS}"))
    assert CANVAS not in str(heard)
    about = QuotedMessage("C1", "1.0", "1.0", f"The plan is {CANVAS}", "")
    text = f"What is in {CANVAS}? And in {FILES['full-width letters']}?"
    question = MessageQuestion("T1", "V1", "U1", about, text, 0.0, has_begun_direct_post=True)
    posted: Any = posted_question(question, elsewhere=True)
    assert "https://" not in str(posted)
    assert "acme.slack.com/docs/T0ACME/F0SECRET" in shown_text(posted["blocks"])


@settings(max_examples=5 * settings().max_examples)
@given(TEXTS)
@example(f"[{CANVAS}]({CANVAS})")
@example(f"`` ` {CANVAS}")
@example(f"[a]: {CANVAS}\n[a]")
@example(f"<{CANVAS}>```\n{CANVAS} ```\n")
@example(f"`**{CANVAS}****{CANVAS}**")
@example(f"``{CANVAS} ``**{CANVAS}**")
@example("https://[@slack.com/docs/T0A/")
@example("https://a]@slack.com/docs/T0A/")
def test_slack_links_no_file_whatever_the_text(text: str) -> None:
    links = [leaf["url"] for leaf in leaves(stored(PageView(f"See {text}"))) if leaf["type"] == "link"]
    assert [link for link in links if is_closed_file(link)] == []


@settings(max_examples=2 * settings().max_examples)
@given(URLS | TEXTS)
@example("[a](//b.example)")
def test_slack_links_nothing_in_a_text_without_an_address(text: str) -> None:
    if not (might_have_link(text) or has_definitions(text)):
        assert [leaf for leaf in leaves(stored(PageView(text))) if leaf["type"] == "link"] == []
