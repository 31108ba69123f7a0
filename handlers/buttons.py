"""Listeners for the buttons below replies, and for Slack's own Stop."""

import logging
from typing import Any

from aiohttp import ClientError
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.controls import Aside, Controls
from bot.core.answering.blocks import aside
from bot.core.answering.controls import Control
from bot.core.conversation import ThreadKey
from bot.errors import StoreError
from handlers.payloads import press_of

NOT_NOW = "I can't do this right now. Please try again in a moment."

log = logging.getLogger(__name__)


def register(app: AsyncApp, controls: Controls, team_id: str) -> None:
    """Before the listeners that have everything else acknowledged: the first that matches wins."""

    async def on_press(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        press = press_of(body, team_id)
        try:
            said = await controls.press(press)
        except StoreError as error:
            log.error("%s was not done: %s", press.control, error)
            said = Aside(NOT_NOW)
        if said is not None:
            await _tell(respond, said, press.thread.thread_ts)
        elif press.private:
            await respond(delete_original=True)

    async def on_stop(body: dict[str, Any]) -> None:
        event = body["event"]
        thread = ThreadKey(team_id, event["channel"], event.get("thread_ts"))
        await controls.stop_session(thread, event.get("user", ""))

    for control in Control:
        app.action(control.value)(on_press)
    app.event("agent_session_stopped")(on_stop)


async def _tell(respond: AsyncRespond, said: Aside, thread_ts: str | None) -> None:
    """Seen by who pressed it alone; Slack may lose it."""
    shown = aside(said.sentence, said.markdown) if said.markdown else None
    try:
        await respond(
            said.sentence, blocks=shown, response_type="ephemeral", replace_original=False, thread_ts=thread_ts
        )
    except (ClientError, TimeoutError, OSError) as error:
        log.warning("what a press came to was not told: %s", type(error).__name__)
