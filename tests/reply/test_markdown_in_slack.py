"""Markdown that Slack stores of a reply: words, instructions, previews, code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.job import End, sentence_notice
from bot.errors import EndReason, Refusal
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.reply.reply import Reply
from slack_markdown.escaping import JOINER
from slack_markdown.tests.markdown_texts import markdown_texts
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.control import live_controls
from tests.core.conversations import answer
from tests.pictures import below, ended
from tests.reply.outcomes import refused
from tests.reply.stored_messages import StoredMessages, grow, leaves, show, shown_text, stored


@pytest.mark.parametrize(
    "source", ["[the docs](https://a", "| a | b |", "```py", "- [", "![a](https://", "#", "<ht", " "]
)
def test_no_frame_has_an_empty_block(source: str) -> None:
    for view in (PageView(source, growing=True), PageView(f"{source}\n\n", growing=True), PageView("", growing=True)):
        shown = reply_blocks.message(view)
        assert check_blocks(shown["blocks"])
        assert shown["text"]


def test_preview_leaves_out_an_incomplete_word() -> None:
    assert reply_blocks.short_text(PageView("Hel", growing=True)) == texts.answers.WRITING


INSTRUCTIONS = [
    "<!channel>", "<!here|x>", "<!subteam^S012>", "<@U0ADA>", "<@W0ADA|ada>", "<#C0GENERAL>", "<!date^1^{date}|x>",
    "<https://evil.example|bank.com>", "<mailto:a@b.c|d>", "<<!channel>>", "&lt;!channel&gt;", "&amp;lt;!here>",
]  # fmt: skip


AROUND = {
    "prose": "so {} it is",
    "bold": "**{}**",
    "a heading": "# {}",
    "a cell": "| {} |\n|---|\n| {} |",
    "a list": "- {}\n  1. {}",
    "a quote": "> {}",
    "a label": "[{}](https://a.example)",
    "an image": "![{}](https://a.example)",
    "an image in a link": "[![{}](https://a.example)](https://b.example)",
    "an address": "[x](https://a.example/{})",
    "a pointed address": "[x](<https://a.example/{}>)",
    "a definition": "[x]\n\n[x]: https://a.example/{}",
    "inline code": "so `{}` it is",
    "inline code in a cell": "| `{}` |\n|---|",
    "inline code in bold": "**`{}`**",
    "code": "```\n{}\n```",
    "an info string": "```{}\nx\n```",
    "code in a list": "- a\n\n  ```\n  {}\n  ```",
    "indented code": "text\n\n    {}",
    "a wide table": "|a" * 21 + "|\n" + "|-" * 21 + "|\n| {} |",
    "a long heading": "# {} " + "word " * 40,
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_instruction_to_slack_has_no_effect_anywhere(around: str) -> None:
    for instruction in INSTRUCTIONS:
        text = around.replace("{}", instruction)
        for view in (
            PageView(text),
            PageView(text, growing=True),
            PageView(text, plain=True),
            ended(text, End(EndReason.WHOLE, sentence_notice(instruction), instruction)),
        ):
            blocks = stored(view)
            live = live_controls("", check_blocks(reply_blocks.message(view)["blocks"] or [{"type": "divider"}]))
            assert not live, instruction
            types = {leaf["type"] for leaf in leaves(blocks)}
            assert types <= {"text", "link", "raw_text", "plain_text"}, instruction
            # Slack may link an address only if it is visible.
            hidden = [leaf for leaf in leaves(blocks) if leaf.get("url", "").startswith("https://evil")]
            assert not [leaf for leaf in hidden if "text" in leaf], instruction


@pytest.mark.parametrize("written", ["<div>", "a < b && c > d", "#include <map>", "vector<int>", "<https://a.example>"])
@pytest.mark.parametrize("around", ["```\n{}\n```", "so `{}` it is", "- a\n\n  ```\n  {}\n  ```", "| `{}` |\n|---|"])
def test_code_is_shown_as_written(written: str, around: str) -> None:
    blocks = stored(PageView(around.replace("{}", written)))
    assert written in shown_text(blocks)
    assert JOINER not in shown_text(blocks)


@pytest.mark.parametrize("instruction", INSTRUCTIONS[:9])
def test_instruction_in_code_is_broken_by_an_invisible_character(instruction: str) -> None:
    text = shown_text(stored(PageView(f"```\n{instruction}\n```")))
    assert text.replace(JOINER, "").startswith(instruction)
    assert text.count(JOINER) == 1


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1 < 2 > 0 & so", "1 < 2 > 0 & so"),
        ("<b1>bold</b1>", "<b1>bold</b1>"),
        (r"a \<b> and \\<c>", r"a <b> and \<c>"),
        ("&lt;b&gt;", "<b>"),
        ("AT&amp;T", "AT&T"),
        ("a `b<c` < d", "a b<c < d"),
    ],
)
def test_prose_is_shown_as_commonmark_reads_it(written: str, shown: str) -> None:
    assert shown_text(stored(PageView(written))) == shown


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("[x](https://a.example/?q=<b>)", "https://a.example/?q=%3Cb%3E"),
        ("[x](<https://a.example/b c>)", "https://a.example/b%20c"),
        ("[x](https://a.example/?a=1&amp;b=2)", "https://a.example/?a=1&b=2"),
        ("[x](https://a.example/?a=1&copy=2)", "https://a.example/?a=1&copy=2"),
        ("[x]\n\n[x]: <https://a.example/b>", "https://a.example/b"),
        ("<https://a.example/?a=1&copy=2>", "https://a.example/?a=1&copy=2"),
    ],
)
def test_destination_is_decoded_before_it_is_sent(written: str, url: str) -> None:
    assert [leaf["url"] for leaf in leaves(stored(PageView(written))) if leaf["type"] == "link"] == [url]


@given(markdown_texts, st.integers(1, 40), st.booleans())
def test_no_frame_notifies_anyone(text: str, step: int, plain: bool) -> None:
    """`stored` checks each frame, for any deltas."""
    slack, reply = StoredMessages(), Reply(answer())
    if plain:
        placeholder = reply.next_call()
        assert placeholder
        refused(reply, placeholder, Refusal.UNREADABLE)
    for start in range(0, len(text), step):
        reply.append(text[start : start + step])
        show(reply, slack)
    reply.finish(End(EndReason.WHOLE, sentence_notice("<!here> @channel"), "<!here>"))
    show(reply, slack)
    assert reply.life.is_over


@given(st.text(max_size=200) | markdown_texts)
def test_preview_and_notice_contain_no_instruction_to_slack(text: str) -> None:
    for view in (
        PageView(text),
        ended("", End(EndReason.WHOLE, sentence_notice(text or "x"))),
        PageView(text, plain=True, end=below(End(EndReason.WHOLE, sentence_notice(text)), text)),
    ):
        message = reply_blocks.message(view)
        assert "<" not in message["text"]
        assert not live_controls(message["text"], stored_text(message["text"]))


@pytest.mark.parametrize("handle", ["@here", "@channel", "@everyone", "@Here"])
def test_broadcast_handle_in_plain_text_is_broken(handle: str) -> None:
    for view in (PageView(f"Hello {handle}!"), PageView(f"Hello {handle}!", plain=True)):
        assert handle not in reply_blocks.message(view)["text"]


@pytest.mark.parametrize(
    "name", ["https://evil.example/x", "evil.example.zip", "<!here>.pdf", "@channel.txt", "<@U0ADA>"]
)
def test_file_name_is_neither_a_mention_nor_a_link(name: str) -> None:
    blocks = stored(ended("Words.", End(EndReason.WHOLE, sentence_notice(f"Not read: {name} (too large)."))))
    assert {leaf["type"] for leaf in leaves(blocks[:2])} == {"text", "plain_text"}
    assert name in shown_text(blocks).replace(JOINER, "")


def test_final_frame_escapes_the_same_as_growing_frames() -> None:
    slack = StoredMessages()
    grow("Run `a <@U0ADA> b` and **<!channel>** then\n\n```\n<!here>\n", 1, slack)
