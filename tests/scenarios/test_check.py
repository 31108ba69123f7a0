"""`typist check` × each fault that it can find: the right line, the right remedy, and no other line.

Slack's faults are the sandbox's, vendors answer over real HTTP to the real SDKs, and databases are real.
`python -m tests.scenarios.test_check` prints the tables of check_report.md, and the tests hold that page to them.
"""

import asyncio
import copy
import json
import re
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import psycopg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web

from bot import settings
from bot.checks import database as database_checks
from bot.checks import models as model_checks
from bot.checks import report as all_checks
from bot.checks import servers as server_checks
from bot.checks import slack as slack_checks
from bot.checks.registry import run_all
from bot.checks.report import Check, CheckReport, CheckStatus, Finding, ok, run_checks
from bot.clock import SystemClock
from bot.core.channel_settings import ChannelSettings
from bot.mcp.config import HttpTransport
from bot.slack.manifest import GROUPS_SCOPE, app_manifest
from bot.store import Stores
from bot.store.database import create_engine
from bot.store.migrate import migrate
from bot.store.schema import listening
from demo.scripted_model import ScriptedModel
from files_to_markdown import isolation
from slack_sandbox.faults import FaultSettings
from slack_sandbox.server import Sandbox
from slack_sandbox.setup import DEFAULT_SETUP, Setup
from slack_sandbox.testing.processes import output
from slack_sandbox.workspace import TEAM_ID, Json
from tests.checks.test_remedies import wrong_orders
from tests.contracts import databases
from tests.contracts.vendor_rules import ollama
from tests.forked import forked_command
from tests.mcp.flood import refusing, served
from tests.mcp.servers import RawServer, tool
from tests.mcp.sign_in_server import BY_DEVICE, sign_in_server
from tests.processes import bot_process
from tests.streams import speech, steps
from tests.streams.clouds import AZURE, BEDROCK, FOUNDRY, VERTEX, CloudApi, identities, no_identity
from tests.streams.server import Script, VendorRequest, VendorResponse, VendorServer, naming

PAGE = Path(__file__).with_name("check_report.md")
KEY = "sk-proj-Zz0123456789abcdefghij"
SECRET_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
GENERAL, PRIVATE = "C0GENERAL", "C0PROJECTX"
OK, FAIL, WARN, SKIPPED = CheckStatus.OK, CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.SKIPPED
AFTER_BOT_TOKEN = ("slack.scopes", "slack.clock", "slack.same_app", "database.workspace")
AFTER_APP_TOKEN = ("slack.socket_mode", "slack.same_app", "slack.connections")


@dataclass(frozen=True)
class FaultCase:
    line: str
    """The id of the check that finds it."""
    status: CheckStatus
    others: Mapping[str, CheckStatus] = field(default_factory=dict)
    """The other checks that don't pass because of it."""


def skips(*ids: str) -> dict[str, CheckStatus]:
    return dict.fromkeys(ids, SKIPPED)


@dataclass(frozen=True)
class SlackCase(FaultCase):
    setup: Setup = DEFAULT_SETUP
    lacks: str = ""
    """A scope that the token is not granted."""
    manifest: Callable[[Json], Any] = lambda manifest: None
    """How the app's manifest differs from ours."""
    fault: tuple[str, FaultSettings] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    probe: str | None = None
    other_sockets: int = 0
    never: bool = False
    """Something never comes, and isn't waited for as long as it would be."""
    before: Callable[[Sandbox], None] = lambda sandbox: None


@contextmanager
def patient(never: bool) -> Iterator[None]:
    """Waits longer than an operator would, because the machine may be busy; only a moment for what never comes."""
    hello_s, all_s = (4.0, 8.0) if never else (40.0, 60.0)
    with pytest.MonkeyPatch.context() as hurry:
        hurry.setattr(slack_checks, "ANSWER_WITHIN_S", hello_s)
        hurry.setattr(all_checks, "WITHIN_S", all_s)
        if never:
            hurry.setattr(server_checks, "MCP_WITHIN_S", hello_s)
        yield


def bot_token(error: str) -> SlackCase:
    return SlackCase("slack.bot_token", FAIL, skips(*AFTER_BOT_TOKEN), Setup(bot_token_error=error))


def failing_auth(fault: str) -> SlackCase:
    return SlackCase("slack.bot_token", FAIL, skips(*AFTER_BOT_TOKEN), fault=(fault, {"method": "auth.test"}))


def app_token(error: str) -> SlackCase:
    return SlackCase("slack.app_token", FAIL, skips(*AFTER_APP_TOKEN), Setup(app_token_error=error))


def missing(scope: str, status: CheckStatus, *others: str) -> SlackCase:
    return SlackCase("slack.scopes", status, skips(*others), lacks=scope)


def manifest(change: Callable[[Json], Any], status: CheckStatus) -> SlackCase:
    return SlackCase("slack.manifest", status, manifest=change)


def without_event(event: str) -> Callable[[Json], Any]:
    return lambda manifest: manifest["settings"]["event_subscriptions"]["bot_events"].remove(event)


def home(**changes: bool) -> Callable[[Json], Any]:
    return lambda manifest: manifest["features"]["app_home"].update(changes)


def without_interactivity(manifest: Json) -> None:
    manifest["features"]["shortcuts"] = []
    manifest["settings"]["interactivity"]["is_enabled"] = False


def probe(status_or_setup: str, channel: str = GENERAL, **more: Any) -> SlackCase:
    """A probe whose message is refused."""
    others = skips("slack.probe_event", "slack.probe_delete")
    setup = Setup(post_error=status_or_setup) if status_or_setup else DEFAULT_SETUP
    return SlackCase("slack.probe_post", FAIL, {**others, **more.pop("others", {})}, setup, probe=channel, **more)


def leave(channel: str) -> Callable[[Sandbox], None]:
    return lambda sandbox: sandbox.workspace.leave(channel, sandbox.bot_user_id)


def with_groups(sandbox: Sandbox) -> None:
    sandbox.granted.add(GROUPS_SCOPE)
    sandbox.workspace.user_groups["support"] = ["U0ADA", "U0GRACE"]


def archive(sandbox: Sandbox) -> None:
    sandbox.workspace.channel(GENERAL).archived = True


NOT_COUNTED = skips("slack.connections")


def named(variable: str, ids: str, status: CheckStatus = WARN) -> SlackCase:
    return SlackCase("slack.named", status, env={variable: ids})


UNHEARD_PROBE = SlackCase(
    "slack.probe_event",
    FAIL,
    {"slack.manifest": WARN},
    manifest=without_event("message.channels"),
    probe=GENERAL,
    never=True,
)
SLACK: Mapping[str, SlackCase] = {
    "Slack can't be reached": SlackCase(
        "slack.bot_token",
        FAIL,
        {**skips(*AFTER_BOT_TOKEN, *AFTER_APP_TOKEN, "slack.manifest"), "slack.app_token": FAIL},
        env={"BOT_SLACK_API_URL": "http://127.0.0.1:9/api/"},
    ),
    "Slack doesn't answer": replace(failing_auth("no_answer"), never=True),
    "A proxy's page instead of Slack's response": failing_auth("html_200"),
    "HTTP 503": failing_auth("unavailable"),
    "Slack is overloaded": failing_auth("internal_error"),
    "Too many calls": failing_auth("rate_limit"),
    "A wrong bot token, or an IP address that is not allowed": bot_token("invalid_auth"),
    "A revoked bot token": bot_token("token_revoked"),
    "A removed bot": bot_token("account_inactive"),
    "An expired bot token": bot_token("token_expired"),
    "Another kind of token": bot_token("not_allowed_token_type"),
    "A token of an organization": SlackCase(
        "slack.bot_token", FAIL, skips(*AFTER_BOT_TOKEN), Setup(is_organization=True)
    ),
    "Sign-in by the organization is required": bot_token("org_login_required"),
    "An organization that has not approved the app": bot_token("team_access_not_granted"),
    "Suspended access to encryption keys": bot_token("ekm_access_denied"),
    "A restricted network": bot_token("accesslimited"),
    "A workspace that joins an organization": bot_token("team_added_to_org"),
    "No scope files:read": missing("files:read", OK),
    "No scope mpim:history": missing("mpim:history", WARN),
    "No scope canvases:read": missing("canvases:read", OK),
    "No scope canvases:write": missing("canvases:write", OK),
    "No scope reactions:read": missing("reactions:read", OK),
    "No scope reactions:write": missing("reactions:write", OK),
    "No scope chat:write": missing("chat:write", FAIL),
    "No scope users:read": missing("users:read", FAIL, "slack.same_app"),
    "No scope search:read.public, with BOT_SLACK_SEARCH=on": SlackCase(
        "slack.scopes", WARN, {"slack.manifest": WARN}, env={"BOT_SLACK_SEARCH": "on"}
    ),
    "No scope pins:read, with BOT_READ_TABS=on": SlackCase(
        "slack.scopes", WARN, {"slack.manifest": WARN}, env={"BOT_READ_TABS": "on"}
    ),
    "No scope usergroups:read, with BOT_ALLOW_USERS=@support": SlackCase(
        "slack.scopes",
        WARN,
        {"slack.user_groups": FAIL, "slack.manifest": WARN},
        env={"BOT_ALLOW_USERS": "@support"},
    ),
    "No scope users:read.email, with BOT_ALLOW_USERS=@example.com": SlackCase(
        "slack.scopes", FAIL, {"slack.manifest": WARN}, env={"BOT_ALLOW_USERS": "@example.com"}
    ),
    "A user group that doesn't exist": SlackCase(
        "slack.user_groups",
        WARN,
        {"slack.manifest": WARN},
        env={"BOT_ALLOW_USERS": "@support, @suport"},
        before=with_groups,
    ),
    "The only user group doesn't exist": SlackCase(
        "slack.user_groups",
        FAIL,
        {"slack.manifest": WARN},
        env={"BOT_ALLOW_USERS": "@suport"},
        before=with_groups,
    ),
    "A Typist admin who left": named("BOT_ADMINS", "U0ADA,U0KATHERINE"),
    "A Typist admin who is a guest": named("BOT_ADMINS", "U0EDITH"),
    "A Typist admin who is a bot": named("BOT_ADMINS", "U0BOTDEPLOYS"),
    "A Typist admin of another organization": named("BOT_ADMINS", "U0EMMY"),
    "A Typist admin whom Slack doesn't know": named("BOT_ADMINS", "U0NOBODY"),
    "A person in BOT_ALLOW_USERS whom Slack doesn't know": named("BOT_ALLOW_USERS", "U0EDITH,U0NOBODY"),
    "A person in BOT_ALLOW_USERS who left": named("BOT_ALLOW_USERS", "U0EDITH,U0KATHERINE"),
    "The only person in BOT_ALLOW_USERS left": named("BOT_ALLOW_USERS", "U0KATHERINE", FAIL),
    "A channel in BOT_ALLOW_CHANNELS that isn't there": named("BOT_ALLOW_CHANNELS", "C0GENERAL,C0NOWHERE"),
    "The only channel in BOT_ALLOW_CHANNELS isn't there": named("BOT_ALLOW_CHANNELS", "C0NOWHERE", FAIL),
    "A Typist admin who left, and the only channel": SlackCase(
        "slack.named", FAIL, env={"BOT_ADMINS": "U0KATHERINE", "BOT_ALLOW_CHANNELS": "C0NOWHERE"}
    ),
    "Scopes that Slack doesn't list": SlackCase("slack.scopes", SKIPPED, setup=Setup(lists_scopes=False)),
    "A clock that is a minute behind": SlackCase("slack.clock", WARN, setup=Setup(clock_ahead_s=60)),
    "A clock that is ten minutes ahead": SlackCase("slack.clock", FAIL, setup=Setup(clock_ahead_s=-600)),
    "An app-level token without connections:write": SlackCase(
        "slack.app_token", FAIL, skips(*AFTER_APP_TOKEN), Setup(app_token_scopes=frozenset())
    ),
    "A wrong app-level token": app_token("invalid_auth"),
    "A revoked app-level token": app_token("token_revoked"),
    "Another kind of token as app-level token": app_token("not_allowed_token_type"),
    "Socket Mode is off, said by apps.connections.open": app_token("socket_mode_not_enabled"),
    "Socket Mode is off, said by the socket": SlackCase(
        "slack.socket_mode", FAIL, NOT_COUNTED, setup=Setup(socket_mode=False)
    ),
    "A socket that stays silent": SlackCase(
        "slack.socket_mode", FAIL, NOT_COUNTED, setup=Setup(sends_hello=False), never=True
    ),
    "Ten connections already": SlackCase("slack.socket_mode", FAIL, NOT_COUNTED, other_sockets=10),
    "Another process with another database": SlackCase("slack.connections", WARN, other_sockets=2),
    "Tokens of two apps": SlackCase("slack.same_app", FAIL, setup=Setup(app_token_app_id="A0OTHER")),
    "No event message.im": manifest(without_event("message.im"), FAIL),
    "No event message.mpim": manifest(without_event("message.mpim"), WARN),
    "No event reaction_added": manifest(without_event("reaction_added"), WARN),
    "The Messages tab is off": manifest(home(messages_tab_enabled=False), FAIL),
    "The Messages tab is read-only": manifest(home(messages_tab_read_only_enabled=True), FAIL),
    "The Home tab is off": manifest(home(home_tab_enabled=False), WARN),
    "Interactivity is off": manifest(without_interactivity, WARN),
    "No slash command": manifest(lambda manifest: manifest["features"].pop("slash_commands"), WARN),
    "Token rotation is on": manifest(lambda manifest: manifest["settings"].update(token_rotation_enabled=True), FAIL),
    "An expired configuration token": SlackCase(
        "slack.manifest", WARN, setup=Setup(config_token_error="token_expired")
    ),
    "No configuration token": SlackCase("slack.manifest", SKIPPED, env={"SLACK_CONFIG_TOKEN": ""}),
    "`--probe`: the app is not in the channel": probe("", before=leave("general")),
    "`--probe`: a private channel without the app": probe("", PRIVATE, before=leave("project-x")),
    "`--probe`: an archived channel": probe("", before=archive),
    "`--probe`: a direct message, and the Messages tab is off": probe(
        "", "U0ADA", manifest=home(messages_tab_enabled=False), others={"slack.manifest": FAIL}
    ),
    "`--probe`: posts are restricted": probe("restricted_action"),
    "`--probe`: a read-only channel": probe("restricted_action_read_only_channel"),
    "`--probe`: no event message.channels": UNHEARD_PROBE,
    "`--probe`: no event, and another process is connected": replace(
        UNHEARD_PROBE,
        status=WARN,
        others={"slack.manifest": WARN, "slack.connections": WARN},
        other_sockets=2,
    ),
    "`--probe`: the message can't be deleted": SlackCase(
        "slack.probe_delete",
        WARN,
        fault=("refuse", {"method": "chat.delete", "error": "cant_delete_message"}),
        probe=GENERAL,
    ),
}


@asynccontextmanager
async def slack(case: SlackCase) -> AsyncIterator[Sandbox]:
    theirs = copy.deepcopy(app_manifest())
    case.manifest(theirs)
    async with Sandbox(manifest=theirs, setup=case.setup, ack_timeout_s=0.2) as sandbox, AsyncExitStack() as stack:
        sandbox.granted.discard(case.lacks)
        case.before(sandbox)
        if case.fault is not None:
            sandbox.faults.start(case.fault[0], **case.fault[1])
        session = await stack.enter_async_context(aiohttp.ClientSession())
        headers = {"Authorization": f"Bearer {sandbox.app_token}"}
        for _ in range(case.other_sockets):
            async with session.post(f"{sandbox.api_url}apps.connections.open", headers=headers) as answer:
                url = (await answer.json())["url"]
            other = await stack.enter_async_context(session.ws_connect(url))
            assert (await other.receive_json())["type"] == "hello"
        yield sandbox


MODEL = {"BOT_MODELS": "openai/scripted"}
"""The settings of a model that exists."""


@pytest_asyncio.fixture(autouse=True)
async def model_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async with ScriptedModel(()) as server:
        monkeypatch.setitem(MODEL, "OPENAI_BASE_URL", server.base_url)
        yield


IN_MEMORY = "sqlite:///file::memory:?uri=true"
"""A database of a test, which isn't reported as one that an admin lost by accident."""


def connected(sandbox: Sandbox) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "SLACK_CONFIG_TOKEN": sandbox.config_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
        "DATABASE_URL": IN_MEMORY,
        **MODEL,
    }


async def slack_report(case: SlackCase) -> CheckReport:
    async with slack(case) as sandbox:
        with patient(case.never):
            ours = read(connected(sandbox), case.env)
            return await run_all(ours, case.probe)


async def report_of(
    *envs: Mapping[str, str], agent: bool = False, env_file: Path | None = None, probe_models: bool = False
) -> CheckReport:
    """Returns the report on a Slack that is well, with these settings."""
    async with Sandbox(manifest=app_manifest(agent=agent)) as sandbox:
        return await run_all(read(connected(sandbox), *envs), env_file=env_file, probe_models=probe_models)


@dataclass(frozen=True)
class CloudCase(FaultCase):
    api: CloudApi = BEDROCK
    answer: VendorResponse = BEDROCK.denied
    has_identity: bool = True


@dataclass(frozen=True)
class ModelCase(FaultCase):
    answers: tuple[Script, ...] = ()
    """What the server answers, one after the other."""
    vendor: str = "openai"
    name: str = "test"
    base_url: str = ""
    """In place of the server's."""
    own: bool = False
    """The vendor's own host, behind a proxy."""
    never: bool = False
    probes: bool = False
    transcribes: bool = False


def as_json(body: object, status: int = 200) -> VendorResponse:
    return VendorResponse([json.dumps(body).encode()], status, "application/json")


def model(**more: object) -> VendorResponse:
    return as_json({"id": "test", "object": "model", "created": 1, "owned_by": "them", **more})


def claude(**more: object) -> VendorResponse:
    shown = {"type": "model", "id": "test", "display_name": "Test", "created_at": "2026-01-01T00:00:00Z"}
    return as_json({**shown, "lifecycle": "active", **more})


def listed(*names: str) -> VendorResponse:
    models = [{"id": name, "object": "model", "created": 1, "owned_by": "them"} for name in names]
    return as_json({"object": "list", "data": models})


def error(status: int, **fields: str) -> VendorResponse:
    return as_json({"error": {"message": f"no: {KEY}", **fields}}, status)


def html(status: int) -> VendorResponse:
    return VendorResponse([b"<!DOCTYPE html><title>Welcome</title>"], status, "text/html")


def transcribing(answer: VendorResponse) -> ModelCase:
    """A model for answers that is well, and one that transcribes."""

    def respond(request: VendorRequest) -> VendorResponse:
        return answer if request.path.endswith("/audio/transcriptions") else model()

    return ModelCase("transcription", WARN, answers=(respond,), transcribes=True)


def failing(*answers: VendorResponse, status: CheckStatus = FAIL, **more: Any) -> ModelCase:
    model = f"{more.get('vendor', 'openai')}/{more.get('name', 'test')}"
    return ModelCase(f"model.{model}", status, answers=answers, **more)


warning = partial(failing, status=WARN)


def probing(status: CheckStatus, *answers: Script) -> ModelCase:
    return ModelCase("model.openai/test.tools", status, answers=(model(), *answers), probes=True)


CALL = VendorResponse(steps.chat(steps.chat_call("{}", 0, id="c1", name="ping")))
PONG = VendorResponse(speech.chat(["Pong."]))

MODELS: Mapping[str, ModelCase] = {
    "OpenAI: a wrong key (401)": failing(error(401, code="invalid_api_key"), own=True),
    "OpenAI: a key without this right (403)": failing(error(403), own=True),
    "OpenAI: no such model (404, JSON)": failing(error(404, code="model_not_found"), own=True),
    "A model's name with spaces": failing(error(404), listed("other"), name="gpt 6 luna"),
    "OpenAI: a model that was shut down": failing(model(shutdown_date="2026-01-31"), own=True),
    "OpenAI: a model that will be shut down": warning(model(shutdown_date="2999-01-31"), own=True),
    "A compatible server without this model": failing(error(404), listed("other")),
    "A compatible server that knows neither request (404, JSON)": warning(error(404), error(404)),
    "A wrong base URL (404, HTML)": failing(html(404), html(404)),
    "A wrong base URL (200, HTML)": failing(html(200)),
    "A wrong base URL (200, other JSON)": failing(as_json({"hello": "world"})),
    "A wrong base URL (a list of something else)": failing(error(404), as_json({"hello": "world"})),
    "A gateway that wants a header of its own (400)": failing(
        as_json({"error": {"message": "x-portkey-provider header is required"}}, 400)
    ),
    "A gateway with a wrong key (400)": failing(error(400, type="no_db_connection")),
    "A server that fails (500)": failing(error(500)),
    "A server with a rate limit (429)": failing(error(429)),
    "A server that doesn't answer": failing(replace(model(), delay_s=60), never=True),
    "A server that doesn't run": failing(base_url="http://127.0.0.1:9/v1"),
    "A host that DNS doesn't know": failing(base_url="http://no-such-host.invalid/v1"),
    "Anthropic: a wrong key (401)": failing(error(401, type="authentication_error"), vendor="anthropic"),
    "Anthropic: no such model (404, JSON)": failing(error(404, type="not_found_error"), vendor="anthropic"),
    "Anthropic: a retired model": failing(
        claude(lifecycle="retired", retires_at="2026-02-01T00:00:00Z"), vendor="anthropic"
    ),
    "Anthropic: a deprecated model": warning(
        claude(lifecycle="deprecated", retires_at="2999-02-01T00:00:00Z"), vendor="anthropic"
    ),
    "Anthropic: a wrong base URL (200, HTML)": failing(html(200), vendor="anthropic"),
    "`--probe-models`: a server that refuses tools": probing(
        WARN, as_json({"error": {"message": '"test" does not support tools'}}, 400), PONG
    ),
    "`--probe-models`: a server that takes shorter answers only": probing(
        WARN, as_json({"error": {"message": "max_tokens is too large: 8192. At most 4096."}}, 400), CALL
    ),
    "`--probe-models`: a model that calls no tool": probing(WARN, PONG),
    "`--probe-models`: a server whose tool parser is off": probing(
        WARN, VendorResponse(speech.chat(['<tool_call>{"name": "ping", "arguments": {}}</tool_call>']))
    ),
    "`--probe-models`: a server whose reasoning parser is off": probing(
        WARN, VendorResponse(speech.chat(["They want a ping.\n</think>\n", "Pong."]))
    ),
    "`--probe-models`: a server that cuts off the beginning of a prompt (Ollama)": probing(WARN, ollama),
    "`--probe-models`: a server with a small window (llama.cpp)": probing(
        WARN,
        error(400, message="request (6043 tokens) exceeds the available context size (4096 tokens)", n_ctx="4096"),
    ),
    "`--probe-models`: another model that answers": probing(
        WARN, VendorResponse([naming("gpt-6-luna", chunk) for chunk in CALL.chunks])
    ),
    "`--probe-models`: a model that says nothing": probing(WARN, VendorResponse(speech.chat([""]))),
    "`--probe-models`: a server that fails (500)": probing(FAIL, error(500)),
    "`--probe-models`: a server that has a web page in place of an answer": probing(
        FAIL, VendorResponse([b"<!DOCTYPE html>"], content_type="text/html")
    ),
    "`--probe-models`: a key without this right (403)": probing(FAIL, error(403, code="permission_denied")),
    "`--probe-models`: an account without credit (429)": probing(FAIL, error(429, code="insufficient_quota")),
    "`--probe-models`: a model that doesn't exist": replace(
        failing(error(404), listed("other")), others=skips("model.openai/test.tools"), probes=True
    ),
    "`BOT_TRANSCRIBE`: a model that doesn't exist": transcribing(error(404, code="model_not_found")),
    "`BOT_TRANSCRIBE`: a server that says something else": transcribing(as_json({"hello": "world"})),
}
# llama.cpp has no page for one model.
NO_PAGE = as_json({"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, 404)
GOOD_MODELS: Mapping[str, tuple[ModelCase, str]] = {
    "llama.cpp": (failing(NO_PAGE, listed("test")), "openai/test: the server has this model."),
    "OpenAI": (failing(model(), own=True), "openai/test: the key is accepted, and the model exists."),
    "Anthropic": (failing(claude(), vendor="anthropic"), "anthropic/test: the key is accepted, and the model exists."),
    "a compatible server": (failing(model()), "openai/test: the server has this model."),
    "a compatible server with a list only": (
        failing(error(404), listed("other", "test")),
        "openai/test: the server has this model.",
    ),
    "a model that calls tools": (ModelCase("", FAIL, answers=(model(), CALL), probes=True), "openai/test calls tools."),
    "a model that transcribes": (transcribing(as_json({"text": ""})), "openai/hears transcribes recordings."),
}


async def model_report(case: ModelCase) -> CheckReport:
    async with VendorServer() as vendor:
        vendor.script(*case.answers)
        url, path = "http://api.openai.com" if case.own else vendor.url, "/v1" if case.vendor == "openai" else ""
        named = case.vendor.upper()
        env = {
            "BOT_MODELS": f"{case.vendor}/{case.name}",
            f"{named}_API_KEY": KEY,
            f"{named}_BASE_URL": case.base_url or url + path,
            **({"BOT_TRANSCRIBE": "openai/hears"} if case.transcribes else {}),
        }
        with patient(case.never), pytest.MonkeyPatch.context() as behind_proxy:
            if case.own:
                behind_proxy.setenv("HTTP_PROXY", vendor.url)
            return await report_of(env, probe_models=case.probes)


def cloud(api: CloudApi, answer: VendorResponse, **more: Any) -> CloudCase:
    return CloudCase(f"model.{api.model}", FAIL, api=api, answer=answer, **more)


NO_QUESTION = error(400, type="invalid_request_error", message="messages: at least one message is required")
CLOUDS: Mapping[str, CloudCase] = {
    "Amazon Bedrock: an identity without the permission (403)": cloud(BEDROCK, BEDROCK.denied),
    "Amazon Bedrock: a model that isn't there (400)": cloud(
        BEDROCK, as_json({"message": "The provided model identifier is invalid."}, 400)
    ),
    "Amazon Bedrock: a process without credentials": cloud(BEDROCK, NO_QUESTION, has_identity=False),
    "Google Vertex AI: an identity without the permission (403)": cloud(VERTEX, VERTEX.denied),
    "Google Vertex AI: a process without credentials": cloud(VERTEX, NO_QUESTION, has_identity=False),
    "Microsoft Foundry: an identity without the role (401)": cloud(FOUNDRY, FOUNDRY.denied),
    "Azure OpenAI: an identity without the role (401)": cloud(AZURE, AZURE.denied),
    "Azure OpenAI: no such deployment (404)": cloud(
        AZURE, as_json({"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}, 404)
    ),
    "Azure OpenAI: a process without credentials": cloud(AZURE, NO_QUESTION, has_identity=False),
}


async def cloud_report(case: CloudCase, folder: Path) -> CheckReport:
    async with VendorServer() as server, AsyncExitStack() as stack:
        server.script(case.answer)
        if case.has_identity:
            await stack.enter_async_context(identities(folder))
        else:
            stack.enter_context(no_identity(folder))
        # The SDK keeps credentials by region.
        places = {} if case.has_identity or case.api is not BEDROCK else {"AWS_REGION": "eu-north-1"}
        with patient(never=False):
            return await report_of(case.api.env(server.url), places)


@dataclass(frozen=True)
class DatabaseCase(FaultCase):
    url: Callable[[Path, str], str] = lambda folder, server: ""
    """Makes the database, in a folder or on a server."""
    after: Callable[[str], Any] = lambda url: None
    """What is done to a migrated database."""
    migrated: bool = False


AFTER_CONNECTION = (
    *("database.write", "database.schema", "database.workspace", "database.catch_up"),
    "slack.connections",
)


def sqlite(folder: Path, server: str) -> str:
    del server
    return f"sqlite:///{folder}/typist.db"


def postgresql(folder: Path, server: str) -> str:
    del folder
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS typist CASCADE")
        connection.execute("CREATE SCHEMA typist")
    return f"{server}&options=-csearch_path%3Dtypist"


def no_database(folder: Path, server: str) -> str:
    (folder / "typist.db").write_bytes(b"This is no database, but a text that is long enough. " * 40)
    return sqlite(folder, server)


async def written(url: str, statement: sa.Executable) -> str:
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(statement)
    await engine.dispose()
    return url


async def newer(url: str) -> str:
    return await written(url, sa.text("UPDATE alembic_version SET version_num = '9999'"))


async def cut_short(url: str) -> str:
    """Records a catch-up that didn't get all conversations."""
    tally = {"looked_at": 40, "unread": 2, "answered": 3, "offered": 1}
    report = {"begins_at": 1_795_460_400.0, "ends_at": 1_795_471_200.0, "tally": tally}
    return await written(url, sa.insert(listening).values(team_id=TEAM_ID, heard_at=1_795_471_200.0, report=report))


async def of_another_workspace(url: str) -> str:
    return await written(url, sa.insert(listening).values(team_id="T0OTHER", heard_at=1_795_471_200.0))


async def read_only_file(url: str) -> str:
    return url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"


async def readable_file(url: str) -> str:
    await asyncio.to_thread(Path(url.removeprefix("sqlite:///")).chmod, 0o644)
    return url


async def read_only_session(url: str) -> str:
    return f"{url}%20-cdefault_transaction_read_only%3Don"


async def nearly_full(url: str) -> str:
    """Has a server refuse what needs new pages, as it does once its disk is full."""
    refuse = "RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    begin = f"LANGUAGE plpgsql AS $$ BEGIN {refuse}; END $$"
    await written(url, sa.text(f"CREATE FUNCTION full_up() RETURNS trigger {begin}"))
    when = "BEFORE INSERT ON channel_settings FOR EACH ROW WHEN (length(NEW.system_prompt) > 8192)"
    return await written(url, sa.text(f"CREATE TRIGGER full_up {when} EXECUTE FUNCTION full_up()"))


def as_another_role(folder: Path, server: str) -> str:
    """Since PostgreSQL 15, it may create nothing in another role's database."""
    del folder
    return databases.create_role(server, "newcomer", "secret-5")


def with_another_password(folder: Path, server: str) -> str:
    del folder
    return databases.create_role(server, "hasty", "a@b/c").replace("a%40b%2Fc", "secret-5")


def without_connections(folder: Path, server: str) -> str:
    del folder
    return databases.create_role(server, "crowded", "secret-5", "CONNECTION LIMIT 0")


def in_latin1(folder: Path, server: str) -> str:
    del folder
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    return server.replace("/postgres?", "/latin?")


def unreachable(url: Callable[[Path, str], str]) -> DatabaseCase:
    return DatabaseCase("database.connection", FAIL, skips(*AFTER_CONNECTION), url=url)


DATABASES: Mapping[str, DatabaseCase] = {
    "SQLite: no such folder": unreachable(lambda folder, server: f"sqlite:///{folder}/nowhere/typist.db"),
    "SQLite: a folder where files can't be made": unreachable(lambda folder, server: "sqlite:////proc/typist.db"),
    "SQLite: in memory": DatabaseCase("database.connection", WARN, url=lambda folder, server: "sqlite://"),
    "SQLite: a file that is no database": unreachable(no_database),
    "SQLite: a read-only file": DatabaseCase("database.write", FAIL, url=sqlite, after=read_only_file, migrated=True),
    "SQLite: a file that everybody can read": DatabaseCase(
        "database.connection", WARN, url=sqlite, after=readable_file, migrated=True
    ),
    "SQLite: a newer schema": DatabaseCase("database.schema", WARN, url=sqlite, after=newer, migrated=True),
    "SQLite: a catch-up that didn't get everything": DatabaseCase(
        "database.catch_up", WARN, url=sqlite, after=cut_short, migrated=True
    ),
    "SQLite: another workspace's database": DatabaseCase(
        "database.workspace", WARN, url=sqlite, after=of_another_workspace, migrated=True
    ),
    "PostgreSQL: a server that doesn't run": unreachable(
        lambda folder, server: "postgresql://bot:secret-5@127.0.0.1:9/typist"
    ),
    "PostgreSQL: no such database": unreachable(lambda folder, server: server.replace("/postgres?", "/nowhere?")),
    "PostgreSQL: no such schema": DatabaseCase(
        "database.write", FAIL, url=lambda folder, server: f"{server}&options=-csearch_path%3Dnowhere"
    ),
    "PostgreSQL: read-only": DatabaseCase(
        "database.write", FAIL, url=postgresql, after=read_only_session, migrated=True
    ),
    "PostgreSQL: a disk with room for small rows only": DatabaseCase(
        "database.write", FAIL, url=postgresql, after=nearly_full, migrated=True
    ),
    "PostgreSQL: a role that may create nothing": DatabaseCase("database.write", FAIL, url=as_another_role),
    "PostgreSQL: a wrong password": unreachable(with_another_password),
    "PostgreSQL: no connection left": unreachable(without_connections),
    "PostgreSQL: a database in LATIN1": unreachable(in_latin1),
    "PostgreSQL: a newer schema": DatabaseCase("database.schema", WARN, url=postgresql, after=newer, migrated=True),
}


async def database_report(case: DatabaseCase, folder: Path, server: str) -> CheckReport:
    url = case.url(folder, server)
    if case.migrated:
        engine = create_engine(url)
        await migrate(engine)
        await engine.dispose()
        url = await case.after(url)
    return await report_of({"DATABASE_URL": url})


@dataclass(frozen=True)
class McpCase(FaultCase):
    start: str = ""
    """What the server does in place of answering (tests/mcp/raw_server.py)."""
    tools: tuple[Json, ...] = (tool("look"), tool("write"))
    server: Mapping[str, Any] = field(default_factory=dict)
    """In place of the server's command."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    never: bool = False
    is_legacy: bool = False
    beside: tuple[Json, ...] = ()
    """The tools of a second server; without any, there is none."""
    answer: Mapping[str, Any] | None = None
    """The response of a server on HTTP to every request; {} for none."""


def mcp(**more: Any) -> McpCase:
    return McpCase("mcp.it", WARN, **more)


def on_web(*, sent: Mapping[str, str] = MappingProxyType({}), is_silent: bool = False, **answer: Any) -> McpCase:
    """A server that responds so to every request that has the headers `sent`, or doesn't respond."""
    return mcp(answer=answer, server={"headers": dict(sent)}, never=is_silent)


def choosing(chars: int) -> dict[str, Any]:
    """Returns the parameters of a tool with one whose only value has so many characters."""
    return {"choice": {"enum": ["x" * chars]}}


def many(count: int, **more: Any) -> tuple[Json, ...]:
    return tuple(tool(f"tool{number:03}", **more) for number in range(count))


MCP: Mapping[str, McpCase] = {
    "A command that doesn't exist": mcp(server={"command": "no-such-command"}),
    "A process that ends at once": mcp(start="die"),
    "A process that doesn't answer": mcp(start="silent", never=True),
    "A URL where nothing runs": mcp(server={"url": "http://127.0.0.1:9/mcp"}),
    "A server that refuses a header": on_web(status=401, sent={"x-api-key": "old"}),
    "A server that wants a header": on_web(status=401),
    "A server that forbids access": on_web(status=403),
    "A URL with a wrong path": on_web(status=404, text="Not found"),
    "A server of the former transport": on_web(status=405),
    "A server that fails": on_web(status=500),
    "A web page": on_web(text="<h1>Hi</h1>", content_type="text/html"),
    "A server that redirects": on_web(status=307, headers={"Location": "https://b.example/mcp"}),
    "A server on HTTP that doesn't answer": on_web(is_silent=True),
    "A process that doesn't answer, with the older protocol": mcp(start="silent", never=True, is_legacy=True),
    "A rule for a tool that isn't there": mcp(rules={"deny": ["it__drop"], "readOnly": ["it__look"]}),
    "More tools than models are offered": McpCase("mcp", WARN, tools=many(108)),
    "More tools than that, of two servers in direct messages": McpCase(
        "mcp", WARN, tools=many(60), beside=many(48), rules={"directMessages": ["it", "also"]}
    ),
    "Tools whose definitions are too long together": McpCase(
        "mcp", WARN, tools=many(15, properties=choosing(19_000)), beside=many(15, properties=choosing(19_000))
    ),
    "A tool with huge parameters": mcp(tools=(tool("look"), tool("huge", properties=choosing(30_000)))),
    "A tool that its server describes wrongly": mcp(tools=(tool("look"), tool("odd", type="string"))),
    "A tool with a very long description": mcp(tools=(tool("look"), tool("wordy", "Does it. " * 300))),
}


def mcp_env(folder: Path, case: McpCase) -> dict[str, str]:
    raw = RawServer(folder / "script.json")
    raw.script([with_schema(definition) for definition in case.tools], start=case.start)
    servers = {"it": dict(case.server) or raw.entry() | ({"protocol": "legacy"} if case.is_legacy else {})}
    if case.beside:
        also = RawServer(folder / "also.json")
        also.script([with_schema(definition) for definition in case.beside])
        servers["also"] = also.entry()
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers, **case.rules}))
    return {"BOT_MCP_CONFIG": str(file)}


def with_schema(listed: Json) -> Json:
    """Returns a tool with all keys that no tool has moved into its parameters."""
    known = {"name", "description", "inputSchema"}
    more = {key: value for key, value in listed.items() if key not in known}
    return {**{key: listed[key] for key in known}, "inputSchema": {**listed["inputSchema"], **more}}


async def mcp_report(case: McpCase, folder: Path) -> CheckReport:
    async def respond(request: web.Request) -> web.Response:
        if case.never:
            await asyncio.sleep(60)
        return web.Response(**(case.answer or {}))

    async with AsyncExitStack() as stack:
        if case.answer is not None:
            url = await stack.enter_async_context(served(respond))
            case = replace(case, server={**case.server, "url": f"{url}/mcp"})
        with patient(case.never):
            return await report_of(mcp_env(folder, case))


@dataclass(frozen=True)
class MachineCase(FaultCase):
    kernel: Mapping[str, object] = field(default_factory=dict)
    """What is different in files_to_markdown/isolation.py: a call that this kernel lacks, a later version, a system."""
    env_file: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


MACHINE: Mapping[str, MachineCase] = {
    "A kernel without Landlock": MachineCase("isolation", WARN, kernel={"LANDLOCK_CREATE_RULESET": 99_999}),
    "A kernel whose Landlock is older than Linux 6.2": MachineCase("isolation", WARN, kernel={"TRUNCATE_ABI": 99}),
    "Another system than Linux": MachineCase("isolation", WARN, kernel={"ON_LINUX": False}),
    "A system prompt that fills most of a model's window": MachineCase(
        "settings",
        WARN,
        {"model.openai/gpt-5": FAIL},
        env={"BOT_SYSTEM_PROMPT": "word " * 150_000, "BOT_MODELS": "openai/gpt-5"},
    ),
    "An .env that everybody can read": MachineCase("settings", WARN, env_file=".env"),
}


async def machine_report(case: MachineCase, folder: Path) -> CheckReport:
    with pytest.MonkeyPatch.context() as other:
        for name, value in case.kernel.items():
            other.setattr(isolation, name, value)
        other.chdir(folder)
        env_file = Path(case.env_file) if case.env_file else None
        if env_file is not None:
            env_file.touch(0o644)
        return await report_of(case.env, env_file=env_file)


SET: set[str] = set()
"""The variables that are set in the last report's settings."""


def read(*envs: Mapping[str, str]) -> settings.Settings:
    SET.clear()
    SET.update(name for env in envs for name, value in env.items() if value)
    return settings.read({name: value for env in envs for name, value in env.items()}, needs_slack=True)


def not_passed(report: CheckReport) -> dict[str, CheckStatus]:
    return {check.id: check.status for check in report.checks if check.status is not CheckStatus.OK}


def fault_line(report: CheckReport, case: FaultCase) -> Finding:
    """The line of a fault. No other line but those of the case tells of trouble, and none has a secret."""
    expected = {case.line: case.status, **case.others}
    assert not_passed(report) == {id_: status for id_, status in expected.items() if status is not OK}
    for text in (report.text(), json.dumps(report.json())):
        assert not [secret for secret in (KEY, "secret-5") if secret in text]
        assert not re.search(r"(?:xox[bp]|xapp)-\w", text)
    (line,) = [check for check in report.checks if check.id == case.line]
    assert line.fix or line.status in (SKIPPED, OK)
    assert not [wrong_orders(check.fix, SET) for check in report.checks if wrong_orders(check.fix, SET)]
    return line


def row(name: str, check: Finding) -> str:
    mark, _, message = check.lines()[0].partition(" ")
    # A PostgreSQL of the tests is reached by a socket in a directory of its own.
    message = re.sub(r'"(/tmp/|/run/)[^"]*"', '"…"', message)
    # What the resolver says depends on the machine.
    message = re.sub(r"(no-such-host\S+) .*\)", r"\1 …)", message)
    return f"| {name} | {mark} | {_cell(message)} | {_cell(check.fix)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


Report = Callable[[Any, Path, str], Awaitable[CheckReport]]
SECTIONS: Mapping[str, Sequence[tuple[Mapping[str, FaultCase], Report]]] = {
    "Slack": [(SLACK, lambda case, folder, server: slack_report(case))],
    "Models": [
        (MODELS, lambda case, folder, server: model_report(case)),
        (CLOUDS, lambda case, folder, server: cloud_report(case, folder)),
    ],
    "MCP servers": [(MCP, lambda case, folder, server: mcp_report(case, folder))],
    "This machine": [(MACHINE, lambda case, folder, server: machine_report(case, folder))],
    "Database": [(DATABASES, database_report)],
}
"""The sections of the page: its faults, and what reports each, given a folder and a server of PostgreSQL."""


def faults() -> Iterator[Any]:
    """Yields the rows of the page. A gate needs the first one of each check and status; the others are `long`."""
    found = set[tuple[str, CheckStatus]]()
    for cases, report in chain.from_iterable(SECTIONS.values()):
        for name, case in cases.items():
            finding = case.line, case.status
            yield pytest.param(name, case, report, id=name, marks=[pytest.mark.long] if finding in found else [])
            found.add(finding)


@pytest.mark.parametrize(("name", "case", "report"), list(faults()))
async def test_a_fault_is_named_with_its_remedy(
    name: str, case: FaultCase, report: Report, page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgresql_server_url") if name.startswith("PostgreSQL") else ""
    assert row(name, fault_line(await report(case, tmp_path, server), case)) in page


@pytest.mark.parametrize("api", [BEDROCK, VERTEX, FOUNDRY, AZURE], ids=str)
async def test_a_model_of_a_cloud_is_found_by_a_request_without_a_question(api: CloudApi, tmp_path: Path) -> None:
    report = await cloud_report(cloud(api, NO_QUESTION), tmp_path)
    assert not_passed(report) == {}
    assert f"{api.model}: this identity has access to the model." in [c.message for c in report.checks]


async def test_tools_of_an_mcp_server_are_listed_with_their_rules(tmp_path: Path) -> None:
    rules = {"allow": ["it__look"], "readOnly": ["it__look"]}
    report = await mcp_report(mcp(rules=rules), tmp_path)
    assert not_passed(report) == {}
    [line] = [check.text for check in report.checks if check.id == "mcp.it"]
    first, *rules_in_force = line.splitlines()
    assert re.fullmatch(
        r"it: the MCP server lists 2 tools, about \d+ tokens with each question(, \$\S+ a .*)?\.", first
    )
    assert rules_in_force == ["it__look: allow, read-only", "it__write: ask"]
    [together] = [check.message for check in report.checks if check.id == "mcp"]
    assert "at most 2 of their tools, about " in together
    assert together.endswith(" The maximum is 100.")
    assert not RawServer(tmp_path / "script.json").is_alive


async def test_mcp_server_that_wants_people_to_sign_in_needs_a_header(tmp_path: Path) -> None:
    challenge = 'Bearer resource_metadata="https://mcp.example/.well-known/oauth-protected-resource"'
    async with served(refusing(401, challenge)) as url:
        report = await mcp_report(mcp(server={"url": f"{url}/mcp"}), tmp_path)
    [line] = [check for check in report.checks if check.id == "mcp.it"]
    nobody = "it: people must sign in, but nobody can: the host mcp.example isn't known."
    assert (line.status, line.message) == (WARN, nobody)
    assert "set an Authorization header" in line.fix


@pytest.mark.parametrize("challenge", ["", 'Bearer resource_metadata="{at}"'])
async def test_mcp_server_that_refuses_the_header_of_the_file_is_down(tmp_path: Path, challenge: str) -> None:
    async with sign_in_server("it") as there:
        assert isinstance(there.config.transport, HttpTransport)
        at = there.config.transport.url
        async with served(refusing(401, challenge.format(at=at))) as url:
            server = {"url": f"{url}/mcp" if not challenge else at, "headers": {"Authorization": "Bearer nope"}}
            report = await report_of(mcp_env(tmp_path, mcp(server=server)) | {"BOT_SECRET_KEYS": SECRET_KEY})
    [line] = [check for check in report.checks if check.id == "mcp.it"]
    refuses = "HTTP 401: it refuses the Authorization header in BOT_MCP_CONFIG"
    assert (line.status, line.message) == (WARN, f"it: the MCP server is down ({refuses}).")
    assert "replace it in this server's headers" in line.fix


LOOPBACK = (
    "Typist registers itself there. Sign-in ends at http://127.0.0.1:47823/callback-it, and people paste the URL of "
    "that page"
)


@pytest.mark.parametrize(
    ("registers", "keys", "status", "said", "fix"),
    [
        (True, SECRET_KEY, OK, f"people sign in at {{at}}. {LOOPBACK}", ""),
        (True, "", WARN, "people must sign in at {at}, and BOT_SECRET_KEYS isn't set.", "openssl"),
        (False, SECRET_KEY, WARN, "people must sign in at {at}, which doesn't let", "clientId"),
    ],
)
async def test_mcp_server_where_people_sign_in_says_what_is_missing(
    tmp_path: Path, registers: bool, keys: str, status: CheckStatus, said: str, fix: str
) -> None:
    async with sign_in_server("it", registers=registers) as there:
        assert isinstance(there.config.transport, HttpTransport)
        url = there.config.transport.url
        report = await report_of(mcp_env(tmp_path, mcp(server={"url": url})) | {"BOT_SECRET_KEYS": keys})
        assert not there.people.clients
    [line] = [check for check in report.checks if check.id == "mcp.it"]
    assert line.status is status
    assert line.message.startswith(f"it: {said.format(at=url.removesuffix('mcp'))}")
    assert fix in line.fix


READS_DOCUMENTS = {"client_id_metadata_document_supported": True, "registration_endpoint": None}
PUBLIC = {"BOT_PUBLIC_URL": "https://typist.example", "BOT_HEALTH_PORT": "8080"}
BY_CODE = "Sign-in ends at https://typist.example/oauth/callback-it, and people enter the code shown there."


@pytest.mark.parametrize(
    ("says", "env", "said"),
    [
        (BY_DEVICE, {}, "Typist registers itself there. They confirm a code from Slack there."),
        (BY_DEVICE, PUBLIC, "Typist registers itself there. They confirm a code from Slack there."),
        ({"jwks_uri": None}, PUBLIC, f"Typist registers itself there. {BY_CODE}"),
        (
            READS_DOCUMENTS,
            PUBLIC,
            f"Typist's client ID there is https://typist.example/oauth/client/it.json. {BY_CODE}",
        ),
    ],
)
async def test_mcp_server_where_people_sign_in_says_which_way_is_used(
    tmp_path: Path, says: Mapping[str, Any], env: Mapping[str, str], said: str
) -> None:
    async with sign_in_server("it", says=says) as there:
        assert isinstance(there.config.transport, HttpTransport)
        servers = mcp_env(tmp_path, mcp(server={"url": there.config.transport.url}))
        report = await report_of({**servers, **env, "BOT_SECRET_KEYS": SECRET_KEY})
        assert not there.people.clients
    [line] = [check for check in report.checks if check.id == "mcp.it"]
    assert line.status is OK
    assert line.message.endswith(said)


async def test_model_that_loads_first_is_told_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "PROBE_LATE_S", 0.5)
    report = await model_report(probing(OK, replace(CALL, delay_s=1.0)))
    [line] = [check for check in report.checks if check.id == "model.openai/test.tools"]
    assert line.status is OK
    assert re.fullmatch(
        r"openai/test calls tools\. It took \d+ s to answer\. "
        r"If its server was loading the model, later answers will start sooner\.",
        line.message,
    )


async def test_model_that_never_answers_is_not_the_networks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "PROBE_WITHIN_S", 1.0)
    report = await model_report(probing(FAIL, replace(CALL, delay_s=60)))
    [line] = [check for check in report.checks if check.id == "model.openai/test.tools"]
    assert (line.status, line.message) == (FAIL, "openai/test didn't answer within 1 s.")
    assert "network" not in line.fix


async def test_tools_count_in_each_channel_that_uses_servers(tmp_path: Path) -> None:
    env = mcp_env(tmp_path, McpCase("mcp", WARN, tools=many(60), beside=many(48)))
    url = f"sqlite:///{tmp_path}/typist.db"
    stores = await Stores.open(url, "w1", SystemClock())
    await stores.channel_settings.write("T1", "C0ONE", ChannelSettings(mcp_servers=("it",)))
    with patient(never=False):
        assert not_passed(await report_of({**env, "DATABASE_URL": url})) == {}
        await stores.channel_settings.write("T1", "C0BOTH", ChannelSettings(mcp_servers=("it", "also", "gone")))
        report = await report_of({**env, "DATABASE_URL": url})
    await stores.close()
    assert not_passed(report) == {"mcp": WARN}
    [line] = [check.message for check in report.checks if check.id == "mcp"]
    left_out = ", ".join(f"also__tool{number:03}" for number in range(40, 48))
    assert line == (
        f"channel C0BOTH: more tools than models can be offered (it has 60, also has 48). Left out: {left_out}."
    )


@pytest.mark.parametrize(("case", "message"), GOOD_MODELS.values(), ids=GOOD_MODELS.keys())
async def test_a_model_that_exists_is_found(case: ModelCase, message: str) -> None:
    report = await model_report(case)
    assert not_passed(report) == {}
    assert message in [check.message for check in report.checks]


@pytest.mark.empty_database
async def test_a_database_is_left_as_it_is(database_url: str) -> None:
    async with Sandbox(manifest=app_manifest()) as sandbox:
        ours = read(connected(sandbox), {"DATABASE_URL": database_url})
        first, again = await run_all(ours), await run_all(ours)
    assert first == again
    assert "The database has no tables yet. They will be created at the first start." in first.text()


@pytest.mark.parametrize(
    ("env", "agent", "found", "said"),
    [
        ({"BOT_WEB_SEARCH": "on"}, False, {"settings": WARN}, "BOT_WEB_SEARCH has no effect on openai/scripted"),
        ({}, True, {}, "The bot token has all 19 scopes, and the Agents feature is on."),
        ({}, False, {}, "Slack doesn't report whether Delayed Events is on."),
        ({}, False, {}, "→ Event Subscriptions."),
    ],
)
async def test_what_nobody_can_use_and_what_slack_does_not_tell_is_named(
    env: dict[str, str], agent: bool, found: dict[str, CheckStatus], said: str
) -> None:
    report = await report_of(env, agent=agent)
    assert not_passed(report) == found
    assert said in report.text()


@pytest.mark.parametrize(
    ("status", "found", "said"),
    [
        (200, {}, "The collector at BOT_TRACES_URL is accepting traces."),
        (404, {"traces": WARN}, "Check the URL and its path: /v1/traces."),
        (None, {"traces": WARN}, "Check that the server runs, and the port in BOT_TRACES_URL."),
    ],
)
async def test_collector_that_takes_no_traces_is_named(
    status: int | None, found: dict[str, CheckStatus], said: str
) -> None:
    async with VendorServer() as collector:
        collector.script(VendorResponse(status=status or 200))
        url = "http://127.0.0.1:9" if status is None else collector.url
        report = await report_of({"BOT_TRACES_URL": f"{url}/v1/traces"})
    assert not_passed(report) == found
    assert said in report.text()


async def test_key_that_is_missing_is_not_called_wrong() -> None:
    async with VendorServer() as server:
        server.script(as_json({"error": {"message": "no key", "code": "invalid_api_key"}}, 401))
        report = await report_of({"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": ""})
    assert not_passed(report) == {"model.openai/scripted": FAIL}
    assert "openai: the server requires a key, and OPENAI_API_KEY isn't set.\n  → Set OPENAI_API_KEY." in report.text()


async def test_a_file_is_not_created(tmp_path: Path) -> None:
    report = await report_of({"DATABASE_URL": f"sqlite:///{tmp_path}/typist.db"})
    assert not_passed(report) == {"database.write": SKIPPED}
    assert report.is_ok
    assert not (tmp_path / "typist.db").exists()


async def test_a_database_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_checks, "ANSWER_WITHIN_S", 0.3)
    with socket.socket() as standing_still:
        standing_still.bind(("127.0.0.1", 0))
        standing_still.listen()
        port = standing_still.getsockname()[1]
        report = await report_of({"DATABASE_URL": f"postgresql://bot:secret-5@127.0.0.1:{port}/d"})
    case = FaultCase("database.connection", FAIL, skips(*AFTER_CONNECTION))
    assert fault_line(report, case).message == "The database can't be used (it does not answer)."


async def test_a_probe_comes_back_and_leaves_nothing(page: str) -> None:
    async with Sandbox(manifest=app_manifest()) as sandbox:
        report = await run_all(read(connected(sandbox)), GENERAL)
        assert not_passed(report) == {}
        assert [check.id for check in report.checks if "probe" in check.id] == [
            "slack.probe_post",
            "slack.probe_event",
            "slack.probe_delete",
        ]
        assert sandbox.messages("general") == []
        [acked_at_s] = [
            delivery.acked_at_s for delivery in sandbox.deliveries if delivery.payload["event"].get("subtype") is None
        ]
        assert acked_at_s is not None


async def test_an_interrupted_probe_leaves_nothing(tmp_path: Path) -> None:
    async with slack(SLACK["`--probe`: no event message.channels"]) as sandbox:
        # No driver's thread is interrupted with it: the file doesn't exist.
        ours = read(connected(sandbox), {"DATABASE_URL": f"sqlite:///{tmp_path}/typist.db"})
        checking = asyncio.create_task(run_all(ours, GENERAL))
        await sandbox.wait_for(lambda: sandbox.messages("general"))
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert sandbox.messages("general") == []


async def test_an_unforeseen_error_is_a_line_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_checks, "WITHIN_S", 0.05)

    async def surprising() -> Finding:
        raise RuntimeError(f"with {KEY}")

    async def endless() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    async def good() -> Finding:
        return ok("Good.")

    steps = [
        Check("surprising", "surprising", surprising),
        Check("endless", "endless", endless),
        Check("dependent", "dependent", good, needs=["surprising"]),
        Check("later", "later", good, after=["endless"]),
        Check("slack.bot_token", "SLACK_BOT_TOKEN", endless),
        Check("slack.scopes", "the bot token's scopes", good, needs=["slack.bot_token"]),
        Check("slack.clock", "this machine's clock", good, needs=["slack.scopes"]),
    ]
    report = await run_checks(steps)
    assert [check.status for check in report.checks] == [FAIL, FAIL, SKIPPED, OK, FAIL, SKIPPED, SKIPPED]
    messages = [check.message for check in report.checks]
    assert messages[0].startswith("A check failed unexpectedly (RuntimeError at tests/scenarios/test_check.py:")
    assert messages[0].endswith("): surprising.")
    assert messages[1] == "Timed out: endless."
    assert messages[2] == "Skipped because the check of surprising failed: dependent."
    assert messages[5:] == [
        "Skipped because Slack didn't respond in time: the bot token's scopes.",
        "Skipped because Slack didn't respond in time: this machine's clock.",
    ]
    assert KEY not in report.text()


async def test_json_is_all_of_stdout_and_the_exit_code_is_0(tmp_path: Path) -> None:
    async with Sandbox(manifest=app_manifest()) as sandbox:
        code, out, err = await forked_command(tmp_path, "check", "--json", env=connected(sandbox))
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["ok"]
    assert {tuple(check) for check in report["checks"]} == {("id", "status", "message", "fix")}
    assert len(report["checks"]) == 17


async def test_something_to_mend_exits_1_without_a_traceback(tmp_path: Path) -> None:
    async with Sandbox(manifest=app_manifest(), setup=Setup(bot_token_error="token_revoked")) as sandbox:
        code, out, err = await forked_command(tmp_path, "check", env=connected(sandbox))
    assert (code, err) == (1, "")
    assert "✘ Slack doesn't accept SLACK_BOT_TOKEN (token_revoked).\n  → Install the app again" in out
    assert "– Skipped because the check of SLACK_BOT_TOKEN failed: this machine's clock.\n" in out
    assert not [name for name in AFTER_BOT_TOKEN if name in out]
    assert out.endswith("1 problem, 0 warnings. 4 checks were skipped (–).\n")


UNREACHABLE = "http://127.0.0.1:9/api/"


@pytest.mark.parametrize("config_token", ["", "xoxe.xoxp-1"])
async def test_offline_lines_that_depend_on_slack_say_that_it_can_not_be_reached(config_token: str) -> None:
    env = {"BOT_SLACK_API_URL": UNREACHABLE, "SLACK_CONFIG_TOKEN": config_token}
    with patient(never=False):
        text = (await report_of(env)).text()
    waiting = [
        "the bot token's scopes",
        "this machine's clock",
        "Socket Mode",
        "whether both tokens belong to the same app",
    ]
    waiting += ["the app's manifest"] if config_token else []
    waiting += ["whether the database is this workspace's", "whether another process receives events"]
    because = "– Skipped because Slack can't be reached: "
    assert [line.removeprefix(because) for line in text.splitlines() if line.startswith(because)] == [
        f"{name}." for name in waiting
    ]
    assert (text.count("✘ Slack can't be reached"), "the check of" in text) == (1, False)


async def test_a_slack_that_takes_no_calls_is_the_reason_and_not_the_token() -> None:
    text = (await slack_report(failing_auth("internal_error"))).text()
    assert "– Skipped because Slack isn't accepting calls right now: this machine's clock.\n" in text


async def test_a_setting_of_slack_under_another_programs_name_is_told() -> None:
    report = await report_of({"SLACK_API_URL": UNREACHABLE})
    [line] = [check for check in report.checks if check.id == "settings"]
    assert line.lines()[0] == "⚠ SLACK_API_URL is set, but Typist reads BOT_SLACK_API_URL instead."
    assert line.fix == "Set BOT_SLACK_API_URL to this value, or unset SLACK_API_URL."


@pytest.mark.parametrize(
    ("env", "line", "failed"),
    [
        ({"BOT_SLACK_API_URL": UNREACHABLE}, "✘ Slack can't be reached (127.0.0.1:9: Connection refused).", 2),
        ({"BOT_MODELS": "openai/a,openai/b", "OPENAI_BASE_URL": UNREACHABLE}, "✘ openai: the server can't be", 2),
    ],
    ids=["both tokens, and no network", "two models, and no server"],
)
async def test_two_failures_with_one_cause_are_one_line_and_one_problem(
    env: dict[str, str], line: str, failed: int
) -> None:
    with patient(never=False):
        report = await report_of(env)
    assert report.text().count(line) == 1
    assert "\n1 problem, 0 warnings." in report.text()
    assert [check["status"] for check in report.json()["checks"]].count("fail") == failed  # type: ignore[attr-defined]


@pytest.mark.long
async def test_a_terminal_without_these_marks_gets_a_report_too(tmp_path: Path) -> None:
    async with Sandbox(manifest=app_manifest()) as sandbox:
        env = {**connected(sandbox), "PYTHONIOENCODING": "latin-1"}
        async with bot_process(tmp_path, "check", env=env) as process:
            out, err = await output(process)
    assert (process.returncode, err) == (0, "")
    assert "OK Both tokens belong to the same app." in out


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "SLACK_BOT_TOKEN is not set."),
        (
            {"SLACK_BOT_TOKEN": "xapp-1", "SLACK_APP_TOKEN": "xoxb-1"},
            "must start with xoxb-; this is an app-level token.",
        ),
        ({"SLACK_CONFIG_TOKEN": "xoxp-1"}, "SLACK_CONFIG_TOKEN must start with xoxe.xoxp-; this is a user token."),
        ({"BOT_WELCOMES": "on"}, "did you mean BOT_WELCOME?"),
    ],
)
async def test_settings_that_cannot_be_used_exit_2(tmp_path: Path, env: dict[str, str], message: str) -> None:
    code, out, _ = await forked_command(tmp_path, "check", "--json", env=env)
    report = json.loads(out)
    assert (code, report["ok"]) == (2, False)
    assert {check["id"] for check in report["checks"]} == {"settings"}
    assert message in " ".join(check["message"] for check in report["checks"])


async def test_a_probe_needs_a_channels_id(tmp_path: Path) -> None:
    env = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "OPENAI_API_KEY": "sk-1"}
    code, _, err = await forked_command(tmp_path, "check", "--probe", "#general", env=env)
    assert (code, "--probe must be a channel ID such as C0123ABCD" in err, "not #general." in err) == (2, True, True)


async def rows() -> AsyncIterator[str]:
    """The tables of check_report.md, line by line."""
    with databases.postgresql_server() as server:
        for number, (title, tables) in enumerate(SECTIONS.items()):
            head = f"## {title}\n\n| Fault | | Line | Remedy |\n| --- | --- | --- | --- |"
            yield f"\n{head}" if number else head
            for cases, report in tables:
                for name, case in cases.items():
                    with tempfile.TemporaryDirectory() as folder:
                        yield row(name, fault_line(await report(case, Path(folder), server), case))


def test_the_page_has_a_row_for_each_fault_and_no_other(page: str) -> None:
    rows_there = re.findall(r"^\| (.+?) \| [✔✘⚠–] \|", page, re.MULTILINE)
    assert rows_there == [fault.id for fault in faults()]


async def _print_page() -> None:
    async with ScriptedModel(()) as server:
        MODEL["OPENAI_BASE_URL"] = server.base_url
        async for line in rows():
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_print_page())
