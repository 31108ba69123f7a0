"""Parses Slack's payloads into our types.

Slack's payloads change without notice. For any input, a parser either returns values of the declared types or raises
PayloadError. A payload that raises it is acknowledged and logged (handlers/messages.py), because it would fail again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from bot.core.actions import MORE, Press, ReplyAction
from bot.core.caps import CapOwner, Scope
from bot.core.channel_settings import SettingsPlace, emoji_name
from bot.core.conversation import Message, ThreadKey, mentioned_user_ids
from bot.core.surfaces import AppContext, Invocation, TypedCommand
from bot.core.triage import Identity
from bot.errors import PayloadError
from bot.services.engagement import QuietPress
from bot.services.schedules import SchedulePress
from bot.services.shortcut import Reaction
from bot.services.welcome import SuggestionPress
from bot.slack.file_objects import files_of
from bot.slack.text import app_name, attachments_text, body_of, is_by_app
from bot.slack.views import caps
from bot.slack.views.arguments import approval_in
from bot.slack.views.modal import Modal, place_in
from bot.slack.views.schedules import ScheduleAction, list_place_of, listed_channel_id, parse_schedule_id

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")


def parser(parse: Callable[P, T]) -> Callable[P, T]:
    """Makes a parser raise PayloadError if part of a payload is missing or has another type."""

    @wraps(parse)
    def parsed(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return parse(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # The error's message might contain a person's words.
            raise PayloadError(f"{parse.__name__} can't read the payload: {type(error).__name__}") from error

    return parsed


@parser
def event_in(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return _string(body, "event_id"), _object(body, "event")


@parser
def message_of(event: Mapping[str, Any], team_id: str) -> Message:
    """Returns the message in an event of type app_mention or message. `team_id`: the bot's workspace. In a Slack
    Connect channel, the envelope and the message contain either the host workspace or the author's."""
    return _message(event, _ts(event, "ts"), team_id)


def _message(event: Mapping[str, Any], ts: str, team_id: str) -> Message:
    root = _object_or_empty(event, "root")
    return Message(
        team_id=team_id,
        channel_id=_string(event, "channel"),
        ts=ts,
        channel_type=_string_or_none(event, "channel_type") or "channel",
        thread_ts=_ts(event, "thread_ts") if event.get("thread_ts") is not None else None,
        subtype=_string_or_none(event, "subtype"),
        user_id=_string_or_none(event, "user"),
        bot_id=_string_or_none(event, "bot_id"),
        parent_user_id=_string_or_none(event, "parent_user_id") or _string_or_none(root, "user"),
        is_from_app=is_by_app(event),
        app_name=app_name(event),
        app_id=_string_or_none({**_object_or_empty(event, "bot_profile"), **event}, "app_id") or "",
        text=body_of(event),
        attached_text=attachments_text(event),
        files=files_of(event),
    )


def is_first_delivery(event: Mapping[str, Any], headers: Mapping[str, Sequence[str]], bot_user_id: str) -> bool:
    """Returns whether this is a message's first delivery, which is true exactly once across all processes. A mention in
    a channel causes two events, of which only app_mention counts. Retries are recognized by the number that Slack gives
    them."""
    tries = headers.get("x-slack-retry-num") or ["0"]
    is_in_channel = event.get("type") == "message" and event.get("channel_type") != "im"
    is_twin = is_in_channel and bot_user_id in mentioned_user_ids(str(event.get("text")))
    return tries[0] == "0" and not is_twin


def action_token_of(event: Mapping[str, Any]) -> str:
    """Returns the token for searching Slack on behalf of the message's author, or "". According to Slack's docs, the
    token is at the top level of the event, but it has also been seen in assistant_thread."""
    thread = event.get("assistant_thread")
    nested = thread.get("action_token") if isinstance(thread, Mapping) else None
    token = nested or event.get("action_token")
    return token if isinstance(token, str) else ""


@parser
def edited_ts_of(event: Mapping[str, Any]) -> str:
    edited = _object_or_empty(event, "edited")
    return _ts(edited, "ts") if edited.get("ts") is not None else ""


@parser
def messages_of_edit(event: Mapping[str, Any], team_id: str) -> tuple[Message, Message | None]:
    """Returns a message before and after an edit, in an event of subtype message_changed or message_deleted."""
    where = {name: event[name] for name in ("channel", "channel_type") if name in event}
    # Slack sends an empty list as the previous message when the last reply below a tombstone is deleted.
    before = {**(event.get("previous_message") or {}), **where}
    ts = before.get("ts", event.get("deleted_ts", ""))
    after = message_of({**_object(event, "message"), **where}, team_id) if "message" in event else None
    return _message(before, ts if ts == "" else _ts({"ts": ts}, "ts"), team_id), after


def is_written_by(event: Mapping[str, Any], me: Identity) -> bool:
    """Returns whether the bot itself wrote the event's message. The event can be an edit or a deletion."""
    message = event.get("message") or event.get("previous_message") or event
    ids = (message.get("user"), message.get("bot_id")) if isinstance(message, Mapping) else ()
    return me.user_id in ids or me.bot_id in ids


def is_growing(event: Mapping[str, Any]) -> bool:
    """Returns whether another app is still streaming the event's message, whose text is therefore missing."""
    return event.get("streaming_state") == "in_progress"


@parser
def is_stream_end(event: Mapping[str, Any]) -> bool:
    """Returns whether an event of subtype message_changed is the end of a stream rather than an edit."""
    before, after = event.get("previous_message") or {}, _object(event, "message")
    is_completed = after.get("streaming_state") == "completed" and not after.get("edited")
    return is_completed and before.get("streaming_state") != "completed"


@parser
def changed_at(event: Mapping[str, Any]) -> str:
    return _ts(event, "ts")


@parser
def reaction_of(event: Mapping[str, Any]) -> Reaction | None:
    """Returns the reaction in an event of type reaction_added, or None if it isn't to a message."""
    item = _object(event, "item")
    if _string(item, "type") != "message":
        return None
    emoji, user_id = emoji_name(_string(event, "reaction")), _string(event, "user")
    writer_id = _string_or_none(event, "item_user") or ""
    return Reaction(_string(item, "channel"), _ts(item, "ts"), emoji, user_id, writer_id)


@parser
def join_of(event: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns the new member, the channel, and the inviter or "", from an event of type member_joined_channel."""
    return _string(event, "user"), _string(event, "channel"), _string_or_none(event, "inviter") or ""


@parser
def viewer_of(body: Mapping[str, Any]) -> str:
    """Returns the viewer in an event of type app_context_changed. The event itself doesn't identify the person,
    although Slack's Node types include a user, so the result is the user on whose behalf the event was delivered."""
    _, event = event_in(body)
    return _string_or_none(event, "user") or _string(body["authorizations"][0], "user_id")


@parser
def home_tab_of(event: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns the tab, the person and the channel of an event of type app_home_opened."""
    return _string_or_none(event, "tab") or "home", _string(event, "user"), _string(event, "channel")


@parser
def pane_thread_of(event: Mapping[str, Any]) -> tuple[str, tuple[str, str], AppContext]:
    """Returns the person, the thread's channel and ts, and the viewed context, from an assistant thread's event."""
    thread = _object(event, "assistant_thread")
    place = _string(thread, "channel_id"), _ts(thread, "thread_ts")
    return _string(thread, "user_id"), place, context_in_view(thread)


@parser
def stop_of(body: Mapping[str, Any], team_id: str) -> tuple[ThreadKey, str, str]:
    """Returns the thread, the person and the event ID of a click on Slack's own Stop button."""
    event_id, event = event_in(body)
    return session_of(body, team_id), _string_or_none(event, "user") or "", event_id


@parser
def session_of(body: Mapping[str, Any], team_id: str) -> ThreadKey:
    """Returns the thread of an agent session. A session with its own channel has no thread."""
    _, event = event_in(body)
    thread_ts = _ts(event, "thread_ts") if event.get("thread_ts") is not None else None
    return ThreadKey(team_id, _string(event, "channel"), thread_ts)


@parser
def invocation_of_command(command: Mapping[str, Any]) -> Invocation:
    user_id, channel_id = _string(command, "user_id"), _string(command, "channel_id")
    return Invocation(user_id, channel_id, _string(command, "trigger_id"), _string(command, "response_url"))


@parser
def command_of(command: Mapping[str, Any]) -> TypedCommand:
    """Returns the typed command: its name, as written in the manifest, and the text after it."""
    return TypedCommand(_string(command, "command"), _string_or_none(command, "text") or "")


@parser
def invocation_of_shortcut(shortcut: Mapping[str, Any]) -> Invocation:
    user_id, channel_id = _string(shortcut["user"], "id"), _string(shortcut["channel"], "id")
    return Invocation(user_id, channel_id, _string(shortcut, "trigger_id"), _string(shortcut, "response_url"))


@parser
def message_of_shortcut(shortcut: Mapping[str, Any], team_id: str) -> Message:
    return message_of({**_object(shortcut, "message"), "channel": shortcut["channel"]["id"]}, team_id)


@parser
def submission_in(body: Mapping[str, Any], modal: Modal[..., S]) -> tuple[str, S]:
    return _string(_object(body, "user"), "id"), modal.read(_object(body, "view"))


@parser
def settings_press_of(body: Mapping[str, Any]) -> tuple[str, str, SettingsPlace]:
    """Returns the person who clicked a button in settings, the trigger for a modal, and the settings' place."""
    user_id, trigger_id = _string(_object(body, "user"), "id"), _string(body, "trigger_id")
    return user_id, trigger_id, place_in(_object(body, "view"))


@parser
def caps_press_of(body: Mapping[str, Any], team_id: str) -> tuple[str, str, CapOwner]:
    """Returns the person who opens caps in App Home, the trigger for a modal, and the caps' owner."""
    action = body["actions"][0]
    match action["action_id"]:
        case caps.SET_PERSON_CAPS:
            owner = CapOwner(Scope.USER, _string(action, "selected_user"))
        case caps.SET_CHANNEL_CAPS:
            owner = CapOwner(Scope.CHANNEL, _string(action, "selected_conversation"))
        case _:
            owner = CapOwner(Scope.WORKSPACE, team_id)
    return _string(_object(body, "user"), "id"), _string(body, "trigger_id"), owner


@parser
def schedule_press_of(body: Mapping[str, Any], team_id: str) -> SchedulePress:
    action, view = body["actions"][0], _object_or_empty(body, "view")
    kind, value = ScheduleAction(action["action_id"]), _string_or_none(action, "value") or ""
    is_list, in_modal = kind is ScheduleAction.LIST, view.get("type") == "modal"
    thread, message_ts = _clicked_message(body, team_id)
    # Undo includes the message with the Stop button that it is about.
    number, _, stopped_in = value.partition(" ") if kind is ScheduleAction.RESTORE else (value, "", "")
    return SchedulePress(
        action=kind,
        user_id=_string(_object(body, "user"), "id"),
        trigger_id=_string(body, "trigger_id"),
        schedule_id=0 if is_list else parse_schedule_id(number),
        channel_id=listed_channel_id(value) if is_list else "",
        place=list_place_of(view) if in_modal and not is_list else None,
        in_modal=in_modal,
        thread=None if view else thread,
        message_ts=stopped_in or message_ts,
        response_url=_string_or_none(body, "response_url") or "",
    )


def context_in_view(holder: Mapping[str, Any]) -> AppContext:
    """Returns what a person has open next to the pane, for events of both app types. Entities are sorted by relevance
    and independent of each other. Lists are ignored."""
    match holder.get("context"):
        case {"channel_id": str(channel_id)} if channel_id:
            return AppContext(channel_id)
        case {"entities": [*entities]}:
            context = AppContext()
            for entity in entities:
                match entity:
                    case {"type": "slack#/types/channel_id", "value": str(channel_id)} if not context.channel_id:
                        context = replace(context, channel_id=channel_id)
                    case {
                        "type": "slack#/types/message_context",
                        "value": {"channel_id": str(channel_id)} as value,
                    } if channel_id and not context.channel_id:
                        ts = value.get("message_ts")
                        message_ts = ts if isinstance(ts, str) and _TS.fullmatch(ts) else ""
                        context = replace(context, channel_id=channel_id, message_ts=message_ts)
                    case {"type": "slack#/types/canvas_id", "value": str(canvas_id)} if not context.canvas_id:
                        context = replace(context, canvas_id=canvas_id)
            return context
    return AppContext()


@parser
def presser_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the person who clicked, and a key that is the same for all of their clicks on a button."""
    actions = [{**action, "action_ts": ""} for action in body.get("actions", ())]
    place = body.get("container"), body.get("message_ts"), _object_or_empty(body, "view").get("id")
    return _string(_object(body, "user"), "id"), repr((body.get("callback_id"), place, actions))


@parser
def press_of(body: Mapping[str, Any], team_id: str) -> Press:
    action = body["actions"][0]
    thread, message_ts = _clicked_message(body, team_id)
    chosen = _string_or_none(_object_or_empty(action, "selected_option"), "value") or ""
    in_menu = action["action_id"] == MORE
    return Press(
        action=ReplyAction(chosen if in_menu else action["action_id"].partition("-")[0]),
        thread=thread,
        message_ts=message_ts,
        user_id=_string(_object(body, "user"), "id"),
        value=MORE if in_menu else _string_or_none(action, "value") or chosen,
        response_url=_string_or_none(body, "response_url") or "",
        trigger_id=_string_or_none(body, "trigger_id") or "",
    )


def _clicked_message(body: Mapping[str, Any], team_id: str) -> tuple[ThreadKey, str]:
    container = _object_or_empty(body, "container")
    message_ts = _string_or_none(container, "message_ts") or ""
    thread_ts = container.get("thread_ts") or _object_or_empty(body, "message").get("thread_ts")
    channel_id = _string_or_none(container, "channel_id") or _string_or_none(_object_or_empty(body, "channel"), "id")
    # A direct message with replies is the root of its own thread.
    is_in_thread = thread_ts is not None and thread_ts != message_ts
    return ThreadKey(team_id, channel_id or "", _ts({"ts": thread_ts}, "ts") if is_in_thread else None), message_ts


@parser
def follow_up_press_of(body: Mapping[str, Any], team_id: str) -> Press:
    """Returns the click on a button below the response to an earlier click. The result refers to the answer's
    message."""
    press = press_of(body, team_id)
    action = body["actions"][0]
    return replace(press, message_ts=_ts(action, "value"), value=_string(action, "action_id").partition("-")[2])


@parser
def suggestion_press_of(body: Mapping[str, Any]) -> SuggestionPress:
    action = body["actions"][0]
    container = _object_or_empty(body, "container")
    return SuggestionPress(
        user_id=_string(_object(body, "user"), "id"),
        channel_id=_string_or_none(container, "channel_id") or "",
        message_ts=_ts(container, "message_ts") if container.get("message_ts") is not None else "",
        label=_string_or_none(action, "value") or "",
        clicked_ts=_ts(action, "action_ts"),
        trigger_id=_string_or_none(body, "trigger_id") or "",
        response_url=_string_or_none(body, "response_url") or "",
    )


@parser
def quiet_press_of(body: Mapping[str, Any], team_id: str) -> QuietPress:
    """Returns the click on the button that quiets a thread. An ephemeral message's thread is given in the container."""
    container = _object(body, "container")
    thread = ThreadKey(team_id, _string(container, "channel_id"), _ts(container, "thread_ts"))
    user_id = _string(_object(body, "user"), "id")
    return QuietPress(thread, user_id, _ts(body["actions"][0], "action_ts"), _string(body, "response_url"))


@parser
def approval_of(body: Mapping[str, Any], team_id: str) -> Press:
    place, action = approval_in(_object(body, "view"))
    return Press(
        action=action,
        thread=ThreadKey(team_id, place.channel_id, place.thread_ts),
        message_ts=place.message_ts,
        user_id=_string(_object(body, "user"), "id"),
        value=place.value,
        in_modal=True,
    )


def _string(holder: Mapping[str, Any], key: str) -> str:
    value = holder[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _string_or_none(holder: Mapping[str, Any], key: str) -> str | None:
    return None if holder.get(key) is None else _string(holder, key)


def _ts(holder: Mapping[str, Any], key: str) -> str:
    value = _string(holder, key)
    if not _TS.fullmatch(value):
        raise ValueError(key)
    return value


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder[key]
    if not isinstance(value, Mapping):
        raise TypeError(key)
    return value


def _object_or_empty(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _object(holder, key) if holder.get(key) else {}
