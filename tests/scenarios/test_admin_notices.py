"""What Typist admins read in direct messages: a vendor or an MCP server that refuses the key, and the like."""

import asyncio
import time
from dataclasses import replace

import pytest
from mcp.server.auth.provider import AccessToken

from bot.core import texts
from bot.core.caps import Amount
from bot.errors import EndReason
from bot.mcp.config import HttpTransport
from bot.mcp.server import LISTED_FOR_S
from bot.models.events import Usage
from bot.models.prices import ModelPrices
from bot.services.admin_notices import CHECK_INTERVAL_S
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.contracts.vendor_rules import OLLAMA_WINDOW, ollama
from tests.fast import FastClock
from tests.mcp.sign_in_server import sign_in_server
from tests.scenarios.conftest import Stage, footer, running, says
from tests.scenarios.tools import let_use, tools_in, using
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer, naming, refusal

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
        await asyncio.sleep(2 * CHECK_INTERVAL_S)
        assert stage.bots(direct) == []
        for question in ("Sum this up: ", "And this: "):
            await stage.answers("general", await stage.mention(question + "all is well. " * 3_000))
            await sandbox.wait_for(lambda: stage.bots(direct), PATIENCE_S)
            await asyncio.sleep(2 * CHECK_INTERVAL_S)
    [notice] = [message.text for message in stage.bots(direct)]
    assert f"openai/test: its server counted only {OLLAMA_WINDOW:,} of about " in notice


@pytest.mark.long
@pytest.mark.bot(on_disk=True, models=("openai/gpt-6.1-sol",), admins=frozenset({"U0GRACE"}))
async def test_answer_by_another_model_is_shown_counted_and_reported_as_that_models(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, in_bots_time: Stores
) -> None:
    stage, direct = Stage(sandbox, vendor), sandbox.dm("grace")
    vendor.script(VendorResponse([naming("gpt-6-luna", chunk) for chunk in says("Whole.").chunks]))
    async with running(settings):
        for question in ("why?", "and why that?"):
            asked = await stage.mention(question)
            assert await stage.answers("general", asked) == ["Whole."]
            assert footer(stage.bots("general", asked)[0]) == "answered by gpt-6-luna"
        await sandbox.wait_for(lambda: stage.bots(direct), PATIENCE_S)
    sentence = texts.models.another_model_answers("openai/gpt-6.1-sol", "openai/gpt-6-luna", "openai/gpt-6-luna")
    assert [message.text for message in stage.bots(direct)] == [f"{sentence} {texts.models.CHOOSE_ANOTHER}"]
    usage = await in_bots_time.usage.month_usage(TEAM_ID, 0, 1_000_000)
    one = Usage(speech.INPUT_TOKENS, len(speech.tokens("Whole.")))
    usd = ModelPrices().cost_usd("openai/gpt-6-luna", one + one, time.time())
    assert usage.models == {"openai/gpt-6-luna": Amount(2 * sum((one.input_tokens, one.output_tokens)), usd or 0.0)}


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_admin_reads_once_that_a_servers_token_has_expired_and_once_that_it_works_again(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over restarts and with two processes. The asker of each answer without its tools reads so below it."""
    monkeypatch.setattr("bot.services.admin_notices.RECOVERY_DELAY_S", LISTED_FOR_S)
    stage, direct = Stage(sandbox, vendor), sandbox.dm("grace")
    vendor.script(says("The answer."))
    left_out = texts.answers.servers_left_out(["web"])

    async def ask() -> bool:
        """Asks once the last list of tools is old, and returns whether the model got the tools."""
        await asyncio.sleep(LISTED_FOR_S + 1)
        [answer] = await stage.answers("general", await stage.mention("How many?"))
        has_tools = "web__whoami" in tools_in(vendor.requests[-1])
        assert has_tools is (left_out not in answer)
        return has_tools

    def read() -> list[str]:
        return [message.text for message in stage.bots(direct)]

    refused = (
        "web: the MCP server is down (HTTP 401: it refuses the Authorization header in BOT_MCP_CONFIG). The token "
        "might have expired: replace it in this server's headers, and restart Typist. Until that's fixed, answers "
        "won't use its tools."
    )
    again, expected = "web is answering again.", list[str]()
    async with sign_in_server("web") as web:
        assert isinstance(web.config.transport, HttpTransport)
        url, tokens = web.config.transport.url, web.people.access
        token = AccessToken(token="t1", client_id="typist", scopes=["read"], resource=url)
        header = HttpTransport(url, {"Authorization": "Bearer t1"})
        mine = replace(using(settings, replace(web.config, transport=header)), database_url=database_url)
        stores = await Stores.open(database_url, "admin", FastClock())
        await let_use(stores, "web")
        await stores.close()
        for _ in range(2):
            tokens["t1"] = token
            async with running(mine), running(mine):
                assert await ask()
                if expected:
                    await sandbox.wait_for(lambda: read() == [*expected, again], PATIENCE_S)
                    expected.append(again)
                del tokens["t1"]
                expected.append(refused)
                assert not await ask()
                assert not await ask()
                await sandbox.wait_for(lambda: read() == expected, PATIENCE_S)
            async with running(mine), running(mine):
                assert not await ask()
                await asyncio.sleep(2 * CHECK_INTERVAL_S)
                assert read() == expected
