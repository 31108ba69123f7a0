"""Listeners for App Home and the assistant pane."""

from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.services.app_home import AppHome
from bot.services.assistant_pane import AssistantPane
from handlers.payloads import channel_in_view


def register(app: AsyncApp, home: AppHome, pane: AssistantPane) -> None:
    """Registers the listeners. With assistant_view, Slack reports threads; with agent_view, the Messages tab."""

    async def on_home(event: Mapping[str, Any]) -> None:
        if event.get("tab") == "messages":
            await pane.look(event["user"], channel_in_view(event))
            pane.suggest(event["channel"], None)
        else:
            home.opened(event["user"])

    async def on_thread(event: Mapping[str, Any]) -> None:
        thread = event["assistant_thread"]
        await pane.look(thread["user_id"], channel_in_view(thread))
        if event["type"] == "assistant_thread_started":
            pane.suggest(thread["channel_id"], thread["thread_ts"])

    async def on_context(event: Mapping[str, Any]) -> None:
        await pane.look(event["user"], channel_in_view(event))

    app.event("app_home_opened")(on_home)
    app.event("assistant_thread_started")(on_thread)
    app.event("assistant_thread_context_changed")(on_thread)
    app.event("app_context_changed")(on_context)
