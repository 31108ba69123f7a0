"""Messages, files and people. Recorded, unless a comment says otherwise."""

import re

from slack_sandbox.testing.shapes.blocks import ATTACHMENT, BLOCK, URL
from slack_sandbox.testing.shapes.shape import Shape

TS = re.compile(r"\d{10}\.\d{6}")
WHOLE_TS = re.compile(r"\d{10}\.000000")
USER = re.compile(r"[UW][A-Z0-9]+")
BOT = re.compile(r"B[A-Z0-9]+")
TEAM = re.compile(r"[TE][A-Z0-9]+")
CHANNEL = re.compile(r"[CDG][A-Z0-9]+")
FILE_ID = re.compile(r"F[A-Z0-9]+")
APP = re.compile(r"A[A-Z0-9]+")

# ---- files

_FILE: Shape = {
    "id": FILE_ID,
    "created": int,
    "timestamp": int,
    "name": str,
    "title": str,
    "mimetype": str,
    "filetype": str,
    "pretty_type": str,
    "user": USER,
    "user_team?": TEAM,
    "editable": bool,
    "size": int,
    "is_external": bool,
    "external_type": str,
    "is_public": bool,
    "public_url_shared": bool,
    "display_as_bot": bool,
    "username": str,
    "url_private": URL,
    "url_private_download": URL,
    "permalink": URL,
    "permalink_public": URL,
    "is_starred?": bool,
    "skipped_shares?": bool,
    "has_rich_preview": bool,
    "file_access?": "visible",
    "is_modified_by_ai?": bool,
    "alt_txt?": str,  # docs
}
_SIZES = (64, 80, 160, 360, 480, 720, 800, 960, 1024)
_THUMBS: Shape = {
    **{f"thumb_{size}?": URL for size in _SIZES},
    **{f"thumb_{size}_{side}?": int for size in _SIZES for side in "wh"},
    "thumb_tiny?": str,
    "original_w?": int,
    "original_h?": int,
}
HOSTED: Shape = {**_FILE, "mode": "hosted", "media_display_type?": str, **_THUMBS}
SNIPPET: Shape = {
    **_FILE,
    "mode": "snippet",
    "edit_link": URL,
    "preview": str,
    "preview_highlight?": str,
    "lines": int,
    "lines_more": int,
    "preview_is_truncated": bool,
}
AUDIO_CLIP: Shape = {
    **_FILE,
    "mode": "hosted",
    "subtype": "slack_audio",
    "is_transcription_region_supported": bool,
    "transcription": {"status": str, "locale?": str, "preview?": {"content": str, "has_more": bool}},
    "vtt?": URL,
    "duration_ms": int,
    "audio_wave_samples": [int],
    "media_display_type": "audio",
}
CANVAS: Shape = {  # reported; media_display_type and mode are inferred
    **_FILE,
    "mimetype": "application/vnd.slack-docs",
    "filetype": "quip",
    "mode": "quip",
    "media_display_type?": str,
}
_ADDRESS: Shape = {"address": str, "name": str, "original": str}
MAIL: Shape = {  # reported; everything after `plain_text` is inferred
    **_FILE,
    "mimetype": "text/html",
    "filetype": "email",
    "mode": "email",
    "subject": str,
    "from": [_ADDRESS],
    "to": [_ADDRESS],
    "cc": [_ADDRESS],
    "headers": {"date": str, "in_reply_to": (str, None), "reply_to": (str, None), "message_id": str},
    "attachments": [{"filename": str, "size": int, "mimetype": str, "url": URL, "metadata": None}],
    "original_attachment_count": int,
    "plain_text": str,
    "preview": str,
    "preview_plain_text": str,
    "has_more": bool,
    "sent_to_self": bool,
}
CHECK_FILE_INFO: Shape = {  # docs, and a report of 2023
    "id": FILE_ID,
    "created": 0,
    "timestamp": 0,
    "user": "",
    "mode": "file_access",
    "file_access": "check_file_info",
}
DELETED_FILE: Shape = {"id": FILE_ID, "mode": "tombstone"}  # docs
FILE = (HOSTED, SNIPPET, AUDIO_CLIP, CANVAS, MAIL, CHECK_FILE_INFO, DELETED_FILE)

SHARES: Shape = {"channels": [CHANNEL], "groups": [CHANNEL], "ims": [CHANNEL], "shares": dict}
_COUNTS: Shape = {"comments_count": int, "has_more_shares": bool}
_OF_TAB: Shape = {"linked_channel_id?": CHANNEL}
SHARED_FILE = tuple({**kind, **SHARES, **_COUNTS, **_OF_TAB} for kind in (HOSTED, SNIPPET))  # docs: files.info
COMPLETED_FILE: Shape = {
    **HOSTED,
    "mimetype": "",
    "filetype": "",
    "pretty_type": "",
    **_COUNTS,
    "channels": [],
    "groups": [],
    "ims": [],
    "shares": {},
}

# ---- messages

_SAID: Shape = {"type": "message", "text": str, "ts": TS, "blocks?": [BLOCK], "attachments?": [ATTACHMENT]}
_FILES: Shape = {"files?": [FILE], "upload?": bool, "display_as_bot?": bool}
IN_THREAD: Shape = {"thread_ts?": TS, "parent_user_id?": USER}
_SESSION_STATUS: Shape = {
    "status": ("active", "processing", "suspended", "closed"),
    "date_status_processing_expire?": int,
}
AGENT_SESSION: Shape = {
    **_SESSION_STATUS,
    "agent_bot_user_ids": [USER],
    "title": str,
    "agent_statuses": [{**_SESSION_STATUS, "agent_bot_user_id": USER, "is_stoppable": bool}],
}
COUNTED: Shape = {
    "reply_count?": int,
    "reply_users?": [str],
    "reply_users_count?": int,
    "latest_reply?": TS,
    "is_locked?": bool,
    "subscribed?": bool,
    "last_read?": TS,
    "agent_session?": AGENT_SESSION,
}
_REACTIONS: Shape = {"reactions?": [{"name": str, "users": [USER], "count": int}]}
_METADATA: Shape = {"metadata?": {"event_type": str, "event_payload?": dict}}
_WRITER_TEAM: Shape = {"team?": TEAM, "user_team?": TEAM, "source_team?": TEAM, "user_profile?": dict}
_ICONS = {f"image_{size}": URL for size in (36, 48, 72)}
BOT_PROFILE: Shape = {
    "id": BOT,
    "deleted": bool,
    "name": str,
    "updated": int,
    "app_id": APP,
    "user_id?": USER,
    "icons": _ICONS,
    "team_id": TEAM,
}

BY_PERSON: Shape = {
    **_SAID,
    "user": USER,
    "client_msg_id?": str,
    "app_id?": APP,  # reported: a person's post by an app
    **_WRITER_TEAM,
    **_FILES,
    **IN_THREAD,
    **COUNTED,
    **_REACTIONS,
    "edited?": {"user": USER, "ts": WHOLE_TS},
}
BY_BOT: Shape = {
    **_SAID,
    "user": USER,
    "bot_id": BOT,
    "app_id?": APP,
    "bot_profile": BOT_PROFILE,
    "team?": TEAM,
    **_FILES,
    **IN_THREAD,
    **COUNTED,
    **_REACTIONS,
    **_METADATA,
    "edited?": {"user": BOT, "ts": WHOLE_TS},
    "streaming_state?": ("in_progress", "completed"),
}
BY_CLASSIC_APP: Shape = {
    **_SAID,
    "subtype": "bot_message",
    "username": str,
    "bot_id": BOT,
    "app_id?": APP,
    "icons?": dict,
    **IN_THREAD,
}
FROM_SLACK: Shape = {**_SAID, "user": "USLACK", "team?": TEAM}
MAIL_TO_CHANNEL: Shape = {
    **_SAID,
    "user": "USLACKBOT",
    "bot_id": BOT,
    "text": "",
    **_FILES,
    "files": [MAIL],
    **COUNTED,
    **_REACTIONS,
}
APP_AS_SLACKBOT: Shape = {
    **_SAID,
    "subtype": "bot_message",
    "user": "USLACKBOT",
    "bot_id": BOT,
    **IN_THREAD,
    **COUNTED,
    **_REACTIONS,
}  # reported
TOMBSTONE: Shape = {
    "type": "message",
    "subtype": "tombstone",
    "text": "This message was deleted.",
    "user": "USLACKBOT",
    "hidden": True,
    "ts": TS,
    "thread_ts?": TS,
    **COUNTED,
}
PANE_THREAD: Shape = {
    "type": "message",
    "subtype": "assistant_app_thread",
    "text": str,
    "user": USER,
    "edited": {},
    "ts": TS,
    "thread_ts?": TS,
    **COUNTED,
    "assistant_app_thread?": {"title": str, "title_blocks": list, "artifacts": list},
    "blocks?": [BLOCK],
}
BROADCAST_BY_PERSON: Shape = {**BY_PERSON, "subtype": "thread_broadcast", "root": BY_PERSON}
"""The recorded messages lack `team`; older samples have it."""
BROADCAST_BY_BOT: Shape = {**BY_BOT, "subtype": "thread_broadcast", "root": (BY_PERSON, BY_BOT, TOMBSTONE)}
FILE_SHARE_BY_PERSON: Shape = {**BY_PERSON, "subtype": "file_share", "files": [FILE]}
FILE_SHARE_BY_BOT: Shape = {**BY_BOT, "subtype": "file_share", "files": [FILE]}
ME: Shape = {**BY_PERSON, "subtype": "me_message"}
JOIN: Shape = {**BY_PERSON, "subtype": "channel_join", "inviter?": USER}

BY_PEOPLE = (BY_PERSON, BROADCAST_BY_PERSON, FILE_SHARE_BY_PERSON, FROM_SLACK, ME, JOIN)
BY_APPS = (BY_BOT, BROADCAST_BY_BOT, FILE_SHARE_BY_BOT, BY_CLASSIC_APP, MAIL_TO_CHANNEL, APP_AS_SLACKBOT)
MESSAGE = (*BY_PEOPLE, *BY_APPS, TOMBSTONE, PANE_THREAD)
"""As in events."""
LISTED = tuple(kind for kind in MESSAGE if kind not in (FILE_SHARE_BY_PERSON, FILE_SHARE_BY_BOT))
"""As in conversations.history and conversations.replies."""

# ---- people

_IMAGES = {f"image_{size}": URL for size in (24, 32, 48, 72, 192, 512)}
_WORDS = dict.fromkeys(("title", "phone", "skype", "status_text", "status_emoji", "status_text_canonical"), str)
_NAMES = dict.fromkeys(("real_name", "real_name_normalized", "display_name", "display_name_normalized"), str)
PROFILE: Shape = {
    **_WORDS,
    **_NAMES,
    "first_name": str,
    "last_name?": str,
    "fields": (None, dict),
    "status_emoji_display_info": list,
    "status_expiration": int,
    "avatar_hash": str,
    "email?": str,
    **_IMAGES,
    "image_original?": URL,
    "is_custom_image?": bool,
    "always_active?": bool,
    "bot_id?": BOT,
    "api_app_id?": APP,  # docs
    "team": TEAM,
}
DEACTIVATED: Shape = {
    "id": USER,
    "team_id": TEAM,
    "name": str,
    "deleted": True,
    "profile": PROFILE,
    "is_bot": bool,
    "is_app_user": bool,
    "updated": int,
}
_ACTIVE: Shape = {
    **DEACTIVATED,
    "deleted": False,
    "color": str,
    "real_name": str,
    "tz": str,
    "tz_label": str,
    "tz_offset": int,
}
_ROLES = dict.fromkeys(("is_admin", "is_owner", "is_primary_owner", "is_restricted", "is_ultra_restricted"), bool)
MEMBER: Shape = {
    **_ACTIVE,
    **_ROLES,
    "is_email_confirmed": bool,
    "who_can_share_contact_card": str,
    "is_invited_user?": bool,
}
FOREIGNER: Shape = {**_ACTIVE, "is_stranger": bool}  # docs
PERSON = (MEMBER, DEACTIVATED, FOREIGNER)
