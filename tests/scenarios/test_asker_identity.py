"""The asker's identity in headers for an admin's own gateway and MCP server: what is sent, to whom, and what isn't."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from bot.core.prompt import asker_key
from bot.core.schedules import Proposal, Rule
from bot.mcp.config import HttpTransport, ServerConfig
from bot.settings import Settings
from bot.slack.manifest import EMAIL_SCOPE
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.mcp.flood import answered, served
from tests.mcp.servers import PATIENCE_S
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.tools import by_results, calls, let_use, tools_in, using
from tests.streams.server import VendorServer

GENERAL = "C0GENERAL"
NAMES = ("x-user", "x-email", "x-key", "x-place")
TEMPLATES = {
    "X-User": "{asker.id}",
    "X-Email": "<{asker.email}>",
    "X-Key": "{asker.hash}",
    "X-Place": "{channel.id}",
    "X-Team": "ours",
}
ADA = {"x-user": "U0ADA", "x-email": "<ada@sandbox.example>", "x-key": asker_key(TEAM_ID, "U0ADA"), "x-place": GENERAL}
PLACE = {"x-place": GENERAL}
IDENTITY = {"here": frozenset({"asker.id", "asker.email", "asker.hash", "channel.id"})}


def identity_in(headers: Mapping[str, str]) -> dict[str, str]:
    assert not [value for value in headers.values() if "{asker" in value or "{channel" in value]
    return {name: headers[name] for name in NAMES if name in headers}


@dataclass
class CrmServer:
    """An MCP server that needs the asker's email address, even to list its tools."""

    config: ServerConfig
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
async def crm(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CrmServer]:
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)

    async def post(request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        there.seen.append((message["method"], identity_in({k.lower(): v for k, v in request.headers.items()})))
        if "X-Email" not in request.headers:
            return web.Response(status=403, text="X-Email is missing.")
        if message.get("method") == "server/discover":
            return web.Response(status=400)
        return web.json_response(answered(message, ("find",))) if "id" in message else web.Response(status=202)

    async with served(post) as url:
        there = CrmServer(ServerConfig("crm", HttpTransport(f"{url}/mcp", TEMPLATES)))
        yield there


@pytest.fixture
async def identified(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, crm: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "\n".join(f"{name}: {text}" for name, text in TEMPLATES.items()))
    return replace(using(settings, crm.config, allow="crm__*", read_only="crm__*"), identity=IDENTITY)


def gateway_saw(vendor: VendorServer, number: int = -1) -> dict[str, str]:
    headers = {name.lower(): value for name, value in vendor.requests[number].headers.items()}
    assert headers["x-team"] == "ours"
    return identity_in(headers)


async def audited(stores: Stores) -> list[tuple[str, list[str]]]:
    entries = await stores.audit.page(0, 100)
    return [(entry["to"], entry["sent"]) for entry in entries if entry["kind"] == "identity"]


pytestmark = pytest.mark.bot(on_disk=True)


async def test_gateway_and_mcp_server_learn_who_asks(
    sandbox: Sandbox, vendor: VendorServer, identified: Settings, crm: CrmServer, another_process: Stores
) -> None:
    sandbox.granted |= {EMAIL_SCOPE}
    vendor.script(by_results(calls("", ("crm__find", {})), says("Found.")))
    await let_use(another_process, "crm")
    async with running(identified):
        stage = Stage(sandbox, vendor)
        for name in ("ada", "grace"):
            await stage.answers("general", await stage.mention(user=name))
    asks = gateway_saw(vendor, 0), gateway_saw(vendor, -1)
    assert asks[0] == ADA
    assert (asks[1]["x-user"], asks[1]["x-email"]) == ("U0GRACE", "<grace@sandbox.example>")
    assert ("tools/call", ADA) in crm.seen
    assert {seen["x-email"] for method, seen in crm.seen if method == "tools/list"} == {
        "<ada@sandbox.example>",
        "<grace@sandbox.example>",
    }
    sent = sorted(IDENTITY["here"])
    assert sorted(await audited(another_process)) == [("127.0.0.1", sent)] * 2 + [("MCP server crm", sent)] * 2


async def test_unknown_email_address_leaves_its_header_out_and_the_server_says_what_it_needs(
    sandbox: Sandbox, vendor: VendorServer, identified: Settings, crm: CrmServer, another_process: Stores
) -> None:
    await let_use(another_process, "crm")
    async with running(identified):
        stage = Stage(sandbox, vendor)
        await stage.answers("general", await stage.mention())
    rest = {name: value for name, value in ADA.items() if name != "x-email"}
    assert gateway_saw(vendor) == rest
    assert tools_in(vendor.requests[-1]) == []
    assert crm.seen
    assert all(seen == rest for _, seen in crm.seen)


@pytest.mark.parametrize(("identifies_creators", "seen"), [(False, PLACE), (True, ADA)])
async def test_run_that_nobody_asks_names_its_creator_only_if_the_setting_says_so(
    sandbox: Sandbox,
    vendor: VendorServer,
    identified: Settings,
    another_process: Stores,
    identifies_creators: bool,
    seen: Mapping[str, str],
) -> None:
    sandbox.granted |= {EMAIL_SCOPE}
    async with running(replace(identified, identifies_creators=identifies_creators)):
        proposal = Proposal("Sum it up.", Rule("UTC", "0 9 * * 1-5"))
        schedule_id = await another_process.schedules.create(TEAM_ID, GENERAL, "U0ADA", proposal)
        assert schedule_id
        await another_process.schedules.run_now(TEAM_ID, schedule_id, "U0ADA")
        await vendor.request(0)
    assert gateway_saw(vendor, 0) == seen
