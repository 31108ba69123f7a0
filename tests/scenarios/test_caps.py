"""Caps: a warning at four fifths, a refusal at the cap, and never more than one answer beyond it."""

import asyncio
from functools import partial
from itertools import cycle, islice
from typing import Any

import pytest

from bot.core import texts
from bot.core.caps import parse_caps
from tests.scenarios.conftest import Stage, says
from tests.scenarios.surfaces import ephemerals
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits

WORDS = "word " * 100
USED_TOKENS = speech.INPUT_TOKENS + len(speech.tokens(WORDS))
"""Tokens that one answer uses, as the vendor reports it."""


def capped(caps: str, **changed: Any) -> pytest.MarkDecorator:
    return pytest.mark.bot(caps=parse_caps(caps), **changed)


@pytest.fixture
def vendor(vendor: VendorServer) -> VendorServer:
    vendor.script(says(WORDS))
    return vendor


@capped(f"user/day={2 * USED_TOKENS}tokens")
async def test_person_is_warned_once_and_then_told_when_the_cap_resets(stage: Stage) -> None:
    quota = f"quota of {2 * USED_TOKENS:,} tokens per day is"
    assert await stage.answers("general", await stage.mention()) == [WORDS.rstrip()]
    assert ephemerals(stage) == []
    assert await stage.answers("general", await stage.mention()) == [WORDS.rstrip()]
    await stage.sandbox.wait_for(lambda: ephemerals(stage))
    for _ in range(2):
        (sentence,) = await stage.answers("general", await stage.mention())
        assert sentence.startswith(f"Your {quota} used up. It resets on ")
        assert sentence.endswith(f" at 00:00 UTC. {texts.ASK_FOR_QUOTA}")
    assert await stage.answers("general", await stage.mention(user="grace")) == [WORDS.rstrip()]
    assert [(user, text.partition(". ")[0]) for user, text in ephemerals(stage)] == [
        ("U0ADA", f"100% of your {quota} used")
    ]
    assert len(stage.vendor.requests) == 3


@capped(f"user/day={USED_TOKENS}tokens")
@pytest.mark.parametrize("fault", ["drop_request", "internal_error", "rate_limit"])
async def test_warning_that_slack_does_not_take_at_once_is_shown_after_all(stage: Stage, fault: str) -> None:
    """The job has ended by then, so the next heartbeat finds that it is no longer ours."""
    stage.sandbox.faults.start(fault, method="chat.postEphemeral", times=1)
    await stage.answers("general", await stage.mention())
    [(user, warning)] = await stage.sandbox.wait_for(lambda: ephemerals(stage))
    assert (user, warning.startswith("100% of your quota")) == ("U0ADA", True)


@pytest.mark.parametrize(
    ("scope", "shown_elsewhere"),
    [
        pytest.param(scope, elsewhere, marks=capped(f"{scope}/month={USED_TOKENS}tokens"), id=scope)
        for scope, elsewhere in (("channel", WORDS.rstrip()), ("workspace", "This workspace's quota"))
    ],
)
async def test_channel_and_workspace_have_their_own_caps(stage: Stage, scope: str, shown_elsewhere: str) -> None:
    await stage.answers("general", await stage.mention())
    (sentence,) = await stage.answers("general", await stage.mention(user="grace"))
    assert sentence.startswith(f"This {scope}'s quota of {USED_TOKENS:,} tokens per month is used up.")
    (text,) = await stage.answers("random", await stage.mention(channel="random"))
    assert text.startswith(shown_elsewhere)


@capped(f"workspace/month={USED_TOKENS * 6 // 5}tokens", admins=frozenset({"U0GRACE", "U0ALAN"}))
async def test_each_admin_is_told_once_at_80_and_once_at_100_percent(stage: Stage) -> None:
    quota = f"workspace's quota of {USED_TOKENS * 6 // 5:,} tokens per month is used"
    # Slack doesn't take the first message to one of them at once.
    stage.sandbox.faults.start("internal_error", method="chat.postMessage", containing="U0ALAN", times=1)

    def told(name: str) -> list[str]:
        return [message.text for message in stage.bots(stage.sandbox.dm(name))]

    def all_told(times: int) -> bool:
        return len(told("grace")) == len(told("alan")) == times

    for times in (1, 2, 2):
        await stage.answers("general", await stage.mention())
        await stage.sandbox.wait_for(partial(all_told, times), 120)
    for name in ("grace", "alan"):
        nearly, up = told(name)
        assert nearly.startswith(f"80% of the {quota}. It resets on ")
        assert up.startswith(f"The {quota} up. It resets on ")
    assert not stage.bots(stage.sandbox.dm("ada"))
    notice = stage.bots(stage.sandbox.dm("grace"))[-1]
    [chart] = [block["chart"] for block in notice.blocks if block["type"] == "data_visualization"]
    assert chart["series"][0]["data"][-1]["value"] == 2 * USED_TOKENS


@capped(f"user/day={USED_TOKENS}tokens", admins=frozenset({"U0GRACE"}))
async def test_admin_is_told_without_a_chart_where_slack_takes_none(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.faults.start("refuse", method="chat.postMessage", error="invalid_blocks", containing="visualiz")
    await stage.answers("general", await stage.mention())
    direct = stage.sandbox.dm("grace")
    [notice] = await stage.sandbox.wait_for(lambda: stage.bots(direct))
    assert notice.text.startswith(f"<@U0ADA>'s quota of {USED_TOKENS:,} tokens per day is used up.")
    assert [block["type"] for block in notice.blocks] == ["section", "context"]
    assert "notice about a cap sent without its chart" in caplog.text


BROKEN_OFF = {
    "cut": VendorResponse(speech.chat(speech.tokens(WORDS))[:60], ending=ResponseEnd.CUT),
    "stalled": VendorResponse(speech.chat(speech.tokens(WORDS))[:60], ending=ResponseEnd.HANG),
}


@capped("user/day=50tokens", stall_timeout_s=2)
@pytest.mark.parametrize("answer", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
async def test_broken_answer_counts_by_estimate_and_goes_on_only_below_the_cap(
    stage: Stage, answer: VendorResponse
) -> None:
    stage.vendor.script(answer)
    (text,) = await stage.answers("general", await stage.mention())
    assert text.startswith(WORDS[:100])
    assert "is used up" in text
    assert len(stage.vendor.requests) == 1


WITHIN = 4


@pytest.mark.long
@capped(f"workspace/day={WITHIN * USED_TOKENS - 10}tokens", max_output_tokens=150)
async def test_simultaneous_questions_pass_a_cap_by_at_most_one_answer_and_all_get_a_reply(stage: Stage) -> None:
    stage.vendor.script(says(WORDS, pause_s=0.005))
    people = [stage.sandbox.people.arrive(f"p{number}").name for number in range(10)]
    places = list(islice(zip(cycle(people), cycle(["general", "random"]), strict=False), 20))
    asked = [(channel, await stage.mention(channel=channel, user=name)) for name, channel in places]
    answers = await asyncio.gather(*(stage.answers(channel, ts) for channel, ts in asked))
    assert answers.count([WORDS.rstrip()]) == len(stage.vendor.requests) == WITHIN
    refused = [text for (text,) in answers if text.startswith("This workspace's quota")]
    assert len(refused) == 20 - WITHIN
