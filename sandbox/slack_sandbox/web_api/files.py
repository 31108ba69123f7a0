"""files.*: uploading in three steps, reading a file's description, and deleting a file."""

import re
from dataclasses import replace

from slack_sandbox.blocks import rules
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.filetypes import SNIPPET_TYPES
from slack_sandbox.web_api.chat import thread_of, writable_channel
from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.workspace import Channel, Json, Message, SlackError

_CHANNELS = 100
_ALT_TXT_CHARS = 1_000
_CHANNEL_ID = re.compile(r"[CGDZ][A-Z0-9]+")


def get_upload_url(app: App, args: Json) -> Json:
    filename, length = required(args, "filename"), required(args, "length")
    if not length.isdecimal() or int(length) < 1:
        raise SlackError("invalid_arguments")
    alt_txt, snippet_type = str(args.get("alt_txt") or ""), str(args.get("snippet_type") or "")
    if len(alt_txt) > _ALT_TXT_CHARS:
        raise SlackError("alt_txt_too_large")
    if snippet_type and snippet_type not in SNIPPET_TYPES:
        raise SlackError("unknown_snippet_type")
    return app.files.open_upload(filename, int(length), snippet_type, alt_txt)


def complete_upload(app: App, args: Json) -> Json:
    entries = args.get("files")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) and e.get("id") for e in entries):
        raise SlackError("invalid_arguments")
    pending_uploads = [(app.files.pending_upload(str(entry["id"])), str(entry.get("title") or "")) for entry in entries]
    channels = _channels(app, args)
    comment = str(args.get("initial_comment") or "")
    # Slack ignores blocks if there is an initial comment.
    sent = tuple(args.get("blocks") or ()) if not comment else ()
    blocks = rules.check_blocks(list(sent)) if sent else stored_text(comment)
    threads = [thread_of(app, channel, args) for channel in channels]
    files = [app.files.complete(pending, title) for pending, title in pending_uploads]
    # Slack posts the message after this response. files.info shows the message's ts later.
    files_json = [app.files.completed_json(file) for file in files]
    for channel, thread_ts in zip(channels, threads, strict=True):
        draft = Message(channel.id, app.workspace.next_ts(), app.workspace.bot.id, comment, blocks, thread_ts=thread_ts)
        app.files.schedule_share(replace(draft, sent_blocks=sent), files)
    return {"files": files_json}


def info(app: App, args: Json) -> Json:
    file = app.files.get(required(args, "file"))
    if not app.files.is_visible(file):
        raise SlackError("file_not_found")
    return {"file": app.files.info_json(file), "comments": [], "response_metadata": {"next_cursor": ""}}


def delete(app: App, args: Json) -> Json:
    file = app.files.get(required(args, "file"))
    if file.user_id != app.workspace.bot.id:
        raise SlackError("cant_delete_file")
    app.files.delete(file)
    return {}


def _channels(app: App, args: Json) -> list[Channel]:
    channel_ids = [name for name in str(args.get("channels") or "").split(",") if name]
    if channel_id := args.get("channel_id"):
        # Slack accepts a user ID only in `channels`.
        if not _CHANNEL_ID.fullmatch(str(channel_id)):
            raise SlackError("invalid_arguments")
        channel_ids.insert(0, str(channel_id))
    if len(channel_ids) > _CHANNELS:
        raise SlackError("channels_limit_exceeded")
    if args.get("thread_ts") and len(channel_ids) > 1:
        raise SlackError("invalid_arguments")
    return [writable_channel(app, channel_id) for channel_id in channel_ids]


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
    "files.info": Method(info, ("files:read",)),
    "files.delete": Method(delete, ("files:write",)),
}
