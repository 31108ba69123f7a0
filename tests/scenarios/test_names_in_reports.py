"""`typist usage`, `audit` and `mcp` print the names of people and channels beside their ids, if Slack says them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core.calls import CallState, RecordedCall
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Channel
from tests.forked import forked_command
from tests.scenarios.conftest import connected
from tests.streams.server import VendorServer


async def answered(store: Stores, ts: str, user_id: str, channel_id: str = "C0GENERAL") -> None:
    thread = ThreadKey("T0SANDBOX", channel_id, ts)
    await store.question_queue.enqueue(f"Ev{ts}", Question(thread, ts, user_id, "Why?"))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, End(EndReason.WHOLE, model="openai/test", usage=Usage(9, 9)), "Because.")


@pytest.fixture
async def env(sandbox: Sandbox, vendor: VendorServer, sqlite_url: str) -> dict[str, str]:
    """Returns the settings of a bot that ada and a person who has left asked in #general."""
    store = await Stores.open(sqlite_url, "w1", SystemClock())
    for user_id in ("U0ADA", "U0GONE"):
        await answered(store, f"1{len(user_id)}.0", user_id)
    await store.close()
    ada = sandbox.workspace.users["U0ADA"]
    sandbox.workspace.users["U0ADA"] = replace(ada, real_name="Ada\x1b[2J")
    return {**connected(sandbox, vendor), "DATABASE_URL": sqlite_url}


@pytest.mark.parametrize(
    ("by", "rows"), [("user", ["U0ADA Ada\ufffd[2J", "U0GONE"]), ("channel", ["C0GENERAL #general"])]
)
async def test_usage_names_people_and_channels(tmp_path: Path, env: dict[str, str], by: str, rows: list[str]) -> None:
    code, out, _ = await forked_command(tmp_path, "usage", "--by", by, env=env)
    lines = [line.split("  ")[0] for line in out.splitlines()[2:] if not line.startswith(("all", "36 "))]
    assert (code, sorted(lines)) == (0, rows)


@pytest.mark.long
async def test_usage_names_everybody_however_many_asked(tmp_path: Path, env: dict[str, str], sandbox: Sandbox) -> None:
    """The list of people names most of them at once; who isn't on it is looked up."""
    ada = sandbox.workspace.users["U0ADA"]
    for number in range(120):
        id_ = f"U1{number:03}"
        sandbox.workspace.users[id_] = replace(ada, id=id_, name=id_.lower(), real_name=f"Person {number}")
    store = await Stores.open(env["DATABASE_URL"], "w1", SystemClock())
    for number in range(120):
        await answered(store, f"2{number}.0", f"U1{number:03}")
    await store.close()
    code, out, _ = await forked_command(tmp_path, "usage", "--by", "user", env=env)
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines() if line.startswith("U1")] == [
        f"U1{number:03} Person {number}" for number in range(120)
    ]
    assert sum(call.method == "users.info" for call in sandbox.calls) == 1, "the one who has left"


@pytest.mark.long
async def test_usage_names_channels_by_pages(tmp_path: Path, env: dict[str, str], sandbox: Sandbox) -> None:
    store = await Stores.open(env["DATABASE_URL"], "w1", SystemClock())
    for number in range(60):
        channel = Channel(f"C1{number:03}", f"channel-{number}", "channel", ["U0ADA", "U0BOT"])
        sandbox.workspace.channels[channel.id] = channel
        await answered(store, f"3{number}.0", "U0ADA", channel.id)
    await store.close()
    code, out, err = await forked_command(tmp_path, "usage", "--by", "channel", env=env)
    assert (code, err, out.count(" #channel-")) == (0, "", 60)
    assert [call.method for call in sandbox.calls].count("conversations.list") == 1
    assert [call.method for call in sandbox.calls].count("conversations.info") == 0


async def test_audit_names_people_and_channels_below_its_table(tmp_path: Path, env: dict[str, str]) -> None:
    code, out, _ = await forked_command(tmp_path, "audit", env=env)
    assert (code, out.splitlines()[-1]) == (0, "U0ADA: Ada\ufffd[2J  C0GENERAL: #general")
    code, out, _ = await forked_command(tmp_path, "audit", "--json", env=env)
    assert (code, "general" in out) == (0, False)


async def test_mcp_names_the_channels_and_admins_of_allowed_tools(tmp_path: Path, env: dict[str, str]) -> None:
    store = await Stores.open(env["DATABASE_URL"], "w1", SystemClock())
    for user_id in ("U0ADA", "U0GONE"):
        call = RecordedCall(0, 0, "", f"it__{user_id}", {}, "", CallState.ASKED)
        await store.approvals.allow_always(ThreadKey("T0SANDBOX", "C0GENERAL", None), call, user_id)
    await store.close()
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"it": {"command": "/no/such/command"}}}')
    code, out, err = await forked_command(tmp_path, "mcp", env={**env, "BOT_MCP_CONFIG": "mcp.json"})
    lines = sorted(line.partition(" on ")[0] for line in out.splitlines()[-2:])
    # The server is down, so the command fails, but the list is whole.
    assert (code, err) == (1, "Waiting for it. A server has at most 60 s to start.\n")
    assert lines == [
        "C0GENERAL #general it__U0ADA by U0ADA Ada\ufffd[2J",
        "C0GENERAL #general it__U0GONE by U0GONE",
    ]


@pytest.mark.parametrize("command", [("usage", "--by", "user"), ("audit",)])
async def test_report_without_a_token_has_ids_alone(
    tmp_path: Path, env: dict[str, str], command: tuple[str, ...]
) -> None:
    code, out, err = await forked_command(tmp_path, *command, env={"DATABASE_URL": env["DATABASE_URL"]})
    assert (code, err, "U0ADA" in out, "Ada" in out) == (0, "", True, False)
