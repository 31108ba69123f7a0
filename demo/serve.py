"""Runs Typist in a simulated Slack on this machine, with a real model if one is available, even without an API key."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

from bot.settings import Settings, extra_scopes
from bot.slack.manifest import app_manifest
from demo.export import in_use, settings_for, workspace_name
from demo.guide import REAL_ANSWERS, guide_of, sandbox_settings
from demo.models import GO_ON, cards_model, choose_model
from demo.passing_time import PassingTime
from demo.pasted_key import PastedKey
from slack_sandbox.export.archive import ExportError
from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.page.guide import Guide
from slack_sandbox.start import start

if TYPE_CHECKING:
    from bot.app import Shutdown
    from bot.wiring import Bot

_RESPONSE_S = 0.2
NEXT_STEP = "To connect your own Slack: typist init"


async def serve(
    our_settings: Settings,
    shutdown: "Shutdown",
    port: int | None,
    model: str | None,
    manifest: Any,
    *,
    strict_posts: bool,
) -> None:
    """Runs the sandbox and the bot until `shutdown`. `model`: local, scripted, vendor/name, or None to choose one.

    When a person drops an export on the page, the sandbox and the bot restart with it on the same port.
    """
    from bot.app import Shutdown

    shown = in_use.get()
    while not shutdown.requested.is_set():
        ending, dropped = Shutdown(), list["Export"]()
        following = asyncio.create_task(_end_on_signal(shutdown, ending))
        try:
            port = await _serve(
                _Start(our_settings, port, model, manifest, strict_posts, shown), ending, dropped.append
            )
        finally:
            following.cancel()
        if not dropped:
            return
        shown = dropped[-1]
        # An export is for asking about what was said. Slack lets only agents search, for the person who asks.
        our_settings = replace(our_settings, slack_search=True)
        manifest = app_manifest(agent=True, extra=extra_scopes(our_settings))


async def _end_on_signal(shutdown: "Shutdown", ending: "Shutdown") -> None:
    """Ends one run of the sandbox when the process receives a signal."""
    await shutdown.requested.wait()
    ending.requested.set()
    await shutdown.at_once.wait()
    ending.at_once.set()


@dataclass(frozen=True, slots=True)
class _Start:
    """The inputs for one run of the sandbox."""

    our_settings: Settings
    port: int | None
    model: str | None
    manifest: Any
    strict_posts: bool
    export: "Export | None"


async def _serve(start_with: _Start, shutdown: "Shutdown", on_drop: "Callable[[Export], None]") -> int:
    """Runs the sandbox until `shutdown`, and returns its port. `on_drop`: called with an export to restart with."""
    export, model = start_with.export, start_with.model
    our_settings = start_with.our_settings if export is None else settings_for(export, start_with.our_settings)
    async with AsyncExitStack() as stack:
        from demo.scripted_model import ScriptedModel
        from demo.tracker_server import TrackerServer

        scripted = await stack.enter_async_context(ScriptedModel(GO_ON))
        tracker = await stack.enter_async_context(TrackerServer())
        # The small model loads while Python imports the bot.
        choosing = choose_model(our_settings, model, stack, scripted)
        choice, _ = await asyncio.gather(choosing, asyncio.to_thread(import_module, "bot.app"))
        from bot import app

        key = PastedKey(our_settings)
        stack.push_async_callback(key.remove)

        async def use_key(pasted: str) -> "Guide | str":
            if not pasted:
                await key.remove()
            elif problem := await key.use(pasted):
                return problem
            return guide()

        async def use_export(name: str, content: BinaryIO) -> str:
            try:
                on_drop(await asyncio.to_thread(open_export, content, workspace_name(name)))
            except ExportError as error:
                return str(error)
            # The response to this request is sent first.
            asyncio.get_running_loop().call_later(_RESPONSE_S, end)
            return ""

        def end() -> None:
            shutdown.requested.set()
            shutdown.at_once.set()

        def guide() -> "Guide":
            return replace(guide_of(choice, key, use_key, pass_time, export), use_export=use_export)

        pass_time = PassingTime()
        sandbox = pass_time.sandbox = await start(
            stack,
            start_with.port,
            start_with.manifest,
            guide=guide(),
            strict_posts=start_with.strict_posts,
            export=export,
        )
        connected = replace(
            sandbox_settings(choice.settings, tracker.url),
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
        return sandbox.port
