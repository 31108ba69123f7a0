"""People ask about the channel they are in: over real sockets."""

import re

import pytest

from tests.scenarios.conftest import Stage, says
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits]

NOTED = re.compile(r"conversation in (?P<where>[^\]]+)\]|^> (?P<what>Topic|Purpose): (?P<text>.+)$", re.MULTILINE)


def repeat_what_is_known(request: VendorRequest) -> VendorResponse:
    """Answers with what the prompt says about the channel, and nothing else."""
    said = "\n\n".join(message["content"] for message in request.body["messages"][1:])
    found = [match["where"] or f"{match['what']}: {match['text']}" for match in NOTED.finditer(said)]
    return says("This is " + ". ".join(found) + ".")


async def test_asker_learns_what_the_channel_is_for(stage: Stage, vendor: VendorServer) -> None:
    vendor.script(repeat_what_is_known)
    general = stage.sandbox.workspace.channel("general")
    general.topic, general.purpose = "Launches &amp; deploys", "Ask &lt;b&gt; <@U0ADA|ada> first"
    asked = await stage.mention("What is this channel for?")
    [answer] = await stage.answers("general", asked)
    assert answer.startswith(
        "This is the public channel #general. Topic: Launches & deploys. Purpose: Ask <b> @ada first."
    )
