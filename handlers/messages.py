"""Registers listeners for events: messages, reactions, App Home, the pane and joins.

Bolt acknowledges an event after its listener returns, so Slack resends events whose listeners failed.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.clock import Turns
from bot.errors import PayloadError, Stuck, TypistError, trace_of
from bot.services.commands import AppHome
from bot.services.intake import Intake, MessageEdits
from bot.services.pane import AssistantPane
from bot.services.shortcut import MessageShortcut, Reactions
from bot.services.welcome import Welcome
from bot.slack.notices import SUGGESTION
from bot.slack.posted_questions import modal_id_of
from handlers.payloads import (
    action_token_of,
    changed_at,
    context_in_view,
    edited_ts_of,
    event_in,
    home_tab_of,
    is_first_delivery,
    is_growing,
    is_stream_end,
    is_written_by,
    join_of,
    message_of,
    messages_of_edit,
    pane_thread_of,
    reaction_of,
    session_of,
    suggestion_press_of,
    viewer_of,
)
from handlers.presses import press_listener

log = logging.getLogger(__name__)

ANY_ACTION_ID = re.compile("")


def register_messages(
    app: AsyncApp, intake: Intake, edits: MessageEdits, shortcut: MessageShortcut, reactions: Reactions
) -> None:
    """Routes mentions and messages to intake, edits and deletions to message edits, and reactions to `reactions`.
    Payloads that have no listener are acknowledged too. Otherwise, Slack would send an event three more times, and show
    a person an error for a click or a closed modal. Bolt raises an exception for such payloads, and `on_error`
    acknowledges them."""

    me = shortcut.workspace.me
    team_id = me.team_id

    async def on_message(body: dict[str, Any], request: AsyncBoltRequest) -> None:
        """Routes a message event: the bot's own message, an edit, a deletion, or possibly a question."""
        event_id, event = event_in(body)
        match event.get("subtype"):
            case _ if is_written_by(event, me):
                await _on_own_message(event, team_id, shortcut)
            case _ if is_growing(event):
                log.debug("message ignored until its stream ends: %s", event_id)
            case "message_changed":
                await _on_message_changed(event_id, event, team_id, intake, edits)
            case "message_deleted":
                await edits.on_message_deleted(messages_of_edit(event, team_id)[0])
            case _ if edited_ts := edited_ts_of(event):
                await edits.on_mention_edited(event_id, message_of(event, team_id), edited_ts)
            case _:
                token, is_first = action_token_of(event), is_first_delivery(event, request.headers, me.user_id)
                await intake.receive(event_id, message_of(event, team_id), token, notify_unsaved=is_first)

    async def on_reaction(event: Mapping[str, Any], request: AsyncBoltRequest) -> None:
        if reaction := reaction_of(event):
            await reactions.on_added(reaction, notify_unsaved=is_first_delivery(event, request.headers, me.user_id))

    async def on_options(ack: AsyncAck) -> None:
        """Returns no options. Typist's menus don't request options, but a forged or outdated menu might."""
        await ack(options=[])

    app.error(on_error)
    app.event("app_mention")(on_message)
    app.event("message")(on_message)
    app.event("reaction_added")(on_reaction)
    app.options(ANY_ACTION_ID)(on_options)


def register_home_and_pane(app: AsyncApp, turns: Turns, home: AppHome, pane: AssistantPane, welcome: Welcome) -> None:
    """Registers the listeners. With assistant_view, Slack reports threads; with agent_view, the Messages tab."""

    async def on_home(event: Mapping[str, Any]) -> None:
        tab, user_id, channel_id = home_tab_of(event)
        if tab == "messages":
            await pane.record_context(user_id, context_in_view(event))
            pane.suggest(channel_id, None)
            welcome.on_direct_message_opened(user_id, channel_id)
        else:
            home.on_home_opened(user_id)

    async def on_thread(event: Mapping[str, Any]) -> None:
        user_id, (channel_id, thread_ts), in_view = pane_thread_of(event)
        await pane.record_context(user_id, in_view)
        if event["type"] == "assistant_thread_started":
            pane.suggest(channel_id, thread_ts)

    async def on_context(body: Mapping[str, Any]) -> None:
        await pane.record_context(viewer_of(body), context_in_view(body["event"]))

    async def on_title(body: Mapping[str, Any]) -> None:
        await pane.on_renamed(session_of(body, pane.workspace.me.team_id))

    async def on_join(event: Mapping[str, Any]) -> None:
        await welcome.on_joined(*join_of(event))

    on_suggestion = press_listener(turns, lambda body: welcome.on_press(suggestion_press_of(body)))
    app.event("app_home_opened")(on_home)
    app.event("member_joined_channel")(on_join)
    app.action(re.compile(f"^{SUGGESTION}-[0-9]$"))(on_suggestion)
    app.event("assistant_thread_started")(on_thread)
    app.event("assistant_thread_context_changed")(on_thread)
    app.event("app_context_changed")(on_context)
    app.event("agent_session_title_changed")(on_title)


async def _on_own_message(event: Mapping[str, Any], team_id: str, shortcut: MessageShortcut) -> None:
    """Records a question that the bot posted for a person. Ignores other events about the bot's own messages."""
    if view_id := modal_id_of(event):
        await shortcut.on_question_posted(view_id, message_of(event, team_id))


async def _on_message_changed(
    event_id: str, event: Mapping[str, Any], team_id: str, intake: Intake, edits: MessageEdits
) -> None:
    """Routes an edit to message edits, and the completed message from another app's stream to intake."""
    before, after = messages_of_edit(event, team_id)
    if after is not None and is_stream_end(event):
        await intake.receive(event_id, after)
    elif after is not None:
        await edits.on_message_edited(event_id, before, after, changed_at(event))


async def on_error(error: Exception) -> BoltResponse | None:
    """Leaves a failed event unacknowledged, so that Slack resends it. Unexpected errors are logged with a traceback. A
    payload that is invalid or wasn't read in time is acknowledged, because it would fail again."""
    if isinstance(error, BoltUnhandledRequestError):
        log.debug("event acknowledged without a listener: %s", error.body.get("type"))
        return BoltResponse(status=200)
    is_ours = isinstance(error, PayloadError | Stuck)
    if is_ours or _raised_by_bolt(error):
        log.warning("payload ignored: %s", error if is_ours else trace_of(error))
        return BoltResponse(status=200)
    log.error(
        "event not processed, Slack will redeliver it: %s",
        error,
        exc_info=None if isinstance(error, TypistError) else error,
    )
    return None


def _raised_by_bolt(error: Exception) -> bool:
    """Returns whether an error was raised by Bolt's own code, which reads the payload before any listener."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and str(frames[-1][0].f_globals.get("__name__")).startswith("slack_bolt.")
