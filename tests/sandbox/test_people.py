"""What people type becomes what Slack keeps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.control import unescape
from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.people import People, settle
from sandbox.workspace import SlackError, User, Workspace


def settled() -> People:
    workspace = Workspace(User("U0TYPIST", "typist", "Typist", "#4a154b", bot_id="B0TYPIST"))
    settle(workspace)
    files = Files(workspace, Faults(), lambda: "http://127.0.0.1", "xoxb", frozenset())
    return People(workspace, files)


@pytest.fixture
def people() -> People:
    return settled()


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
    ],
)
def test_typed_text_is_kept_as_slack_keeps_it(people: People, typed: str, kept: str) -> None:
    assert people.typed(typed)[0] == kept


@settings(max_examples=100, deadline=None)
@given(st.text("<>&@#!| \nabUW0:", max_size=40))
def test_text_and_its_block_say_the_same(typed: str) -> None:
    kept, (block,) = settled().typed(typed)
    said = "".join(element.get("text", "") for element in block["elements"][0]["elements"])
    if "<@" not in kept and "<#" not in kept:
        assert unescape(kept) == said == typed


def test_a_person_writes_only_where_they_are(people: People) -> None:
    with pytest.raises(SlackError, match="not_in_channel"):
        people.say("alan", "mpdm-ada--grace--typist-1", "hi")


def test_the_answer_to_a_reply_goes_to_its_thread(people: People) -> None:
    root = people.say("ada", "random", "root")
    reply = people.say("grace", "random", "reply", root)
    people.say("alan", "random", "and another", reply)
    channel = people.workspace.channel("random").id
    assert [message.text for message in people.workspace.replies(channel, root)] == ["reply", "and another"]
