"""Runs Typist in a Slack on this machine, with a real model even if no API key is set."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bot.settings import Settings
from demo.export import in_use, settings_for
from demo.guide import REAL_ANSWERS, for_sandbox, guide_of
from demo.models import GO_ON, cards_model, choose_model
from demo.passing_time import PassingTime
from demo.pasted_key import PastedKey
from slack_sandbox.page.guide import Guide
from slack_sandbox.start import start

if TYPE_CHECKING:
    from bot.app import Shutdown
    from bot.wiring import Bot

NEXT_STEP = "To connect your own Slack: make init (or typist init)."


async def serve(
    ours: Settings, shutdown: "Shutdown", port: int | None, model: str | None, manifest: Any, *, strict_posts: bool
) -> None:
    """Runs until `shutdown`. `model` is local, scripted or vendor/name; None chooses one."""
    async with AsyncExitStack() as stack:
        from demo.scripted_model import ScriptedModel
        from demo.tracker_server import TrackerServer

        export = in_use.get()
        ours = ours if export is None else settings_for(export, ours)
        scripted = await stack.enter_async_context(ScriptedModel(GO_ON))
        tracker = await stack.enter_async_context(TrackerServer())
        # The small model loads while Python imports the bot.
        choosing = choose_model(ours, model, stack, scripted)
        choice, _ = await asyncio.gather(choosing, asyncio.to_thread(import_module, "bot.app"))
        from bot import app

        key = PastedKey(ours)
        stack.push_async_callback(key.remove)

        async def use_key(pasted: str) -> "Guide | str":
            if not pasted:
                await key.remove()
            elif problem := await key.use(pasted):
                return problem
            return guide_of(choice, key, use_key, pass_time, export)

        pass_time = PassingTime()
        guide = guide_of(choice, key, use_key, pass_time, export)
        started = await start(stack, port, manifest, guide=guide, strict_posts=strict_posts, export=export)
        sandbox = pass_time.sandbox = started
        connected = replace(
            for_sandbox(choice.settings, tracker.url),
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
        )

        def ready(bot: "Bot") -> None:
            pass_time.bot = bot
            print(f"Typist's sandbox is at {sandbox.url}")
            cards = "Its cards show scripted answers. " if export is None else ""
            print(f"{cards}Your own questions go to {choice.description}.")
            print(*([] if choice.is_real else [REAL_ANSWERS]), NEXT_STEP, sep="\n", flush=True)

        wrap = await cards_model(connected, scripted, stack, key, is_toy=choice.is_toy)
        await app.run(connected, shutdown, ready, wrap_models=wrap)
