"""What people type becomes what Slack keeps."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.control import unescape
from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.people import People
from sandbox.sample_workspace import populate
from sandbox.workspace import Json, SlackError, User, Workspace


def people_of_sample_workspace() -> People:
    workspace = Workspace(User("U0TYPIST", "typist", "Typist", "#4a154b", bot_id="B0TYPIST"))
    populate(workspace)
    files = Files(workspace, Faults(), lambda: "http://127.0.0.1", "xoxb", frozenset())
    return People(workspace, files)


@pytest.fixture
def people() -> People:
    return people_of_sample_workspace()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("@typist hi", "<@U0TYPIST> hi"),
        ("hi @typist, @ada!", "hi <@U0TYPIST>, <@U0ADA>!"),
        ("<@U0TYPIST> hi", "<@U0TYPIST> hi"),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("@here @nobody", "<!here> @nobody"),
        ("mail ada@typist.example", "mail ada@typist.example"),
        ("see https://a.example/?q=1&r=2.", "see <https://a.example/?q=1&amp;r=2>."),
        ("<script>", "&lt;script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("*so* `a < b`", "*so* `a &lt; b`"),
        ("Buy:\n- milk\n  - oat\n- bread\nThanks", "Buy:\n• milk\n    ◦ oat\n• bread\nThanks"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("> 1 < 2\n> yes\nno", "&gt; 1 &lt; 2\n&gt; yes\nno"),
        ("so:\n```\n- @ada\n```\nand", "so:\n```\n- @ada\n```\nand"),
    ],
)
def test_typed_text_is_kept_as_slack_keeps_it(people: People, typed: str, kept: str) -> None:
    assert people.typed(typed)[0] == kept


@settings(max_examples=100, deadline=None)
@given(st.text("<>&@#!| \nabUW0:", max_size=40))
def test_text_and_its_block_say_the_same(typed: str) -> None:
    assume(not re.search("^> ", typed, re.MULTILINE))
    kept, (block,) = people_of_sample_workspace().typed(typed)
    said = "".join(element.get("text", "") for element in block["elements"][0]["elements"])
    if "<@" not in kept and "<#" not in kept:
        assert unescape(kept) == said == typed


def styled(said: str, style: str) -> Json:
    return {"type": "text", "text": said, "style": {style: True}}


def plain(said: str) -> Json:
    return {"type": "text", "text": said}


def section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def items(*said: str, indent: int = 0, **how: int | str) -> Json:
    elements = [section(plain(each)) for each in said]
    return {"type": "rich_text_list", "style": "bullet", "indent": indent, "border": 0, "elements": elements, **how}


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
    ],
)
def test_lists_quotes_code_and_styles_are_in_the_block(people: People, typed: str, elements: list[Json]) -> None:
    (block,) = people.typed(typed)[1]
    assert block["elements"] == elements


def test_a_person_writes_only_where_they_are(people: People) -> None:
    with pytest.raises(SlackError, match="not_in_channel"):
        people.say("alan", "mpdm-ada--grace--typist-1", "hi")


def test_the_answer_to_a_reply_goes_to_its_thread(people: People) -> None:
    root = people.say("ada", "random", "root")
    reply = people.say("grace", "random", "reply", root)
    people.say("alan", "random", "and another", reply)
    channel = people.workspace.channel("random").id
    assert [message.text for message in people.workspace.replies(channel, root)] == ["reply", "and another"]
