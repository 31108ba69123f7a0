"""`python -m bot sandbox`: the bot in a Slack of this machine, with a real model where no key is set."""

import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bot import app
from bot.errors import SettingsError
from bot.providers.model_setup import VendorSettings
from bot.settings import Settings, models_in_use, parse_models
from sandbox.local_model import LocalModel, available
from sandbox.server import Sandbox, find_port

PREFERRED_PORT = 3000
MANIFEST = Path(__file__).parent.parent.parent / "manifest.json"
"""The app as README.md has it made in Slack."""
LOCAL_SYSTEM_PROMPT = "You are a helpful assistant."
"""So small a model answers best when it is told little."""
LOCAL_HISTORY_TOKENS = 1_500
LOCAL_OUTPUT_TOKENS = 700
CONNECT = "To connect your Slack, follow “Connect to Slack” in README.md."


@dataclass(frozen=True)
class Cast:
    """Who answers in the sandbox."""

    settings: Settings
    note: str


async def demo(settings: Settings, shutdown: app.Shutdown, port: int | None, model: str | None) -> None:
    """Runs until it is told to end. `model`: local, scripted or vendor/name; None chooses."""
    async with AsyncExitStack() as stack:
        cast = await _cast(settings, model, stack)
        sandbox = await stack.enter_async_context(
            Sandbox(
                port=port or find_port(PREFERRED_PORT),
                note=cast.note,
                keep_revisions=False,
                manifest=json.loads(MANIFEST.read_text()),
            )
        )
        ours = replace(
            cast.settings,
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
        )

        def ready(_: app.Bot) -> None:
            sys.stdout.write(f"Typist's sandbox: {sandbox.url} — answers come from {cast.note}. {CONNECT}\n")
            sys.stdout.flush()

        await app.run(ours, shutdown, ready)


async def _cast(settings: Settings, model: str | None, stack: AsyncExitStack) -> Cast:
    if model is None and models_in_use(settings):
        return Cast(settings, " then ".join(models_in_use(settings)))
    if model is None or model == "local":
        reason = available()
        if reason is None:
            return await _local(settings, stack)
        if model == "local":
            raise SettingsError([f"The local model can't run here: {reason}"])
        return Cast(_with_models(settings, "scripted/demo"), f"a script, not a model ({reason})")
    if model == "scripted":
        return Cast(_with_models(settings, "scripted/demo"), "a script, not a model")
    return Cast(_with_models(settings, model), model)


def _with_models(settings: Settings, models: str) -> Settings:
    try:
        return replace(settings, models=parse_models(models))
    except ValueError as problem:
        raise SettingsError([f"--model can't be used: {problem}."]) from problem


async def _local(settings: Settings, stack: AsyncExitStack) -> Cast:
    local = await stack.enter_async_context(LocalModel())
    served = replace(
        settings,
        models=(f"openai/{local.model}",),
        system_prompt=settings.system_prompt or LOCAL_SYSTEM_PROMPT,
        history_tokens=LOCAL_HISTORY_TOKENS,
        max_output_tokens=LOCAL_OUTPUT_TOKENS,
    )
    served = served.with_vendor("openai", VendorSettings("none-needed", local.base_url, "chat"))
    return Cast(served, f"{local.model}, a small model on this machine")
