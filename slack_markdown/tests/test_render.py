"""Rendering a page's Markdown for Slack: safe, honest about links, and well-formed while it grows."""

import re
from itertools import takewhile

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from slack_markdown.escaping import HAIR_SPACE, JOINER, Replacement, escape_prose
from slack_markdown.links import is_deceptive
from slack_markdown.render import (
    DROPPED,
    PREVIEW_CHARS,
    first_words,
    has_word,
    max_sent_chars,
    mrkdwn,
    plain_words,
    render_page,
    stable_prefix,
)
from slack_markdown.tests.markdown_texts import markdown_texts

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


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
        ("see [the do", "see the do"),
        ("see [the docs](https://exa", "see the docs"),
        ("see [1", "see"),
        ("see [1] for", "see [1] for"),
        ("**see [the docs](htt", "**see the docs**"),
        ('see [a](/b "ti', "see a"),
        ("see [a](/b 'ti", "see a"),
        ("see [a](/b (ti", "see a"),
        ("see [a](/b ti", "see [a](/b ti"),
        ("![a cat](https://", "a cat"),
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
        ("- **[Title](https://a", "- Title"),
        ("> as (see [the docs](https://a", "> as (see the docs"),
        ("one\n[label] [two](", "one\n[label] two"),
        ("see [1, 2", "see"),
        ("see [the pa.th <b> and", "see the pa"),
        ("see [@channel", "see"),
        ("see it**[label](", "see it"),
        ("[ref to be defined", ""),
        ("So:\n\n\\[\nE = mc^2\n", "So:\n\n`E = mc^2`"),
        ("$$\n\\begin{aligned}\na &= b \\en", "`a = b`"),
        ("- \\(a_1 + ", "- `a_1 +`"),
        ("> \\[\n> a = b", ""),
        ("echo $$ or wait", "echo"),
        ("\\(x = <!channel>", "`x = <\u2060!channel>`"),
        ("- [a\n" * 2_000 + "- [b", "- [a\n" * 2_000 + "- b"),
        ("|a\n" * 2_000 + "|", "|a\n" * 1_998 + "|a"),
        ("|x| is what\nit was", "|x| is what\nit was"),
        ("# Title with `co", "# Title with `co`"),
        ("[ref]: https://exa", ""),
        ("<summary>T</summary>", "**T**"),
        ("<div>\n<h2>T</h2>\n", "**T**"),
        ("one\\\n", "one"),
        ("- one\\\n", "- one"),
        ("one\\\ntwo", "one\\\ntwo"),
        ("**never closed\n\nnext", "**never closed\n\nnext"),
    ],
)
def test_incomplete_construct_is_closed_for_show_or_held_back(source: str, sent: str) -> None:
    assert render_page(source, growing=True) == sent


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
    assert render_page(source, growing=False) == sent
    assert render_page(f"{source}\n\nand on", growing=True) == f"{sent}\n\nand on"


SENTENCES = {
    "English": "The answer is that all of them, with a comma or two, are here.",
    "Russian": "Ответ на этот вопрос оказался совсем простым.",
    "Chinese": "这个问题的答案其实很简单。" * 4,
}
HELD_CHARS = 40
"""The number of characters that show that a sentence isn't part of what was open before it."""


@pytest.mark.parametrize(
    "opened",
    [
        "$$",
        "$$\n",
        "$$\n\n",
        "Its PID is $$\n",
        "kill $$ ",
        "\\[ ",
        "\\[\n\n",
        "See \\[",
        "so \\(",
        "a $x ",
        "\\[ x \\{ ",
    ],
)
@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
@pytest.mark.parametrize("goes_on", ["", "\n\n- so x = 5 $$ \\] \\) $"], ids=["open", "closed"])
def test_sentence_behind_the_mark_of_a_formula_is_shown(opened: str, sentence: str, goes_on: str) -> None:
    text = f"{opened}{sentence}{goes_on}"
    for end in range(len(opened) + HELD_CHARS, len(text)):
        shown = render_page(text[:end], growing=True)
        assert sentence[: end - len(opened) - HELD_CHARS] in shown
    for end in range(len(text)):
        assert render_page(text, growing=False).startswith(stable_prefix(text[:end]))


@pytest.mark.parametrize(
    "formula",
    [
        "x = \\text{the sum of all the other parts here}",
        "total cost of goods = 5",
        "\\text{if {this is} one of all those things}",
    ],
)
@pytest.mark.parametrize("marks", ["$$\n{}\n$$", "\\[{}\\]", "\\({}\\)"])
def test_words_of_a_formula_are_no_sentence(marks: str, formula: str) -> None:
    text = marks.replace("{}", formula)
    assert render_page(text, growing=False) == f"`{formula}`"
    for end in range(len(text) - 1):
        frame = render_page(text[:end], growing=True)
        assert frame in ("", "\\") or formula.startswith(frame.strip("`"))


@pytest.mark.parametrize(
    ("below", "sent"),
    [
        ("text", "text"),
        ("one<br>two", "one\ntwo"),
        ("**bo", "**bo**"),
        ("- item", "- item"),
        ("| a | b |\n|---|---|\n| 1", "| a | b |\n|---|---|\n| 1"),
        ("```py\nx", "```py\nx\n```"),
        ("\\[x = 1\\] and", "`x = 1` and"),
    ],
)
@pytest.mark.parametrize("heading", ["# Title", "Title\n====="])
def test_text_directly_below_a_heading_is_shown_as_elsewhere(heading: str, below: str, sent: str) -> None:
    assert render_page(f"{heading}\n{below}", growing=True) == f"{heading}\n{sent}"


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
    for block in PARSER.parse(render_page(text, growing=growing)):
        for at, token in enumerate(children := block.children or []):
            assert token.type != "image"
            if token.type == "link_open" and token.info != "auto":
                label = takewhile(lambda inline: inline.type != "link_close", children[at + 1 :])
                assert not is_deceptive(
                    "".join("\n" if inline.type == "softbreak" else inline.content for inline in label),
                    str(token.attrs["href"]),
                )


@given(
    st.lists(
        st.sampled_from(
            ["<!channel>", "<@U1>", "\\(", "\\[\n", "\n$$\n", "\\begin{a}", "[a ", "](", "`", "$", " x = ", "\n"]
        ),
        max_size=8,
    ).map("".join)
)
@example("\\(x = <!channel>")
@example("$$\n<@U1> = x\n")
def test_no_growing_text_shows_an_instruction(text: str) -> None:
    assert not re.search(r"<[!@#]", render_page(text, growing=True))


@given(markdown_texts)
@example("```\n")
@example("\r\n- ")
@example("\u202d")
@example("|\n|---|\n|---|`")
@example("$$")
@example("\\[")
def test_only_the_end_is_held_back(text: str) -> None:
    """Text before a blank line is shown unchanged, except for links and dropped characters. An open formula holds back
    the text after it up to a sentence, hosts are shown in ASCII, and marks between cells that don't have a column are
    escaped."""
    text = DROPPED.sub("", text)
    # Words in braces belong to a formula.
    assume("{" not in text)
    whole = render_page(f"{text}\n\n", growing=False)
    assert "This is the end." in render_page(f"{text}\n\nThis is the end. Nothing follows here. And", growing=True)
    if not re.search(r"\]|!\[|<|\*.*http|http.*\*|http[^\s]*[^\x00-\x7f]", text, re.DOTALL):
        shown, written = (one.replace(HAIR_SPACE, "").replace("\\|", "|") for one in (whole, text.rstrip()))
        assert shown.startswith(written)
        assert len(whole) <= max_sent_chars(text) + len("\n```") + text.count("`") + text.count("~") + text.count(" ")


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# Title\n\nA **bold** [link](https://a.b) and `code_x`.", "Title. A bold link and code_x."),
        ("- one\n- [ ] two\n- [x] ~~x~~\n\n1. three", "one. to do: two. done: (struck out: x) three"),
        ("| a | b |\n|---|---|\n| 1 | *2* |\n\nAfter.", "Table: a; b. 1: b 2. After."),
        ("|| a |\n|--|--|\n| 1 || 2 |\n| <https://a.example/?q=1|one> | 2 | 3 |", "Table: a. 1: a 2. one: a 2 | 3."),
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
        ("Prices\r\n\r\n| a | b |\r\n|--|--|\r\n| 1 | 2 |\r\n", "Prices. Table: a; b. 1: b 2."),
    ],
)
def test_preview_has_no_marks(markdown: str, words: str) -> None:
    assert first_words(markdown, growing=False) == (
        words or "One sentence that is long enough to stand alone, is it not?"
    )


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# Title\n\nA **bold** and `code_*x`.\nTwo __init__ 2 * 3", "Title\n\nA bold and code_*x.\nTwo init 2 * 3"),
        ("- one\n- [x] two\n  - [ ] sub\n\n5) x\n5) y", "- one\n- done: two\n  - to do: sub\n\n5. x\n6. y"),
        ("| a | b |\n|---|---|\n| 1 | *2* |\n\nAfter.", "Table: a; b\n1: b 2\n\nAfter."),
        ("|| a |\n|--|--|\n| 1 | 2 | 3 |\n| 4 |", "Table: a\n1: a 2 | 3\n4"),
        ("```py\nif x:\n    *y*\n```\nIt runs.", "if x:\n    *y*\nIt runs."),
        (
            "| Region | Revenue | Change | Owner |\n|--|--:|--:|--|\n| North | 1,204,113 € | +12% | Grace |\n| South |",
            "Table: Region; Revenue; Change; Owner\nNorth: Revenue 1,204,113 €; Change +12%; Owner Grace\nSouth",
        ),
        ("2. a\n3. > Retry\n   >\n   > again", "2. a\n3. Quote: Retry\n\n  Quote: again"),
        ("[undefined][x] [x] and [y]\n\n[y]: <https://a.b>", "[undefined][x] [x] and y (https://a.b)"),
        ("> quote\n> more\n\n---\n\nEnd", "Quote: quote\nmore\n\nEnd"),
        ("- a\n\n  ```\n  code\n    in\n  ```\n- b", "- a\n\n  code\n  in\n- b"),
        (
            "[docs](https://a.example/x_y_) and [`x`](https://b.example)",
            "docs (https://a.example/x_y_) and x (https://b.example)",
        ),
        ("[x][1]\n\n[1]: https://a.example", "x (https://a.example)"),
        ("[![alt](https://i.example/a.png)](https://b.example)", "alt (https://b.example)"),
        ("[https://bank.example](https://evil.example)", "https://bank.example (https://evil.example)"),
        ("[a@b.example](mailto:a@b.example) <https://c.example>", "a@b.example https://c.example"),
        ("[a page][docs] or [docs][docs]\n\n[docs]: https://a.b", "a page (https://a.b) or docs (https://a.b)"),
        ("a <b> &amp; c \\* `&amp;`", "a <b> & c * &amp;"),
        ("[the file](https://x.slack.com/files/U1/F012345/a.pdf)", "the file (x.slack.com/files/U1/F012345/a.pdf)"),
        ("**[x](https://a.example/y_)** and **https://b.example**", "x (https://a.example/y_) and https://b.example"),
        ("~~https://a.example~~, <a_b_@c.example>.", "(struck out: https://a.example), a_b_@c.example."),
        (r"\&lt; &amp;lt; R&copy 5&nbsp;%", "&lt; &lt; R&copy 5\u00a0%"),
        ("", ""),
        ("---", ""),
        ("delete *.log, call f(*args, **kw)", "delete *.log, call f(*args, **kw)"),
        (r"delete \*.log, call f(\*args)", "delete *.log, call f(*args)"),
        ("_private, 5 * 3 and *this* ~~ ~~gone~~", "_private, 5 * 3 and this ~~ (struck out: gone)"),
        ("***a*** **b *c***\n\n** Note:** d `** e", "a b c\n\nNote: d `** e"),
        ("# On *.py\n\n| *.c | _d |\n|---|---|\n| *e* | f_ |", "On *.py\n\nTable: *.c; _d\ne: _d f_"),
        ("Two\nlines\n===\n\nAfter.", "Two lines\n\nAfter."),
    ],
)
def test_plain_words_of_a_page_are_all_of_them(markdown: str, words: str) -> None:
    assert plain_words(render_page(markdown, growing=False)) == words


@pytest.mark.parametrize(
    ("growing", "words"),
    [
        ("Delete *.log and `f(*args)` now", "Delete *.log and f(*args)"),
        ("The **bold wor", "The bold"),
        ("Run `f(*args, on", "Run f(*args,"),
    ],
)
def test_preview_keeps_what_opens_no_emphasis(growing: str, words: str) -> None:
    assert first_words(growing, growing=True) == words


@given(st.lists(st.sampled_from(["alpha", "be**ta**", "`gam`", "[del](http://a.b)", "ε"]), max_size=60).map(" ".join))
def test_preview_cuts_no_word(text: str) -> None:
    whole = {"alpha", "beta", "gam", "del", "ε"}
    for size in range(0, len(text), 7):
        words = first_words(text[:size], growing=True)
        assert len(words) <= PREVIEW_CHARS + 1
        assert set(words.rstrip("…").split()) <= whole


def test_crlf_ends_a_line() -> None:
    source = "text\r\n\r\n| a | b |\r\n|--|--|\r\n| **1"
    assert render_page(source, growing=True) == "text\n\n| a | b |\n|--|--|\n| **1**"
    assert render_page("```py\r\nx\r\n```\r\n", growing=False) == "```py\nx\n```"


def test_bidi_override_is_removed_from_a_label() -> None:
    assert render_page("[\u202emoc.knab](https://a.b)", growing=False) == "[moc.knab](https://a.b)"


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
    frames = [render_page(text, growing=True) for text in ("| Mod", row, f"{row}\n|--", f"{row}\n|---|---|\n")]
    assert frames == ["", "", "", f"{row}\n|---|---|"]


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("2", "2"),
        ("`x`", "`x`"),
        ("<https://b.example|b>", "[b](https://b.example)"),
        ("![b](https://b.example)", "[b](https://b.example)"),
        ("<b>x</b>", "**x**"),
        ("$x^2$", "`x^2`"),
        ("\\*", "\\*"),
        ("a\\|b", "a\\|b"),
    ],
)
@pytest.mark.parametrize("space", ["", " "])
def test_surplus_cells_are_shown_in_the_last_column(cell: str, sent: str, space: str) -> None:
    header = "|a|b|\n|-|-|\n"
    assert render_page(f"{header}|1|{cell}{space}|3|4|", growing=False) == f"{header}|1|{sent}{space}\\|3\\|4|"
    assert render_page(f"{header}1|{cell}{space}|3", growing=False) == f"{header}1|{sent}{space}\\|3"


@pytest.mark.parametrize("entity", ["&lt;", "&amp;lt;", "&#60;", "&nbsp;"])
def test_entity_in_code_is_not_decoded(entity: str) -> None:
    assert render_page(f"`{entity}`", growing=False) == f"`{entity}`"


def test_code_around_another_replacement_is_not_escaped_as_prose() -> None:
    text = "`<a> [x] <!here>` <b"
    escapes = list(escape_prose(text, [(0, 17)], [Replacement(5, 8, "y")]))
    assert [escape for escape in escapes if escape.text == "&lt;"] == [Replacement(18, 19, "&lt;")]
    assert [escape.start for escape in escapes if escape.text == JOINER] == [10]


@pytest.mark.parametrize("text", ["&lt;!channel&gt;", "&amp;lt;", "a &lt; b", "AT&T & <b>", "&lt", "@here &#60;!here>"])
def test_plain_text_is_read_as_it_was(text: str) -> None:
    """Slack decodes three entities once, so a text that spells them out must not become the decoded characters."""
    escaped = mrkdwn(text)
    assert "<" not in escaped
    characters = {"lt": "<", "gt": ">", "amp": "&"}
    decoded = re.sub("&(lt|gt|amp);", lambda entity: characters[entity[1]], escaped)
    assert decoded.replace(JOINER, "") == text
