"""Reads Slack's file objects, including emails, and determines who can read them. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.core import texts
from bot.core.canvases import is_canvas
from bot.core.conversation import CHECK_FILE_INFO, File, ThreadKey
from bot.core.unseen import visible
from bot.slack.json_values import Payload, json_object, json_objects, string, strings

_SHARED_IN = ("channels", "groups", "ims")
_PREVIEW = re.compile(r"thumb_(\d{2,4})")
_CLIPS = ("slack_audio", "slack_video")
MAX_MAIL_CHARS = 10_000
"""Maximum length of an email that is shown in full. Longer emails are read as files, which can be cut in the middle."""
MAX_MAIL_HEADER_CHARS = 500


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages it forwards. Slack lets readers of a forwarded message open
    its files but not its canvases. A canvas therefore has no name until access to it has been checked, because its
    title can be as private as its content."""
    shared = [file_of(file) for file in json_objects(message, "files")]
    forwarded = [
        file_of(file) for holder in json_objects(message, "attachments") for file in json_objects(holder, "files")
    ]
    checked = [
        replace(file, name=texts.canvases.UNNAMED, access=CHECK_FILE_INFO) if is_canvas(file) else file
        for file in forwarded
    ]
    return (*shared, *checked)


def file_of(file: Mapping[str, Any]) -> File:
    """Converts a Slack file object to a File. https://docs.slack.dev/reference/objects/file-object"""
    transcription = json_object(file, "transcription")
    has_transcript, preview = transcription.get("status") == "complete", json_object(transcription, "preview")
    duration_ms, size = file.get("duration_ms"), file.get("size")
    return File(
        id=string(file, "id"),
        name=_file_name(file),
        mimetype=string(file, "mimetype"),
        filetype=string(file, "filetype"),
        mode=string(file, "mode"),
        access=string(file, "file_access"),
        url=string(file, "url_private_download") or string(file, "url_private"),
        size_bytes=size if isinstance(size, int) and size > 0 else 0,
        preview_url=max(_previews(file), default=(0, ""))[1],
        user_id=string(file, "user"),
        # Clips are recognized by subtype because their names are translated.
        is_clip=string(file, "subtype") in _CLIPS,
        # A transcript is ignored unless it is complete, because Slack sometimes includes only the beginning.
        transcript=string(preview, "content") if has_transcript and preview.get("has_more") is False else None,
        captions_url=string(file, "vtt") if has_transcript else "",
        seconds=duration_ms / 1_000 if isinstance(duration_ms, int | float) else 0.0,
        is_quoted=bool(_mail_text(file)),
    )


def _file_name(file: Payload) -> str:
    """Returns a file's user-facing name. Objects that were created in Slack, such as canvases, have only a title."""
    name, title = string(file, "name"), string(file, "title")
    return (name if "." in name else title or name) or texts.files.FILE_UNNAMED


def mail_of(file: Payload) -> str:
    text = _mail_text(file)
    return f"{mail_headers(file)}\n\n{text}" if text else ""


def is_mail(file: Payload) -> bool:
    return "email" in (string(file, "mode"), string(file, "filetype"))


def _mail_text(file: Payload) -> str:
    """Returns an email's text, or "" if it is too long to show below a message or isn't in the file object."""
    text = string(file, "plain_text").strip() if is_mail(file) else ""
    return text if len(text) <= MAX_MAIL_CHARS else ""


def mail_headers(file: Payload) -> str:
    """Returns an email's author, date, subject and attachment names. Slack doesn't give apps any other data about
    attachments."""
    senders = [string(sender, "original") or string(sender, "address") for sender in json_objects(file, "from")]
    headers = {
        "From": ", ".join(senders) or string(file, "from"),
        "Subject": string(file, "subject") or string(file, "title"),
        "Date": string(json_object(file, "headers"), "date"),
        "Attachments (only their names)": ", ".join(
            filter(None, (string(attachment, "filename") for attachment in json_objects(file, "attachments")))
        ),
    }
    in_one_line = {name: " ".join(visible(words).split())[:MAX_MAIL_HEADER_CHARS] for name, words in headers.items()}
    return "\n".join(f"{name}: {words}" for name, words in in_one_line.items() if words)


def _previews(file: Payload) -> Iterator[tuple[int, str]]:
    for key in file:
        if (size := _PREVIEW.fullmatch(key)) and (url := string(file, key)):
            yield int(size[1]), url


def is_visible_to_readers(file: Mapping[str, Any], thread: ThreadKey, asker: str) -> bool:
    """Returns whether a file is shared in the thread's channel. A file that nobody else can read also counts if it is
    the asker's own."""
    # A channel's own canvas isn't listed in the other fields.
    channels = {string(file, "linked_channel_id"), *(id_ for key in _SHARED_IN for id_ in strings(file, key))}
    shares = [share for share in json_object(file, "shares").values() if isinstance(share, Mapping)]
    if any(thread.channel_id in place for place in (channels, *shares)):
        return True
    return thread.in_direct_message and bool(asker) and string(file, "user") == asker
