"""chat.postMessage, chat.scheduleMessage, chat.update, chat.delete, chat.postEphemeral and chat.getPermalink."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from slack_sandbox.blocks import rules
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.web_api.method import App, Method, flag, required
from slack_sandbox.web_api.streams import is_open
from slack_sandbox.wire import message_json, permalink, updated_message_json
from slack_sandbox.workspace import Channel, Json, Message, Notification, SlackError

SCHEDULED_WITHIN_S = 120 * 24 * 3_600
_TS = re.compile(r"\d{6,}\.\d{1,6}")
_LINKED_NAMES = re.compile(r"(?<!\w)@(?:channel|here|everyone)\b")


def post_message(app: App, args: Json) -> Json:
    channel = writable_channel(app, app.channel_id(required(args, "channel")))
    content = _message_body(args)
    thread_ts = thread_of(app, channel, args)
    message = Message(
        channel.id,
        app.workspace.next_ts(),
        app.workspace.bot.id,
        content.text[: rules.POST_TEXT],
        content.blocks,
        sent_blocks=content.sent,
        thread_ts=thread_ts,
        subtype="thread_broadcast" if thread_ts and flag(args, "reply_broadcast") else None,
        metadata=rules.check_metadata(args["metadata"]) if "metadata" in args else None,
    )
    app.workspace.post(message)
    app.files.share_linked(message)
    _note_linked_names(app, message, args)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_json(app.workspace, message),
    }


def schedule_message(app: App, args: Json) -> Json:
    channel = writable_channel(app, app.channel_id(required(args, "channel")))
    post_at, thread_ts = required(args, "post_at"), thread_of(app, channel, args)
    delay_s = float(post_at) - time.time() if post_at.isdecimal() else -1.0
    if delay_s <= 0:
        raise SlackError("time_in_past" if post_at.isdecimal() else "invalid_time")
    if delay_s > SCHEDULED_WITHIN_S:
        raise SlackError("time_too_far")
    content = _message_body(args)
    draft = Message(
        channel.id,
        "",
        app.workspace.bot.id,
        content.text[: rules.POST_TEXT],
        content.blocks,
        sent_blocks=content.sent,
        thread_ts=thread_ts,
    )
    number = app.post_later(draft, delay_s)
    fields = {key: value for key, value in message_json(app.workspace, draft).items() if key != "ts"}
    scheduled = {"scheduled_message_id": f"Q{number:010d}", "post_at": int(post_at)}
    return {"channel": channel.id, **scheduled, "message": fields | {"type": "delayed_message"}}


def update(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    if channel.archived:
        raise SlackError("is_inactive")
    message = _own_message(app, channel, required(args, "ts"), "cant_update_message")
    if is_open(app, channel.id, message.ts):
        raise SlackError("streaming_state_conflict")
    if len(str(args.get("text") or "").encode(errors="replace")) > rules.UPDATE_TEXT_BYTES:
        raise SlackError("msg_too_long")
    content = _message_body(args)
    if content.sent:
        rules.check_replacement(message.blocks, content.blocks)
    # Text without blocks removes earlier blocks. Metadata stays until it is replaced.
    text = content.text if "text" in args else message.text
    changed = replace(
        message, text=text, blocks=content.blocks, sent_blocks=content.sent, edited_ts=app.workspace.next_ts()
    )
    if "metadata" in args:
        changed = replace(changed, metadata=rules.check_metadata(args["metadata"]))
    app.workspace.change(changed)
    _note_linked_names(app, changed, args)
    changed_json = updated_message_json(app.workspace, changed)
    return {"channel": channel.id, "ts": changed.ts, "text": changed.text, "message": changed_json}


def delete(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    message = _own_message(app, channel, required(args, "ts"), "cant_delete_message")
    if is_open(app, channel.id, message.ts):
        raise SlackError("cant_delete_message")
    app.workspace.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(app: App, args: Json) -> Json:
    channel = writable_channel(app, app.channel_id(required(args, "channel")))
    user = required(args, "user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _message_body(args)
    message = Message(
        channel.id,
        app.workspace.next_ts(),
        app.workspace.bot.id,
        content.text[: rules.POST_TEXT],
        content.blocks,
        sent_blocks=content.sent,
        thread_ts=thread_of(app, channel, args, takes_replies=True),
        ephemeral_to=user,
    )
    app.workspace.post(message)
    return {"message_ts": message.ts}


def get_permalink(app: App, args: Json) -> Json:
    channel = app.readable_channel(args)
    message = app.workspace.message(channel.id, required(args, "message_ts"))
    return {"channel": channel.id, "permalink": permalink(message)}


def writable_channel(app: App, channel_id: str) -> Channel:
    """Returns the channel to post in. Raises SlackError if the bot can't post there."""
    if app.setup.post_error:
        raise SlackError(app.setup.post_error)
    user = app.workspace.users.get(channel_id)
    # A user ID refers to the direct message with that person.
    channel = app.joined_channel({"channel": channel_id}) if user is None else app.workspace.dm(user.id)
    if channel.type == "im" and not app.config.messages_tab:
        raise SlackError("messages_tab_disabled")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


@dataclass(frozen=True, slots=True)
class _MessageBody:
    """A message's text and blocks. `blocks` are as Slack stores them, `sent` as the app sent them."""

    text: str
    blocks: tuple[Json, ...]
    sent: tuple[Json, ...] = ()


def _message_body(args: Json) -> _MessageBody:
    text, blocks = str(args.get("text") or ""), args.get("blocks")
    if markdown := args.get("markdown_text"):
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        return _MessageBody("", rules.check_markdown(markdown), ({"type": "markdown", "text": markdown},))
    checked = rules.check_blocks(blocks) if blocks is not None else ()
    if checked:
        return _MessageBody(text, checked, tuple(blocks or ()))
    if not text.strip():
        raise SlackError("no_text")
    return _MessageBody(text, stored_text(text[: rules.POST_TEXT]))


def thread_of(app: App, channel: Channel, args: Json, *, takes_replies: bool = False) -> str | None:
    """Returns the ts of the thread to post in, or None for the channel itself.

    If the thread's root was deleted, Slack posts in the channel, and the app can only tell by the missing `thread_ts`
    in the response. `takes_replies`: whether a reply's thread_ts is accepted for its thread. Raises SlackError.
    """
    thread_ts = args.get("thread_ts")
    if thread_ts is None:
        return None
    if not _TS.fullmatch(str(thread_ts)):
        raise SlackError("invalid_thread_ts")
    try:
        root = app.workspace.message(channel.id, str(thread_ts))
    except SlackError:
        return None
    if root.subtype == "tombstone":
        return None
    if root.thread_ts is not None and not takes_replies:
        raise SlackError("cannot_reply_to_message")
    return root.root_ts


def _own_message(app: App, channel: Channel, ts: str, error: str) -> Message:
    message = app.workspace.message(channel.id, ts)
    if message.user_id != app.workspace.bot.id:
        raise SlackError(error)
    return message


def _note_linked_names(app: App, message: Message, args: Json) -> None:
    if args.get("parse") == "full" or flag(args, "link_names"):
        matches: Iterator[re.Match[str]] = _LINKED_NAMES.finditer(message.text)
        app.workspace.notified.extend(Notification(message.channel, message.ts, match[0]) for match in matches)


_WRITE = ("chat:write",)
METHODS = {
    "chat.postMessage": Method(post_message, _WRITE),
    "chat.scheduleMessage": Method(schedule_message, _WRITE),
    "chat.update": Method(update, _WRITE),
    "chat.delete": Method(delete, _WRITE),
    "chat.postEphemeral": Method(post_ephemeral, _WRITE),
    "chat.getPermalink": Method(get_permalink),
}
