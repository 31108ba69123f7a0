"""Caps: a warning at four fifths, a refusal at the cap, and never more than one answer beyond it."""

from functools import partial
from typing import Any

import pytest

from bot.core import texts
from bot.core.caps import parse_caps
from tests.scenarios.conftest import Stage, says
from tests.scenarios.surfaces import ephemerals
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.usefixtures("one_day")]

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
        assert sentence.startswith(f"Your {quota} used up. It resets <!date^")
        assert sentence.endswith(f" at 00:00 UTC>. {texts.quotas.ASK_FOR_QUOTA}")
    assert await stage.answers("general", await stage.mention(user="grace")) == [WORDS.rstrip()]
    assert [(user, text.partition(". ")[0]) for user, text in ephemerals(stage)] == [
        ("U0ADA", f"100% of your {quota} used")
    ]
    assert len(stage.vendor.requests) == 3


@capped(f"user/day={USED_TOKENS}tokens")
async def test_warning_that_slack_does_not_take_at_once_is_shown_after_all(stage: Stage) -> None:
    """The job has ended by then, so the next heartbeat finds that it is no longer ours."""
    stage.sandbox.faults.start("internal_error", method="chat.postEphemeral", times=1)
    await stage.answers("general", await stage.mention())
    [(user, warning)] = await stage.sandbox.wait_for(lambda: ephemerals(stage))
    assert (user, warning.startswith("100% of your quota")) == ("U0ADA", True)


@capped(f"user/day={USED_TOKENS}tokens", admins=frozenset({"U0ADA"}))
async def test_admin_whose_cap_is_used_up_is_not_sent_to_an_admin(stage: Stage) -> None:
    await stage.answers("general", await stage.mention())
    (sentence,) = await stage.answers("general", await stage.mention())
    assert sentence.endswith(f" at 00:00 UTC>. {texts.quotas.RAISE_QUOTA}")


@capped(f"workspace/month={USED_TOKENS * 6 // 5}tokens", admins=frozenset({"U0GRACE", "U0ALAN"}))
async def test_each_admin_is_told_once_at_80_and_once_at_100_percent(stage: Stage) -> None:
    quota = f"workspace's quota of {USED_TOKENS * 6 // 5:,} tokens per month is used"
    # Slack doesn't take the first message to one of them at once.
    stage.sandbox.faults.start("internal_error", method="chat.postMessage", match_text="U0ALAN", times=1)

    def told(name: str) -> list[str]:
        return [message.text for message in stage.bots(stage.sandbox.dm(name))]

    def all_told(times: int) -> bool:
        return len(told("grace")) == len(told("alan")) == times

    for times in (1, 2, 2):
        await stage.answers("general", await stage.mention())
        await stage.sandbox.wait_for(partial(all_told, times), 120)
    for name in ("grace", "alan"):
        nearly, up = told(name)
        assert nearly.startswith(f"80% of the {quota}. It resets <!date^")
        assert up.startswith(f"The {quota} up. It resets <!date^")
    assert not stage.bots(stage.sandbox.dm("ada"))
    notice = stage.bots(stage.sandbox.dm("grace"))[-1]
    [chart] = [block["chart"] for block in notice.blocks if block["type"] == "data_visualization"]
    # The second answer may be of the next day.
    assert sum(day["value"] for day in chart["series"][0]["data"][-2:]) == 2 * USED_TOKENS


@capped("user/day=50tokens")
async def test_broken_answer_counts_by_estimate_and_goes_on_only_below_the_cap(stage: Stage) -> None:
    stage.vendor.script(VendorResponse(speech.chat(speech.tokens(WORDS))[:60], ending=ResponseEnd.CUT))
    (text,) = await stage.answers("general", await stage.mention())
    assert text.startswith(WORDS[:100])
    assert "is used up" in text
    assert len(stage.vendor.requests) == 1
