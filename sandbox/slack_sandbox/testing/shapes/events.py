"""Events in their envelopes, and other Socket Mode messages. Recorded, unless a comment says otherwise."""

from slack_sandbox.testing.shapes import messages
from slack_sandbox.testing.shapes.messages import BY_BOT, BY_CLASSIC_APP, BY_PERSON, CHANNEL, TEAM, TOMBSTONE, TS, USER
from slack_sandbox.testing.shapes.shape import Shape
from slack_sandbox.testing.shapes.views import VIEW

_ENTITY = (
    {"type": "slack#/types/channel_id", "value": CHANNEL, "team_id?": TEAM},
    {"type": "slack#/types/message_context", "value": {"message_ts": TS, "channel_id": CHANNEL}, "team_id?": TEAM},
    {"type": "slack#/types/canvas_id", "value": str, "team_id?": TEAM},  # docs
)
CONTEXT: Shape = {"entities": [_ENTITY]}
_WHERE: Shape = {"channel": CHANNEL, "event_ts": TS, "channel_type": ("channel", "group", "im", "mpim")}
_BESIDE: Shape = {"assistant_thread?": {"action_token": str}, "app_context?": CONTEXT}


_OF_AN_EDIT: Shape = {"type": "message", "hidden": True, **_WHERE, "ts": TS}


def message_event(kind: Shape) -> Shape:
    """Returns the shape of a new message's event, without counters."""
    known = {key: shape for key, shape in kind.items() if key not in (*messages.COUNTED, "reactions?")}
    return {**known, **_WHERE, **_BESIDE}


def mention(kind: Shape) -> Shape:
    """Returns the shape of a message as app_mention, without the channel's type and the subtype."""
    known = {key: shape for key, shape in message_event(kind).items() if key not in ("subtype", "channel_type")}
    return {**known, "type": "app_mention"}


def changed(kind: Shape, before: Shape) -> Shape:
    """Returns the shape of a changed message; `before` is the previous message."""
    now = {**kind, "source_team?": TEAM, "user_team?": TEAM}
    return {**_OF_AN_EDIT, "subtype": "message_changed", "message": now, "previous_message": before}


def edited(kind: Shape) -> Shape:
    return {**{key: shape for key, shape in kind.items() if key != "edited?"}, "edited": kind["edited?"]}


def unedited(kind: Shape) -> Shape:
    return {key: shape for key, shape in kind.items() if key != "edited?"}


def metadata_of_root(kind: Shape) -> Shape:
    """Returns the shape of a thread's root that is sent again because its counters or session have changed."""
    return changed(unedited(kind), unedited(kind))


def deleted(kind: Shape) -> Shape:
    return {**_OF_AN_EDIT, "subtype": "message_deleted", "deleted_ts": TS, "previous_message": kind}


MESSAGES = tuple(message_event(kind) for kind in (*messages.BY_PEOPLE, *messages.BY_APPS))
CHANGED = tuple(changed(kind, messages.MESSAGE) for kind in messages.MESSAGE)
TOMBSTONE_GONE = changed(TOMBSTONE, [])
DELETED = deleted(messages.MESSAGE)
MENTIONS = tuple(map(mention, (BY_PERSON, BY_BOT, BY_CLASSIC_APP)))
MENTION_BY_CLASSIC_APP: Shape = {**MENTIONS[2], "subtype": "bot_message"}
_HOME: Shape = {"type": "app_home_opened", "user": USER, "channel": CHANNEL, "event_ts": TS}
_PANE_CONTEXT: Shape = ({"channel_id": CHANNEL, "team_id": TEAM, "enterprise_id": (None, TEAM)}, {})
_THREAD: Shape = {"user_id": USER, "context": _PANE_CONTEXT, "channel_id": CHANNEL, "thread_ts": TS}
HOME: Shape = {**_HOME, "tab": "home", "view?": VIEW, "context?": CONTEXT}
MESSAGES_TAB: Shape = {**_HOME, "tab": "messages", "context?": CONTEXT}
LOOKED: Shape = {  # docs; the person is in the envelope. Slack's Node types include a user, a channel and a time.
    "type": "app_context_changed",
    "context": CONTEXT,
    "user?": USER,
    "channel?": CHANNEL,
    "event_ts?": TS,
}
PANE_OPENED: Shape = {"type": "assistant_thread_started", "assistant_thread": _THREAD, "event_ts": TS}
PANE_MOVED: Shape = {**PANE_OPENED, "type": "assistant_thread_context_changed"}
STOPPED: Shape = {  # docs
    "type": "agent_session_stopped",
    "channel": CHANNEL,
    "thread_ts": TS,
    "user": USER,
    "streaming_message_ts": [TS],
    "event_ts": TS,
}
RENAMED: Shape = {  # docs; its fields were confirmed against live events (slackapi/node-slack-sdk#2707)
    "type": "agent_session_title_changed",
    "channel": CHANNEL,
    "team_id": TEAM,
    "enterprise_id?": TEAM,
    "thread_ts": TS,
    "user": USER,
    "title": str,
    "previous_title?": str,
    "event_ts": TS,
}

REACTION: Shape = {
    "type": ("reaction_added", "reaction_removed"),
    "user": USER,
    "reaction": str,
    "item": {"type": "message", "channel": CHANNEL, "ts": TS},
    "item_user?": USER,
    "event_ts": TS,
}

JOIN: Shape = {  # docs
    "type": "member_joined_channel",
    "user": USER,
    "channel": CHANNEL,
    "channel_type": ("C", "G"),
    "team": TEAM,
    "inviter?": USER,
    "enterprise?": str,
    "event_ts": TS,
}
FILE_CHANGE: Shape = {
    "type": "file_change",
    "file_id": messages.FILE_ID,
    "file": {"id": messages.FILE_ID},
    "event_ts": TS,
}
REVOKED: Shape = {"type": "tokens_revoked", "tokens": {"oauth?": [USER], "bot?": [USER]}}
UNINSTALLED: Shape = {"type": "app_uninstalled"}

_AUTHORIZATION: Shape = {
    "enterprise_id": (None, str),
    "team_id": TEAM,
    "user_id": USER,
    "is_bot": bool,
    "is_enterprise_install": bool,
}
_ENVELOPE: Shape = {
    "token": str,
    "team_id": TEAM,
    "enterprise_id?": TEAM,
    "api_app_id": messages.APP,
    "type": "event_callback",
    "event_id": str,
    "event_time": int,
    "authorizations": [_AUTHORIZATION],
    "is_ext_shared_channel?": bool,
    "event_context?": str,
    "authed_users?": [USER],
    "authed_teams?": [TEAM],
}
_OF_MESSAGES: Shape = {"context_team_id?": TEAM, "context_enterprise_id?": (None, str)}


def envelope(event: Shape) -> Shape:
    """Returns the shape of an event in its envelope. `context_team_id` occurs only with messages, but not with all of
    them."""
    return {**_ENVELOPE, **(_OF_MESSAGES if event["type"] in ("message", "file_change") else {}), "event": event}


EVENTS = (*MESSAGES, *CHANGED, TOMBSTONE_GONE, DELETED, *MENTIONS, MENTION_BY_CLASSIC_APP)
OF_PANE = (LOOKED, PANE_OPENED, PANE_MOVED, STOPPED, RENAMED)
OTHERS = (HOME, MESSAGES_TAB, *OF_PANE, REACTION, JOIN, FILE_CHANGE, REVOKED, UNINSTALLED)
EVENT = tuple(map(envelope, (*EVENTS, *OTHERS)))

# ---- Socket Mode

HELLO: Shape = {
    "type": "hello",
    "num_connections": int,
    "debug_info": {"host": str, "build_number": int, "approximate_connection_time": int},
    "connection_info": {"app_id": messages.APP},
}
SOCKET_EVENT: Shape = {
    "envelope_id": str,
    "type": "events_api",
    "payload": EVENT,
    "accepts_response_payload": False,
    "retry_attempt": int,
    "retry_reason": str,
}
DISCONNECT: Shape = {  # docs
    "type": "disconnect",
    "reason": ("warning", "refresh_requested", "link_disabled", "too_many_websockets"),
    "debug_info": {"host": str},
}
