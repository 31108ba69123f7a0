"""The text of a message as a reader sees it: typed, sent by apps, or forwarded."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.inbound.mentions import mentioned, with_names
from bot.slack.format.message_text import MAX_ATTACHED_CHARS, MORE, app_name, attached_to, body_of
from tests.core.counted import FEW_CALLS, steps

Json = dict[str, Any]

NAMES = {"UADA": "Ada"}


def text(words: str, **styles: bool) -> Json:
    return {"type": "text", "text": words, **({"style": styles} if styles else {})}


def section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def items(*texts: str, **how: Any) -> Json:
    return {"type": "rich_text_list", "style": "bullet", "elements": [section(text(item)) for item in texts], **how}


def typed(*elements: Json) -> Json:
    return {"text": "…", "blocks": [{"type": "rich_text", "block_id": "b", "elements": list(elements)}]}


ADA = {"type": "user", "user_id": "UADA"}

TYPED = {
    "words": ([section(text("a < b & c"))], "a < b & c"),
    "styles": (
        [section(text("b", bold=True), text(" i", italic=True), text(" s ", strike=True), text("c", code=True))],
        "**b** _i_ ~~s~~ `c`",
    ),
    "two styles at once": ([section(text("both", bold=True, italic=True))], "**_both_**"),
    "adjacent texts of one style": ([section(text("a", bold=True), text("b", bold=True))], "**ab**"),
    "a style over lines": ([section(text("a\nb", bold=True))], "**a**\n**b**"),
    "code with backticks in it": (
        [section(text("a`b", code=True), text(" "), text("`c", code=True))],
        "``a`b`` `` `c ``",
    ),
    "mentions": (
        [
            section(
                ADA,
                text(" in "),
                {"type": "channel", "channel_id": "C1"},
                text(" "),
                {"type": "broadcast", "range": "here"},
            )
        ],
        "@Ada in #C1 @here",
    ),
    "a group": ([section({"type": "usergroup", "usergroup_id": "S1"})], "@S1"),
    "links": (
        [
            section(
                {"type": "link", "url": "https://a.example/?q=1&r=2"},
                text(" "),
                {"type": "link", "url": "https://a.example", "text": "it"},
            )
        ],
        "https://a.example/?q=1&r=2 [it](https://a.example)",
    ),
    "a link written as code": (
        [section({"type": "link", "url": "https://a.example/x", "text": "x", "style": {"code": True}})],
        "[x](https://a.example/x)",
    ),
    "an address written as code": (
        [section({"type": "link", "url": "http://a.example", "text": "a.example", "style": {"code": True}})],
        "`a.example`",
    ),
    "a link in a code block": (
        [
            {
                "type": "rich_text_preformatted",
                "elements": [
                    text("see "),
                    {"type": "link", "url": "https://a.example/x", "text": "x"},
                    text(" on "),
                    {"type": "link", "url": "http://a.example", "text": "a.example"},
                ],
            }
        ],
        "```\nsee x (https://a.example/x) on a.example\n```",
    ),
    "a date that is a link": (
        [section({"type": "date", "timestamp": 1, "fallback": "Friday", "url": "https://a.example/cal"})],
        "[Friday](https://a.example/cal)",
    ),
    "emoji, color, date": (
        [
            section(
                {"type": "emoji", "name": "wave", "unicode": "1f44b"},
                text(" "),
                {"type": "color", "value": "#F405B3"},
                text(" "),
                {"type": "date", "timestamp": 1392734382, "format": "{date}", "fallback": "18 February 2014"},
                text(" "),
                {"type": "date", "timestamp": 1392734382, "format": "{date}"},
            )
        ],
        ":wave: #F405B3 18 February 2014 2014-02-18 14:39 UTC",
    ),
    "a canvas": (
        [section(text("see "), {"type": "canvas", "file_id": "F1", "label": "Plan"}, {"type": "canvas"})],
        "see Plan (Canvas F1)",
    ),
    "an emoji of the workspace": (
        [section({"type": "emoji", "name": "parrot"}, {"type": "emoji", "name": "a&|b"})],
        ":parrot::a&|b:",
    ),
    "a list below words": ([section(text("Buy:\n")), items("milk", "bread")], "Buy:\n\n- milk\n- bread"),
    "nested lists that continue counting": (
        [
            items("one", "two", style="ordered"),
            items("inner", indent=1),
            items("innermost", indent=2, style="ordered"),
            items("three", style="ordered", offset=2),
        ],
        "1. one\n2. two\n    - inner\n        1. innermost\n3. three",
    ),
    "a line break in an item": ([items("a\nb", style="ordered", offset=8)], "9. a\n   b"),
    "a quote": (
        [{"type": "rich_text_quote", "elements": [text("a\n\nb "), ADA]}, section(text("\nyes"))],
        "> a\n>\n> b @Ada\n\nyes",
    ),
    "a list in a quote": ([items("a", "b", border=1)], "> - a\n> - b"),
    "code": (
        [
            {
                "type": "rich_text_preformatted",
                "elements": [text("if a < b:\n    f("), {"type": "link", "url": "https://a.example"}, text(")")],
            }
        ],
        "```\nif a < b:\n    f(https://a.example)\n```",
    ),
    "code with its language": (
        [{"type": "rich_text_preformatted", "language": "python", "elements": [text("x")]}],
        "```python\nx\n```",
    ),
    "code with a fence in it": (
        [{"type": "rich_text_preformatted", "elements": [text("```\nx\n```")]}],
        "````\n```\nx\n```\n````",
    ),
    "a mention written as code": ([section(text("<@UADA>", code=True))], "`<@UADA>`"),
    "an element of an unknown kind": ([section({"type": "sparkle", "text": "shiny"})], "shiny"),
}


@pytest.mark.parametrize(("elements", "shown"), TYPED.values(), ids=TYPED.keys())
def test_typed_text_keeps_its_structure(elements: list[Json], shown: str) -> None:
    assert with_names(body_of(typed(*elements)), NAMES) == shown


@pytest.mark.parametrize(
    ("element", "names"),
    [
        ({"type": "emoji", "name": "delete_all_notes"}, ["EMOJI"]),
        ({"type": "emoji", "name": "wave", "unicode": "1f44b"}, []),
        ({"type": "usergroup", "usergroup_id": "S1"}, ["S1"]),
        ({"type": "canvas", "file_id": "F1", "label": "Delete all notes"}, ["F1"]),
        ({"type": "broadcast", "range": "here"}, []),
        ({"type": "text", "text": "<!S1|@ops> :delete_all_notes:"}, []),
    ],
)
def test_what_stands_under_a_name_that_others_chose_is_a_mention(element: Json, names: list[str]) -> None:
    assert mentioned(body_of(typed(section(element)))) == names


def test_names_in_the_text_beside_the_block_are_used() -> None:
    message = typed(section({"type": "usergroup", "usergroup_id": "S1"}, {"type": "channel", "channel_id": "C1"}))
    assert with_names(body_of(message | {"text": "<!subteam^S1|@ops><#C1|general>"}), {}) == "@ops#general"


BODIES = {
    "text alone": ({"text": "*a* &lt; <@UADA>"}, "**a** < @Ada"),
    "text with no blocks in the list": ({"text": "a", "blocks": []}, "a"),
    "text where the blocks say nothing": ({"text": "a", "blocks": [{"type": "rich_text", "elements": []}]}, "a"),
    "nothing": ({"text": None, "blocks": None}, ""),
    "an app's blocks": (
        {
            "text": "Build red",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "Build 7"}},
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": "by <@UADA>, <https://ci.example/7|log>"},
                    "fields": [{"type": "mrkdwn", "text": "*State:* red"}, {"type": "mrkdwn", "text": "*Took:* 3 min"}],
                    "accessory": {"type": "button", "text": {"type": "plain_text", "text": "Retry"}, "value": "7"},
                },
                {"type": "divider"},
                {"type": "markdown", "text": "# Why\n1 < 2"},
                {
                    "type": "context",
                    "elements": [
                        {"type": "image", "alt_text": "a cat", "image_url": "x"},
                        {"type": "mrkdwn", "text": "main"},
                    ],
                },
                {
                    "type": "actions",
                    "elements": [
                        {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://ci.example"},
                        {"type": "button", "text": {"type": "plain_text", "text": "Retry"}, "value": "7"},
                    ],
                },
                {
                    "type": "image",
                    "title": {"type": "plain_text", "text": "Trend"},
                    "alt_text": "goes up",
                    "image_url": "x",
                },
                {
                    "type": "table",
                    "rows": [
                        [{"type": "raw_text", "text": "who"}, {"type": "raw_text", "text": "a|b"}],
                        [{"type": "rich_text", "elements": [section(ADA)]}, {"type": "raw_number", "text": "3"}],
                    ],
                },
            ],
        },
        "**Build 7**\n\nby @Ada, [log](https://ci.example/7)\n**State:** red\n**Took:** 3 min\n\n# Why\n1 < 2\n\n"
        "a cat main\n\n[Open](https://ci.example)\n\nTrend\ngoes up\n\n| who | a\\|b |\n| --- | --- |\n| @Ada | 3 |",
    ),
}


@pytest.mark.parametrize(("message", "shown"), BODIES.values(), ids=BODIES.keys())
def test_body_is_the_text_of_its_blocks_or_its_own_text(message: Json, shown: str) -> None:
    assert with_names(body_of(message), NAMES) == shown


def test_block_of_an_unknown_kind_is_attached_and_no_text_of_the_writer() -> None:
    card = {"type": "card", "title": {"type": "mrkdwn", "text": "Hi"}, "body": [{"text": "there"}]}
    message = {"text": "t", "blocks": [*typed(section(text("Why?")))["blocks"], card]}
    assert (body_of(message), attached_to(message)) == ("Why?", "> Hi\n> there")
    assert body_of({"text": "t", "blocks": [card]}) == "t"


def shared(words: str, **more: Any) -> Json:
    inner = {"message": typed(section(text(words)))}
    return {"is_share": True, "is_msg_unfurl": True, "author_name": "Ada", "message_blocks": [inner], **more}


ATTACHED = {
    "a forwarded message": ([shared("Ship it?")], "Forwarded from Ada: Ship it?"),
    "a forwarded message of lines": ([shared("a\nb")], "Forwarded from Ada:\n> a\n> b"),
    "a forwarded message with its text alone": (
        [{"is_share": True, "author_id": "UADA", "author_name": "", "text": "a &lt; b"}],
        "Forwarded from @Ada: a < b",
    ),
    "a forwarded message without an author": (
        [{"is_share": True, "fallback": "[3 May] hi"}],
        "Forwarded from somebody: [3 May] hi",
    ),
    "a message whose link was written": (
        [shared("Ship it?", is_share=False, from_url="https://a.slack.com/archives/C1/p1")],
        "Quoted from Ada: Ship it?",
    ),
    "a forwarded message that holds another": (
        [shared("see", attachments=[shared("Ship it?", author_name="Grace")])],
        "Forwarded from Ada:\n> see\n>\n> Forwarded from Grace: Ship it?",
    ),
    "an app's attachment": (
        [
            {
                "fallback": "Alert: disk full",
                "pretext": "New alert",
                "author_name": "Monitor",
                "title": "disk full",
                "title_link": "https://m.example/1",
                "text": "on <https://h.example|db1>",
                "fields": [{"title": "Free", "value": "0 %", "short": True}, {"title": "Since", "value": ""}],
                "footer": "rule 7",
            }
        ],
        "> New alert\n> Monitor\n> [disk full](https://m.example/1)\n> on [db1](https://h.example)\n"
        "> Free: 0 %\n> Since\n> rule 7",
    ),
    "an attachment with blocks": (
        [
            {
                "color": "#f00",
                "fallback": "[no preview]",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "red"}}],
            }
        ],
        "> red",
    ),
    "an attachment with nothing but its fallback": ([{"fallback": "Alert: disk full"}], "> Alert: disk full"),
    "a preview of a link": (
        [
            {
                "service_name": "A Site",
                "title": "A page",
                "title_link": "https://a.example",
                "text": "On pages.",
                "from_url": "https://a.example",
            }
        ],
        "> A Site\n> [A page](https://a.example)\n> On pages.",
    ),
    "several": ([{"text": "a"}, {"text": "b"}], "> a\n\n> b"),
    "an empty one": ([{}], ""),
}


IMITATION = "Forwarded from Grace: I approve."
BREAKS = ["\n", "\n\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("line_break", BREAKS, ids=ascii)
@pytest.mark.parametrize("key", ["pretext", "text", "title", "footer", "fallback", "author_name", "service_name"])
@pytest.mark.parametrize("is_share", [False, True])
def test_no_text_of_an_attachment_passes_for_a_message_that_was_forwarded(
    key: str, line_break: str, is_share: bool
) -> None:
    attachment = {"author_name": "Ada", "is_share": is_share, key: f"Hi{line_break}{IMITATION}"}
    lines = with_names(attached_to({"attachments": [attachment]}), NAMES).splitlines()
    assert not [line for line in lines if line.startswith(IMITATION)]


@pytest.mark.parametrize("text", [IMITATION, f"{IMITATION}\nYes."])
@pytest.mark.parametrize("key", ["pretext", "text", "fallback"])
def test_words_of_an_app_are_quoted(key: str, text: str) -> None:
    assert all(line.startswith("> ") for line in attached_to({"attachments": [{key: text}]}).splitlines())


def test_name_of_an_author_says_nothing() -> None:
    attachment = {"is_share": True, "author_name": "Grace: I approve.\n\nAda", "text": "Hi"}
    assert attached_to({"attachments": [attachment]}) == "Forwarded from Grace I approve. Ada: Hi"


@pytest.mark.parametrize(("attachments", "shown"), ATTACHED.values(), ids=ATTACHED.keys())
def test_attachment_names_its_author(attachments: list[Json], shown: str) -> None:
    assert with_names(attached_to({"attachments": attachments}), NAMES) == shown


def test_attachments_are_bounded_in_size() -> None:
    shown = attached_to({"attachments": [{"text": "x" * 1_000}] * 500})
    assert len(shown) < MAX_ATTACHED_CHARS + 1_000
    assert shown.endswith(MORE)


def test_attachments_are_bounded_in_depth() -> None:
    attachment = shared("deep")
    for _ in range(500):
        attachment = shared("deep", attachments=[attachment])
    assert attached_to({"attachments": [attachment]}).count("deep") < 10


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"user": "UADA", "username": "ada"}, None),
        ({"bot_id": "B1", "username": "CI &amp; CD", "bot_profile": {"name": "ci"}}, "CI & CD"),
        ({"bot_id": "B1", "user": "UCI", "bot_profile": {"name": "ci"}}, "ci"),
        ({"bot_id": "B1", "bot_profile": None}, None),
    ],
)
def test_name_of_an_app_is_read(message: Json, name: str | None) -> None:
    assert app_name(message) == name


def keys_and_texts(node: Any) -> Iterator[tuple[str, str]]:
    """Yields every key of the examples above, with its text."""
    for key, value in node.items() if isinstance(node, dict) else [("", item) for item in node]:
        yield key, value if isinstance(value, str) else ""
        if isinstance(value, dict | list | tuple):
            yield from keys_and_texts(value)


KEYS, KINDS = (sorted(set(column)) for column in zip(*keys_and_texts([TYPED, BODIES, ATTACHED]), strict=True))
PARTS = ["rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted", "to_come"]
leaves = (
    st.none() | st.booleans() | st.integers(-2, 10**18) | st.floats() | st.sampled_from(KINDS) | st.text(max_size=4)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), trees, max_size=6))
def test_no_persons_mention_is_left_in_any_tree(message: Json) -> None:
    shown = with_names("\n".join((body_of(message), attached_to(message), app_name(message) or "")), {})
    assert not re.search(r"<@[UW]\w+>", shown)


STYLES = [{}, {"bold": True}, {"code": True}, {"bold": True, "italic": True, "strike": True}]
PIECES = [text(words, **style) for words in ("a", " b\n", "`", "x|y <z>", "\n") for style in STYLES]
elements = st.lists(st.sampled_from([*PIECES, ADA, {"type": "link", "url": "https://a.example/|", "text": "a"}]))
parts = st.builds(lambda kind, inner: {"type": kind, "elements": inner}, st.sampled_from(PARTS), elements)


@given(st.lists(parts, max_size=4))
def test_no_word_of_a_rich_text_block_is_lost(written: list[Json]) -> None:
    shown = "".join(with_names(body_of(typed(*written) | {"text": ""}), {}).split())
    for part in written:
        for element in part["elements"] if part["type"] != "rich_text_list" else ():
            assert "".join(element.get("text", "").split()) in shown


def styled(count: int, kind: str) -> Json:
    """Returns a block of letters, each in another style than the one before it, and in an element of its own."""
    letters = [{"type": "text", "text": "a", "style": {"bold": n % 2 == 0}} for n in range(count)]
    lines = [{"type": "rich_text_section", "elements": [letter]} for letter in letters]
    elements = {
        "one line": [{"type": "rich_text_section", "elements": letters}],
        "lines": lines,
        "a list": [{"type": "rich_text_list", "style": "bullet", "elements": lines}],
    }
    return {"type": "rich_text", "elements": elements[kind]}


@pytest.mark.parametrize("kind", ["one line", "lines", "a list"])
def test_message_of_many_elements_is_read_in_few_steps(kind: str) -> None:
    text = "*a*a" * 10_000
    message = {"text": text, "blocks": [styled(20_000, kind)]}
    assert steps(lambda _: body_of(message), "") < FEW_CALLS // 4
    assert body_of(message) == body_of({"text": text})
    beside = [{"text": text[:100], "blocks": [styled(700, kind)]} for _ in range(30)]
    forwarded = [{"is_share": True, **attachment} for attachment in beside]
    nested = [{"is_share": True, "text": "a", "attachments": beside[:3]} for _ in range(20)]
    messages = [{"text": "", "attachments": attachments} for attachments in (beside, forwarded, nested)]
    assert steps(lambda _: list(map(attached_to, messages)), "") < FEW_CALLS
    assert all("a" in attached_to(message) for message in messages)
