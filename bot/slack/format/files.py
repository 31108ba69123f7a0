"""Slack's file objects as our files."""

from collections.abc import Mapping
from typing import Any

from bot.core import texts
from bot.core.conversation import File


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages that it forwards."""
    holders = (message, *(message.get("attachments") or ()))
    return tuple(file_of(file) for holder in holders for file in holder.get("files") or ())


def file_of(file: Mapping[str, Any]) -> File:
    """Returns a file object as our file. https://docs.slack.dev/reference/objects/file-object"""
    return File(
        id=str(file.get("id") or ""),
        name=str(file.get("name") or file.get("title") or texts.FILE_UNNAMED),
        mimetype=str(file.get("mimetype") or ""),
        filetype=str(file.get("filetype") or ""),
        mode=str(file.get("mode") or ""),
        access=str(file.get("file_access") or ""),
        url=str(file.get("url_private_download") or file.get("url_private") or ""),
    )
