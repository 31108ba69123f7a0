"""Slack's file objects as our files."""

from collections.abc import Mapping
from typing import Any

from bot.core import texts
from bot.core.conversation import File


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages that it forwards."""
    holders = (message, *_objects(message.get("attachments")))
    return tuple(file_of(file) for holder in holders for file in _objects(holder.get("files")))


def file_of(file: Mapping[str, Any]) -> File:
    """Returns a file object as our file. https://docs.slack.dev/reference/objects/file-object"""
    return File(
        id=_string(file, "id"),
        name=_string(file, "name") or _string(file, "title") or texts.FILE_UNNAMED,
        mimetype=_string(file, "mimetype"),
        filetype=_string(file, "filetype"),
        mode=_string(file, "mode"),
        access=_string(file, "file_access"),
        url=_string(file, "url_private_download") or _string(file, "url_private"),
    )


def _string(file: Mapping[str, Any], key: str) -> str:
    value = file.get(key)
    return value if isinstance(value, str) else ""


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
