"""What Typist admins read in direct messages: a vendor that refuses the key, and a process that takes their events."""

import asyncio

import pytest

from bot.core import texts
from bot.errors import EndReason
from bot.services.admin_notices import LOOK_S
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.contracts.vendor_rules import OLLAMA_WINDOW, ollama
from tests.scenarios.conftest import Stage, running, says
from tests.streams.server import VendorServer, refusal

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(admins=frozenset({"U0GRACE"}))]

PATIENCE_S = 1_200.0
"""More than it takes to confirm that there are too many connections, or that a model answers again."""


@pytest.mark.long
async def test_admin_reads_once_that_the_vendor_refuses_and_once_that_it_answers_again(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage, direct = Stage(sandbox, vendor), sandbox.dm("grace")
    refused = texts.models.model_refused(EndReason.BAD_KEY, "openai/test")
    vendor.script(refusal(401, {"error": {"message": "no", "code": "invalid_api_key"}}))
    async with running(settings):
        for question in ("why?", "and why that?"):
            await stage.answers("general", await stage.mention(question))
        await sandbox.wait_for(lambda: stage.bots(direct), PATIENCE_S)
        vendor.script(says("The whole answer."))
        assert await stage.answers("general", await stage.mention("and now?")) == ["The whole answer."]
        await sandbox.wait_for(lambda: len(stage.bots(direct)) > 1, PATIENCE_S)
        assert [message.text for message in stage.bots(direct)] == [refused, "openai/test is answering again."]


@pytest.mark.long
async def test_admin_reads_once_that_a_server_cuts_off_the_beginning_of_prompts(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage, direct = Stage(sandbox, vendor), sandbox.dm("grace")
    vendor.script(ollama)
    async with running(settings):
        await stage.answers("general", await stage.mention("Why?"))
        await asyncio.sleep(2 * LOOK_S)
        assert stage.bots(direct) == []
        for question in ("Sum this up: ", "And this: "):
            await stage.answers("general", await stage.mention(question + "all is well. " * 3_000))
            await sandbox.wait_for(lambda: stage.bots(direct), PATIENCE_S)
            await asyncio.sleep(2 * LOOK_S)
    [notice] = [message.text for message in stage.bots(direct)]
    assert f"openai/test: its server counted only {OLLAMA_WINDOW:,} of about " in notice
