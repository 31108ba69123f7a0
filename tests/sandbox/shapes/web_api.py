"""What the Web API answers, by method. Recorded, but for what a comment names."""

from collections.abc import Mapping

from tests.sandbox.shapes.blocks import URL
from tests.sandbox.shapes.messages import (
    BOT,
    BY_APPS,
    CHANNEL,
    COMPLETED_FILE,
    FILE_ID,
    IN_THREAD,
    LISTED,
    PERSON,
    SHARED_FILE,
    TEAM,
    TS,
    USER,
)
from tests.sandbox.shapes.shape import Shape
from tests.sandbox.shapes.views import VIEW

_DONE: Shape = {"ok": True}
_NOT_SAID = ("ts", "thread_ts?", "parent_user_id?")
_FILE_IDS: Shape = {"x_files?": [FILE_ID]}
UPDATED = tuple({key: each for key, each in kind.items() if key not in _NOT_SAID} | _FILE_IDS for kind in BY_APPS)
"""chat.update's message: where it stands is not said again."""
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
    },
    "chat.postMessage": {**_DONE, "channel": CHANNEL, "ts": TS, "message": _POSTED},
    "chat.update": {**_DONE, "channel": CHANNEL, "ts": TS, "text": str, "message": UPDATED},
    "chat.delete": {**_DONE, "channel": CHANNEL, "ts": TS},  # docs
    "chat.postEphemeral": {**_DONE, "message_ts": TS},  # docs
    "conversations.replies": {**_DONE, "messages": [_LISTED], "has_more": bool, **_MORE},
    "conversations.history": {**_DONE, "messages": [_LISTED], "has_more": bool, **_MORE},  # docs
    "conversations.info": {**_DONE, "channel": (_CHANNEL, _GROUP_DM)},
    "users.info": {**_DONE, "user": PERSON},
    "files.getUploadURLExternal": {**_DONE, "upload_url": URL, "file_id": FILE_ID},
    "files.completeUploadExternal": {**_DONE, "files": [COMPLETED_FILE]},
    "files.info": {**_DONE, "file": SHARED_FILE, "comments": list, **_MORE},  # docs
    "views.open": {**_DONE, "view": VIEW},  # docs
}
REFUSAL: Shape = {
    "ok": False,
    "error": str,
    "errors?": [str],
    "needed?": str,
    "provided?": str,
    "response_metadata?": {"messages": [str]},
}
HEADERS = ("X-OAuth-Scopes", "X-Slack-Req-Id", "Vary", "Server", "Via")
