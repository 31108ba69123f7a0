"""Listeners for what people write. Bolt acknowledges after they return: what fails here comes again."""

import logging
import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.changes import Changes
from bot.errors import TypistError
from bot.intake import Intake
from handlers.payloads import changed_in, message_of

log = logging.getLogger(__name__)

ANYTHING = re.compile("")


def register(app: AsyncApp, intake: Intake, changes: Changes) -> None:
    """Mentions and messages go to intake; last listeners have everything else acknowledged.

    The first listener that matches wins; in Socket Mode, what none matches would never be acknowledged.
    """

    async def on_message(body: dict[str, Any]) -> None:
        match body["event"].get("subtype"):
            case "message_changed":
                before, after = changed_in(body)
                if after is not None:
                    await changes.edited(body["event_id"], before, after, body["event"]["ts"])
            case "message_deleted":
                await changes.deleted(changed_in(body)[0])
            case _:
                await intake.take(body["event_id"], message_of(body))

    async def on_other(ack: AsyncAck) -> None:
        await ack()

    async def on_error(error: Exception) -> None:
        """Not acknowledged, it comes again: a line is enough for what we know, the rest is a fault of ours."""
        log.error("an event was not taken: %s", error, exc_info=None if isinstance(error, TypistError) else error)

    app.error(on_error)
    app.event("app_mention")(on_message)
    app.event("message")(on_message)
    for listen in (app.event, app.action, app.shortcut, app.command, app.view):
        listen(ANYTHING)(on_other)
