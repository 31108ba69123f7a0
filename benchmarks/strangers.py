"""Runs the bot with other people's programs, set up as their docs say, and prints what the asker sees.

Run: python -m benchmarks.strangers [--programs litellm,llama.cpp,mcp] [--cache FOLDER]

- LiteLLM's proxy, in front of this repository's streams in OpenAI's and Anthropic's form.
- llama.cpp's server, with the small model that `make run` answers with.
- Reference MCP servers, from PyPI and npm; what the model asks of them is scripted.

Each program is installed once, outside of the repository. One that can't be installed or doesn't start is named with
the reason, and the others are run. Slack is the sandbox. A question is waited for at most QUESTION_WITHIN_S.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bot.core.actions import ReplyAction
from bot.mcp.config import McpSetup, ServerConfig, StdioTransport, ToolRules
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store import Stores
from demo.local_model import LocalModel, unavailable_reason
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import inherited_environment, running_process
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, buttons, manifest, running, settings_of, shown
from tests.scenarios.tools import by_results, calls, let_use
from tests.streams import speech
from tests.streams.server import Script, VendorResponse, VendorServer, refusal

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "typist-strangers"
LITELLM = "litellm[proxy]==1.108.7"
PYPI_SERVERS = ("mcp-server-time", "mcp-server-git")
NPM_SERVERS = (
    "@modelcontextprotocol/server-everything",
    "@modelcontextprotocol/server-filesystem",
    "@modelcontextprotocol/server-memory",
)
INSTALL_WITHIN_S = 900.0
STARTED_WITHIN_S = 120.0
QUESTION_WITHIN_S = 120.0
SEEN_CHARS = 160
MARKS = re.compile(r"^The result of .*?\n<[0-9a-f]{16}>|</[0-9a-f]{16}>$", re.DOTALL)
"""What stands around others' words in a prompt."""
KEY = "sk-litellm-key"
LONG = "This answer has many words, so that there is time to stop it. " * 40


class NotRunError(Exception):
    """Why a program can't be run here."""


@dataclass(frozen=True)
class Case:
    """One question: the program, the model, and what the server behind answers."""

    program: str
    name: str
    script: Script
    stop_at: str | None = None
    """The asker presses Stop once the reply has these words; None: never."""
    model: str = "openai/openai-behind"


def said(text: str, pause_s: float = 0.0) -> VendorResponse:
    """Returns an answer of Chat Completions, token by token."""
    return VendorResponse(speech.chat(speech.tokens(text)), pause_s=pause_s)


def either(openais: VendorResponse, anthropics: VendorResponse) -> Script:
    """Returns an answer in the form of the API that is asked."""
    return lambda request: anthropics if request.path.endswith("/messages") else openais


def error(status: int, **fields: str) -> Script:
    """Returns a vendor's refusal."""
    return refusal(status, {"error": fields})


def _gateway_cases() -> list[Case]:
    """The gateway speaks Chat Completions to the bot, whatever the vendor behind it speaks."""
    case = partial(Case, "LiteLLM")
    behind_anthropic = "openai/anthropic-behind"
    messages = VendorResponse(speech.messages(speech.tokens("Four, says Claude.")))
    return [
        case("answer", said("Four.")),
        case("answer of Anthropic's", either(said(""), messages), model=behind_anthropic),
        case("stop", said(LONG, 0.05), stop_at="many words"),
        case("tool", by_results(calls("", ("read_channel", {})), said("I read the channel."))),
        case("key of the vendor is wrong", error(401, message="Incorrect API key", code="invalid_api_key")),
        case("no credit", error(429, message="You exceeded your current quota", code="insufficient_quota")),
        case("question is refused", error(400, message="Invalid prompt: flagged", code="invalid_prompt")),
        case(
            "too much text",
            error(400, message="This model's maximum context length is 9 tokens", code="context_length_exceeded"),
        ),
        case("model is unknown", said("unused"), model="openai/nowhere"),
    ]


@asynccontextmanager
async def gateway(cache: Path, vendor: VendorServer) -> AsyncIterator[VendorSettings]:
    """Runs LiteLLM's proxy in front of a vendor."""
    command = _virtual_environment(cache / "litellm", LITELLM) / "litellm"
    behind = {
        "openai-behind": {"model": "openai/gpt-6-luna", "api_base": f"{vendor.url}/v1"},
        "anthropic-behind": {"model": "anthropic/claude-haiku-5-5", "api_base": vendor.url},
    }
    models = [{"model_name": name, "litellm_params": {**params, "api_key": "none"}} for name, params in behind.items()]
    config = {"model_list": models, "general_settings": {"master_key": KEY}, "litellm_settings": {"num_retries": 0}}
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        # JSON is YAML.
        _write(Path(folder, "config.yaml"), json.dumps(config))
        env = {**inherited_environment(), "HOME": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
        options = {"env": env, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        arguments = ("--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False")
        async with running_process(str(command), *arguments, **options):
            await _answers(f"http://127.0.0.1:{port}/health/liveliness")
            yield VendorSettings(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def _answers(url: str) -> None:
    """Waits until a server is there. Raises NotRunError."""
    async with aiohttp.ClientSession() as session:
        for _ in range(int(STARTED_WITHIN_S)):
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(1)
    raise NotRunError(f"it doesn't answer within {STARTED_WITHIN_S:.0f} s")


def _virtual_environment(folder: Path, *packages: str) -> Path:
    """Installs packages of PyPI once; returns the folder of their commands. Raises NotRunError."""
    if not (folder / "done").exists():
        _do(sys.executable, "-m", "venv", "--clear", str(folder), within=Path("/"))
        _do(str(folder / "bin/pip"), "install", "--quiet", *packages, within=folder)
        (folder / "done").touch()
    return folder / "bin"


def _node_modules(folder: Path, *packages: str) -> Path:
    """Installs packages of npm once; returns the folder of their commands. Raises NotRunError."""
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _do("npm", "install", "--no-audit", "--no-fund", "--silent", *packages, within=folder)
        (folder / "done").touch()
    return folder / "node_modules/.bin"


def _do(*command: str, within: Path) -> None:
    try:
        done = subprocess.run(command, cwd=within, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRunError(f"`{command[0]}` failed: {type(error).__name__}") from None
    if done.returncode:
        raise NotRunError(f"`{' '.join(command[:3])}` failed: {(done.stderr.strip() or 'no words').splitlines()[-1]}")


@dataclass(frozen=True)
class ToolCase:
    """A call that the model makes of a server, by the server's own name for the tool."""

    server: str
    name: str
    tool: str
    arguments: dict[str, Any]
    stop_at: str | None = None


TOOL_CASES = [
    ToolCase("time", "tool", "get_current_time", {"timezone": "Europe/Berlin"}),
    ToolCase("time", "tool's error", "get_current_time", {"timezone": "Middle/Earth"}),
    ToolCase("git", "tool", "git_status", {"repo_path": "."}),
    ToolCase("git", "tool's error", "git_status", {"repo_path": "/nowhere"}),
    ToolCase("everything", "tool", "get-sum", {"a": 2, "b": 2}),
    ToolCase("everything", "tool's error", "get-sum", {"a": "two"}),
    ToolCase("everything", "tool that takes long", "trigger-long-running-operation", {"duration": 3, "steps": 3}),
    ToolCase("everything", "stop", "trigger-long-running-operation", {"duration": 30, "steps": 3}, stop_at=""),
    ToolCase("filesystem", "tool", "list_directory", {"path": "."}),
    ToolCase("filesystem", "tool's error", "read_text_file", {"path": "/etc/shadow"}),
    ToolCase("memory", "tool", "create_entities", {"entities": []}),
    ToolCase("memory", "tool's error", "open_nodes", {"names": 7}),
]


def _servers(cache: Path, folder: Path) -> list[ServerConfig]:
    python = _virtual_environment(cache / "mcp", *PYPI_SERVERS)
    node = _node_modules(cache / "npm", *NPM_SERVERS)
    _do("git", "init", "--quiet", within=folder)
    commands = {
        "time": (str(python / "mcp-server-time"), "--local-timezone", "UTC"),
        "git": (str(python / "mcp-server-git"), "--repository", str(folder)),
        "everything": (str(node / "mcp-server-everything"),),
        "filesystem": (str(node / "mcp-server-filesystem"), str(folder)),
        "memory": (str(node / "mcp-server-memory"),),
    }
    return [ServerConfig(name, StdioTransport(command[0], command[1:])) for name, command in commands.items()]


async def asked(stage: Stage, question: str, stop_at: str | None) -> str:
    """Asks, and returns what the asker sees at the end."""
    sandbox = stage.sandbox
    ts = await stage.mention(question)
    bots = partial(stage.bots, "general", ts)
    over = {ReplyAction.REGENERATE, ReplyAction.CONTINUE}
    if stop_at is not None:
        # A small model's answer may be over before anybody could stop it.
        grown = await sandbox.wait_for(
            lambda: [
                one
                for one in bots()
                if over.intersection(buttons(one)) or (stop_at in shown(one) and ReplyAction.STOP in buttons(one))
            ],
            QUESTION_WITHIN_S,
        )
        if ReplyAction.STOP in buttons(grown[0]):
            await press(stage, grown[0], ReplyAction.STOP)
    await sandbox.wait_for(lambda: [one for one in bots() if over.intersection(buttons(one))], QUESTION_WITHIN_S)
    return " ".join(" ".join(map(shown, bots())).split())


async def run_gateway(cache: Path) -> None:
    """Asks through the gateway, once a case."""
    async with Sandbox(manifest=manifest()) as sandbox, VendorServer() as vendor, gateway(cache, vendor) as there:
        stage = Stage(sandbox, vendor)
        for case in _gateway_cases():
            vendor.script(case.script)
            ours = replace(settings_of(sandbox, vendor), vendors={"openai": there}, models=(case.model,))
            await _row(case.program, case.name, stage, ours, case.stop_at)
        wrong = replace(there, api_key="sk-wrong")
        ours = replace(settings_of(sandbox, vendor), vendors={"openai": wrong}, models=("openai/openai-behind",))
        await _row("LiteLLM", "key of the gateway is wrong", stage, ours)


async def run_llama_cpp(_: Path) -> None:
    """Asks the small local model."""
    if reason := unavailable_reason():
        raise NotRunError(reason)
    async with Sandbox(manifest=manifest()) as sandbox, VendorServer() as vendor, LocalModel() as model:
        there = VendorSettings(base_url=model.base_url)
        stage = Stage(sandbox, vendor)
        for case, name, stop_at in (
            ("answer", model.model, None),
            ("stop", model.model, " "),
            ("other name", "x", None),
        ):
            ours = replace(settings_of(sandbox, vendor), vendors={"openai": there}, models=(f"openai/{name}",))
            await _row("llama.cpp", case, stage, ours, stop_at)


async def run_mcp(cache: Path) -> None:
    """Has a scripted model call tools of real servers."""
    with tempfile.TemporaryDirectory() as there, tempfile.TemporaryDirectory() as databases:
        servers = _servers(cache, Path(there))
        for number, case in enumerate(TOOL_CASES):
            server = next(one for one in servers if one.name == case.server)
            async with Sandbox(manifest=manifest()) as sandbox, VendorServer() as vendor:
                database_url = f"sqlite:///{databases}/{number}.db"
                rules = ToolRules(allow=frozenset({f"{case.server}__*"}), read_only=frozenset({f"{case.server}__*"}))
                mcp = McpSetup((server,), rules)
                ours = replace(settings_of(sandbox, vendor), database_url=database_url, mcp=mcp)
                await _agree(ours, case.server)
                arguments = {key: there if value == "." else value for key, value in case.arguments.items()}
                vendor.script(
                    by_results(calls("", (f"{case.server}__{case.tool}", arguments)), said("I read the result."))
                )
                stage = Stage(sandbox, vendor)
                await _row(f"MCP: {case.server}", case.name, stage, ours, case.stop_at, with_result=True)


async def _agree(settings: Settings, server: str) -> None:
    from bot.clock import SystemClock

    stores = await Stores.open(settings.database_url, "w2", SystemClock())
    try:
        await let_use(stores, server)
    finally:
        await stores.close()


async def _row(
    program: str, case: str, stage: Stage, settings: Settings, stop_at: str | None = None, *, with_result: bool = False
) -> None:
    """Prints a row of the table: what the asker sees, and for a tool what the model read."""
    try:
        async with running(settings):
            seen = await asked(stage, "What is two and two?", stop_at)
    except TimeoutError:
        seen = f"(no end within {QUESTION_WITHIN_S:.0f} s)"
    read = ""
    if with_result:
        turns = stage.vendor.requests[-1].body["messages"] if stage.vendor.requests else []
        results = [turn["content"] for turn in turns if turn["role"] == "tool"]
        read = _short(MARKS.sub("", results[-1])) if results else "(nothing)"
    print(f"| {program} | {case} | {_short(seen)} | {read} |", flush=True)


def _short(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= SEEN_CHARS else f"{text[:SEEN_CHARS]}…"


PROGRAMS = {"litellm": run_gateway, "llama.cpp": run_llama_cpp, "mcp": run_mcp}


async def run(programs: Sequence[str], cache: Path) -> None:
    """Runs the programs one after another, and prints the table."""
    print("| Program | Case | The asker sees | The model read |\n| --- | --- | --- | --- |", flush=True)
    for name in programs:
        try:
            await PROGRAMS[name](cache)
        except NotRunError as error:
            print(f"| {name} | not run: {error} | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the bot with programs that nobody here made.")
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="comma-separated, as by default")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where programs are installed: {CACHE}")
    options = parser.parse_args()
    asyncio.run(run(options.programs.split(","), options.cache.resolve()))


if __name__ == "__main__":
    main()
