"""Caps: a warning at four fifths, a refusal at the cap, and never more than one answer beyond it."""

import asyncio
from dataclasses import replace
from functools import partial
from itertools import cycle, islice

import pytest

from bot.core import texts
from bot.core.caps import parse_caps
from bot.settings import Settings
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.surfaces import ephemerals
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits

WORDS = "word " * 100
USED_TOKENS = speech.INPUT_TOKENS + len(speech.tokens(WORDS))
"""Tokens that one answer uses, as the vendor reports it."""


@pytest.fixture
def stage(sandbox: Sandbox, vendor: VendorServer) -> Stage:
    """Returns a workspace in which the bot isn't running yet."""
    vendor.script(says(WORDS))
    return Stage(sandbox, vendor)


async def test_person_is_warned_once_and_then_told_when_the_cap_resets(stage: Stage, settings: Settings) -> None:
    limit = 2 * USED_TOKENS
    async with running(replace(settings, caps=parse_caps(f"user/day={limit}tokens"))):
        assert await stage.answers("general", await stage.mention()) == [WORDS.rstrip()]
        assert ephemerals(stage) == []
        assert await stage.answers("general", await stage.mention()) == [WORDS.rstrip()]
        await stage.sandbox.wait_for(lambda: ephemerals(stage))
        for _ in range(2):
            (sentence,) = await stage.answers("general", await stage.mention())
            assert sentence.startswith(f"Your quota of {limit:,} tokens per day is used up. It resets on ")
            assert sentence.endswith(f" at 00:00 UTC. {texts.ASK_FOR_QUOTA}")
        assert await stage.answers("general", await stage.mention(user="grace")) == [WORDS.rstrip()]
    assert [(user, text.partition(". ")[0]) for user, text in ephemerals(stage)] == [
        ("U0ADA", f"100% of your quota of {limit:,} tokens per day is used")
    ]
    assert len(stage.vendor.requests) == 3


@pytest.mark.parametrize("fault", ["drop_request", "internal_error", "rate_limit"])
async def test_warning_that_slack_does_not_take_at_once_is_shown_after_all(
    stage: Stage, settings: Settings, fault: str
) -> None:
    """The job has ended by then, so the next heartbeat finds that it is no longer ours."""
    stage.sandbox.faults.start(fault, method="chat.postEphemeral", times=1)
    async with running(replace(settings, caps=parse_caps(f"user/day={USED_TOKENS}tokens"))):
        await stage.answers("general", await stage.mention())
        [(user, warning)] = await stage.sandbox.wait_for(lambda: ephemerals(stage))
    assert (user, warning.startswith("100% of your quota")) == ("U0ADA", True)


@pytest.mark.parametrize(
    ("scope", "shown_elsewhere"), [("channel", WORDS.rstrip()), ("workspace", "This workspace's quota")]
)
async def test_channel_and_workspace_have_their_own_caps(
    stage: Stage, settings: Settings, scope: str, shown_elsewhere: str
) -> None:
    async with running(replace(settings, caps=parse_caps(f"{scope}/month={USED_TOKENS}tokens"))):
        await stage.answers("general", await stage.mention())
        (sentence,) = await stage.answers("general", await stage.mention(user="grace"))
        assert sentence.startswith(f"This {scope}'s quota of {USED_TOKENS:,} tokens per month is used up.")
        (text,) = await stage.answers("random", await stage.mention(channel="random"))
        assert text.startswith(shown_elsewhere)


async def test_each_admin_is_told_once_at_80_and_once_at_100_percent(stage: Stage, settings: Settings) -> None:
    limit = USED_TOKENS * 6 // 5
    caps = parse_caps(f"workspace/month={limit}tokens")
    admins = frozenset({"U0GRACE", "U0ALAN"})
    # Slack doesn't take the first message to one of them at once.
    stage.sandbox.faults.start("internal_error", method="chat.postMessage", containing="U0ALAN", times=1)

    def told(name: str) -> list[str]:
        return [message.text for message in stage.bots(stage.sandbox.dm(name))]

    def all_told(times: int) -> bool:
        return len(told("grace")) == len(told("alan")) == times

    async with running(replace(settings, caps=caps, admins=admins)):
        for times in (1, 2, 2):
            await stage.answers("general", await stage.mention())
            await stage.sandbox.wait_for(partial(all_told, times), 120)
    for name in ("grace", "alan"):
        nearly, up = told(name)
        assert nearly.startswith(f"80% of the workspace's quota of {limit:,} tokens per month is used. It resets on ")
        assert up.startswith(f"The workspace's quota of {limit:,} tokens per month is used up. It resets on ")
    assert not stage.bots(stage.sandbox.dm("ada"))
    notice = stage.bots(stage.sandbox.dm("grace"))[-1]
    [chart] = [block["chart"] for block in notice.blocks if block["type"] == "data_visualization"]
    assert chart["series"][0]["data"][-1]["value"] == 2 * USED_TOKENS


async def test_admin_is_told_without_a_chart_where_slack_takes_none(
    stage: Stage, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.faults.start("refuse", method="chat.postMessage", error="invalid_blocks", containing="visualiz")
    caps = parse_caps(f"user/day={USED_TOKENS}tokens")
    async with running(replace(settings, caps=caps, admins=frozenset({"U0GRACE"}))):
        await stage.answers("general", await stage.mention())
        direct = stage.sandbox.dm("grace")
        await stage.sandbox.wait_for(lambda: stage.bots(direct))
    [notice] = stage.bots(direct)
    assert notice.text.startswith(f"<@U0ADA>'s quota of {USED_TOKENS:,} tokens per day is used up.")
    assert [block["type"] for block in notice.blocks] == ["section", "context"]
    assert "notice about a cap sent without its chart" in caplog.text


BROKEN_OFF = {
    "cut": VendorResponse(speech.chat(speech.tokens(WORDS))[:60], ending=ResponseEnd.CUT),
    "stalled": VendorResponse(speech.chat(speech.tokens(WORDS))[:60], ending=ResponseEnd.HANG),
}


@pytest.mark.parametrize("answer", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
async def test_broken_answer_counts_by_estimate_and_goes_on_only_below_the_cap(
    stage: Stage, settings: Settings, answer: VendorResponse
) -> None:
    stage.vendor.script(answer)
    async with running(replace(settings, caps=parse_caps("user/day=50tokens"), stall_timeout_s=2)):
        (text,) = await stage.answers("general", await stage.mention())
        assert text.startswith(WORDS[:100])
        assert "is used up" in text
    assert len(stage.vendor.requests) == 1


@pytest.mark.long
async def test_simultaneous_questions_pass_a_cap_by_at_most_one_answer_and_all_get_a_reply(
    stage: Stage, settings: Settings
) -> None:
    stage.vendor.script(says(WORDS, pause_s=0.005))
    people = [stage.sandbox.people.arrive(f"p{number}").name for number in range(10)]
    within = 4
    caps = parse_caps(f"workspace/day={within * USED_TOKENS - 10}tokens")
    async with running(replace(settings, caps=caps, max_output_tokens=150)):
        places = list(islice(zip(cycle(people), cycle(["general", "random"]), strict=False), 20))
        asked = [(channel, await stage.mention(channel=channel, user=name)) for name, channel in places]
        answers = await asyncio.gather(*(stage.answers(channel, ts) for channel, ts in asked))
    assert answers.count([WORDS.rstrip()]) == len(stage.vendor.requests) == within
    refused = [text for (text,) in answers if text.startswith("This workspace's quota")]
    assert len(refused) == 20 - within
