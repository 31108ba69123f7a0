"""Approvals with MCP servers over real sockets: `mcp-server-time` on stdio, and a server of the SDK on HTTP.

Each server's tool is asked about. The model says what the tool returned, so an answer shows whether the call was made.
To tests of the decision alone, the server makes no difference: theirs is a scripted one on stdio, which starts sooner.
"""

import asyncio
import json
import logging
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import tool_title
from bot.core.channel_settings import ChannelSettings
from bot.core.outbox import OUTBOX_HOLD_S
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig
from bot.settings import Settings
from bot.slack.views.settings import ALLOWED_TOOLS
from bot.store import Stores
from bot.store.schema import jobs
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from slack_sandbox.workspace import TEAM_ID
from tests.clocks import LateClock
from tests.mcp.servers import PATIENCE_S, TIME, RawServer, agree, be_patient, http_server, text_result, tool
from tests.scenarios.answers import on_record, press, rows
from tests.scenarios.conftest import Stage, buttons, footer, running, says, shown
from tests.scenarios.fleet import Fleet, fleet_of
from tests.scenarios.tools import DECISIONS, asking, calls, ended, results_in, value_of, values_of
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

KOLKATA_TO_TOKYO = {"source_timezone": "Asia/Kolkata", "time": "12:00", "target_timezone": "Asia/Tokyo"}
"""Two zones without daylight saving time."""


@dataclass(frozen=True)
class CalledServer:
    """A server, a call of its tool, and how the model finds the result in what the tool returns."""

    config: ServerConfig
    tool: str
    arguments: dict[str, Any]
    pattern: str
    result: str

    @property
    def call(self) -> VendorResponse:
        """What the model asks for first."""
        return calls("Let me see.", (f"{self.config.name}__{self.tool}", self.arguments))

    @property
    def buttons(self) -> list[ReplyAction]:
        """Those below the call while it waits: texts among its arguments can be changed."""
        has_texts = any(isinstance(value, str) for value in self.arguments.values())
        return [DECISIONS[0], *([ReplyAction.EDIT] if has_texts else []), *DECISIONS[1:]]

    def model(self, request: VendorRequest) -> VendorResponse:
        results = results_in(request)
        if not results:
            return self.call
        match = re.search(self.pattern, results[-1], re.MULTILINE)
        return says(f"It's {match[1]}." if match else "I don't know.")

    def config_file(self, folder: Path) -> Path:
        """Writes a file for BOT_MCP_CONFIG, without any rule."""
        transport = self.config.transport
        if isinstance(transport, HttpTransport):
            entry = {"type": "http", "url": transport.url, "headers": dict(transport.headers)}
        else:
            entry = {"command": transport.command, "args": list(transport.args)}
        file = folder / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {self.config.name: entry}}))
        return file


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)


each_server = pytest.mark.parametrize(
    "server",
    ["scripted", pytest.param("stdio", marks=pytest.mark.long), pytest.param("http", marks=pytest.mark.long)],
    indirect=True,
)


@pytest.fixture
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CalledServer]:
    match getattr(request, "param", "scripted"):
        case "stdio":
            yield CalledServer(TIME, "convert_time", KOLKATA_TO_TOKYO, r'"target"[^}]*T(\d\d:\d\d)', "15:30")
        case "http":
            async with http_server() as (web, _):
                yield CalledServer(web, "add", {"a": 2, "b": 40}, r"^(\d+)$", "42")
        case _:
            raw = RawServer(tmp_path / "script.json")
            raw.script([tool("add")], {"add": text_result("42")})
            yield CalledServer(raw.config(), "add", {"a": 2, "b": 40}, r"^(\d+)$", "42")


@pytest.fixture
async def settings(settings: Settings, server: CalledServer, tmp_path: Path) -> Settings:
    url = f"sqlite:///{tmp_path}/typist.db"
    await let_use(url, server)
    return replace(settings, database_url=url, mcp=McpSetup((server.config,)), admins=frozenset({"U0GRACE"}))


@pytest.fixture
async def stage(
    sandbox: Sandbox, vendor: VendorServer, server: CalledServer, settings: Settings
) -> AsyncIterator[Stage]:
    vendor.script(server.model)
    async with running(settings):
        yield Stage(sandbox, vendor)


@pytest.fixture
def calls_made(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    caplog.set_level(logging.INFO, "bot.mcp.tools")
    return lambda: sum(record.getMessage().endswith(": done") for record in caplog.records)


async def let_use(database_url: str, server: CalledServer) -> None:
    """Lets #general use a server, whose tools an admin has read."""
    stores = await Stores.open(database_url, "admin", SystemClock())
    await stores.channel_settings.write(TEAM_ID, "C0GENERAL", ChannelSettings(mcp_servers=(server.config.name,)))
    await agree(stores, McpSetup((server.config,)))
    await stores.close()


def read_of_call(stage: Stage) -> str:
    [result] = [message["content"] for message in stage.prompts()[-1] if message["role"] == "tool"]
    return result


@each_server
async def test_approved_call_is_made_once_and_the_answer_has_its_result(
    stage: Stage, server: CalledServer, calls_made: Callable[[], int]
) -> None:
    asked = await stage.mention()
    message = await asking(stage, asked)
    assert buttons(message) == server.buttons
    name = server.config.name
    for line in (
        f"\n{tool_title(f'{name}__{server.tool}')}?\n",
        texts.approvals.acts_as([name]),
        *(f"{k}: {v}" for k, v in server.arguments.items()),
    ):
        assert line in shown(message)
    assert calls_made() == 0
    assert await press(stage, message, ReplyAction.APPROVE) is None
    message = await ended(stage, asked)
    assert shown(message).startswith(f"Let me see.\n\nIt's {server.result}.")
    assert shown(message).endswith("\nApproved by Ada\ntest · 1 tool")
    assert stage.sandbox.workspace.notified == [], "no name is a mention"
    assert calls_made() == 1
    assert len(stage.bots("general", asked)) == 1
    assert (await press(stage, message, ReplyAction.DETAILS) or "").startswith(texts.approvals.TOOLS_USED)
    assert ": done, approved by Ada" in str(stage.sandbox.workspace.ephemerals[-1].sent_blocks)


async def test_denied_call_is_not_made(stage: Stage, calls_made: Callable[[], int]) -> None:
    asked = await stage.mention()
    await press(stage, await asking(stage, asked), ReplyAction.DENY, "grace")
    assert "I don't know.\nDenied by Grace" in shown(await ended(stage, asked))
    assert "denied this call" in read_of_call(stage)
    assert calls_made() == 0


async def test_reply_that_denies_the_call_is_answered_below_it_by_a_model_that_knows_the_call(
    stage: Stage, server: CalledServer, calls_made: Callable[[], int]
) -> None:
    asked = await stage.mention()
    first = await asking(stage, asked)
    # The reply may come before the record that the answer waits.
    stage.vendor.script(says("All right, I won't."))
    replied = await stage.sandbox.say("ada", "general", "Not now", asked)
    await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if "I won't" in shown(m)])
    denied = texts.approvals.replied_instead_text(["call"])
    await stage.sandbox.wait_for(lambda: denied in shown(stage.bots("general", asked)[0]))
    first, second = stage.bots("general", asked)
    assert first.ts < replied < second.ts
    assert shown(first) == f"Let me see.\n{denied}"
    assert footer(first) == "", "one line says how it ended"
    assert buttons(first)[0] == ReplyAction.CONTINUE
    assert shown(second).startswith("All right, I won't.")
    read = stage.prompts()[-1][-1]["content"]
    assert read.startswith("Not now")
    call = f"- {server.config.name}__{server.tool} {json.dumps(server.arguments)}: not made"
    assert call in str([message["content"] for message in stage.vendor.requests[-1].body["messages"]])
    assert len(stage.vendor.requests) == 2, "the answer that asked needs no model any more"
    assert calls_made() == 0


async def test_call_that_the_model_asks_for_after_such_a_reply_asks_again(
    stage: Stage, server: CalledServer, calls_made: Callable[[], int]
) -> None:
    asked = await stage.mention()
    await asking(stage, asked)
    replied = await stage.sandbox.say("ada", "general", "Yes, please do", asked)
    await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if m.ts > replied and values_of(m)])
    assert calls_made() == 0, "a model's reading of a reply is no approval"
    await press(stage, stage.bots("general", asked)[-1], ReplyAction.APPROVE)
    await stage.sandbox.wait_for(lambda: f"It's {server.result}." in shown(stage.bots("general", asked)[-1]))
    assert calls_made() == 1


async def test_stop_of_an_approval_takes_one_attempt_and_one_edit(
    stage: Stage, settings: Settings, calls_made: Callable[[], int]
) -> None:
    asked = await stage.mention()
    message = await asking(stage, asked)
    made = len(stage.sandbox.calls)
    assert await press(stage, message, ReplyAction.STOP) is None
    message = await ended(stage, asked)
    await on_record(settings)
    assert (shown(message), footer(message)) == ("Let me see.", texts.answers.FOOTER_STOPPED)
    after = [call.method for call in list(stage.sandbox.calls)[made:]]
    assert after.count("chat.update") == 1
    assert not {"chat.postMessage", "chat.delete", "chat.startStream"}.intersection(after)
    [job] = await rows(settings, jobs)
    assert (job.attempts, job.end_reason) == (2, "stopped")
    assert (len(stage.prompts()), calls_made()) == (1, 0)


async def always_allowed(stage: Stage) -> None:
    """Asks, and has an admin who reads along allow the tool from then on, where nobody else is offered that."""
    asked = await stage.mention()
    message = await asking(stage, asked)
    for person in ("ada", "grace"):
        await press(stage, message, ReplyAction.ARGUMENTS, person)
        assert (modal := stage.sandbox.client(person).modal) is not None
        assert (ReplyAction.ALLOW_ALWAYS in str(modal.blocks)) is (person == "grace")
    assert await stage.sandbox.client("grace").submit({ReplyAction.ALLOW_ALWAYS: [ReplyAction.ALLOW_ALWAYS]}) == {}
    await ended(stage, asked)


async def test_always_allowed_tool_is_listed_in_the_settings_and_asks_again_once_an_admin_removes_it(
    stage: Stage, server: CalledServer, calls_made: Callable[[], int]
) -> None:
    tool_name = f"{server.config.name}__{server.tool}"
    await always_allowed(stage)
    ada, grace = stage.sandbox.client("ada"), stage.sandbox.client("grace")
    await ada.command("general", "/typist model")
    assert ada.modal is not None
    assert ALLOWED_TOOLS not in str(ada.modal.blocks), "only admins revoke"
    for kept, unasked in (([tool_name], True), ([], False)):
        await grace.command("general", "/typist model")
        assert await grace.submit({ALLOWED_TOOLS: kept}) == {}
        asked = await stage.mention()
        assert bool(await ended(stage, asked) if unasked else await asking(stage, asked))
    assert calls_made() == 2
    await grace.command("general", "/typist model")
    assert grace.modal is not None
    assert ALLOWED_TOOLS not in str(grace.modal.blocks), "none is left"


ASKED_AGAIN = "should I go ahead with what I asked you about above?"
MENTION = texts.approvals.reminder("<@U0ADA>", ["call"])


def mentions(stage: Stage, asked: str) -> list[str]:
    """Returns the ts of the bot's messages that mention the asker because of an approval."""
    return [message.ts for message in stage.bots("general", asked) if message.text == MENTION]


@pytest.mark.usefixtures("with_frequent_looks")
@pytest.mark.bot(done_mention_s=1)
async def test_asker_is_mentioned_once_when_an_approval_waits(stage: Stage) -> None:
    sandbox = stage.sandbox
    asked = await stage.mention()
    message = await asking(stage, asked)
    [mention] = await sandbox.wait_for(lambda: mentions(stage, asked))
    assert {notified.ts for notified in sandbox.workspace.notified} == {mention}
    assert await press(stage, message, ReplyAction.APPROVE) is None
    await sandbox.wait_for(lambda: not mentions(stage, asked))
    await ended(stage, asked)
    await sandbox.say("ada", "general", "@typist and then?", asked)
    await stage.vendor.request(2)
    assert ASKED_AGAIN not in str(stage.prompts()[-1]), "the mention is no answer"


@pytest.mark.parametrize(
    "way", ["deny", "edit", *(pytest.param(way, marks=pytest.mark.long) for way in ("stop", "reply", "delete"))]
)
@pytest.mark.usefixtures("with_frequent_looks")
@pytest.mark.bot(done_mention_s=1)
async def test_mention_goes_however_the_approval_ends(stage: Stage, server: CalledServer, way: str) -> None:
    sandbox = stage.sandbox
    stage.vendor.script(server.call, says("All right."))
    asked = await stage.mention()
    message = await asking(stage, asked)
    await sandbox.wait_for(lambda: mentions(stage, asked))
    match way:
        case "deny" | "stop":
            await press(stage, message, way)
        case "reply":
            await sandbox.say("ada", "general", "Not now", asked)
        case "edit":
            await sandbox.edit("general", asked, "@typist something else")
        case "delete":
            await sandbox.delete("general", asked)
    await sandbox.wait_for(lambda: not mentions(stage, asked))


@pytest.fixture
async def fleet(
    sandbox: Sandbox, vendor: VendorServer, server: CalledServer, database_url: str, tmp_path: Path
) -> AsyncIterator[Fleet]:
    vendor.script(server.model)
    await let_use(database_url, server)
    env = {"BOT_MCP_CONFIG": str(server.config_file(tmp_path)), "BOT_ADMINS": "U0GRACE"}
    async with fleet_of(Stage(sandbox, vendor), tmp_path, database_url, **env) as fleet:
        yield fleet


async def test_press_that_reaches_another_process_decides(fleet: Fleet, server: CalledServer) -> None:
    stage, sockets = fleet.stage, fleet.stage.sandbox.sockets
    await fleet.start(be_patient)
    asked = await stage.mention()
    message = await asking(stage, asked)
    of_first = list(sockets.connections)
    other = await fleet.start(be_patient)
    for connection in of_first:
        # As while Slack refreshes them.
        connection.accepting = False
    value = value_of(message)
    assert await press(stage, message, ReplyAction.APPROVE) is None
    await wait_for_line(other.stderr, f"action {ReplyAction.APPROVE} by user U0ADA")
    message = await ended(stage, asked)
    assert f"It's {server.result}." in shown(message)
    for connection in sockets.connections:
        connection.accepting = connection in of_first
    assert await press(stage, message, ReplyAction.APPROVE, value=value) == texts.approvals.NOTHING_TO_DECIDE
    assert len(stage.vendor.requests) == 2


@pytest.mark.parametrize(("database_url", "server"), [("sqlite", "stdio"), ("postgresql", "http")], indirect=True)
async def test_deployment_while_an_approval_waits_leaves_it_to_the_next_process(
    fleet: Fleet, server: CalledServer
) -> None:
    stage = fleet.stage
    leaving = await fleet.start(be_patient)
    asked = await stage.mention()
    message = await asking(stage, asked)
    leaving.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        assert await leaving.wait() == 0
    assert buttons(message) == server.buttons
    await fleet.start(be_patient)
    assert await press(stage, message, ReplyAction.APPROVE) is None
    assert f"It's {server.result}." in shown(await ended(stage, asked))
    assert [reply.ts for reply in stage.bots("general", asked)] == [message.ts]
    assert len(stage.vendor.requests) == 2, "the model isn't asked again for the step on record"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_asker_is_mentioned_once_if_the_process_is_killed_meanwhile(fleet: Fleet, settings: Settings) -> None:
    stage, sandbox = fleet.stage, fleet.stage.sandbox
    sandbox.faults.start("no_answer", method="chat.postMessage", times=1, match_text=ASKED_AGAIN, done=True)
    process = await fleet.start(be_patient, BOT_DONE_PING_S="1")
    asked = await stage.mention()
    message = await asking(stage, asked)
    [mention] = await sandbox.wait_for(lambda: mentions(stage, asked))
    await fleet.killed(process)
    before, clock = len(sandbox.calls), LateClock()
    clock.ahead_s = OUTBOX_HOLD_S + 1
    async with running(replace(settings, done_mention_s=1), clock):
        await sandbox.wait_for(
            lambda: "conversations.replies" in [call.method for call in list(sandbox.calls)[before:]]
        )
        assert mentions(stage, asked) == [mention]
        assert await press(stage, message, ReplyAction.APPROVE) is None
        await ended(stage, asked)
        await sandbox.wait_for(lambda: not mentions(stage, asked))
