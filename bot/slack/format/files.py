"""Slack's file objects as our files."""

from collections.abc import Mapping
from typing import Any

from bot.core import texts
from bot.core.conversation import File
from bot.slack.format.rich_text import dicts, string


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages that it forwards."""
    holders = (message, *dicts(message.get("attachments")))
    return tuple(file_of(file) for holder in holders for file in dicts(holder.get("files")))


def file_of(file: Mapping[str, Any]) -> File:
    """Returns a file object as our file. https://docs.slack.dev/reference/objects/file-object"""
    return File(
        id=string(file, "id"),
        name=string(file, "name") or string(file, "title") or texts.FILE_UNNAMED,
        mimetype=string(file, "mimetype"),
        filetype=string(file, "filetype"),
        mode=string(file, "mode"),
        access=string(file, "file_access"),
        url=string(file, "url_private_download") or string(file, "url_private"),
    )
