"""Tools of real MCP servers over real sockets: called, asked about, changed in between, and ended with the bot."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.prompt import LAST_TEXT_RULE
from bot.core.unseen import visible
from bot.mcp.config import McpSetup
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.control import live_controls
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import wait_for_line
from tests.forked import ForkedBot, forked_bot
from tests.mcp.hostile import HOSTILE
from tests.mcp.servers import PATIENCE_S, TIME, RawServer, be_patient, text_result, tool
from tests.scenarios.conftest import Stage, asking, running, says, shown
from tests.scenarios.outages import until
from tests.scenarios.process_ends import AT_MOST_S, clean, end_of
from tests.scenarios.surfaces import last_notice
from tests.scenarios.tools import by_results, calls, ended, let_use, tools_in, using
from tests.slack_process import slack_process
from tests.streams.server import VendorServer

pytestmark = pytest.mark.bot(on_disk=True)

BERLIN = {"timezone": "Europe/Berlin"}
ASKS_TIME = by_results(calls("Let me see.", ("time__get_current_time", BERLIN)), says("It's late."))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)


def offered(stage: Stage, number: int = -1) -> list[str]:
    """Returns the names of the tools in a request to the model, without those that every request has."""
    return tools_in(stage.vendor.requests[number])


async def test_allowed_tool_on_stdio_is_called_and_its_result_is_data(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    vendor.script(ASKS_TIME)
    await let_use(another_process, "time")
    async with running(using(settings, TIME, allow="time__*", read_only="time__*")):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention("What time is it in Berlin?")
        assert shown(await ended(stage, asked)).startswith("Let me see.\n\nIt's late.")
        assert sorted(offered(stage)) == ["time__convert_time", "time__get_current_time"]
        result = stage.prompts()[-1][-1]
        assert result["role"] == "tool"
        assert '"timezone": "Europe/Berlin"' in result["content"]
        mark = re.search(r"^<([0-9a-f]{16})>$", result["content"], re.MULTILINE)
        assert mark is not None
        assert result["content"].endswith(f"</{mark[1]}>")


async def test_model_that_repeats_hostile_results_notifies_and_fetches_nothing(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores, tmp_path: Path
) -> None:
    """The worst that a model can do with a result on its own is to say it."""
    texts = [part["text"] for result in HOSTILE.values() for part in result.get("content", ())[:1] if "text" in part]
    repeated = "\n\n".join(visible(text)[:200] for text in texts)
    raw = RawServer(tmp_path / "script.json")
    raw.script([tool("look")], {"look": text_result(repeated)})
    vendor.script(by_results(calls("", ("raw__look", {})), says(repeated)))
    await let_use(another_process, "raw")
    async with running(using(settings, raw.config(), allow="raw__look", read_only="raw__look")):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention("look")
        await ended(stage, asked)
        posts = stage.bots("general", asked)
        assert any("Ignore all previous instructions" in shown(message) for message in posts)
        assert sandbox.workspace.notified == []
        assert [control for message in posts for control in live_controls(message.text, message.blocks)] == []
        assert not [block for message in posts for block in message.blocks if block["type"] == "image"]
    assert raw.calls == [["look", {}]]


async def test_admins_read_in_the_settings_which_tools_a_channel_leaves_out(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores, tmp_path: Path
) -> None:
    servers = {"time": 62, "files": 46}
    raw = {name: RawServer(tmp_path / name) for name in servers}
    for name, count in servers.items():
        raw[name].script([tool(f"tool{number:02}") for number in range(count)])
    warning = texts.settings.tools_left_out(servers, 100, [f"files__tool{number:02}" for number in range(38, 46)])
    mcp = McpSetup(tuple(server.config(name) for name, server in raw.items()))
    await let_use(another_process, *servers)
    async with running(replace(settings, mcp=mcp, admins=frozenset({"U0GRACE"}))):
        stage = Stage(sandbox, vendor)
        # An answer waits until the servers have started, and a modal doesn't.
        await stage.answers("general", await stage.mention())
        assert len(set(offered(stage))) == 100
        assert LAST_TEXT_RULE in vendor.requests[-1].body["messages"][0]["content"]
        grace, ada = sandbox.client("grace"), sandbox.client("ada")
        for client, is_admin in ((grace, True), (ada, False)):
            await client.command("general", "/typist model")
            assert client.modal
            shown_below = [block["elements"][0]["text"] for block in client.modal.blocks if block["type"] == "context"]
            assert any("Models read these tools' definitions: about " in text for text in shown_below) is is_admin
            assert (warning in shown_below) is is_admin
        for chosen in (["time"], ["time", "files"]):
            assert await grace.submit({"mcp_servers": chosen}) == {}
            assert (warning in last_notice(stage)) is (len(chosen) == 2)
            await grace.command("general", "/typist model")


@asynccontextmanager
async def bot_with_server(folder: Path, vendor: VendorServer, raw: RawServer) -> AsyncIterator[ForkedBot]:
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"raw": raw.entry()}, "allow": ["raw__*"], "directMessages": ["raw"]}))
    database_url = f"sqlite:///{folder}/own.db"
    stores = await Stores.open(database_url, "w2", SystemClock())
    await let_use(stores, "raw")
    await stores.close()
    async with slack_process() as slack:
        env = {**asking(vendor), **slack.env, "BOT_MCP_CONFIG": str(file), "BOT_DRAIN_S": "1"}
        env["DATABASE_URL"] = database_url
        async with forked_bot(folder, "run", env=env, before=be_patient) as process:
            await wait_for_line(process.stdout, "is connected to Slack")
            await slack.ask()
            yield process


STARTS = {
    "a well-behaved process": "",
    "a process that only SIGKILL ends": "stubborn",
    "a process that hangs at its start, with its child": "hung",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.long(after_row=1)
async def test_sigterm_ends_the_processes_of_servers_in_time(tmp_path: Path, vendor: VendorServer, start: str) -> None:
    raw, child = RawServer(tmp_path / "script.json"), RawServer(tmp_path / "child.json")
    raw.script([tool("look")], {"look": text_result("Seen.")}, start=start)
    async with bot_with_server(tmp_path, vendor, raw) as process:
        await until(lambda: raw.has_started and (start != "hung" or child.has_started), "the server's start")
        if start != "hung":
            await vendor.request(0)
        assert raw.is_running
        end = await end_of(process)
        assert end.took_s < 1 + AT_MOST_S, end.log
        assert (end.code, clean(end.log)) == (0, True), end.log
    await until(lambda: not raw.is_running, "the end of the server")
    await until(lambda: not (start == "hung" and child.is_running), "the end of its child")


async def test_server_ends_with_its_stdin_if_the_bot_is_killed(tmp_path: Path, vendor: VendorServer) -> None:
    raw = RawServer(tmp_path / "script.json")
    raw.script([tool("look")], {"look": text_result("Seen.")})
    async with bot_with_server(tmp_path, vendor, raw) as process:
        await vendor.request(0)
        assert raw.is_running
        process.kill()
        await process.wait()
        await until(lambda: not raw.is_running, "the server's end")
