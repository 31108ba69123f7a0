"""Slack's native streams: chat.startStream, chat.appendStream and chat.stopStream."""

from dataclasses import replace

from sandbox import rules
from sandbox.api import App, Method, required
from sandbox.wire import message_json
from sandbox.workspace import Channel, Json, Message, SlackError, Stream

LIFE_S = 300.0
"""Slack closes a stream about five minutes after its start."""
CAPACITY_BYTES = 10_000
"""The most text that a stream's message holds, in UTF-8. Slack doesn't document this limit."""
BLOCKS = 62
"""The most blocks in a stream's message. An ordinary message may have 50."""


def start(app: App, args: Json) -> Json:
    channel = app.joined(args)
    if channel.archived:
        raise SlackError("is_archived")
    root = app.workspace.message(channel.id, required(args, "thread_ts"))
    for key in ("recipient_team_id", "recipient_user_id"):
        if not args.get(key):
            raise SlackError(f"missing_{key}")
    if args["recipient_user_id"] not in app.workspace.users:
        raise SlackError("user_not_found")
    text = _new_text(args)
    _check_capacity(text)
    draft = Message(channel.id, app.workspace.next_ts(), app.workspace.bot.id, "", thread_ts=root.root_ts)
    message = app.workspace.post(_with_text(draft, text))
    app.streams[channel.id, message.ts] = Stream(app.monotonic(), text)
    return {"channel": channel.id, "ts": message.ts}


def append(app: App, args: Json) -> Json:
    channel, message, stream = _streaming(app, args)
    new = _new_text(args)
    if not new and not args.get("chunks"):
        raise SlackError("no_text")
    _check_capacity(stream.text + new)
    stream.text += new
    app.workspace.change(_with_text(message, stream.text), announced=False)
    return {"channel": channel.id, "ts": message.ts}


def stop(app: App, args: Json) -> Json:
    channel, message, stream = _streaming(app, args)
    text = stream.text + _new_text(args)
    _check_capacity(text)
    ended = _with_text(message, text)
    if "blocks" in args:
        sent = [*ended.sent_blocks, *args["blocks"]]
        ended = replace(ended, blocks=rules.check_blocks(sent), sent_blocks=tuple(sent))
    if "metadata" in args:
        ended = replace(ended, metadata=rules.check_metadata(args["metadata"]))
    del app.streams[channel.id, message.ts]
    app.workspace.change(ended)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_json(app.workspace, ended),
    }


def _streaming(app: App, args: Json) -> tuple[Channel, Message, Stream]:
    channel = app.joined(args)
    message = app.workspace.message(channel.id, required(args, "ts"))
    if message.user_id != app.workspace.bot.id:
        raise SlackError("message_not_owned_by_app")
    stream = app.streams.get((channel.id, message.ts))
    if stream is not None and app.monotonic() - stream.started_s >= LIFE_S:
        del app.streams[channel.id, message.ts]
        stream = None
    if stream is None:
        raise SlackError("message_not_in_streaming_state")
    return channel, message, stream


def _new_text(args: Json) -> str:
    text = str(args.get("markdown_text") or "")
    for chunk in args.get("chunks") or ():
        if not isinstance(chunk, dict) or "type" not in chunk:
            raise SlackError("invalid_chunks")
        if chunk["type"] == "markdown_text":
            text += str(chunk.get("text", ""))
    if len(text) > rules.MARKDOWN:
        raise SlackError("msg_too_long")
    return text


def _check_capacity(text: str) -> None:
    if len(text.encode()) > CAPACITY_BYTES:
        raise SlackError("msg_too_long")


def _with_text(message: Message, text: str) -> Message:
    sent = ({"type": "markdown", "text": text},) if text else ()
    return replace(message, text=text, blocks=rules.check_markdown(text, BLOCKS), sent_blocks=sent)


_WRITE = ("chat:write",)
METHODS = {
    "chat.startStream": Method(start, _WRITE),
    "chat.appendStream": Method(append, _WRITE),
    "chat.stopStream": Method(stop, _WRITE),
}
