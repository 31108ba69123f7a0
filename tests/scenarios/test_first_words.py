"""The first change of a reply shows a word, however the answer begins: with a heading, bold, a quote, a list, …"""

import asyncio
import re
from typing import Any

import pytest

from slack_pacing.carriers import CarrierName
from tests.scenarios.conftest import EACH_CARRIER, Stage
from tests.streams import speech
from tests.streams.server import VendorResponse

BEGINNINGS = {
    "heading": ("# ", "Rollback plan\nStop the deployment."),
    "bold": ("**", "Short answer:** stop the deployment."),
    "quote": ("> ", "Stop the deployment.\n\nSays the runbook."),
    "list": ("- ", "Stop the deployment.\n- Tell the team."),
    "numbers": ("1. ", "Stop the deployment.\n2. Tell the team."),
    "table": ("| ", "Step | Owner |\n|---|---|\n| Stop | Ada |\n| Tell | Grace |\n"),
    "code": ("```sh\n", "kubectl rollout undo deployment\n```\nThat is all."),
}
"""The marks with which an answer begins, and the rest of it."""


def words_in(blocks: list[Any] | dict[str, Any]) -> list[str]:
    """Returns the visible texts of blocks as Slack stores them, without lines about the answer and without buttons."""
    if isinstance(blocks, list):
        return [text for block in blocks if _is_answer(block) for text in words_in(block)]
    texts = [str(blocks["text"])] if isinstance(blocks.get("text"), str) else []
    return texts + [text for value in blocks.values() if isinstance(value, (list, dict)) for text in words_in(value)]


def _is_answer(block: Any) -> bool:
    if not isinstance(block, dict):
        return isinstance(block, list)
    is_ours = str(block.get("block_id", "")).startswith("about-answer-")
    return not is_ours and block.get("type") not in ("actions", "context_actions")


def held_after_marks(beginning: str) -> VendorResponse:
    """Returns an answer whose model takes a moment between the marks and the first word, and between tokens."""
    marks, rest = BEGINNINGS[beginning]
    deltas = [marks, *speech.deltas_of(rest, 4)]

    async def a_moment() -> None:
        await asyncio.sleep(0.3)

    return VendorResponse(speech.chat(deltas), pause_s=0.03, gates={2: a_moment})


async def frames(stage: Stage, beginning: str) -> list[list[str]]:
    """Returns what readers saw of an answer's message over time, without the frames before its text."""
    stage.vendor.script(held_after_marks(beginning))
    asked = await stage.mention()
    await stage.answers("general", asked)
    answer = next(message for message in stage.bots("general", asked))
    revisions = stage.sandbox.revisions("general", answer.ts)
    is_placeholder = [any("Thinking…" in str(block) for block in revision.blocks) for revision in revisions]
    return [words_in(list(each.blocks)) for each, skipped in zip(revisions, is_placeholder, strict=True) if not skipped]


@pytest.mark.skips_waits
@pytest.mark.parametrize("carrier", EACH_CARRIER)
@pytest.mark.parametrize(("silence_s", "is_said"), [(5, False), (25, True)])
@pytest.mark.long(after_row=1)
async def test_long_silence_is_said_once_and_goes_with_the_first_word(
    stage: Stage, carrier: CarrierName, silence_s: float, is_said: bool
) -> None:
    async def silent() -> None:
        await asyncio.sleep(silence_s)

    stage.vendor.script(VendorResponse(speech.chat(["Stop", " the", " deployment."]), gates={1: silent}))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == ["Stop the deployment."]
    [answer] = stage.bots("general", asked)
    blocks = [str(revision.blocks) for revision in stage.sandbox.revisions("general", answer.ts)]
    assert sum("longer than usual" in one for one in blocks) == is_said


@pytest.mark.skips_waits
@pytest.mark.parametrize("carrier", EACH_CARRIER)
@pytest.mark.long(after_row=1)
async def test_first_change_of_a_reply_shows_a_word(stage: Stage, carrier: CarrierName) -> None:
    for beginning in BEGINNINGS:
        first, *_ = await frames(stage, beginning)
        assert re.search(r"\w", " ".join(first)), (beginning, first)
