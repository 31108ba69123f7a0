"""Counts what ten quick steps of tools cost: `python -m benchmarks.steps`.

The model asks for one call in each of ten steps, and answers in the eleventh. The tool, on a real MCP server, answers
at once. Each row is a time that the model takes for a step. Prints the edits, the shortest time between two of them,
and the calls that set statuses. Exits with 1 if a step is missing, or if there were more edits than seconds, beside
those of the first words and the end.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.fleet import Fleet
from benchmarks.process import connected_to
from bot.clock import SystemClock
from bot.core.inbound.channel_settings import ChannelSettings
from bot.core.reply.actions import ReplyAction
from bot.store import Stores
from sandbox.server import Sandbox
from sandbox.workspace import TEAM_ID
from tests.mcp.servers import RawServer, text_result, tool
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

STEPS = 10
MODEL_S = (0.0, 0.3, 1.0, 2.0)
"""How long the model takes for a step."""
WITHIN_S = 120.0
CHANNEL = "general"


def asks_for_calls(model_s: float) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a model that asks for a call in each step, and says so."""

    def answer(seen: VendorRequest) -> VendorResponse:
        step_no = sum(message["role"] == "tool" for message in seen.body["messages"])
        if step_no == STEPS:
            return VendorResponse(speech.chat(["Done."]), delay_s=model_s)
        return VendorResponse(speech.chat_calls(f"Step {step_no + 1}.", ("notes__look", {})), delay_s=model_s)

    return answer


async def measure(model_s: float) -> bool:
    """Asks one question, prints the figures, and returns whether the target was met."""
    with tempfile.TemporaryDirectory() as folder:
        notes = RawServer(Path(folder, "notes.json"))
        config = write_config(Path(folder), notes)
        url = f"sqlite:///{folder}/typist.db"
        async with Sandbox() as sandbox, VendorServer() as vendor:
            vendor.script(asks_for_calls(model_s))
            env = {"OPENAI_BASE_URL": f"{vendor.url}/v1", "BOT_MODELS": "openai/test", "DATABASE_URL": url}
            fleet = Fleet(Path(folder), {**connected_to(sandbox), **env, "BOT_MCP_CONFIG": str(config)})
            try:
                await fleet.start()
                await let_use(url, sandbox.workspace.channel(CHANNEL).id)
                took_s = await answered(sandbox)
                await fleet.close()
            finally:
                fleet.kill()
            edited_s = [call.at_monotonic_s for call in sandbox.calls if call.method == "chat.update" and call.ok]
            statuses = sum(call.method == "assistant.threads.setStatus" for call in sandbox.calls)
            return report(model_s, took_s, edited_s, statuses, len(notes.calls))


def write_config(folder: Path, notes: RawServer) -> Path:
    """Scripts the server and returns the file that names it."""
    notes.script([tool("look")], {"look": text_result("There are 3 notes.")})
    rules = {"allow": ["notes__look"], "readOnly": ["notes__look"]}
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"notes": notes.entry()}, **rules}))
    return config


async def let_use(url: str, channel_id: str) -> None:
    """Lets the channel use the server."""
    stores = await Stores.open(url, "benchmark", SystemClock())
    await stores.channel_settings.write(TEAM_ID, channel_id, ChannelSettings(mcp_servers=("notes",)))
    await stores.close()


async def answered(sandbox: Sandbox) -> float:
    """Asks, and returns the seconds until Slack shows the end of the answer."""
    began_s = time.monotonic()
    asked = await sandbox.say("ada", CHANNEL, f"@{sandbox.workspace.bot.name} look ten times")
    await sandbox.wait_for(
        lambda: any(ReplyAction.REGENERATE in str(message.blocks) for message in sandbox.messages(CHANNEL, asked)),
        WITHIN_S,
    )
    return time.monotonic() - began_s


def report(model_s: float, took_s: float, edited_s: Sequence[float], statuses: int, calls: int) -> bool:
    """Prints the figures and returns whether all steps were taken within the target of edits."""
    shortest_s = min((after - before for before, after in pairwise(edited_s)), default=0.0)
    print(
        f"{model_s:3.1f} s a step: {calls} calls in {took_s:4.1f} s, {len(edited_s):2} edits "
        f"({len(edited_s) / took_s:.2f} a second), at least {shortest_s:.2f} s apart, {statuses:2} statuses",
        flush=True,
    )
    return calls == STEPS and len(edited_s) <= took_s + 2


def main() -> int:
    met = [asyncio.run(measure(model_s)) for model_s in MODEL_S]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
