"""Addresses of files in Slack: a post of ours links none that its readers may not open."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.job import End
from bot.core.message_question import MessageQuestion, QuotedMessage
from bot.core.reply.edits import Post
from bot.core.reply.markdown.render import rendered, sent_chars
from bot.core.reply.markdown.slack_files import ids_in, is_closed, without_schemes
from bot.core.reply.markdown.stable import stable_prefix
from bot.core.reply.messages import PageView
from bot.core.reply.reply import Reply
from bot.core.reply.sources import shown_sources
from bot.core.stream import Citation
from bot.errors import EndReason, Refusal
from bot.slack.format import reply_blocks
from bot.slack.format.shortcut_question import posted_question
from tests.core.conversations import job
from tests.core.stored_messages import leaves, shown_text, stored

CANVAS = "https://acme.slack.com/docs/T0ACME/F0SECRET"
CODE = "`acme.slack.com/docs/T0ACME/F0SECRET`"
FILES = {
    "a canvas": CANVAS,
    "a file": "https://acme.slack.com/files/U0ADA/F0SECRET/plan.pdf",
    "a list": "https://acme.slack.com/lists/T0ACME/F0SECRET",
    "a list's item": "https://acme.slack.com/lists/T0ACME/F0SECRET?record_id=Rec1",
    "a channel's canvas": "https://acme.slack.com/canvas/C0GENERAL",
    "a file's content": "https://files.slack.com/files-pri/T0ACME-F0SECRET/plan.pdf",
    "a thumbnail": "https://files.slack.com/files-tmb/T0ACME-F0SECRET-1a2b/plan_360.png",
    "a public link": "https://slack-files.com/T0ACME-F0SECRET-1a2b",
    "an organization's host": "https://acme.enterprise.slack.com/docs/E0ACME/F0SECRET",
    "the app's host": "https://app.slack.com/docs/T0ACME/F0SECRET",
    "GovSlack": "https://acme.slack-gov.com/docs/T0ACME/F0SECRET",
    "without TLS": "http://acme.slack.com/docs/T0ACME/F0SECRET",
    "capitals": "HTTPS://ACME.SLACK.COM/docs/T0ACME/F0SECRET",
    "an encoded path": "https://acme.slack.com/%64ocs/T0ACME/%460SECRET",
    "full-width letters": "https://acme.\uff53lack.com/docs/T0ACME/F0SECRET",
    "an invisible letter": "https://acme.sl\u00adack.com/docs/T0ACME/F0SECRET",
    "a port": "https://acme.slack.com:443/docs/T0ACME/F0SECRET",
    "a user name": "https://ada@acme.slack.com/docs/T0ACME/F0SECRET",
    "an id alone": "https://acme.slack.com/x?file=F0SECRET",
}
NO_FILES = [
    "https://acme.slack.com/archives/C0GENERAL/p1700000000000100?thread_ts=1700000000.000100&cid=C0GENERAL",
    "https://slack.com/help/articles/203950418",
    "https://docs.slack.dev/reference/methods/files.info",
    "https://slack.com.evil.example/docs/T0ACME/F0SECRET",
    "https://myslack.com/docs/T0ACME/F0SECRET",
    "https://a.example/files/F0SECRET",
]


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
    assert [link for link in links_of(text) if is_closed(link)] == []
    assert [link for link in links_of(text, growing=True) if is_closed(link)] == []
    plain = reply_blocks.message(PageView(text, plain=True))["text"]
    assert not any(is_closed(word.strip("[]()<>*'`!|")) for word in plain.split())


@pytest.mark.parametrize("address", NO_FILES)
def test_other_addresses_stay_links(address: str) -> None:
    for text in (f"See {address} now.", f"See [it]({address})."):
        assert rendered(text, growing=False) == text
    assert without_schemes(address) == address


def test_address_of_a_file_is_sent_as_code() -> None:
    assert rendered(f"See {CANVAS}, please.", growing=False) == f"See {CODE}, please."
    assert rendered(f"See [the plan]({CANVAS}).", growing=False) == f"See the plan ({CODE})."
    assert rendered(f"See <{CANVAS}>.", growing=False) == f"See {CODE}."
    code = f"`{CANVAS}` and\n\n```\ncurl {CANVAS}\n```"
    assert rendered(code, growing=False) == code


def test_file_that_all_readers_may_open_stays_a_link() -> None:
    other = CANVAS.replace("F0SECRET", "F0OTHER")
    text = f"{CANVAS} and [it]({CANVAS}), {other}"
    assert links_of(text, frozenset({"F0SECRET"})) == [CANVAS, CANVAS]
    assert is_closed("https://acme.slack.com/docs/F0OPEN/F0SECRET", {"F0OPEN"})


def test_links_that_slack_refuses_are_broken_and_the_answer_keeps_its_form() -> None:
    reply = Reply(job())
    reply.open_files = frozenset({"F0SECRET"})
    reply.append(f"See {CANVAS} **now**")
    reply.finish(End(EndReason.WHOLE))
    call = reply.next_call()
    assert isinstance(call, Post)
    assert CANVAS in str(reply_blocks.message(call.view))
    reply.refused(call, Refusal.LINK_BLOCKED)
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
    question = MessageQuestion("T1", "V1", "U1", about, text, 0.0, 0.0, 1, elsewhere=True, posted=None, done=False)
    posted: Any = posted_question(question, elsewhere=True)
    assert "https://" not in str(posted)
    assert "acme.slack.com/docs/T0ACME/F0SECRET" in shown_text(posted["blocks"])


def test_ids_of_files_are_found_in_a_text() -> None:
    text = f"{CANVAS} <{FILES['a public link'].replace('SECRET', 'BOARD')}|a> https://a.example/files/F0NONE"
    assert list(ids_in(text)) == ["F0SECRET", "F0BOARD"]


PIECES = [
    *("https://", "http://", "https:\\/\\/", "https&colon;//", "&#104;ttps://", "acme.", "slack.com", "SLACK.COM"),
    *("slack&period;com", "\uff53lack.com", "files.slack.com", "slack-files.com", "/docs/T0A/", "/files/U0A/"),
    *("F0SECRET", "/F0OTHER", "/x", "%46", "[", "](", "]", ")", "(", "<", ">", "`", "``", "**", "*", "_", "!", "\\"),
    *(
        " ",
        "\n",
        "\n\n",
        ": ",
        "[a]: ",
        "[a]",
        "| ",
        "|---|\n",
        "word",
        "世界",
        "@",
        "&",
        ".",
        ",",
        "# ",
        "- ",
        "```\n",
    ),
    *(f"{CANVAS} ", f"[a]({CANVAS}) ", f"<{CANVAS}>", f"**{CANVAS}**", f"[b]: {CANVAS}\n"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


@settings(max_examples=5 * settings().max_examples)
@given(TEXTS)
@example(f"[{CANVAS}]({CANVAS})")
@example(f"`` ` {CANVAS}")
@example(f"[a]: {CANVAS}\n[a]")
@example(f"<{CANVAS}>```\n{CANVAS} ```\n")
@example(f"`**{CANVAS}****{CANVAS}**")
@example(f"``{CANVAS} ``**{CANVAS}**")
def test_slack_links_no_file_whatever_the_text(text: str) -> None:
    links = [leaf["url"] for leaf in leaves(stored(PageView(f"See {text}"))) if leaf["type"] == "link"]
    assert [link for link in links if is_closed(link)] == []


@given(TEXTS)
def test_room_for_addresses_never_falls(text: str) -> None:
    others = 4 * text.count("\\") + 4 * text.count("]") + len("\n```") + text.count("`")
    assert len(rendered(text, growing=False)) <= sent_chars(text) + others


@given(TEXTS)
@example(f"{CANVAS}.pdf ")
@example(f"{CANVAS}/**a** ")
def test_appended_beginning_of_an_address_stays(text: str) -> None:
    final = rendered(text, growing=False)
    if not any(exception in text for exception in ("]:", "|", "](\n", "&")):
        assert all(final.startswith(stable_prefix(text[:end])) for end in range(len(text) + 1))
