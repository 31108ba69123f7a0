"""Messages, channels and users as Slack writes them in its answers and events."""

from sandbox.workspace import APP_ID, TEAM_ID, Channel, Json, Message, User, Workspace


def message_json(workspace: Workspace, message: Message, *, all_metadata: bool = False) -> Json:
    """A message as answers, history and events show it.

    The payload of its metadata is left out, unless the app's manifest declares its type or `all_metadata` is asked for.
    """
    said: Json = {"type": "message", "ts": message.ts, "text": message.text, **_team(workspace, message)}
    said |= _author(workspace, message)
    for key in ("subtype", "client_msg_id"):
        if value := getattr(message, key):
            said[key] = value
    if message.blocks:
        said["blocks"] = list(message.blocks)
    if message.files:
        said["files"] = list(message.files)
    if message.attachments:
        said["attachments"] = list(message.attachments)
    if message.subtype == "assistant_app_thread":
        said["assistant_app_thread"] = {"title": message.text, "title_blocks": [], "artifacts": []}
    if message.edited_ts:
        said["edited"] = {"user": message.user_id, "ts": message.edited_ts}
    if message.reactions:
        said["reactions"] = [{"name": n, "users": list(who), "count": len(who)} for n, who in message.reactions]
    if message.metadata is not None:
        said["metadata"] = _metadata(workspace, message.metadata, all_metadata)
    return said | _thread(workspace, message)


def channel_json(workspace: Workspace, channel: Channel) -> Json:
    """A channel as conversations.info shows it to the bot."""
    said: Json = {
        "id": channel.id,
        "is_channel": channel.type == "channel",
        "is_group": channel.type == "group",
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
        said["creator"] = channel.creator
    if channel.shared_with is not None:
        said |= {"shared_team_ids": [TEAM_ID, channel.shared_with], "connected_team_ids": [channel.shared_with]}
    return said | ({"user": channel.user_id} if channel.type == "im" else {"name": channel.name})


def user_json(workspace: Workspace, user: User) -> Json:
    """A user as users.info shows them; of people of other organisations it tells less."""
    said: Json = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "color": user.color.removeprefix("#"),
        "deleted": False,
        "is_bot": user.bot_id is not None,
        "is_app_user": False,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "profile": {"display_name": user.name, "real_name": user.real_name, "team": user.team_id},
    }
    if user.bot_id is not None:
        said["profile"] |= {"bot_id": user.bot_id, "api_app_id": app_id_of(workspace, user)}
    if user.team_id != TEAM_ID:
        return said | {"is_stranger": not _meets(workspace, user)}
    roles = ("is_admin", "is_owner", "is_restricted", "is_ultra_restricted")
    return said | {role: getattr(user, role) for role in roles} | {"is_primary_owner": user.is_owner}


def app_id_of(workspace: Workspace, bot: User) -> str:
    """The app that a bot belongs to."""
    return APP_ID if bot.id == workspace.bot.id else f"A{str(bot.bot_id)[1:]}"


def _meets(workspace: Workspace, user: User) -> bool:
    # As documented: nobody is a stranger who is in a shared channel that the app can see.
    shared = (channel for channel in workspace.channels.values() if channel.shared_with == user.team_id)
    return any({user.id, workspace.bot.id} <= set(channel.members) for channel in shared)


def who_json(user: User) -> Json:
    """A person as interactive payloads show them."""
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}


def _metadata(workspace: Workspace, metadata: Json, whole: bool) -> Json:
    event_type = metadata["event_type"]
    return metadata if whole or event_type in workspace.declared_metadata else {"event_type": event_type}


def _team(workspace: Workspace, message: Message) -> Json:
    author = workspace.users.get(message.user_id)
    if author is None or author.team_id == TEAM_ID:
        return {"team": TEAM_ID}
    team = author.team_id
    profile = {"name": author.name, "real_name": author.real_name, "display_name": author.name, "team": team}
    flags = {"is_restricted": author.is_restricted, "is_ultra_restricted": author.is_ultra_restricted}
    return {"team": team, "user_team": team, "source_team": team, "user_profile": profile | flags}


def _author(workspace: Workspace, message: Message) -> Json:
    user = workspace.users.get(message.user_id)
    bot_id = user.bot_id if user else None
    if user is None or bot_id is None:
        return {"user": message.user_id}
    if message.subtype == "bot_message":
        return {"bot_id": bot_id, "username": message.username or user.name}
    app_id = app_id_of(workspace, user)
    profile = {"id": bot_id, "app_id": app_id, "name": user.name, "team_id": TEAM_ID, "deleted": False}
    return {"user": user.id, "bot_id": bot_id, "app_id": app_id, "bot_profile": profile}


def _thread(workspace: Workspace, message: Message) -> Json:
    if message.thread_ts is not None:
        root = workspace.message(message.channel, message.thread_ts)
        return {"thread_ts": message.thread_ts, "parent_user_id": root.user_id}
    replies = workspace.replies(message.channel, message.ts)
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user_id for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": users[:5],
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
    }
