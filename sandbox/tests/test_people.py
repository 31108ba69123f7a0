"""Typed text as Slack stores it, and where people can post."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slack_sandbox.control import unescape
from slack_sandbox.faults import Faults
from slack_sandbox.files import Files
from slack_sandbox.people import People
from slack_sandbox.sample_workspace import populate
from slack_sandbox.workspace import Json, SlackError, User, Workspace


def people_of_sample_workspace() -> People:
    workspace = Workspace(User("U0BOT", "bot", "Bot", "#4a154b", bot_id="B0BOT"))
    populate(workspace)
    files = Files(workspace, Faults(), lambda: "http://127.0.0.1", "xoxb", frozenset())
    return People(workspace, files)


@pytest.fixture
def people() -> People:
    return people_of_sample_workspace()


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("@bot hi", "<@U0BOT> hi"),
        ("@Bot, ask @ADA", "<@U0BOT>, ask <@U0ADA>"),
        ("hi @bot, @ada!", "hi <@U0BOT>, <@U0ADA>!"),
        ("<@U0BOT> hi", "<@U0BOT> hi"),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("@here @nobody", "<!here> @nobody"),
        ("mail ada@bot.example", "mail ada@bot.example"),
        ("see https://a.example/?q=1&r=2.", "see <https://a.example/?q=1&amp;r=2>."),
        ("<script>", "&lt;script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("*so* `a < b`", "*so* `a &lt; b`"),
        ("Buy:\n- milk\n  - oat\n- bread\nThanks", "Buy:\n• milk\n    ◦ oat\n• bread\nThanks"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("> 1 < 2\n> yes\nno", "&gt; 1 &lt; 2\n&gt; yes\nno"),
        ("so:\n```\n- @ada\n```\nand", "so:\n```\n- @ada\n```\nand"),
        ("@bot ```x``` :tada: ```", "<@U0BOT> ```x``` :tada: ```"),
    ],
)
def test_typed_text_is_stored_as_mrkdwn(people: People, typed: str, stored: str) -> None:
    assert people.typed(typed)[0] == stored


@given(st.text("<>&@#!| \nabUW0:", max_size=40))
def test_text_and_block_have_the_same_content(typed: str) -> None:
    assume(not re.search("^> ", typed, re.MULTILINE))
    stored, (block,) = people_of_sample_workspace().typed(typed)
    content = "".join(element.get("text", "") for element in block["elements"][0]["elements"])
    if "<@" not in stored and "<#" not in stored:
        assert unescape(stored) == content == typed


def styled(content: str, style: str) -> Json:
    return {"type": "text", "text": content, "style": {style: True}}


def plain(content: str) -> Json:
    return {"type": "text", "text": content}


def section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def items(*content: str, indent: int = 0, **attributes: int | str) -> Json:
    elements = [section(plain(item)) for item in content]
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "indent": indent,
        "border": 0,
        "elements": elements,
        **attributes,
    }


@pytest.mark.parametrize(
    ("typed", "elements"),
    [
        ("hi @ada", [section(plain("hi "), {"type": "user", "user_id": "U0ADA"})]),
        (
            "*b* _i_ ~s~",
            [section(styled("b", "bold"), plain(" "), styled("i", "italic"), plain(" "), styled("s", "strike"))],
        ),
        ("2*3*4 a_b_c `*x*`", [section(plain("2*3*4 a_b_c "), styled("*x*", "code"))]),
        ("Buy:\n- milk\nNow", [section(plain("Buy:\n")), items("milk"), section(plain("Now"))]),
        ("- a\n  - b\n    - c\n- d", [items("a"), items("b", indent=1), items("c", indent=2), items("d")]),
        ("3. c\n4. d", [items("c", "d", style="ordered", offset=2)]),
        ("> a\n> b", [{"type": "rich_text_quote", "elements": [plain("a\nb")]}]),
        (
            "x\n```\n- a\n```\ny",
            [
                section(plain("x\n")),
                {"type": "rich_text_preformatted", "elements": [plain("- a")], "border": 0},
                section(plain("y")),
            ],
        ),
        ("```code```", [{"type": "rich_text_preformatted", "elements": [plain("code")], "border": 0}]),
        (
            "see ```\na ``b``\n``` or",
            [
                section(plain("see ")),
                {"type": "rich_text_preformatted", "elements": [plain("a ``b``")], "border": 0},
                section(plain(" or")),
            ],
        ),
        (
            "a :question: at 10:30:45 :none_of_these:",
            [
                section(
                    plain("a "),
                    {"type": "emoji", "name": "question", "unicode": "2753"},
                    plain(" at 10:30:45 :none_of_these:"),
                )
            ],
        ),
    ],
)
def test_typed_markup_becomes_elements(people: People, typed: str, elements: list[Json]) -> None:
    (block,) = people.typed(typed)[1]
    assert block["elements"] == elements


def test_person_cannot_post_in_a_channel_that_they_have_not_joined(people: People) -> None:
    with pytest.raises(SlackError, match="not_in_channel"):
        people.say("alan", "mpdm-ada--grace--bot-1", "hi")


def test_reply_to_a_reply_is_posted_in_the_thread(people: People) -> None:
    root = people.say("ada", "random", "root")
    reply = people.say("grace", "random", "reply", root)
    people.say("alan", "random", "and another", reply)
    channel = people.workspace.channel("random").id
    assert [message.text for message in people.workspace.replies(channel, root)] == ["reply", "and another"]
