"""Rendering a page's Markdown for Slack: safe, honest about links, and well-formed while it grows."""

import re
from itertools import takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core import texts
from bot.core.reply.markdown.emphasis import HAIR_SPACE
from bot.core.reply.markdown.links import is_deceptive
from bot.core.reply.markdown.render import DROPPED, rendered, sent_chars
from bot.core.reply.messages import PageView
from bot.core.reply.preview import PREVIEW_CHARS, first_words
from bot.slack.format import reply_blocks
from sandbox.blocks.rules import check_blocks
from tests.core.markdown_texts import PIECES, markdown_texts

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
PIECES += [
    "\n1. ",
    "|",
    "\n|---|",
    "    ",
    "\t",
    "\\",
    "http://a.b",
    "<!channel>",
    "<@U1>",
    "<#C1|x>",
    "&#60;",
    "&amp;",
]


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("**bo", "**bo**"),
        ("**bo*", "**bo**"),
        ("so **", "so"),
        ("a *b **c", "a *b **c***"),
        ("~~gone", "~~gone~~"),
        ("2 * 3 and snake_case", "2 * 3 and snake_case"),
        ("`x = [1", "`x = [1`"),
        ("``a ` b`", "``a ` b``"),
        ("see [the do", "see"),
        ("see [the docs](https://exa", "see"),
        ("see [1", "see"),
        ("see [1] for", "see [1] for"),
        ("**see [the docs](htt", "**see**"),
        ("![a cat](https://", ""),
        ("at <https://exa", "at"),
        ("fish &am", "fish"),
        ("word\\", "word"),
        ("text\n#", "text"),
        ("text\n-", "text"),
        ("text\n- ", "text"),
        ("text\n1.", "text"),
        ("text\n12", "text"),
        ("text\n===", "text"),
        ("- item\n  - **sub", "- item\n  - **sub**"),
        ("- [x", ""),
        ("- [x] done", "- [x] done"),
        ("> quoted `co", "> quoted `co`"),
        ("text\n\n```py", "text"),
        ("text\n\n```py\n", "text"),
        ("text\n\n```py\n``", "text"),
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```py\nx = 1\n``", "```py\nx = 1\n```"),
        ("```py\nx = 1\n```", "```py\nx = 1\n```"),
        ("~~~~\n```\n**", "~~~~\n```\n**\n~~~~"),
        ("1. do\n   ```sh\n   ls", "1. do\n   ```sh\n   ls\n   ```"),
        ("> ```\n> code", "> ```\n> code\n> ```"),
        ("text\n\n| a | b |", "text"),
        ("text\n\n| a | b |\n|--", "text"),
        ("| a | b |\n|---|---|\n", "| a | b |\n|---|---|"),
        ("| a | b |\n|---|---|\n| 1 | **tw", "| a | b |\n|---|---|\n| 1 | **tw**"),
        ("| a | b |\n|---|---|\n| `x", "| a | b |\n|---|---|\n| `x`"),
        ("| a | b |\n|---|---|\n|", "| a | b |\n|---|---|"),
        ("|x| is what", ""),
        ("- [a\n" * 2_000 + "- b", "- [a\n" * 2_000 + "- b"),
        ("- [a\n" * 2_000 + "- [b", "- [a\n" * 1_999 + "- [a"),
        ("|a\n" * 2_000 + "|", "|a\n" * 1_998 + "|a"),
        ("|x| is what\nit was", "|x| is what\nit was"),
        ("# Title with `co", "# Title with `co`"),
        ("[ref]: https://exa", ""),
        ("**never closed\n\nnext", "**never closed\n\nnext"),
    ],
)
def test_incomplete_construct_is_closed_for_show_or_held_back(source: str, sent: str) -> None:
    assert rendered(source, growing=True) == sent


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("![a cat](https://a.b/c.png)", "[a cat](https://a.b/c.png)"),
        ("![](https://a.b/c.png)", "https://a.b/c.png"),
        ("![a cat][1]\n\n[1]: https://a.b", "[a cat][1]\n\n[1]: https://a.b"),
        ("[![build](https://img.b/i.svg)](https://ci.b/x)", "[build](https://ci.b/x)"),
        ("`![a](b)` and\n\n```\n![a](b)\n```", "`![a](b)` and\n\n```\n![a](b)\n```"),
        ("<https://a.b/c>, <x@a.b>", "https://a.b/c, x@a.b"),
        ("<https://a.b/_c_>.", "https://a.b/%5Fc%5F."),
        ("<https://a.b|paypal.com>", "&lt;https://a.b|paypal.com>"),
        ("[docs](https://paypal.com)", "[docs](https://paypal.com)"),
        ("[www.paypal.com](https://paypal.com/x)", "[www.paypal.com](https://paypal.com/x)"),
        ("[python.org](https://docs.python.org/3)", "[python.org](https://docs.python.org/3)"),
        ("[asyncio.gather](https://docs.python.org/3)", "[asyncio.gather](https://docs.python.org/3)"),
        ("[paypal.com](https://evil.io/x)", "paypal.com (https://evil.io/x)"),
        ("[Sign in at https://paypal.com](//evil.io)", "Sign in at https://paypal.com (//evil.io)"),
        ("[paypal.com](https://paypal.com@evil.io/)", "paypal.com (https://evil.io/)"),
        ("[paypal.com](https:\\\\evil.io)", "paypal.com (https://evil.io)"),
        ("[paypal.com](https://evil&#46;io)", "paypal.com (https://evil.io)"),
        ("[paypal.com](https://p\u0430ypal.com)", "paypal.com (https://xn--pypal-4ve.com)"),
        ("[pay**pal**.com](<https://evil.io>)", "pay**pal**.com (https://evil.io)"),
        ("[pay\u200bpal.com](https://evil.io)", "pay\u200bpal.com (https://evil.io)"),
        ("Look!![a cat](https://a.b)", "Look\\![a cat](https://a.b)"),
        ("![paypal.com](https://evil.io/i.png)", "paypal.com (https://evil.io/i.png)"),
        ("[paypal.com][1]\n\n[1]: https://evil.io", "\\[paypal.com\\][1]\n\n[1]: https://evil.io"),
    ],
)
def test_link_shows_its_destination_if_its_label_is_deceptive(source: str, sent: str) -> None:
    assert rendered(source, growing=False) == sent
    assert rendered(f"{source}\n\nand on", growing=True) == f"{sent}\n\nand on"


@given(markdown_texts, st.booleans())
@example("[a]:`\n![a]", True)
@example("``![]()` `", True)
@example(">\t![a]\n\n[a]:b", False)
@example("- []:![\n]()", False)
@example("- [a]:![ ~\n]()", False)
@example("[l.io]![a]\n\n[a]:http:c", False)
@example("[l.io[a]:](http:c)", False)
@example("[l.io![#]()](http:c)", False)
@example("![l.io![a]](http:c)[a]:h", False)
def test_rendering_leaves_no_image_and_no_deceptive_link(text: str, growing: bool) -> None:
    for block in PARSER.parse(rendered(text, growing=growing)):
        for at, token in enumerate(children := block.children or []):
            assert token.type != "image"
            if token.type == "link_open" and token.info != "auto":
                label = takewhile(lambda inline: inline.type != "link_close", children[at + 1 :])
                assert not is_deceptive(
                    "".join("\n" if inline.type == "softbreak" else inline.content for inline in label),
                    str(token.attrs["href"]),
                )


@given(markdown_texts)
@example("```\n")
@example("\r\n- ")
@example("\u202d")
def test_only_the_end_is_held_back(text: str) -> None:
    """Text before a blank line is shown, and unchanged except for links and characters that are dropped."""
    text = DROPPED.sub("", text)
    whole = rendered(f"{text}\n\n", growing=False)
    assert "The end." in rendered(f"{text}\n\nThe end. And", growing=True)
    if not re.search(r"\]|!\[|<|\*.*http|http.*\*", text, re.DOTALL):
        assert whole.replace(HAIR_SPACE, "").startswith(text.rstrip().replace(HAIR_SPACE, ""))
        assert len(whole) <= sent_chars(text) + len("\n```") + text.count("`") + text.count("~") + text.count(" ")


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# Title\n\nA **bold** [link](https://a.b) and `code_x`.", "Title. A bold link and code_x."),
        ("- one\n- [ ] two\n\n1. three", "one. two. three"),
        ("| a | b |\n|---|---|\n| 1 | *2* |\n\nAfter.", "a, b; 1, 2. After."),
        ("```py\nprint()\n```\nIt prints.", "It prints."),
        ("![cat](https://a.b) 2 * 3 &amp; snake_case \\*", "cat 2 * 3 & snake_case *"),
        ("One sentence that is long enough to stand alone, is it not? " + "word " * 40, ""),
        ("word " * 100, ("word " * 30).strip() + "…"),
        ("これは長い文です。" * 40, "これは長い文です。" * 16),
        ("ask?q=1 is a word " + "w!ord " * 40, "ask?q=1 is a word " + ("w!ord " * 22).strip() + "…"),
        ("すごい！" * 60, "すごい！" * 37),
        ("```py\nx = 1\n\ny = 2\n```", "x = 1 y = 2"),
        ("---", "---"),
        ("```py\n" + "x = 1\n" * 500 + "```", ("x = 1 " * 25).strip() + "…"),
        ("Prices\r\n\r\n| a | b |\r\n|--|--|\r\n| 1 | 2 |\r\n", "Prices. a, b; 1, 2."),
    ],
)
def test_preview_has_no_marks(markdown: str, words: str) -> None:
    assert first_words(markdown, growing=False) == (
        words or "One sentence that is long enough to stand alone, is it not?"
    )


@given(st.lists(st.sampled_from(["alpha", "be**ta**", "`gam`", "[del](http://a.b)", "ε"]), max_size=60).map(" ".join))
def test_preview_cuts_no_word(text: str) -> None:
    whole = {"alpha", "beta", "gam", "del", "ε"}
    for size in range(0, len(text), 7):
        words = first_words(text[:size], growing=True)
        assert len(words) <= PREVIEW_CHARS + 1
        assert set(words.rstrip("…").split()) <= whole


@pytest.mark.parametrize(
    "source", ["[the docs](https://a", "| a | b |", "```py", "- [", "![a](https://", "#", "<ht", " "]
)
def test_no_frame_has_an_empty_block(source: str) -> None:
    for view in (PageView(source, growing=True), PageView(f"{source}\n\n", growing=True), PageView("", growing=True)):
        shown = reply_blocks.message(view)
        assert check_blocks(shown["blocks"])
        assert shown["text"]


def test_crlf_ends_a_line() -> None:
    source = "text\r\n\r\n| a | b |\r\n|--|--|\r\n| **1"
    assert rendered(source, growing=True) == "text\n\n| a | b |\n|--|--|\n| **1**"
    assert rendered("```py\r\nx\r\n```\r\n", growing=False) == "```py\nx\n```"


def test_bidi_override_is_removed_from_a_label() -> None:
    assert rendered("[\u202emoc.knab](https://a.b)", growing=False) == "[moc.knab](https://a.b)"


def test_preview_leaves_out_an_incomplete_word() -> None:
    assert reply_blocks.short_text(PageView("Hel", growing=True)) == texts.WRITING
