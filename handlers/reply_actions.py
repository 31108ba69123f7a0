"""Listeners for the buttons below replies, for the one that quiets a thread, and for Slack's own Stop button."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core.reply.actions import ReplyAction
from bot.services.choices import ChoicePresses
from bot.services.quiet_threads import STAY_QUIET, QuietThreads
from bot.services.reply_actions import ReplyActions
from bot.slack.format.modals import ARGUMENTS
from handlers.payloads import approval_of, press_of, quiet_press_of, stop_of


def register(
    app: AsyncApp, actions: ReplyActions, choices: ChoicePresses, quiet_threads: QuietThreads, team_id: str
) -> None:
    """Registers the listeners. Call it before messages.register: Bolt calls the first listener that matches."""

    async def on_press(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(press_of(body, team_id))

    async def on_choice(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(press_of(body, team_id), choices.press)

    async def on_quiet(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await quiet_threads.pressed(quiet_press_of(body, team_id))

    async def on_stop(body: dict[str, Any]) -> None:
        await actions.stop_session(*stop_of(body, team_id))

    async def on_approval(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(approval_of(body, team_id))

    app.view(ARGUMENTS)(on_approval)
    for action in ReplyAction:
        app.action(action.value)(on_press)
    app.action(re.compile(f"^{ReplyAction.CHOOSE}-[0-9]$"))(on_choice)
    app.action(STAY_QUIET)(on_quiet)
    app.event("agent_session_stopped")(on_stop)
