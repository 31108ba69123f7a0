"""What people see at vendors that keep what they document: approvals, refusals and second questions.

The rules stand in tests/contracts/vendor_rules.py. Slack, the database and the vendor's HTTP are real.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.channel_settings import ChannelSettings
from bot.mcp.config import read_setup
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.clocks import LateClock
from tests.contracts.vendor_rules import BOUND_THINKING, CLASSIFIER, FORBIDDEN, MONITORED, STOPPED, Rule, Vendor
from tests.mcp.servers import PATIENCE_S, RawServer, agree, be_patient, text_result, tool
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, buttons, running, shown
from tests.scenarios.fleet import fleet_of
from tests.scenarios.tools import GENERAL, asking, ended
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorServer

CLAUDE = "anthropic/claude-opus-5-5"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)


@pytest.fixture
def raw(tmp_path: Path) -> RawServer:
    server = RawServer(tmp_path / "script.json")
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"raw": server.entry()}}))
    server.script([tool("add")], {"add": text_result("There are 3 notes.")})
    return server


@pytest.fixture
async def settings(
    settings: Settings, vendor: VendorServer, raw: RawServer, database_url: str, tmp_path: Path
) -> Settings:
    """Returns the settings of a bot that asks Claude, and may use a server whose tools an admin has read."""
    setup = read_setup(tmp_path / "mcp.json", {})
    stores = await Stores.open(database_url, "admin", SystemClock())
    await stores.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings(mcp_servers=("raw",)))
    await agree(stores, setup)
    await stores.close()
    vendors = {"anthropic": VendorSettings("key", vendor.url), **settings.vendors}
    return replace(settings, vendors=vendors, models=(CLAUDE,), database_url=database_url, mcp=setup)


def noting(request: VendorRequest) -> Sequence[steps.Item]:
    """Calls a tool that writes, and ends with its result."""
    if "'tool_result'" in str(request.body):
        return [steps.text("All noted.")]
    return steps.text("Let me see."), steps.tool_use("c0", "raw__add", {"text": "Milk"})


@dataclass(frozen=True)
class Meanwhile:
    """What happens between the question and the press."""

    change: Callable[[Stage, Stores], Awaitable[object]] | None = None
    ahead_s: float = 0.0
    """How much later the press is."""
    system_prompt: str = ""
    """The one of the process that takes the press; "": it is the same process."""


async def remembered(stage: Stage, stores: Stores) -> None:
    asked = await stage.mention("remember: we ship on Fridays", user="grace")
    await stage.answers("general", asked)


async def instructed(stage: Stage, stores: Stores) -> None:
    await stores.channel_settings.write(
        TEAM_ID, GENERAL, ChannelSettings(mcp_servers=("raw",), system_prompt="Be polite.")
    )


MEANWHILE = {
    "at once": Meanwhile(),
    "a minute later": Meanwhile(ahead_s=61),
    "an hour later": Meanwhile(ahead_s=3_601),
    "a memory": Meanwhile(remembered),
    "instructions of the channel": Meanwhile(instructed),
    "another system prompt": Meanwhile(system_prompt="Be exact."),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
@pytest.mark.long(after_row=2)
async def test_approved_call_is_made_once_and_answered_whatever_changed_meanwhile(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, raw: RawServer, meanwhile: Meanwhile
) -> None:
    stand_in = Vendor([BOUND_THINKING], noting)
    vendor.script(stand_in)
    stage, clock = Stage(sandbox, vendor), LateClock()
    async with running(settings, clock):
        asked = await stage.mention("note milk")
        message = await asking(stage, asked)
        if not meanwhile.system_prompt:
            clock.ahead_s = meanwhile.ahead_s
            if meanwhile.change:
                admins = await Stores.open(settings.database_url, "admin", SystemClock())
                await meanwhile.change(stage, admins)
                await admins.close()
            await press(stage, message, ReplyAction.APPROVE)
            await whole(stage, asked, stand_in, raw)
    if meanwhile.system_prompt:
        async with running(replace(settings, system_prompt=meanwhile.system_prompt)):
            await press(stage, message, ReplyAction.APPROVE)
            await whole(stage, asked, stand_in, raw)


async def whole(stage: Stage, asked: str, stand_in: Vendor, raw: RawServer) -> None:
    """Waits for the end, and checks that the answer is whole and the call was made once."""
    assert "Let me see.\n\nAll noted.\nApproved by Ada" in shown(await ended(stage, asked))
    assert [name for name, _ in raw.calls] == ["add"]
    assert len(stand_in.refused) <= 1


@pytest.mark.usefixtures("with_frequent_looks")
async def test_approved_call_is_made_once_and_answered_after_a_kill(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, raw: RawServer, tmp_path: Path
) -> None:
    stand_in = Vendor([BOUND_THINKING], noting)
    vendor.script(stand_in)
    env = {"ANTHROPIC_BASE_URL": vendor.url, "ANTHROPIC_API_KEY": "key", "BOT_MODELS": CLAUDE}
    env |= {"BOT_MCP_CONFIG": str(tmp_path / "mcp.json")}
    async with fleet_of(Stage(sandbox, vendor), tmp_path, settings.database_url, **env) as fleet:
        process = await fleet.start(be_patient)
        asked = await fleet.stage.mention("note milk")
        message = await asking(fleet.stage, asked)
        await fleet.killed(process)
        await fleet.start(be_patient, BOT_SYSTEM_PROMPT="Be exact.")
        await press(fleet.stage, message, ReplyAction.APPROVE)
        await whole(fleet.stage, asked, stand_in, raw)


@pytest.mark.parametrize("rule", MONITORED.values(), ids=MONITORED)
@pytest.mark.bot(admins=frozenset({"U0GRACE"}))
@pytest.mark.long(after_row=1)
async def test_answer_stopped_for_what_the_model_did_lists_its_calls_and_is_not_sent_again(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, raw: RawServer, rule: Rule
) -> None:
    def model(request: VendorRequest) -> Sequence[steps.Item]:
        is_first = len(vendor.requests) == 1
        return [steps.function_call("c0", "raw__add", "{}") if is_first else steps.message("Here you are.")]

    stand_in = Vendor([rule], model)
    vendor.script(stand_in)
    openai = VendorSettings("key", f"{vendor.url}/v1", "responses")
    stage = Stage(sandbox, vendor)
    async with running(replace(settings, vendors={"openai": openai}, models=("openai/test",))):
        asked = await stage.mention("note milk")
        await press(stage, await asking(stage, asked), ReplyAction.APPROVE)
        stopped = await ended(stage, asked)
        assert texts.models.actions_stopped_text("test", {"raw.add": 1}, STOPPED) in shown(stopped)
        # The explanation is data: no link, and nobody is notified.
        assert not {"link", "broadcast"} & {part["type"] for part in elements_in(stopped.sent_blocks)}
        assert not {ReplyAction.REGENERATE, ReplyAction.REGENERATE_WITH} & {*buttons(stopped)}
        assert ReplyAction.DETAILS in buttons(stopped)
        await sandbox.say("ada", "general", "@typist and now?", asked)
        answers = await stage.answers("general", asked, count=2)
        assert "Here you are." in answers[-1]
        await sandbox.wait_for(lambda: stage.bots(sandbox.dm("grace")))
    [notice] = stage.bots(sandbox.dm("grace"))
    assert notice.text == texts.models.actions_stopped("openai/test")
    assert (len(stand_in.refused), len(vendor.requests), [name for name, _ in raw.calls]) == (1, 3, ["add"])
    assert "note milk" not in str(vendor.requests[-1].body)


def elements_in(blocks: object) -> Iterator[dict[str, Any]]:
    """Yields the elements of rich text, at any depth."""
    if isinstance(blocks, dict):
        yield from [blocks] if "type" in blocks else []
        yield from elements_in([*blocks.values()])
    elif isinstance(blocks, list):
        for one in blocks:
            yield from elements_in(one)


async def test_thread_goes_on_after_a_refused_question(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stand_in = Vendor([CLASSIFIER], lambda request: [steps.text("Here you are.")])
    vendor.script(stand_in)
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked = await stage.mention(f"how is {FORBIDDEN} found in blood?")
        [refused] = await stage.answers("general", asked)
        assert "Take two" not in refused, "the vendor asks to discard what it had begun"
        assert "declined to answer. Please rephrase" in refused
        for number, words in enumerate(("how do labs find toxins in blood?", "and in water?"), start=2):
            await sandbox.say("ada", "general", f"@typist {words}", asked)
            answers = await stage.answers("general", asked, count=number)
            assert "Here you are." in answers[-1]
    assert len(stand_in.refused) == 1
    assert "Take two" not in str(vendor.requests[-1].body)
