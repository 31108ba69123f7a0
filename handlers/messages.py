"""Listeners for messages. Bolt acknowledges an event after its listener returns, so Slack sends a failed one again."""

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse

from bot.errors import PayloadError, TypistError, trace_of
from bot.services.intake import Intake
from bot.services.message_edits import MessageEdits
from bot.services.message_shortcut import MessageShortcut
from bot.services.reactions import Reactions
from bot.slack.format.shortcut_question import view_of
from handlers.payloads import (
    action_token_of,
    changed_at,
    edited_ts_of,
    event_in,
    is_growing,
    is_stream_end,
    message_of,
    messages_of_edit,
    reaction_of,
)

log = logging.getLogger(__name__)

ANY_ACTION_ID = re.compile("")


def register(
    app: AsyncApp, intake: Intake, edits: MessageEdits, shortcut: MessageShortcut, reactions: Reactions
) -> None:
    """Hands mentions and messages to intake, edits and deletions to message edits, and reactions to theirs.

    Payloads without a listener are acknowledged too: otherwise Slack would send an event three more times, and show a
    person an error for a click or a closed modal. Bolt raises for them, and `on_error` acknowledges them.
    """

    team_id = shortcut.me.team_id

    async def on_message(body: dict[str, Any]) -> None:
        event_id, event = event_in(body)
        match event.get("subtype"):
            case _ if is_growing(event):
                log.debug("message ignored until its stream ends: %s", event_id)
            case "message_changed":
                await _take_change(event_id, event, team_id, intake, edits)
            case "message_deleted":
                await edits.deleted(messages_of_edit(event, team_id)[0])
            case _ if edited_ts := edited_ts_of(event):
                await edits.mentioned_again(event_id, message_of(event, team_id), edited_ts)
            case _ if view_id := view_of(event):
                await shortcut.seen(view_id, message_of(event, team_id))
            case _:
                await intake.take(event_id, message_of(event, team_id), action_token_of(event))

    async def on_reaction(event: Mapping[str, Any]) -> None:
        if reaction := reaction_of(event):
            await reactions.added(reaction)

    async def on_options(ack: AsyncAck) -> None:
        """Returns no options: no menu of Typist requests any, but a forged or outdated one may."""
        await ack(options=[])

    app.error(on_error)
    app.event("app_mention")(on_message)
    app.event("message")(on_message)
    app.event("reaction_added")(on_reaction)
    app.options(ANY_ACTION_ID)(on_options)


async def _take_change(
    event_id: str, event: Mapping[str, Any], team_id: str, intake: Intake, edits: MessageEdits
) -> None:
    """Hands an edit to message edits. The end of another app's stream is no edit: its message is there only now."""
    before, after = messages_of_edit(event, team_id)
    if after is not None and is_stream_end(event):
        await intake.take(event_id, after)
    elif after is not None:
        await edits.edited(event_id, before, after, changed_at(event))


async def on_error(error: Exception) -> BoltResponse | None:
    """Leaves a failed event unacknowledged, so that Slack sends it again; unexpected errors get a traceback.

    A payload that can't be read is acknowledged: it would come back the same.
    """
    if isinstance(error, BoltUnhandledRequestError):
        log.debug("event acknowledged without a listener: %s", error.body.get("type"))
        return BoltResponse(status=200)
    if isinstance(error, PayloadError) or _raised_by_bolt(error):
        log.warning("payload ignored: %s", error if isinstance(error, PayloadError) else trace_of(error))
        return BoltResponse(status=200)
    log.error(
        "event not processed, Slack will redeliver it: %s",
        error,
        exc_info=None if isinstance(error, TypistError) else error,
    )
    return None


def _raised_by_bolt(error: Exception) -> bool:
    """Returns whether Bolt's own code failed, which reads the payload before any listener does."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and str(frames[-1][0].f_globals.get("__name__")).startswith("slack_bolt.")
