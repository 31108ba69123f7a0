r"""Text appended to a native stream is the beginning of the whole page's final text.

To run 200,000 examples in about half an hour on two cores:

    .venv/bin/python -m pytest -n 2 --timeout 0 -p slack_sandbox.testing.gate --hypothesis-profile soak \
        slack_markdown/tests/test_stable.py -k stays
"""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slack_markdown.dialects import MAX_CONSTRUCT_CHARS
from slack_markdown.extent import HEADING_CHARS
from slack_markdown.render import DEFINITION, has_definitions, render_page, stable_prefix

LONG_HEADING = re.compile(rf"#{{1,6}}[ \t][^\n]{{{HEADING_CHARS // 5},}}")
"""A character counts as at most five."""
WIDE_ROW_WITHOUT_PIPE = re.compile(r"^[ \t>*+\-\d.)]*[^|\n]+(?:\|[^|\n]*){20}", re.MULTILINE)
PIECES = st.one_of(
    st.text("ab* _~`[]()!<>&#|-:\\\n1.@世é", min_size=1, max_size=12),
    st.sampled_from(
        [
            "word ", "\n", "\n\n", "\r\n", "---\n", "- item\n", "1. item\n", "> quote\n", "> [!NOTE]\n", "# Heading\n",
            "    code\n", "**bold** ", "*", "**", "_a_ ", "~~", "`code` ", "```python\n", "```\n", "```md\n",
            "世界", "**世界**",
            "\\", "\u202e", "!", "[label](https://a.example) ", "[bank.example](https://evil.example) ", "](",
            "![alt](https://a.example/i.png) ", "<https://a.example> ", "<a@b.example>", "<mailto:a@b.example>",
            "x@y.example", "https://a.example/x ", "https://g\u0456thub.com/x ", "https://a.example\u3002",
            "https://", "@a.example", "<!channel> ", "<@U123> ", "&amp;", "&lt;", "| a | b |\n", "| --- | --- |\n",
            "a | b\n", "--- | ---\n",
        ]
    ),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=30).map("".join)


HOSTILE_PIECES = [
    "word ", "b", "12", "\n", "\n\n", "\r\n", "\r", " ", "  ", "\t", "\u00a0", "\u2028", "\u200b", "\u202e", "世",
    "あ*", "---\n", "===\n", "--", "=", "- ", "* ", "1. ", "> ", "# ", "## h #", "    code\n", "```py\n", "```",
    "```md\n", "> [!TIP]", "[!TIP]",
    "~~~\n", "*", "**", "***", "*世*", "**世界**", "_", "_a_ ", "~~", "`", "``", "`a|b`", "`<b>`", "\\", "\\\\", "\\*",
    "\\`", "\\[", "!", "!!", "![", "[", "]", "(", ")", "](", "[x](", "[ ] ", "[世](https://a.b)",
    "[bank.example](https://evil.example)", "[a](<b c>)", "[a](<b\\>", '[a](b "t', "[a](b 't')", "[a](b (t",
    "[a](b\\", "![i](u)", "[![i](u)](v)", "<", "<a", "<h", "<https://a.b>", "<b@c.d>", "<mailto:a@b.c>",
    "<!channel>", "<https://e|x>", ">", "&", "&amp;", "&#60;", "https://a.b", "https://a.b**", "https://g\u0456thub",
    "https://a.com\uff0c", "@c.d", "**https://a.b", "|", "| a | b |\n", "|---|---|\n", "--- | ---\n", "a | b\n",
    "\n$$\n", "\n\\[\n", "\\]", "\n\n- ", "**Note: **", "** ", " **", " ~~ ",
    "<b>", "</b>", "<i>", "</s>", "<br>", "<p>", "</p>", "<ul>", "<li>", "<tr>", "<td>", "</td>", "</tr>", "<code>",
    "</code>", "<sup>2</sup>", "<a href='https://a.b'>", "</a>", "<!--", "-->", "<section>", "List<B>", "<b ", "\\(",
    "\\)", "x^2", "$x^2$", "$", "$$", "\\begin{a}", "\\end{a}", "<https://a.b|", "label>", "<@U1|", "[doc](https://a.b/",
    "[^1]", "[^a]:", "[^", "\\begin{cases}", " & ",
    "my file (1).pdf)", "![x](a b)", "**a:**", "a**(b)**", "&mdash;", "<h2>", "</h2>", "\n    ",
    "| `x", "|a" * 22 + "|\n", "|-" * 22 + "|\n", "x" * 60 + " ", "long words here " * 12, "<" * 50,
]  # fmt: skip
HOSTILE_TEXTS = st.lists(st.sampled_from(HOSTILE_PIECES), min_size=2, max_size=8, unique=True).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=80).map("".join)
)


@pytest.mark.parametrize("texts", [TEXTS, HOSTILE_TEXTS], ids=["usual texts", "hostile texts"])
@settings(max_examples=10 * settings().max_examples)
@given(st.data())
def test_what_is_appended_stays(texts: st.SearchStrategy[str], data: st.DataObject) -> None:
    text = data.draw(texts)
    # The exceptions that render.py lists.
    assume(not any(exception.search(text) for exception in (DEFINITION, WIDE_ROW_WITHOUT_PIPE, LONG_HEADING)))
    k = data.draw(st.integers(0, len(text)))
    stable = stable_prefix(text[:k])
    whole = render_page(text, growing=False)
    assert whole.startswith(stable), (text[:k], stable, whole)


@pytest.mark.parametrize(
    "text",
    [
        "[bank.example](<https://evil.example/\\> b c>)",
        "[bank.example](https://evil.example/\\))",
        "`a\n<b` c | d\n--- | ---\n",
        "世*a\nb* | c\n--- | ---\n",
        "a\nhttp://**界** and",
        "&" * 40 + "\n===\n",
        "`" + "word " * 100 + "<b> and",
        "[bank.example " + "word " * 100 + "](https://evil.example) and",
        "世**" + "word " * 100 + "**世",
        "`<\n\u2028`",
        "a\n<br>b ** and",
        "世~~:~~",
        "c\na*:b*b*",
        "a<br>b\n---\n",
        "</h2>---\n---\n",
        "> a\n> <br/>b " + "<" * 50,
        "https://a.b**<p>https://a.b**",
        "https://a.b**https://a.b**<i><i>https://a.b**",
        "[](x(y)`)<b> c <i>d</i>1",
        "1`<b\n1:",
        "so $5 \\text{ km/h}$ and $10 \\mathrm{ m/s, approx.}$ and",
        "見 https://a.b/c、d https://a.b?e」 and",
    ],
)
def test_no_beginning_of_a_text_appends_what_changes(text: str) -> None:
    whole = render_page(text, growing=False)
    assert all(whole.startswith(stable_prefix(text[:k])) for k in range(len(text) + 1))


@given(st.lists(st.sampled_from(["word ", "*bold ", "[label ", "`code ", "<b ", "世界 ", "_a ", "![i "]), min_size=200))
def test_held_back_text_is_bounded_in_prose(words: list[str]) -> None:
    text = "".join(words)
    assert len(render_page(text, growing=False)) - len(stable_prefix(text)) < 2 * MAX_CONSTRUCT_CHARS


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
        ("<!channel> all", "@channel"),
        ("[a]: https://a.example", ""),
        ("C:\\", "C:"),
    ],
)
def test_undecided_end_is_held_back(text: str, stable: str) -> None:
    assert stable_prefix(text) == stable


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("See [a].\n\n[a]: https://a.example", True),
        ("> - [a]: https://a.example", True),
        ("```\ncode\n```\n[a]: https://a.example", True),
        ("Python:\n\n```python\nif x[0]: y\n```\n\nAnd so on.", False),
        ("Python:\n\n```python\n[x[0]]: y", False),
        ("Python:\n\n    if x[0]: y\n\nAnd so on.", False),
        ("Write `if x[0]: y` and so on.", False),
        ("The first [1]: it is late.", False),
    ],
)
def test_definitions_are_looked_for_outside_of_code(text: str, is_found: bool) -> None:
    assert has_definitions(text) is is_found


def test_code_that_looks_like_a_definition_is_appended() -> None:
    code = "```python\nfor x in y:\n    if x[0]: z\n    a = b\n"
    assert stable_prefix(f"{code}c") == code.rstrip()
