"""Listeners for what people write. Bolt acknowledges after they return: what fails here comes again."""

import logging
import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse

from bot.errors import TypistError
from bot.services.intake import Intake
from bot.services.message_edits import MessageEdits
from bot.services.message_shortcut import MessageShortcut
from bot.slack.format.shortcut_question import view_of
from handlers.payloads import changed_in, message_of

log = logging.getLogger(__name__)

ANYTHING = re.compile("")


def register(app: AsyncApp, intake: Intake, changes: MessageEdits, asks: MessageShortcut) -> None:
    """Mentions and messages go to intake. What no listener matches is acknowledged, whatever it is.

    Without an acknowledgement Slack sends an event again three times, and shows a person an error for a click or a
    modal that is closed. `app` raises for what no listener matches, and `on_error` acknowledges it.
    """

    team_id = asks.me.team_id

    async def on_message(body: dict[str, Any]) -> None:
        event, event_id = body["event"], body["event_id"]
        match event.get("subtype"):
            case "message_changed":
                before, after = changed_in(event, team_id)
                if after is not None:
                    await changes.edited(event_id, before, after, event["ts"])
            case "message_deleted":
                await changes.deleted(changed_in(event, team_id)[0])
            case _ if edited_ts := (event.get("edited") or {}).get("ts"):
                await changes.mentioned_again(event_id, message_of(event, team_id), edited_ts)
            case _ if view_id := view_of(event):
                await asks.seen(view_id, message_of(event, team_id))
            case _:
                await intake.take(event_id, message_of(event, team_id))

    async def on_options(ack: AsyncAck) -> None:
        """A menu of ours never asks for its options; one that is forged or outdated gets none."""
        await ack(options=[])

    async def on_error(error: Exception) -> BoltResponse | None:
        """An event that failed is not acknowledged and comes again; only an error we don't know gets a traceback."""
        if isinstance(error, BoltUnhandledRequestError):
            log.debug("event acknowledged without a listener: %s", error.body.get("type"))
            return BoltResponse(status=200)
        log.error(
            "event not processed, Slack will redeliver it: %s",
            error,
            exc_info=None if isinstance(error, TypistError) else error,
        )
        return None

    app.error(on_error)
    app.event("app_mention")(on_message)
    app.event("message")(on_message)
    app.options(ANYTHING)(on_options)
