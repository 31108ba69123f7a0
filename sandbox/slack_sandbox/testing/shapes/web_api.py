"""Web API responses by method. Recorded, unless a comment says otherwise."""

import re
from collections.abc import Mapping

from slack_sandbox.testing.shapes.blocks import URL
from slack_sandbox.testing.shapes.messages import (
    BOT,
    BY_APPS,
    BY_PEOPLE,
    CHANNEL,
    COMPLETED_FILE,
    FILE_ID,
    IN_THREAD,
    LISTED,
    PERSON,
    PROFILE,
    SHARED_FILE,
    TEAM,
    TS,
    USER,
)
from slack_sandbox.testing.shapes.shape import Shape
from slack_sandbox.testing.shapes.views import VIEW

_DONE: Shape = {"ok": True}
_NOT_SAID = ("ts", "thread_ts?", "parent_user_id?")
_FILE_IDS: Shape = {"x_files?": [FILE_ID]}
UPDATED = tuple({key: shape for key, shape in kind.items() if key not in _NOT_SAID} | _FILE_IDS for kind in BY_APPS)
"""The message in chat.update's response, without its channel and ts."""
_POSTED = tuple({**kind, **IN_THREAD} for kind in BY_APPS)
_LISTED = tuple(kind | _FILE_IDS for kind in LISTED)
_MORE: Shape = {"response_metadata?": {"next_cursor": str}}
_WORDS: Shape = {"value": str, "creator": str, "last_set": int}
_CHANNEL: Shape = {  # docs
    "id": CHANNEL,
    "name?": str,
    "user?": USER,
    "created": int,
    "creator?": USER,
    **dict.fromkeys(("is_channel", "is_group", "is_im", "is_mpim", "is_private", "is_archived", "is_member"), bool),
    **dict.fromkeys(("is_shared", "is_ext_shared", "is_org_shared"), bool),
    "context_team_id": TEAM,
    "shared_team_ids?": [TEAM],
    "connected_team_ids?": [TEAM],
    "num_members?": int,
    "topic?": _WORDS,
    "purpose?": _WORDS,
    "name_normalized?": str,
    "previous_names?": [str],
    "is_general?": bool,
    "is_pending_ext_shared?": bool,
    "pending_shared?": [str],
    "unlinked?": int,
    "updated?": int,
    "parent_conversation?": (None, str),
    "pending_connected_team_ids?": [TEAM],
    "is_open?": bool,
    "last_read?": TS,
    "properties?": {
        "tabs": [{"id": str, "label": str, "type": "canvas", "data": {"file_id": FILE_ID, "shared_ts": TS}}],
    },
}
PRIVATE_CHANNEL: Shape = {**_CHANNEL, "is_channel": True, "is_group": False, "is_private": True}
"""Recorded."""
_LISTED_CHANNEL: Shape = {  # recorded; docs: updated, is_open, priority
    **{key: shape for key, shape in _CHANNEL.items() if key not in ("user?", "context_team_id")},
    "is_open?": bool,
    "priority?": int,
}
_LISTED_DM: Shape = {  # docs
    "id": CHANNEL,
    "created": int,
    "is_archived?": bool,
    "is_im": True,
    "is_org_shared": bool,
    "user": USER,
    "is_user_deleted": bool,
    "priority": int,
}
_GROUP_DM: Shape = {  # recorded in 2016
    "id": CHANNEL,
    "name": str,
    "created": int,
    "creator": USER,
    "members": [USER],
    "latest": None,
    **dict.fromkeys(("is_group", "is_archived", "is_mpim", "is_open"), bool),
    **dict.fromkeys(("unread_count", "unread_count_display"), int),
    "topic": _WORDS,
    "purpose": _WORDS,
    "last_read": TS,
}
_TEAM_INFO: Shape = {
    "id": TEAM,
    "name": str,
    "url?": URL,
    "domain": str,
    "email_domain": str,
    "icon": {f"image_{size}": URL for size in (34, 44, 68, 88, 102, 132)} | {"image_230?": URL, "image_default?": bool},
    "avatar_base_url?": URL,
    "is_verified?": bool,
}
_PERMALINK: Shape = {"permalink": URL}
_AROUND: Shape = {"user_id": USER, "ts": TS, "text": str}
SEARCHED: Shape = {  # docs; author_name, channel_name and context_messages as public apps use them
    **_DONE,
    "results": {
        "messages": [
            {
                "author_name": str,
                "author_email?": str,
                "reply_count?": int,
                "author_user_id": USER,
                "team_id": TEAM,
                "channel_id": CHANNEL,
                "channel_name": str,
                "message_ts": TS,
                "content": str,
                "is_author_bot": bool,
                "permalink": URL,
                "context_messages?": {"before": [_AROUND], "after": [_AROUND]},
            }
        ]
    },
    "response_metadata": {"next_cursor": str},
}
"""The response of assistant.search.context."""
ANSWERS: Mapping[str, Shape] = {
    "auth.test": {
        **_DONE,
        "url": URL,
        "team": str,
        "user": str,
        "team_id": TEAM,
        "user_id": USER,
        "bot_id": BOT,
        "is_enterprise_install": bool,
        "enterprise_id?": TEAM,  # docs
    },
    "chat.postMessage": {**_DONE, "channel": CHANNEL, "ts": TS, "message": _POSTED},
    "chat.update": {**_DONE, "channel": CHANNEL, "ts": TS, "text": str, "message": UPDATED},
    "chat.delete": {**_DONE, "channel": CHANNEL, "ts": TS},  # docs
    "api.test": {**_DONE, "args?": dict},  # docs
    "chat.getPermalink": {**_DONE, "channel": CHANNEL, **_PERMALINK},
    "chat.postEphemeral": {**_DONE, "message_ts": TS},  # docs
    "chat.startStream": {**_DONE, "channel": CHANNEL, "ts": TS},
    "chat.appendStream": {**_DONE, "channel": CHANNEL, "ts": TS},  # docs
    "chat.stopStream": {**_DONE, "channel": CHANNEL, "ts": TS, "message": _POSTED},  # docs
    "conversations.replies": {**_DONE, "messages": [_LISTED], "has_more": bool, **_MORE},
    "conversations.history": {**_DONE, "messages": [_LISTED], "has_more": bool, **_MORE},  # docs
    "conversations.info": {**_DONE, "channel": (_CHANNEL, _GROUP_DM)},
    "conversations.list": {
        **_DONE,
        "channels": [(_LISTED_CHANNEL, _LISTED_DM)],
        "response_metadata": {"next_cursor": str},
    },
    "users.conversations": {  # docs
        **_DONE,
        "channels": [(_LISTED_CHANNEL, _LISTED_DM)],
        "response_metadata": {"next_cursor": str},
    },
    "conversations.open": {  # docs
        **_DONE,
        "channel": ({"id": CHANNEL}, _CHANNEL),
        "no_op?": True,
        "already_open?": True,
    },
    "reactions.get": {
        **_DONE,
        "type": "message",
        "channel": CHANNEL,
        "message": tuple({**kind, **_PERMALINK} for kind in (*BY_PEOPLE, *BY_APPS)),
    },
    "pins.list": {  # docs
        **_DONE,
        "items": [
            {
                "type": "message",
                "channel": CHANNEL,
                "message": tuple({**kind, **_PERMALINK, "pinned_to": [CHANNEL]} for kind in (*BY_PEOPLE, *BY_APPS)),
                "created": int,
                "created_by": USER,
            }
        ],
    },
    "team.info": {**_DONE, "team": _TEAM_INFO},
    "usergroups.list": {  # docs
        **_DONE,
        "usergroups": [
            {
                "id": re.compile(r"S[A-Z0-9]+"),
                "team_id": TEAM,
                "is_usergroup": bool,
                "name": str,
                "handle": str,
                "date_delete": int,
                "users?": [USER],
            }
        ],
    },
    "users.lookupByEmail": {**_DONE, "user": PERSON},  # docs
    "users.profile.get": {**_DONE, "profile": {key: shape for key, shape in PROFILE.items() if key != "team"}},
    "users.info": {**_DONE, "user": PERSON},
    "files.getUploadURLExternal": {**_DONE, "upload_url": URL, "file_id": FILE_ID},
    "files.completeUploadExternal": {**_DONE, "files": [COMPLETED_FILE]},
    "files.info": {**_DONE, "file": SHARED_FILE, "comments": list, **_MORE},  # docs
    "canvases.create": {**_DONE, "canvas_id": FILE_ID},  # docs
    "canvases.getContent": {**_DONE, "content": str},  # docs
    "canvases.access.set": _DONE,  # docs
    "canvases.delete": _DONE,  # docs
    "views.open": {**_DONE, "view": VIEW},  # docs
}
REFUSAL: Shape = {
    "ok": False,
    "error": str,
    "errors?": [str],
    "needed?": str,
    "provided?": str,
    "detail?": str,
    "response_metadata?": {"messages": [str]},
}
HEADERS = ("X-OAuth-Scopes", "X-Slack-Req-Id", "Vary", "Server", "Via")
