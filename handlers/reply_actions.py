"""Listeners for the buttons below replies, and for Slack's own Stop."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core.conversation import ThreadKey
from bot.core.reply.actions import ReplyAction
from bot.services.reply_actions import ReplyActions
from handlers.payloads import press_of


def register(app: AsyncApp, controls: ReplyActions, team_id: str) -> None:
    """Before the listeners that have everything else acknowledged: the first that matches wins."""

    async def on_press(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await controls.pressed(press_of(body, team_id))

    async def on_stop(body: dict[str, Any]) -> None:
        event = body["event"]
        thread = ThreadKey(team_id, event["channel"], event.get("thread_ts"))
        await controls.stop_session(thread, event.get("user", ""), body["event_id"])

    for control in ReplyAction:
        app.action(control.value)(on_press)
    app.event("agent_session_stopped")(on_stop)
