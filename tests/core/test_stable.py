"""What is appended to a native stream is the beginning of what the whole page sends."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.core.reply.markdown.inline_parser import MAX_UNDECIDED_CHARS
from bot.core.reply.markdown.render import DEFINITION, rendered
from bot.core.reply.markdown.stable import stable_prefix

UNDERLINE = re.compile(r"^[ \t>]*(?:=+|-+)\s*$", re.MULTILINE)
PIECES = st.one_of(
    st.text("ab* _~`[]()!<>&#|-:\\\n1.@世é", min_size=1, max_size=12),
    st.sampled_from(
        [
            *(
                "word ",
                "\n",
                "\n\n",
                "\r\n",
                "---\n",
                "- item\n",
                "1. item\n",
                "> quote\n",
                "# Heading\n",
                "    code\n",
            ),
            *(
                "**bold** ",
                "*",
                "**",
                "_a_ ",
                "~~",
                "`code` ",
                "```python\n",
                "```\n",
                "世界",
                "**世界**",
                "\\",
                "\u202e",
                "!",
            ),
            *(
                "[label](https://a.example) ",
                "[bank.example](https://evil.example) ",
                "](",
                "![alt](https://a.example/i.png) ",
            ),
            *("<https://a.example> ", "<a@b.example>", "<mailto:a@b.example>", "x@y.example", "https://a.example/x "),
            *("<!channel> ", "<@U123> ", "&amp;", "&lt;", "| a | b |\n", "| --- | --- |\n", "a | b\n", "--- | ---\n"),
        ]
    ),
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


def assume_unexceptional(text: str) -> None:
    """Leaves out what stable.py names as exceptions."""
    assume(not DEFINITION.search(text))
    assume(not (UNDERLINE.search(text) and len(text) > 140))


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.data())
def test_what_is_appended_stays(text: str, data: st.DataObject) -> None:
    assume_unexceptional(text)
    k = data.draw(st.integers(0, len(text)))
    stable = stable_prefix(text[:k])
    whole = rendered(text, growing=False)
    assert whole.startswith(stable), (text[:k], stable, whole)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["word ", "*bold ", "[label ", "`code ", "<b ", "世界 ", "_a ", "![i "]), min_size=200))
def test_held_back_text_is_bounded_in_prose(words: list[str]) -> None:
    text = "".join(words)
    assert len(rendered(text, growing=False)) - len(stable_prefix(text)) < 2 * MAX_UNDECIDED_CHARS


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("Some words and hal", "Some words and"),
        ("Some words.\n\n", "Some words."),
        ("See [the docs](https://a.exa", "See"),
        ("See [the docs](https://a.example) for", "See [the docs](https://a.example)"),
        ("It is **very impor", "It is"),
        ("It is **very important** to", "It is **very important**"),
        ("Run `make a", "Run"),
        ("A &am", "A"),
        ("A line\n-", "A line"),
        ("Code:\n\n```python\nx = 1\ny", "Code:\n\n```python\nx = 1"),
        ("# Head", ""),
        ("# Head\n", "# Head"),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 ", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<!channel> all", "&lt;!channel>"),
        ("[a]: https://a.example", ""),
        ("C:\\", "C:"),
    ],
)
def test_undecided_end_is_held_back(text: str, stable: str) -> None:
    assert stable_prefix(text) == stable
