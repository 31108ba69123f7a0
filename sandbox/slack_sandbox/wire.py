"""Messages, channels and users as JSON, in the forms of Slack's responses, events and payloads.

testing/shapes declares the keys of each form, as recorded from the real Slack.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from slack_sandbox.workspace import (
    APP_ID,
    SLACK,
    SLACKBOT,
    TEAM_ID,
    Channel,
    Json,
    Message,
    Session,
    SlackError,
    User,
    Workspace,
)

_ARCHIVES = "https://sandbox.slack.com/archives/"
_PERMALINK = re.compile(re.escape(_ARCHIVES) + r"(?P<channel>[CDG][A-Z0-9]+)/p(?P<seconds>\d+)(?P<fraction>\d{6})")
_AVATARS = "https://a.slack-edge.com/80588/img"
_CREATED_AT_S = 1_600_000_000
"""When channels were created and profiles last updated, in seconds since the epoch."""
_ZONE_LABELS = {"Etc/UTC": "Coordinated Universal Time"}
_NOT_IN_ANSWERS = ("ts", "thread_ts", "parent_user_id")
_NOT_IN_PAYLOADS = ("bot_profile", "edited", "reactions")


def message_json(workspace: Workspace, message: Message, *, all_metadata: bool = False) -> Json:
    """Returns a message as events show it.

    The message's metadata includes its payload only if the app's manifest declares the type, or if `all_metadata` is
    set.
    """
    fields: Json = {"type": "message", "ts": message.ts, "text": message.text}
    fields |= _author_fields(workspace, message) | _team_fields(workspace, message)
    for key in ("subtype", "client_msg_id", "app_id", "streaming_state"):
        if value := getattr(message, key):
            fields[key] = value
    for key in ("blocks", "attachments"):
        if value := getattr(message, key):
            fields[key] = list(value)
    if message.files:
        fields |= {"files": _files(workspace, message), "upload": False, "display_as_bot": False}
    if extra_fields := _SUBTYPE_FIELDS.get(message.subtype or ""):
        fields |= extra_fields(message)
    if message.edited_ts:
        fields["edited"] = _edited_fields(workspace, message)
    if message.reactions:
        fields["reactions"] = [{"name": name, "users": list(ids), "count": len(ids)} for name, ids in message.reactions]
    if message.metadata is not None:
        fields["metadata"] = _metadata_json(workspace, message.metadata, all_metadata)
    return fields | _thread_fields(workspace, message)


def history_message_json(workspace: Workspace, message: Message, *, all_metadata: bool = False) -> Json:
    """Returns a message as conversations.history and conversations.replies show it, without the subtype file_share."""
    fields = message_json(workspace, message, all_metadata=all_metadata)
    if message.subtype == "file_share":
        del fields["subtype"]
    return fields | ({"subscribed": False} if "reply_count" in fields else {})


def updated_message_json(workspace: Workspace, message: Message) -> Json:
    fields = message_json(workspace, message)
    return {key: value for key, value in fields.items() if key not in _NOT_IN_ANSWERS}


def payload_message_json(workspace: Workspace, message: Message) -> Json:
    fields = message_json(workspace, message)
    return {key: value for key, value in fields.items() if key not in _NOT_IN_PAYLOADS}


def permalink(message: Message, thread_ts: str | None = None) -> str:
    """Returns a message's URL. A reply's URL includes its thread, and a root's includes `thread_ts`, if given."""
    url = f"{_ARCHIVES}{message.channel}/p{message.ts.replace('.', '')}"
    thread_ts = message.thread_ts or thread_ts
    return f"{url}?thread_ts={thread_ts}&cid={message.channel}" if thread_ts else url


def linked_message(url: str) -> tuple[str, str] | None:
    """Returns the channel and the ts in a message's URL, or None for other URLs."""
    found = _PERMALINK.fullmatch(url.partition("?")[0])
    return (found["channel"], f"{found['seconds']}.{found['fraction']}") if found else None


def channel_json(workspace: Workspace, channel: Channel) -> Json:
    fields: Json = {
        "id": channel.id,
        "created": _CREATED_AT_S,
        # A private channel is a channel, not a group.
        "is_channel": channel.type in ("channel", "group"),
        "is_group": channel.type == "mpim",
        "is_im": channel.type == "im",
        "is_mpim": channel.type == "mpim",
        "is_private": channel.type != "channel",
        "is_archived": channel.archived,
        "is_member": workspace.bot.id in channel.members,
        "is_shared": channel.shared_with is not None,
        "is_ext_shared": channel.shared_with is not None,
        "is_org_shared": False,
        "context_team_id": TEAM_ID,
    }
    if channel.creator is not None:
        fields["creator"] = channel.creator
    if channel.shared_with is not None:
        fields |= {"shared_team_ids": [TEAM_ID, channel.shared_with], "connected_team_ids": [channel.shared_with]}
    if channel.tabs:
        fields["properties"] = {"tabs": [_tab_json(canvas_id, ts) for canvas_id, ts in channel.tabs.items()]}
    return fields | ({"user": channel.user_id} if channel.type == "im" else _name_fields(channel))


def _tab_json(canvas_id: str, shared_ts: str) -> Json:
    data = {"file_id": canvas_id, "shared_ts": shared_ts}
    return {"id": f"Ct{canvas_id[1:]}", "label": "", "type": "canvas", "data": data}


def listed_channel_json(workspace: Workspace, channel: Channel) -> Json:
    """Returns a channel as conversations.list shows it. Direct messages have fewer fields."""
    fields = channel_json(workspace, channel)
    if channel.type == "im":
        user = workspace.users[str(channel.user_id)]
        dm_fields = {key: fields[key] for key in ("id", "created", "is_archived", "is_im", "is_org_shared", "user")}
        return dm_fields | {"is_user_deleted": user.deleted, "priority": 0}
    del fields["context_team_id"]
    if channel.type == "mpim":
        return fields | {"is_open": True, "priority": 0}
    return fields | {"num_members": len(channel.members)}


def _name_fields(channel: Channel) -> Json:
    return {
        "name": channel.name,
        "name_normalized": channel.name,
        "previous_names": [],
        "topic": _words(channel, channel.topic),
        "purpose": _words(channel, channel.purpose),
        "is_general": channel.name == "general",
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "unlinked": 0,
        "updated": _CREATED_AT_S * 1_000,
    }


def _words(channel: Channel, text: str) -> Json:
    return {"value": text, "creator": (channel.creator or "") if text else "", "last_set": _CREATED_AT_S if text else 0}


def user_json(workspace: Workspace, user: User, *, with_email: bool = False) -> Json:
    """Returns a user as users.info shows them. Deactivated and external users have fewer fields."""
    fields: Json = {"id": user.id, "team_id": user.team_id, "name": user.name, "deleted": user.deleted}
    profile = profile_json(workspace, user, with_email=with_email) | {"team": user.team_id}
    fields |= {"profile": profile, "is_bot": user.bot_id is not None, "is_app_user": False}
    fields["updated"] = _CREATED_AT_S
    if user.deleted:
        return fields
    fields |= {"color": user.color.removeprefix("#"), "real_name": user.real_name}
    zone = datetime.now(ZoneInfo(user.tz))
    fields |= {"tz": user.tz, "tz_label": _ZONE_LABELS.get(user.tz, user.tz)}
    fields["tz_offset"] = int((zone.utcoffset() or timedelta()).total_seconds())
    if user.team_id != TEAM_ID:
        return fields | {"is_stranger": not _shares_channel(workspace, user)}
    roles = ("is_admin", "is_owner", "is_restricted", "is_ultra_restricted")
    fields |= {role: getattr(user, role) for role in roles} | {"is_primary_owner": user.is_owner}
    return fields | {"is_email_confirmed": user.bot_id is None, "who_can_share_contact_card": "EVERYONE"}


def bot_json(workspace: Workspace, bot: User) -> Json:
    return {
        "id": bot.bot_id,
        "deleted": bot.deleted,
        "name": bot.name,
        "updated": _CREATED_AT_S,
        "app_id": app_id_of(workspace, bot),
        "user_id": bot.id,
        "icons": {f"image_{size}": f"{_AVATARS}/plugins/app/bot_{size}.png" for size in (36, 48, 72)},
    }


def app_id_of(workspace: Workspace, bot: User) -> str:
    return APP_ID if bot.id == workspace.bot.id else f"A{str(bot.bot_id)[1:]}"


def team_of(workspace: Workspace, user_id: str) -> str:
    user = workspace.users.get(user_id)
    return user.team_id if user else TEAM_ID


def payload_user_json(user: User) -> Json:
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}


def _shares_channel(workspace: Workspace, user: User) -> bool:
    # Documented: a user who shares a channel with the app isn't a stranger.
    shared = (channel for channel in workspace.channels.values() if channel.shared_with == user.team_id)
    return any({user.id, workspace.bot.id} <= set(channel.members) for channel in shared)


def profile_json(workspace: Workspace, user: User, *, with_email: bool = False) -> Json:
    first, _, last = user.real_name.partition(" ")
    fields: Json = {
        **dict.fromkeys(("title", "phone", "skype", "status_text", "status_emoji", "status_text_canonical"), ""),
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.real_name,
        "display_name_normalized": user.real_name,
        "first_name": first,
        "last_name": last,
        "fields": None,
        "status_emoji_display_info": [],
        "status_expiration": 0,
        "avatar_hash": "000000000000",
        **{f"image_{size}": f"{_AVATARS}/avatar_{size}.png" for size in (24, 32, 48, 72, 192, 512)},
    }
    if with_email and user.email:
        fields["email"] = user.email
    if user.bot_id is not None:
        fields |= {"bot_id": user.bot_id, "api_app_id": app_id_of(workspace, user)}
    return fields | ({"always_active": True} if user.id in (SLACK, SLACKBOT) else {})


def _metadata_json(workspace: Workspace, metadata: Json, include_payload: bool) -> Json:
    event_type = metadata["event_type"]
    return metadata if include_payload or event_type in workspace.declared_metadata else {"event_type": event_type}


def _team_fields(workspace: Workspace, message: Message) -> Json:
    if message.files or message.slackbot_for or message.subtype in ("bot_message", "tombstone", "assistant_app_thread"):
        # Recorded: these messages don't have a team, and neither do this workspace's broadcasts.
        return {}
    author = workspace.users.get(message.user_id)
    if author is None or author.team_id == TEAM_ID:
        return {} if message.subtype == "thread_broadcast" else {"team": TEAM_ID}
    team = author.team_id
    profile = {"name": author.name, "real_name": author.real_name, "display_name": author.real_name, "team": team}
    flags = {"is_restricted": author.is_restricted, "is_ultra_restricted": author.is_ultra_restricted}
    return {"team": team, "user_team": team, "source_team": team, "user_profile": profile | flags}


def _author_fields(workspace: Workspace, message: Message) -> Json:
    user = workspace.users.get(message.user_id)
    if message.slackbot_for:
        return {"user": message.user_id, "bot_id": message.slackbot_for}
    bot_id = user.bot_id if user else None
    if user is None or bot_id is None or message.subtype == "assistant_app_thread":
        return {"user": message.user_id}
    if message.subtype == "bot_message":
        return {"bot_id": bot_id, "username": message.username or user.name}
    profile = {**bot_json(workspace, user), "team_id": TEAM_ID}
    return {"user": user.id, "bot_id": bot_id, "app_id": profile["app_id"], "bot_profile": profile}


def _session_fields(workspace: Workspace, session: Session) -> Json:
    status: Json = {"status": session.status}
    if session.expires_s is not None:
        status["date_status_processing_expire"] = session.expires_s
    # Recorded: is_stoppable was false in both observed channels.
    own_status = {"agent_bot_user_id": workspace.bot.id, **status, "is_stoppable": False}
    return {
        **status,
        "agent_bot_user_ids": [workspace.bot.id],
        "title": session.title,
        "agent_statuses": [own_status],
    }


def _edited_fields(workspace: Workspace, message: Message) -> Mapping[str, str]:
    """Returns the editor and the time in whole seconds. A bot's editor is its bot_id."""
    user = workspace.users.get(message.user_id)
    editor = user.bot_id if user and user.bot_id else message.user_id
    return {"user": editor, "ts": f"{str(message.edited_ts).partition('.')[0]}.000000"}


def _pane_thread_fields(message: Message) -> Json:
    fields: Json = {"is_locked": False, "edited": {}}
    thread: Json = {"title": message.title, "title_blocks": [], "artifacts": []}
    return fields if message.title is None else fields | {"assistant_app_thread": thread}


def _tombstone_fields(message: Message) -> Json:
    del message
    return {"hidden": True}


_SUBTYPE_FIELDS: Mapping[str, Callable[[Message], Json]] = {
    "assistant_app_thread": _pane_thread_fields,
    "tombstone": _tombstone_fields,
}


def _files(workspace: Workspace, message: Message) -> list[Json]:
    """Returns a message's files. In shared channels, people's files only have an ID; files.info returns the rest."""
    channel = workspace.channels.get(message.channel)
    if channel is None or channel.shared_with is None or message.user_id == workspace.bot.id:
        return list(message.files)
    unknown = {"created": 0, "timestamp": 0, "user": "", "mode": "file_access", "file_access": "check_file_info"}
    # files.info can't describe a file in an export, because it doesn't have content.
    as_they_are = (file["mode"] == "tombstone" or file.get("file_access") == "access_denied" for file in message.files)
    files = zip(message.files, as_they_are, strict=True)
    return [file if is_kept else {"id": file["id"], **unknown} for file, is_kept in files]


def _thread_fields(workspace: Workspace, message: Message) -> Json:
    if message.thread_ts is not None:
        fields = {"thread_ts": message.thread_ts}
        try:
            root = workspace.message(message.channel, message.thread_ts)
        except SlackError:
            # The root was deleted in the meantime, with all replies.
            return fields
        if message.subtype == "thread_broadcast":
            return fields | {"root": message_json(workspace, root)}
        return fields | {"parent_user_id": root.user_id}
    session = {} if message.session is None else {"agent_session": _session_fields(workspace, message.session)}
    replies = workspace.replies(message.channel, message.ts)
    if not replies:
        return session
    users = list(dict.fromkeys(reply.user_id for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": users[:5],
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        **session,
    }
