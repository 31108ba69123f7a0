"""What a model can propose to tell whom, and whom the message mentions: nobody but the people on the card."""

import random
import re
from typing import Any

import pytest

from bot.core.calls import NOTIFY, CallState, RecordedCall
from bot.core.notify import (
    GROUP_NOT_IN_CHANNEL,
    MAX_CHARS,
    MENTIONS_EVERYONE,
    NO_TEXT,
    TOO_MANY,
    UNKNOWN_IDS,
    Addressees,
    UnusableProposal,
    UserGroup,
    heading,
    proposal,
)
from bot.slack.notices import passed_on
from slack_sandbox.control import live_controls

KNOWN = Addressees(
    {"U1": "Ada", "U2": "Grace <!channel>", **{f"U{at}": f"Person {at}" for at in range(10, 40)}},
    {
        "S1": UserGroup("support", 3, ("U1", "U2")),
        "S2": UserGroup("all", 21, ("U1",)),
        "S3": UserGroup("away", 2, ()),
    },
)
HOSTILE = [
    *("<@U3>", "<!channel>", "<!here|here>", "<!subteam^S2>", "<#C1>", "<https://evil.example|this>", "@channel"),
    *("&lt;!everyone&gt;", "&", "<", ">", "\n", "\u202e", "\x00", "`", "*", "@here", "U3", "|", "^", "!", "@", " "),
]


@pytest.mark.parametrize(
    ("arguments", "people"),
    [
        ({"ids": ["U1"]}, ["U1"]),
        ({"ids": ["U1", "U1", "S1"]}, ["U1", "U2"]),
        ({"ids": ["S1"], "also_to_channel": True}, ["U1", "U2"]),
        ({"also_to_channel": True}, []),
    ],
)
def test_card_has_the_people_who_can_read_the_thread(arguments: dict[str, Any], people: list[str]) -> None:
    shown = proposal(KNOWN, {"text": " Hi.\n", **arguments})
    assert (list(shown["people"]), shown["text"]) == (people, "Hi.")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"ids": ["U1"], "text": ""}, NO_TEXT),
        ({"ids": ["U1"], "text": "x" * (MAX_CHARS + 1)}, NO_TEXT),
        ({"ids": ["U1"], "text": 7}, NO_TEXT),
        ({}, UNKNOWN_IDS),
        ({"ids": "U1"}, UNKNOWN_IDS),
        ({"ids": [7]}, UNKNOWN_IDS),
        ({"ids": ["U1", "U3"]}, UNKNOWN_IDS),
        ({"ids": ["@channel"]}, MENTIONS_EVERYONE),
        ({"ids": ["here"], "also_to_channel": True}, MENTIONS_EVERYONE),
        ({"ids": ["S2"]}, TOO_MANY.format(count=21)),
        ({"ids": [f"U{at}" for at in range(10, 31)]}, TOO_MANY.format(count=21)),
        ({"ids": ["S3"]}, GROUP_NOT_IN_CHANNEL.format(handle="away")),
    ],
)
def test_model_is_told_why_a_proposal_is_unusable(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableProposal, match=re.escape(problem)):
        proposal(KNOWN, {"text": "Hi.", **arguments})


def test_nobody_can_be_proposed_before_the_model_has_looked() -> None:
    with pytest.raises(UnusableProposal, match=re.escape(UNKNOWN_IDS)):
        proposal(None, {"text": "Hi.", "ids": ["U1"]})


def test_people_are_found_by_a_part_of_their_names_and_groups_by_their_handles() -> None:
    assert KNOWN.lines("ad").splitlines() == ["Ada: U1"]
    assert KNOWN.lines("@SUPPORT") == "@support (user group, 3 people, 2 of them in this channel): S1"
    assert KNOWN.lines("person").splitlines()[-1] == "… and 10 more. Search for a longer name."
    assert KNOWN.lines("nobody") == ""


def test_10_000_hostile_texts_and_names_mention_nobody_but_the_people_on_the_card() -> None:
    dealt = random.Random(89)
    for _ in range(10_000):
        text, asker = ("".join(dealt.choices(HOSTILE, k=dealt.randint(1, 12))) for _ in range(2))
        people = dealt.sample(["U1", "U2", "U10"], dealt.randint(0, 3))
        message = passed_on(heading(people, asker), text)
        mentions = [f"<@{person}>" for person in people]
        assert re.findall("<[^>]*>?", message["text"]) == mentions
        assert live_controls("", message["blocks"]) == mentions


@pytest.mark.parametrize("state", CallState)
def test_notification_can_be_queued_again_after_a_crash_but_not_once_it_is_over(state: CallState) -> None:
    call = RecordedCall(0, 0, "1", NOTIFY, {}, "", state)
    assert (state in call.startable_states) is (state in (CallState.READY, CallState.BEGUN))
