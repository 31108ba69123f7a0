"""Translation of Markdown into stored blocks, with a case for each recorded rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_sandbox.blocks.sizes import text_length
from slack_sandbox.blocks.stored import stored_markdown, stored_text, to_stored_blocks
from slack_sandbox.text.translation import translate
from slack_sandbox.workspace import Json


def text(content: str, *styles: str) -> Json:
    return styled({"type": "text", "text": content}, styles)


def link(url: str, label: str = "", *styles: str) -> Json:
    return styled({"type": "link", "url": url} | ({"text": label} if label else {}), styles)


def emoji(name: str, code: str, **more: Any) -> Json:
    return {"type": "emoji", "name": name, "unicode": code, **more}


def styled(element: Json, styles: tuple[str, ...]) -> Json:
    return element | ({"style": dict.fromkeys(styles, True)} if styles else {})


def section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def quote(*elements: Json) -> Json:
    return {"type": "rich_text_quote", "elements": list(elements)}


def code(content: str, border: int = 0, **language: str) -> Json:
    return {"type": "rich_text_preformatted", "elements": [text(content)], "border": border, **language}


def items(style: str, indent: int, *content: str, border: int = 0, **offset: int) -> Json:
    elements = [section(text(item)) for item in content]
    return {
        "type": "rich_text_list",
        "style": style,
        "indent": indent,
        **({"border": border} if border else {}),
        **offset,
        "elements": elements,
    }


def rich_text(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def paragraph(*elements: Json) -> Json:
    return rich_text(section(*elements))


BLANK = text("\n\n")


def header(content: str, level: int = 1) -> Json:
    return {"type": "header", "text": {"type": "plain_text", "text": content, "emoji": True}, "level": level}


def cell(content: str) -> Json:
    return rich_text(section(text(content)))


BLOCKS: dict[str, tuple[str, list[Json]]] = {
    "a heading is a header": ("# One", [header("One")]),
    "markup in a heading is removed": ("## **One** `two` [three](https://a.b) ##", [header("One two three", 2)]),
    "an underlined heading": ("One\n===", [header("One")]),
    "an empty heading is dropped": ("#", []),
    "a rule is a divider": ("a\n\n---\n\nb", [paragraph(text("a"), BLANK), {"type": "divider"}, paragraph(text("b"))]),
    "120 paragraphs are one rich_text": (
        "\n\n".join(["word"] * 120),
        [paragraph(text("word"), *[BLANK, text("word")] * 119)],
    ),
    "each run between headings is one rich_text": (
        "a\n\n# One\n\nb\n\n- c\n\nd\n# Two",
        [
            paragraph(text("a"), BLANK),
            header("One"),
            rich_text(section(text("b"), BLANK), items("bullet", 0, "c"), section(text("\n"), text("d"), BLANK)),
            header("Two"),
        ],
    ),
    "a fence with a language is part of the rich_text": (
        "a\n```python\nx = 1\n\ny\n```\nb",
        [rich_text(section(text("a"), BLANK), code("x = 1\n\ny", language="python"), section(text("b")))],
    ),
    "a fence without a language": ("```\nx\n```", [rich_text(code("x"))]),
    "an unclosed fence": ("```sh\nx", [rich_text(code("x", language="sh"))]),
    "indented code": ("    x", [rich_text(code("x"))]),
    "nested lists have indents": (
        "- a\n  - b\n    1. c\n- d",
        [
            rich_text(
                items("bullet", 0, "a"), items("bullet", 1, "b"), items("ordered", 2, "c"), items("bullet", 0, "d")
            )
        ],
    ),
    "a numbered list that starts later": ("3. a\n4. b", [rich_text(items("ordered", 0, "a", "b", offset=2))]),
    "a numbered list continues after code": (
        "1. a\n   ```\n   x\n   ```\n2. b",
        [rich_text(items("ordered", 0, "a"), code("x"), items("ordered", 0, "b", offset=1))],
    ),
    "two paragraphs of one item": ("- a\n\n  b\n- c", [rich_text(items("bullet", 0, "a\nb", "c"))]),
    "adjacent lists": ("- a\n\n* b", [rich_text(items("bullet", 0, "a"), items("bullet", 0, "b"))]),
    "an empty item": ("-\n- a", [rich_text({**items("bullet", 0, "a"), "elements": [section(), section(text("a"))]})]),
    "a task list": ("- [x] did\n- [ ] will", [rich_text(items("bullet", 0, "☑ did", "☐ will"))]),
    "a quote": ("> a\n> b\n>\n> c", [rich_text(quote(text("a\nb"), BLANK, text("c")))]),
    "a list and code in a quote have a border": (
        "> - a\n>\n> ```\n> x\n> ```",
        [rich_text(items("bullet", 0, "a", border=1), code("x", border=1))],
    ),
    "a table": (
        "| a | b |\n|---|--:|\n| 1 | **2** |",
        [
            {
                "type": "table",
                "rows": [[cell("a"), cell("b")], [cell("1"), rich_text(section(text("2", "bold")))]],
                "column_settings": [{"align": "left"}, {"align": "right"}],
            }
        ],
    ),
    "a table keeps its place": (
        "a\n\n| b |\n|---|\n| c |\n\nd",
        [paragraph(text("a"), BLANK), {"type": "table", "rows": [[cell("b")], [cell("c")]]}, paragraph(text("d"))],
    ),
    "a table in a list": (
        "- a\n\n  | b |\n  |---|\n- c",
        [
            rich_text(items("bullet", 0, "a")),
            {"type": "table", "rows": [[cell("b")]]},
            rich_text(items("bullet", 0, "c")),
        ],
    ),
    "blank text": (" \n", []),
}


@pytest.mark.parametrize(("markdown", "blocks"), BLOCKS.values(), ids=BLOCKS.keys())
def test_markdown_is_translated_into_blocks(markdown: str, blocks: list[Json]) -> None:
    assert list(translate(markdown)) == blocks


INLINE: dict[str, tuple[str, list[Json]]] = {
    "styles": (
        "a **b *c*** ~~d~~ `e`",
        [
            text("a "),
            text("b ", "bold"),
            text("c", "bold", "italic"),
            text(" "),
            text("d", "strike"),
            text(" "),
            text("e", "code"),
        ],
    ),
    "line breaks are kept": ("a\nb  \nc", [text("a\nb\nc")]),
    "a link": ("[a](https://a.b)", [link("https://a.b", "a")]),
    "a link's style": ("**[`a`](https://a.b)**", [link("https://a.b", "a", "bold", "code")]),
    "a link by its definition": ("[a]\n\n[a]: https://a.b", [link("https://a.b", "a")]),
    "an image is a link": ("![a](https://a.b/c.png)", [link("https://a.b/c.png", "a")]),
    "an image without alt text": ("![](https://a.b/c.png)", [link("https://a.b/c.png")]),
    "a bare address is a link": ("so https://a.b/c_d_e.", [text("so "), link("https://a.b/c_d_e"), text(".")]),
    "an address in angle brackets": ("<https://a.b>", [link("https://a.b")]),
    "Slack's own link": ("<https://a.b|a_b_>", [link("https://a.b", "a_b_")]),
    "entities in an address are not decoded": (
        "[a](https://a.b?c=1&amp;d=2) [e](<https://a.b?c&lt;d>)",
        [link("https://a.b?c=1&amp;d=2", "a"), text(" "), link("https://a.b?c&lt;d", "e")],
    ),
    "another scheme is text": ("[a](javascript:b)", [text("[a](javascript:b)")]),
    "a mention": ("hi <@U0ADA>!", [text("hi "), {"type": "user", "user_id": "U0ADA"}, text("!")]),
    "a channel": ("<#C0GENERAL|general>", [{"type": "channel", "channel_id": "C0GENERAL"}]),
    "a broadcast": ("**<!here>**", [{"type": "broadcast", "range": "here", "style": {"bold": True}}]),
    "a group": ("<!subteam^S1>", [{"type": "usergroup", "usergroup_id": "S1"}]),
    "a date": (
        "<!date^1392734382^{date}|then>",
        [{"type": "date", "timestamp": 1392734382, "format": "{date}", "fallback": "then"}],
    ),
    "tokens in code are text": ("`<@U0ADA> <!here>`", [text("<@U0ADA> <!here>", "code")]),
    "a plain handle is text": ("@here", [text("@here")]),
    "entities are decoded once and never become tokens": (
        "&lt;@U0ADA&gt; &amp;lt; &lt;!here&gt;",
        [text("<@U0ADA> &lt; <!here>")],
    ),
    "entities in code are not decoded": ("`a &lt; b`", [text("a &lt; b", "code")]),
    "invalid tokens are text": ("a < b && c > d <!foo> <@ada>", [text("a < b && c > d <!foo> <@ada>")]),
    "a word joiner disables a token": ("<\u2060@U0ADA> @\u2060here", [text("<\u2060@U0ADA> @\u2060here")]),
    "html is text": ("<b>a</b>", [text("<b>a</b>")]),
    "bold next to Chinese stays text": ("你**好**吗", [text("你**好**吗")]),
    "bold next to kana stays text": ("これは**太字**です", [text("これは**太字**です")]),
    "bold next to Hangul stays text": ("**굵게**는", [text("**굵게**는")]),
    "bold Chinese between spaces": ("你 **好** 吗", [text("你 "), text("好", "bold"), text(" 吗")]),
    "bold around a bare address stays text": ("**https://a.b/c**", [text("**"), link("https://a.b/c"), text("**")]),
    "bold of words and a labelled link": (
        "**see [a](https://a.b)**",
        [text("see ", "bold"), link("https://a.b", "a", "bold")],
    ),
    "emoji": (
        "👍 :wave: 👍🏽 ✅ :tada:",
        [
            emoji("+1", "1f44d"),
            text(" "),
            emoji("wave", "1f44b"),
            text(" "),
            emoji("+1", "1f44d-1f3fd", skin_tone=4),
            text(" "),
            emoji("white_check_mark", "2705"),
            text(" "),
            emoji("tada", "1f389"),
        ],
    ),
    "emoji in code, times and unknown names are text": (
        "`:wave: 👍` 10:30:45 :nonesuch:",
        [text(":wave: 👍", "code"), text(" 10:30:45 :nonesuch:")],
    ),
}


@pytest.mark.parametrize(("markdown", "elements"), INLINE.values(), ids=INLINE.keys())
def test_inline_markdown_is_translated_into_elements(markdown: str, elements: list[Json]) -> None:
    assert list(translate(markdown)) == [paragraph(*elements)]


def test_code_block_keeps_entities_and_tokens() -> None:
    assert translate("```\n<!here> &lt;\n```") == (rich_text(code("<!here> &lt;")),)


TEXTS: dict[str, tuple[str, list[Json]]] = {
    "plain text": ("Thinking…", [section(text("Thinking…"))]),
    "mrkdwn styles": (
        "*a <https://a.b/c_d_|e>* _f_ ~g~ `h <!here>`",
        [
            section(
                text("a ", "bold"),
                link("https://a.b/c_d_", "e", "bold"),
                text(" "),
                text("f", "italic"),
                text(" "),
                text("g", "strike"),
                text(" "),
                text("h <!here>", "code"),
            )
        ],
    ),
    "tokens and entities": (
        "<@U0ADA> &lt;!here&gt; &amp; <https://a.b>",
        [section({"type": "user", "user_id": "U0ADA"}, text(" <!here> & "), link("https://a.b"))],
    ),
    "a quote and code": ("&gt; a\n```\nb\n```\nc", [quote(text("a")), code("b"), section(text("c"))]),
    "Markdown stays text": ("**a** [b](c)", [section(text("**a** [b](c)"))]),
}


@pytest.mark.parametrize(("source", "elements"), TEXTS.values(), ids=TEXTS.keys())
def test_text_alone_is_stored_as_one_rich_text(source: str, elements: list[Json]) -> None:
    (block,) = stored_text(source)
    assert block == rich_text(*elements) | {"block_id": block["block_id"]}


def without_ids(blocks: tuple[Json, ...]) -> list[Json]:
    return [{key: value for key, value in block.items() if key != "block_id"} for block in blocks]


APP_BLOCKS: dict[str, tuple[Json | list[Json], list[Json]]] = {
    "one text becomes several elements": (
        paragraph(text("hi 👍 https://a.b", "bold")),
        [
            paragraph(
                text("hi ", "bold"),
                emoji("+1", "1f44d") | {"style": {"bold": True}},
                text(" ", "bold"),
                link("https://a.b", "", "bold"),
            )
        ],
    ),
    "emoji in a list": (
        rich_text({**items("bullet", 0, ":wave:")}),
        [rich_text({**items("bullet", 0), "elements": [section(emoji("wave", "1f44b"))]})],
    ),
    "code stays unchanged": (
        rich_text(code("👍"), section(text("👍", "code"))),
        [rich_text(code("👍"), section(text("👍", "code")))],
    ),
    "emoji is filled in": (
        {"type": "header", "text": {"type": "plain_text", "text": "a"}},
        [{"type": "header", "text": {"type": "plain_text", "text": "a", "emoji": True}}],
    ),
    "a paragraph of Markdown above another block ends with an empty line": (
        [{"type": "markdown", "text": "a"}, {"type": "divider"}, {"type": "markdown", "text": "- b"}],
        [paragraph(text("a"), BLANK), {"type": "divider"}, rich_text(items("bullet", 0, "b"))],
    ),
    "verbatim is filled in": (
        {"type": "section", "text": {"type": "mrkdwn", "text": "a"}},
        [{"type": "section", "text": {"type": "mrkdwn", "text": "a", "verbatim": False}}],
    ),
    "a handle that is not verbatim becomes live, also in code": (
        {"type": "section", "text": {"type": "mrkdwn", "text": "@here `@channel` a@here.b"}},
        [{"type": "section", "text": {"type": "mrkdwn", "text": "<!here> `<!channel>` a@here.b", "verbatim": False}}],
    ),
    "a handle that is verbatim stays text": (
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "@here", "verbatim": True}]},
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "@here", "verbatim": True}]}],
    ),
    "Markdown's own block_id is dropped": (
        {"type": "markdown", "text": "a", "block_id": "mine"},
        [paragraph(text("a"))],
    ),
}


@pytest.mark.parametrize(("sent", "stored_blocks"), APP_BLOCKS.values(), ids=APP_BLOCKS.keys())
def test_stored_blocks_differ_from_sent_blocks(sent: Json | list[Json], stored_blocks: list[Json]) -> None:
    blocks = to_stored_blocks(sent if isinstance(sent, list) else [sent])
    assert without_ids(blocks) == stored_blocks
    assert all(3 <= len(block["block_id"]) <= 6 for block in blocks)


def test_blocks_get_unique_ids_and_keep_the_apps_ids() -> None:
    blocks = to_stored_blocks(
        [{"type": "divider"}, {"type": "markdown", "text": "# a\n---\n---"}, {"type": "divider", "block_id": "x"}]
    )
    ids = [block["block_id"] for block in blocks]
    assert len(set(ids)) == 5
    assert ids[-1] == "x"


def text_of(blocks: Any) -> str:
    if isinstance(blocks, (list, tuple)):
        return "".join(text_of(item) for item in blocks)
    if isinstance(blocks, dict):
        return str(blocks["text"]) if isinstance(blocks.get("text"), str) else text_of(list(blocks.values()))
    return ""


MARKS = st.sampled_from(
    [*"-*>#", "1. ", "  - ", "    ", "---\n", "\n", "**", "`", "[", "](https://a.b)", "[x] ", "<", "&"]
)


@given(st.lists(st.tuples(st.booleans(), MARKS)))
def test_translation_keeps_every_word(marks: list[tuple[bool, str]]) -> None:
    parts = [f"{newline * chr(10)}{mark} w{number}w " for number, (newline, mark) in enumerate(marks)]
    shown = text_of(stored_markdown("".join(parts)))
    assert [number for number in range(len(marks)) if f"w{number}w" not in shown] == []


def test_text_length_counts_entities() -> None:
    assert text_length(translate("a & b < `>`")) == len("a &amp; b &lt; &gt;")


PIECES = [
    "*a* ",
    "_a_*b* ",
    "> ",
    "- ",
    "[",
    "`",
    "**a",
    "<",
    "<!here>",
    "**https://a.b**",
    "|a\n|-\n",
    "👍",
    "\ud83d",
    "你**好**",
]


@pytest.mark.parametrize("piece", PIECES)
def test_long_repetitive_text_is_stored(piece: str) -> None:
    markdown = piece * (3_000 // len(piece))
    assert all(block["block_id"] for block in [*stored_markdown(markdown), *stored_text(markdown)])
