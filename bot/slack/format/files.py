"""Slack's file objects as our files."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.core import texts
from bot.core.conversation import File, ThreadKey
from bot.core.inbound.files import CHECK_FILE_INFO, is_canvas
from bot.slack.format.payload import json_object, json_objects, string, strings

_CLIPS = ("slack_audio", "slack_video")
"""The subtypes of what people record in Slack."""


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages that it forwards.

    Slack lets whoever reads a forwarded message open its files, but not its canvases. So a canvas has no name before
    its access is checked: its title may be as private as its content.
    """
    shared = [file_of(file) for file in json_objects(message, "files")]
    forwarded = [
        file_of(file) for holder in json_objects(message, "attachments") for file in json_objects(holder, "files")
    ]
    checked = [
        replace(file, name=texts.CANVAS_UNNAMED, access=CHECK_FILE_INFO) if is_canvas(file) else file
        for file in forwarded
    ]
    return (*shared, *checked)


def file_of(file: Mapping[str, Any]) -> File:
    """Returns a file object as our file. https://docs.slack.dev/reference/objects/file-object"""
    transcription = json_object(file, "transcription")
    has_transcript = transcription.get("status") == "complete"
    duration_ms, size = file.get("duration_ms"), file.get("size")
    return File(
        id=string(file, "id"),
        name=string(file, "name") or string(file, "title") or texts.FILE_UNNAMED,
        mimetype=string(file, "mimetype"),
        filetype=string(file, "filetype"),
        mode=string(file, "mode"),
        access=string(file, "file_access"),
        url=string(file, "url_private_download") or string(file, "url_private"),
        size_bytes=size if isinstance(size, int) and size > 0 else 0,
        user_id=string(file, "user"),
        # The names of clips are translated.
        is_clip=string(file, "subtype") in _CLIPS,
        transcript=_whole(json_object(transcription, "preview")) if has_transcript else None,
        captions_url=string(file, "vtt") if has_transcript else "",
        seconds=duration_ms / 1_000 if isinstance(duration_ms, int | float) else 0.0,
    )


def _whole(preview: Mapping[str, Any]) -> str | None:
    """Returns a transcript, None if Slack shows only its beginning."""
    return string(preview, "content") if preview.get("has_more") is False else None


def is_for_readers(file: Mapping[str, Any], thread: ThreadKey, asker: str) -> bool:
    """Whether all who read a thread may read a file, by its description from files.info.

    It is shared in the thread's channel, or the asker owns it and nobody else reads the thread.
    """
    if thread.channel_id in _places_of(file):
        return True
    return thread.in_direct_message and bool(asker) and string(file, "user") == asker


def _places_of(file: Mapping[str, Any]) -> Iterator[str]:
    """Yields the ids of the channels in which a file is shared."""
    for key in ("channels", "groups", "ims"):
        yield from strings(file, key)
    for group in json_object(file, "shares").values():
        yield from group if isinstance(group, Mapping) else ()
    # A channel's own canvas is shared nowhere else.
    yield string(file, "linked_channel_id")
