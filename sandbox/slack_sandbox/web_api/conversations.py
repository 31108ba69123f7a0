"""conversations.*, users.* and reactions.*: reading channels, messages and people, and reacting to messages."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slack_sandbox.web_api.method import App, Method, flag, paginate, required
from slack_sandbox.wire import (
    channel_json,
    history_message_json,
    listed_channel_json,
    message_json,
    permalink,
    user_json,
)
from slack_sandbox.workspace import Channel, ChannelType, Json, SlackError

_SCOPES: dict[ChannelType, str] = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
_LISTED: dict[str, ChannelType] = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
"""The channel types by their names in conversations.list."""
_MAX_GROUP_DM_USERS = 8
_EMOJI_NAME = re.compile(r"[a-z0-9_+'-]+(?:::skin-tone-[2-6])?|[^\W_A-Z][\w-]*")
"""A custom emoji's name can have letters of any script."""


@dataclass(frozen=True, slots=True)
class _TimeRange:
    oldest: str
    latest: str
    inclusive: bool

    def contains(self, ts: str) -> bool:
        if ts in (self.oldest, self.latest):
            return self.inclusive
        return self.oldest < ts < self.latest


def history(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    app.require_scope(f"{_SCOPES[channel.type]}:history")
    time_range = _time_range(args)
    shown = [ts for ts in app.workspace.log(channel.id).in_channel() if time_range.contains(ts)]
    return _message_page(app, args, channel, shown[::-1], 100)


def replies(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    app.require_scope(f"{_SCOPES[channel.type]}:history")
    try:
        root = app.workspace.message(channel.id, required(args, "ts"))
    except SlackError as error:
        raise SlackError("thread_not_found" if error.error == "message_not_found" else error.error) from None
    time_range = _time_range(args)
    # The root comes first, regardless of the range. For a reply's ts, Slack returns only that reply.
    thread = () if root.thread_ts else app.workspace.log(channel.id).replies(root.ts)
    return _message_page(app, args, channel, [root.ts, *filter(time_range.contains, thread)], 1_000)


def info(app: App, args: Json) -> Json:
    channel = app.readable_channel(args)
    app.require_scope(f"{_SCOPES[channel.type]}:read")
    channel_fields = channel_json(app.workspace, channel)
    if flag(args, "include_num_members"):
        channel_fields["num_members"] = len(channel.members)
    return {"channel": channel_fields}


def list_channels(app: App, args: Json) -> Json:
    return _list_page(app, args, app.workspace.channels.values())


def list_joined_channels(app: App, args: Json) -> Json:
    """Lists a user's conversations, by default the bot's. Private channels are listed only if the bot is a member."""
    user = str(args.get("user") or app.workspace.bot.id)
    if user not in app.workspace.users:
        raise SlackError("user_not_found")
    listed = _list_page(app, args, [channel for channel in app.workspace.channels.values() if user in channel.members])
    for channel in listed["channels"]:
        channel.pop("num_members", None)
    return listed


def _list_page(app: App, args: Json, channels: Iterable[Channel]) -> Json:
    asked = [name.strip() for name in str(args.get("types") or "public_channel").split(",")]
    if not set(asked) <= _LISTED.keys():
        raise SlackError("invalid_types")
    kinds = [_LISTED[name] for name in asked]
    for kind in kinds:
        app.require_scope(f"{_SCOPES[kind]}:read")
    channels = [
        channel
        for channel in channels
        if channel.type in kinds and (channel.type == "channel" or app.workspace.bot.id in channel.members)
        if not (channel.archived and flag(args, "exclude_archived"))
    ]
    page, metadata = paginate(args, channels, 100)
    listed = [listed_channel_json(app.workspace, channel) for channel in page]
    return {"channels": listed, "response_metadata": {"next_cursor": ""}, **metadata}


def join(app: App, args: Json) -> Json:
    channel = app.readable_channel(args)
    if channel.type != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    already = app.workspace.bot.id in channel.members
    app.workspace.join(channel.id, app.workspace.bot.id)
    answer: Json = {"channel": channel_json(app.workspace, channel)}
    return answer | ({"warning": "already_in_channel"} if already else {})


def pin(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    ts = str(args.get("timestamp") or "")
    if not ts:
        raise SlackError("no_item_specified")
    app.workspace.pin(channel.id, ts, app.workspace.bot.id)
    return {}


def list_pins(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    items: list[Json] = []
    for (channel_id, ts), (created, user_id) in app.workspace.pins.items():
        if channel_id == channel.id:
            message = app.workspace.message(channel.id, ts)
            fields = message_json(app.workspace, message) | {"permalink": permalink(message), "pinned_to": [channel.id]}
            item = {"type": "message", "channel": channel.id, "message": fields}
            items.append({**item, "created": created, "created_by": user_id})
    return {"items": items[::-1]}


def list_members(app: App, args: Json) -> Json:
    channel = app.readable_channel(args)
    app.require_scope(f"{_SCOPES[channel.type]}:read")
    page, metadata = paginate(args, channel.members, 100)
    return {"members": page, "response_metadata": {"next_cursor": ""}, **metadata}


def list_users(app: App, args: Json) -> Json:
    page, metadata = paginate(args, list(app.workspace.users.values()), 1_000)
    listed = [user_json(app.workspace, user, with_email=_sees_email(app)) for user in page]
    return {"members": listed, "response_metadata": {"next_cursor": ""}, **metadata}


def open_dm(app: App, args: Json) -> Json:
    if channel_id := args.get("channel"):
        channel = app.joined_channel({"channel": channel_id})
        if channel.type not in ("im", "mpim"):
            raise SlackError("method_not_supported_for_channel_type")
        return {"channel": channel_json(app.workspace, channel)}
    user_ids = _requested_people(app, args)
    app.require_scope("im:write" if len(user_ids) == 1 else "mpim:write")
    known = app.workspace.dm(user_ids[0]) if len(user_ids) == 1 else _group_dm(app, user_ids)
    channel = known or _new_group_dm(app, user_ids)
    channel_fields = channel_json(app.workspace, channel) if flag(args, "return_im") else {"id": channel.id}
    return {"channel": channel_fields} | ({"no_op": True, "already_open": True} if known else {})


def _requested_people(app: App, args: Json) -> list[str]:
    """Returns the IDs of the people in `users`, without the bot. Raises SlackError."""
    named = args.get("users")
    if not named:
        raise SlackError("users_list_not_supplied")
    user_ids = list(dict.fromkeys(user_id.strip() for user_id in str(named).split(",")))
    for user_id in user_ids:
        if user_id not in app.workspace.users:
            raise SlackError("user_not_found")
        if app.workspace.users[user_id].deleted:
            raise SlackError("user_disabled")
    user_ids = [user_id for user_id in user_ids if user_id != app.workspace.bot.id]
    if not user_ids:
        raise SlackError("not_enough_users")
    if len(user_ids) > _MAX_GROUP_DM_USERS:
        raise SlackError("too_many_users")
    return user_ids


def _group_dm(app: App, user_ids: Sequence[str]) -> Channel | None:
    wanted = {*user_ids, app.workspace.bot.id}
    groups = (channel for channel in app.workspace.channels.values() if channel.type == "mpim")
    return next((channel for channel in groups if set(channel.members) == wanted), None)


def _new_group_dm(app: App, user_ids: Sequence[str]) -> Channel:
    bot = app.workspace.bot
    names = [app.workspace.users[user_id].name for user_id in user_ids]
    name = f"mpdm-{'--'.join([*names, bot.name])}-1"
    number = sum(channel.type == "mpim" for channel in app.workspace.channels.values())
    channel = Channel(f"C0MPDM{number}", name, "mpim", [*user_ids, bot.id], creator=bot.id)
    app.workspace.channels[channel.id] = channel
    return channel


def user_info(app: App, args: Json) -> Json:
    user = app.workspace.users.get(required(args, "user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": user_json(app.workspace, user, with_email=_sees_email(app))}


def get_reactions(app: App, args: Json) -> Json:
    if not args.get("channel") or not args.get("timestamp"):
        raise SlackError("no_item_specified")
    channel = app.joined_channel(args)
    message = app.workspace.message(channel.id, str(args["timestamp"]))
    fields = message_json(app.workspace, message) | {"permalink": permalink(message)}
    return {"type": "message", "channel": channel.id, "message": fields}


def add_reaction(app: App, args: Json) -> Json:
    return _react(app, args, add=True)


def remove_reaction(app: App, args: Json) -> Json:
    return _react(app, args, add=False)


def _react(app: App, args: Json, *, add: bool) -> Json:
    channel = app.joined_channel(args)
    message = app.workspace.message(channel.id, required(args, "timestamp"))
    name = required(args, "name").strip(":")
    if not _EMOJI_NAME.fullmatch(name):
        raise SlackError("invalid_name")
    app.workspace.react(message, name, app.workspace.bot.id, add=add)
    return {}


def _sees_email(app: App) -> bool:
    return "users:read.email" in app.scopes


def _time_range(args: Json) -> _TimeRange:
    return _TimeRange(str(args.get("oldest") or "0"), str(args.get("latest") or "9"), flag(args, "inclusive"))


def _message_page(app: App, args: Json, channel: Channel, shown: Sequence[str], default_limit: int) -> Json:
    page, metadata = paginate(args, shown, default_limit)
    with_metadata = flag(args, "include_all_metadata")
    messages = (app.workspace.message(channel.id, ts) for ts in page)
    listed = [history_message_json(app.workspace, m, all_metadata=with_metadata) for m in messages]
    return {"messages": listed, "has_more": bool(metadata), **metadata}


_HISTORY = tuple(f"{kind}:history" for kind in _SCOPES.values())
_READ = tuple(f"{kind}:read" for kind in _SCOPES.values())
METHODS = {
    "conversations.history": Method(history, _HISTORY),
    "conversations.replies": Method(replies, _HISTORY),
    "conversations.info": Method(info, _READ),
    "conversations.list": Method(list_channels, _READ),
    "users.conversations": Method(list_joined_channels, _READ),
    "conversations.members": Method(list_members, _READ),
    "conversations.join": Method(join, ("channels:join",)),
    "pins.add": Method(pin, ("pins:write",)),
    "pins.list": Method(list_pins, ("pins:read",)),
    "conversations.open": Method(open_dm, ("im:write", "mpim:write")),
    "users.info": Method(user_info, ("users:read",)),
    "users.list": Method(list_users, ("users:read",)),
    "reactions.get": Method(get_reactions, ("reactions:read",)),
    "reactions.add": Method(add_reaction, ("reactions:write",)),
    "reactions.remove": Method(remove_reaction, ("reactions:write",)),
}
