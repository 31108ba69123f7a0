"""Listeners for App Home and the assistant pane."""

from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.services.app_home import AppHome
from bot.services.assistant_pane import AssistantPane
from handlers.payloads import channel_in_view, home_tab_of, pane_thread_of, viewer_of


def register(app: AsyncApp, home: AppHome, pane: AssistantPane) -> None:
    """Registers the listeners. With assistant_view, Slack reports threads; with agent_view, the Messages tab."""

    async def on_home(event: Mapping[str, Any]) -> None:
        tab, user_id, channel_id = home_tab_of(event)
        if tab == "messages":
            await pane.look(user_id, channel_in_view(event))
            pane.suggest(channel_id, None)
        else:
            home.opened(user_id)

    async def on_thread(event: Mapping[str, Any]) -> None:
        user_id, (channel_id, thread_ts), channel_in_view = pane_thread_of(event)
        await pane.look(user_id, channel_in_view)
        if event["type"] == "assistant_thread_started":
            pane.suggest(channel_id, thread_ts)

    async def on_context(body: Mapping[str, Any]) -> None:
        await pane.look(viewer_of(body), channel_in_view(body["event"]))

    app.event("app_home_opened")(on_home)
    app.event("assistant_thread_started")(on_thread)
    app.event("assistant_thread_context_changed")(on_thread)
    app.event("app_context_changed")(on_context)
