"""Slack's native streams: chat.startStream, chat.appendStream and chat.stopStream.

A stream is a message that grows by appends until it is stopped. A stream's content is either `markdown_text` or
`chunks`. The first call with content decides which, and Slack then rejects the other argument. While it is open,
chat.update and chat.delete are rejected. Slack closes it five minutes after its start, regardless of appends.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from slack_sandbox.blocks import rules
from slack_sandbox.blocks.sizes import check_stored
from slack_sandbox.blocks.stored import to_stored_blocks
from slack_sandbox.text.fallback import fallback_text
from slack_sandbox.web_api.assistant import session_status
from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.wire import message_json
from slack_sandbox.workspace import Channel, Json, Message, SlackError, Stream, Task

LIFE_S = 300.0
CLOSED = "message_not_in_streaming_state"
STOPPED_BY_USER = "stopped_by_user"
"""Slack's error for a stream after a person has pressed Slack's Stop button."""
BLOCKS = 62
"""The maximum number of blocks in a stream's message. An ordinary message can have 50."""
CHUNK_TEXT = 256
"""The longest title of a task or plan update. 40,000 characters of details and output were accepted."""
DISPLAY_MODES = ("timeline", "plan")
STATUSES = ("pending", "in_progress", "complete", "error")
_PERSON = re.compile(r"[UW]\w+")


def start(app: App, args: Json) -> Json:
    channel = app.joined_channel(args)
    if channel.archived:
        raise SlackError("is_archived")
    if args.get("thread_ts") == "":
        raise SlackError("invalid_thread_ts")
    root = app.workspace.message(channel.id, required(args, "thread_ts"))
    _check_recipient(app, args)
    display_mode = str(args.get("task_display_mode") or "timeline")
    if display_mode not in DISPLAY_MODES:
        raise SlackError("invalid_arguments")
    stream = _with_content(Stream(app.monotonic(), display_mode=display_mode), args)
    draft = Message(
        channel.id,
        app.workspace.next_ts(),
        app.workspace.bot.id,
        "",
        thread_ts=root.root_ts,
        streaming_state="in_progress",
        stream_recipient=str(args["recipient_user_id"]),
    )
    message = app.workspace.post(_with_stream_content(app, draft, stream))
    app.files.share_linked(message)
    app.streams[channel.id, message.ts] = stream
    if app.config.pane == "agent":
        app.panes.set_session(channel.id, root.root_ts, "processing")
    return {"channel": channel.id, "ts": message.ts}


def append(app: App, args: Json) -> Json:
    channel, message, stream = _open_stream(app, args)
    if not args.get("markdown_text") and not args.get("chunks"):
        raise SlackError("no_text")
    grown = _with_content(stream, args)
    shown = _with_stream_content(app, message, grown)
    app.workspace.change(shown, announced=False)
    app.files.share_linked(shown)
    app.streams[channel.id, message.ts] = grown
    return {"channel": channel.id, "ts": message.ts}


def stop(app: App, args: Json) -> Json:
    channel, message, stream = _open_stream(app, args)
    # Slack's response to apps that aren't agents isn't known, and they shouldn't send it.
    if args.get("session_status") and app.config.pane != "agent":
        raise SlackError("invalid_arguments")
    status = session_status(args.get("session_status") or "active")
    stream = _with_content(stream, args)
    blocks = args.get("blocks") or []
    rules.check_blocks(blocks)
    ended = replace(_with_stream_content(app, message, _close_tasks(stream), blocks), streaming_state="completed")
    if "metadata" in args:
        ended = replace(ended, metadata=rules.check_metadata(args["metadata"]))
    del app.streams[channel.id, message.ts]
    app.workspace.change(ended)
    if app.config.pane == "agent":
        app.panes.set_session(channel.id, message.root_ts, status)
    return {"channel": channel.id, "ts": message.ts, "message": message_json(app.workspace, ended)}


def is_open(app: App, channel: str, ts: str) -> bool:
    """Returns whether a message is an open stream. Closes it if its five minutes are over."""
    stream = app.streams.get((channel, ts))
    if stream is not None and app.monotonic() - stream.started_s >= LIFE_S:
        close(app, channel, ts)
    return (channel, ts) in app.streams


def close(app: App, channel: str, ts: str, error: str = CLOSED) -> None:
    """Closes a stream as Slack does by itself. Later appends and stops are rejected with `error`."""
    stream = app.streams.pop((channel, ts), None)
    if stream is not None:
        ended = _with_stream_content(app, app.workspace.message(channel, ts), _close_tasks(stream))
        app.workspace.change(replace(ended, streaming_state="completed"))
        app.closed_streams[channel, ts] = error


def _check_recipient(app: App, args: Json) -> None:
    """Raises SlackError unless the recipient is a person, given with their own workspace."""
    for key in ("recipient_team_id", "recipient_user_id"):
        if not args.get(key):
            raise SlackError(f"missing_{key}")
    if not _PERSON.fullmatch(str(args["recipient_user_id"])):
        raise SlackError("invalid_arguments")
    recipient = app.workspace.users.get(args["recipient_user_id"])
    if recipient is None or recipient.bot_id is not None:
        raise SlackError("user_not_found")
    if args["recipient_team_id"] != recipient.team_id:
        raise SlackError("team_not_found")


def _open_stream(app: App, args: Json) -> tuple[Channel, Message, Stream]:
    channel = app.joined_channel(args)
    message = app.workspace.message(channel.id, required(args, "ts"))
    if message.user_id != app.workspace.bot.id:
        raise SlackError("message_not_owned_by_app")
    if channel.archived:
        raise SlackError("is_archived")
    if not is_open(app, channel.id, message.ts):
        raise SlackError(app.closed_streams.get((channel.id, message.ts), CLOSED))
    return channel, message, app.streams[channel.id, message.ts]


def _with_content(stream: Stream, args: Json) -> Stream:
    text, chunks = str(args.get("markdown_text") or ""), args.get("chunks") or []
    if not text and not chunks:
        return stream
    if text and chunks:
        raise SlackError("cannot_provide_both_markdown_text_and_chunks")
    mode: Literal["text", "chunks"] = "text" if text else "chunks"
    if stream.mode not in (None, mode):
        raise SlackError("streaming_mode_mismatch")
    if text:
        _check_length(text)
        return replace(stream, mode=mode, parts=_append_text(stream.parts, text))
    return _with_chunks(replace(stream, mode=mode), chunks)


def _with_chunks(stream: Stream, chunks: Any) -> Stream:
    if not isinstance(chunks, list) or not all(isinstance(chunk, dict) for chunk in chunks):
        raise SlackError("invalid_chunks")
    for chunk in chunks:
        match chunk.get("type"):
            case "markdown_text":
                text = _chunk_text(chunk, "text", required_text=True)
                _check_length(text)
                stream = replace(stream, parts=_append_text(stream.parts, text))
            case "task_update":
                stream = _with_task(stream, _task(chunk))
            case "plan_update":
                title = _chunk_text(chunk, "title", required_text=True, limit=CHUNK_TEXT)
                stream = replace(stream, plan_title=title)
            case "blocks":
                rules.check_blocks(chunk.get("blocks"))
                stream = replace(stream, parts=(*stream.parts, tuple(chunk["blocks"])))
            case _:
                raise SlackError("invalid_chunks")
    return stream


def _with_task(stream: Stream, task: Task) -> Stream:
    """Adds a task to the stream, or updates the task with the same ID, whose details and output are appended."""
    is_known = task.id in stream.tasks
    if is_known:
        before = stream.tasks[task.id]
        task = replace(
            task,
            details=before.details + task.details,
            output=before.output + task.output,
            sources=task.sources or before.sources,
        )
    return replace(
        stream, tasks={**stream.tasks, task.id: task}, parts=stream.parts if is_known else (*stream.parts, task)
    )


def _task(chunk: Json) -> Task:
    if chunk.get("status") not in STATUSES:
        raise SlackError("invalid_chunks")
    sources = chunk.get("sources") or []
    if not isinstance(sources, list) or not all(isinstance(source, dict) and source.get("url") for source in sources):
        raise SlackError("invalid_chunks")
    return Task(
        _chunk_text(chunk, "id", required_text=True),
        _chunk_text(chunk, "title", required_text=True, limit=CHUNK_TEXT),
        chunk["status"],
        _chunk_text(chunk, "details"),
        _chunk_text(chunk, "output"),
        tuple(sources),
    )


def _chunk_text(chunk: Json, key: str, *, required_text: bool = False, limit: int | None = None) -> str:
    text = chunk.get(key) or ""
    if not isinstance(text, str) or (required_text and not text):
        raise SlackError("invalid_chunks")
    if limit is not None and len(text) > limit:
        raise SlackError("invalid_chunks")
    return text


def _check_length(text: str) -> None:
    if len(text) > rules.MARKDOWN:
        raise SlackError("msg_too_long")


def _append_text(parts: Sequence[Any], text: str) -> tuple[Any, ...]:
    if parts and isinstance(parts[-1], str):
        return (*parts[:-1], parts[-1] + text)
    return (*parts, text)


def _close_tasks(stream: Stream) -> Stream:
    """Returns a closed stream. Unfinished tasks are stored as errors."""
    tasks = {
        id_: replace(task, status="error") if task.status in ("pending", "in_progress") else task
        for id_, task in stream.tasks.items()
    }
    return replace(stream, tasks=tasks)


def _with_stream_content(app: App, message: Message, stream: Stream, blocks: Sequence[Json] = ()) -> Message:
    """Returns the message with a stream's content, followed by `blocks`. Raises SlackError if the message is too
    large."""
    capacity_bytes = app.stream_capacity_bytes
    if capacity_bytes is not None and len(stream.text.encode()) > capacity_bytes:
        raise SlackError("msg_too_long")
    sent = (*_sent_blocks(stream), *blocks)
    stored_blocks = to_stored_blocks(sent)
    check_stored(stored_blocks, BLOCKS)
    return replace(message, text=fallback_text(stored_blocks), blocks=stored_blocks, sent_blocks=sent)


def _sent_blocks(stream: Stream) -> Iterator[Json]:
    """Yields a stream's content as blocks: tasks where they first occurred, or all in one plan."""
    has_plan = False
    for part in stream.parts:
        if isinstance(part, str):
            yield {"type": "markdown", "text": part}
        elif not isinstance(part, Task):
            yield from part
        elif stream.display_mode == "timeline":
            yield _card(stream.tasks[part.id])
        elif not has_plan:
            has_plan = True
            cards = [_card(task) for task in stream.tasks.values()]
            yield {"type": "plan", "title": stream.plan_title or cards[0]["title"], "tasks": cards}


def _card(task: Task) -> Json:
    card: Json = {"type": "task_card", "block_id": f"task-{task.id}", "task_id": task.id}
    card |= {"title": task.title, "status": task.status}
    for key, text in (("details", task.details), ("output", task.output)):
        if text:
            section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
            card[key] = {"type": "rich_text", "elements": [section]}
    return card | ({"sources": list(task.sources)} if task.sources else {})


_WRITE = ("chat:write",)
METHODS = {
    "chat.startStream": Method(start, _WRITE),
    "chat.appendStream": Method(append, _WRITE),
    "chat.stopStream": Method(stop, _WRITE),
}
