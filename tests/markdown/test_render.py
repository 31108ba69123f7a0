"""Rendering a page's Markdown for Slack: safe, honest about links, and well-formed while it grows."""

import re
from itertools import takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core import texts
from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.markdown.escaping import HAIR_SPACE, JOINER, Replacement, escape_prose
from bot.markdown.links import is_deceptive
from bot.markdown.render import DROPPED, PREVIEW_CHARS, first_words, has_word, mrkdwn, rendered, sent_chars
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.reply.reply import Reply
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.control import live_controls
from tests.core.conversations import answer
from tests.markdown.markdown_texts import PIECES, markdown_texts
from tests.reply.outcomes import refused
from tests.reply.stored_messages import StoredMessages, grow, leaves, show, shown_text, stored

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
PIECES += [
    "\n1. ", "|", "\n|---|", "    ", "\t", "\\", "http://a.b", "<!channel>", "<@U1>", "<#C1|x>", "&#60;", "&amp;",
]  # fmt: skip


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
        ("<https://a.b|paypal.com>", "paypal.com (https://a.b)"),
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


@pytest.mark.parametrize(
    ("marks", "first"),
    [
        ("", "One"),
        ("", "👍"),
        ("# ", "Rollback"),
        ("**", "Short"),
        ("> ", "Quoted"),
        ("- [ ] ", "Open"),
        ("1. ", "One"),
        ("| ", "Model"),
        ("```python\n", "print"),
        ("---\n\n## ", "Title"),
    ],
)
def test_text_has_a_word_once_a_reader_would_see_one(marks: str, first: str) -> None:
    assert not any(has_word(marks[:size], growing=True) for size in range(len(marks) + 1))
    assert has_word(marks + first, growing=True)


def test_row_that_may_be_a_header_is_held_back_until_the_next_line_decides() -> None:
    row = "| Model | Price |"
    frames = [rendered(text, growing=True) for text in ("| Mod", row, f"{row}\n|--", f"{row}\n|---|---|\n")]
    assert frames == ["", "", "", f"{row}\n|---|---|"]


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
            PageView(text, end=End(EndReason.WHOLE, instruction, instruction)),
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


@pytest.mark.parametrize("entity", ["&lt;", "&amp;lt;", "&#60;", "&nbsp;"])
def test_entity_in_code_is_not_decoded(entity: str) -> None:
    assert rendered(f"`{entity}`", growing=False) == f"`{entity}`"


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
    reply.finish(End(EndReason.WHOLE, "<!here> @channel", "<!here>"))
    show(reply, slack)
    assert reply.life.is_over


@given(st.text(max_size=200) | markdown_texts)
def test_preview_and_notice_contain_no_instruction_to_slack(text: str) -> None:
    for view in (
        PageView(text),
        PageView("", end=End(EndReason.WHOLE, text or "x")),
        PageView(text, plain=True, end=End(EndReason.WHOLE, text)),
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
    blocks = stored(PageView("Words.", end=End(EndReason.WHOLE, f"Not read: {name} (too large).")))
    assert {leaf["type"] for leaf in leaves(blocks[:2])} == {"text", "plain_text"}
    assert name in shown_text(blocks).replace(JOINER, "")


def test_final_frame_escapes_the_same_as_growing_frames() -> None:
    slack = StoredMessages()
    grow("Run `a <@U0ADA> b` and **<!channel>** then\n\n```\n<!here>\n", 1, slack)


def test_code_around_another_replacement_is_not_escaped_as_prose() -> None:
    text = "`<a> [x] <!here>` <b"
    escapes = list(escape_prose(text, [(0, 17)], [Replacement(5, 8, "y")]))
    assert [escape for escape in escapes if escape.text == "&lt;"] == [Replacement(18, 19, "&lt;")]
    assert [escape.start for escape in escapes if escape.text == JOINER] == [10]


@pytest.mark.parametrize("text", ["&lt;!channel&gt;", "&amp;lt;", "a &lt; b", "AT&T & <b>", "&lt", "@here &#60;!here>"])
def test_plain_text_is_read_as_it_was(text: str) -> None:
    """Slack decodes three entities once, so a text that spells them out must not become what they stand for."""
    escaped = mrkdwn(text)
    assert "<" not in escaped
    characters = {"lt": "<", "gt": ">", "amp": "&"}
    decoded = re.sub("&(lt|gt|amp);", lambda entity: characters[entity[1]], escaped)
    assert decoded.replace(JOINER, "") == text
