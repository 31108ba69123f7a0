"""A process is killed around a call of a tool: the answer is complete, and no call that may write is repeated.

A call of a tool that an admin declared read-only may be repeated.
"""

import asyncio
import json
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core.actions import ReplyAction
from bot.core.calls import CallState
from bot.mcp.config import read_setup
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from tests.clocks import until
from tests.forked import ForkedBot, forked_bot
from tests.mcp.servers import PATIENCE_S, RawServer, agree, be_patient, text_result, tool
from tests.recorded_calls import newest_calls
from tests.scenarios.conftest import Stage, buttons, connected, running, says, shown
from tests.scenarios.process_ends import Step, die_at
from tests.scenarios.tools import by_results, calls, results_in
from tests.streams.server import VendorServer

pytestmark = pytest.mark.usefixtures("with_frequent_looks")

DONE, UNKNOWN = CallState.DONE, CallState.UNKNOWN
WRITE, READ = "raw__add", "raw__list"
RESULT = "There are 3 notes."


@dataclass(frozen=True)
class Moment:
    """When the process is killed, how each kind of call ends, and how often it reaches the server."""

    step: Step | None
    """What the process is about to do, or has just done; None: it waits for the server."""
    write: tuple[CallState, int]
    read: tuple[CallState, int]


def of_steps(name: str, *, after: bool = False) -> Step:
    return "bot.store.calls", "RecordedCalls", name, after


MOMENTS = {
    "between record and begun": Moment(of_steps("begin_call"), (DONE, 1), (DONE, 1)),
    "between begun and the call": Moment(("bot.mcp.tools", "McpTools", "call", False), (UNKNOWN, 0), (DONE, 1)),
    "during the call": Moment(None, (UNKNOWN, 1), (DONE, 2)),
    "between the call and done": Moment(of_steps("end_call"), (UNKNOWN, 1), (DONE, 2)),
    "between done and the next request": Moment(of_steps("end_call", after=True), (DONE, 1), (DONE, 1)),
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)


def prepare(step: Step | None) -> None:
    """Lets this process wait for a server that starts slowly, and die at a step."""
    be_patient()
    if step:
        die_at(step)


@pytest.fixture
def raw(tmp_path: Path) -> RawServer:
    server = RawServer(tmp_path / "script.json")
    rules = {"allow": ["raw__*"], "readOnly": [READ], "directMessages": ["raw"]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"raw": server.entry()}, **rules}))
    return server


@pytest.mark.parametrize("called", [WRITE, READ])
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.long(after_row=3)
async def test_killed_process_leaves_an_answer_and_repeats_no_write(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    database_url: str,
    tmp_path: Path,
    raw: RawServer,
    moment: Moment,
    called: str,
) -> None:
    state, times = moment.write if called == WRITE else moment.read
    arguments = {"text": "Milk"}
    vendor.script(by_results(calls("Let me see.", (called, arguments)), says("That's all.")))
    env = {**connected(sandbox, vendor), "DATABASE_URL": database_url, "BOT_MCP_CONFIG": str(tmp_path / "mcp.json")}
    listed = [tool("add"), tool("list")]
    slow = {"sleep_s": 10}
    answers = {"add": text_result(RESULT), "list": text_result(RESULT)}
    raw.script(listed, answers if moment.step else {"add": slow, "list": slow})
    admins = await Stores.open(database_url, "admin", SystemClock())
    await agree(admins, read_setup(tmp_path / "mcp.json", {}))
    await admins.close()
    dm = sandbox.dm("ada")
    async with forked_bot(tmp_path, "run", env=env, before=partial(prepare, moment.step)) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        await sandbox.say("ada", dm, "note milk")
        await killed(process, None if moment.step else raw)
    raw.script(listed, answers)
    setup = read_setup(tmp_path / "mcp.json", {})
    async with running(replace(settings, database_url=database_url, mcp=setup)):
        stage = Stage(sandbox, vendor)
        [message] = await sandbox.wait_for(
            lambda: [m for m in stage.bots(dm) if ReplyAction.REGENERATE in buttons(m)], 40
        )
        assert shown(message).startswith("Let me see.\n\nThat's all.")
    assert raw.calls == [[called.removeprefix("raw__"), arguments]] * times
    assert len(vendor.requests) == 2, "the model isn't asked again for the step on record"
    [result] = results_in(vendor.requests[1])
    assert (RESULT if state is DONE else "It isn't known whether this call was made") in result
    stores = await Stores.open(database_url, "reader", SystemClock())
    assert [step.state for step in await newest_calls(stores, 1)] == [state]
    await stores.close()


async def killed(process: ForkedBot, called: RawServer | None) -> None:
    """Waits until the process has killed itself, or kills it once the server has a call."""
    if called:
        await until(lambda: called.calls, "a call of the server")
        process.kill()
    async with asyncio.timeout(WITHIN_S):
        assert await process.wait() == -signal.SIGKILL
