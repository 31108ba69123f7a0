"""Small files as other programs write them. `files_to_markdown/tests/files/index.jsonl` says of each what
must be read, and what must never.

Both are expressions over what the model gets, and after "=> " the line below the answer, in quotation marks. A row has
the file's name in Slack and the type that Slack gives it. `room_tokens` is the room for files' texts, if that matters.
"""

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from bot.core.conversation import File
from bot.core.files import (
    REFUSED,
    OpenedFile,
    detect_media_type,
    file_label,
    reason_unreadable,
    truncate_files,
    unread_notice,
)
from bot.models.prompt import Media
from files_to_markdown import formats, images
from files_to_markdown.document import MAX_IMAGE_BYTES, Format, Unreadable, short_text
from files_to_markdown.kind import document_kind
from tests.processes import REPOSITORY

FOLDER = REPOSITORY / "files_to_markdown" / "tests" / "files"
ROWS = [json.loads(line) for line in (FOLDER / "index.jsonl").read_text(encoding="utf-8").splitlines()]


def opened(file: File, content: bytes) -> OpenedFile:
    """Returns a file as bot/slack/files.py opens it, without a process of its own."""
    if reason := reason_unreadable(file):
        return OpenedFile(file, reason)
    if detect_media_type(content).startswith("image/"):
        media_type, packed, _ = images.convert_first_page(content)
        rest, has_more = images.convert_further_pages(content, MAX_IMAGE_BYTES - len(packed))
        first, *pages = (
            Media(file.name, kind, base64.b64encode(page).decode()) for kind, page in ((media_type, packed), *rest)
        )
        return OpenedFile(file, replace(first, is_first=has_more, other_pages=tuple(pages)))
    kind = document_kind(file.name, file.mimetype, content)
    if kind is None and (text := short_text(content)) is not None:
        return OpenedFile(file, text)
    try:
        return OpenedFile(file, formats.read(kind or Format.TEXT, content))
    except Unreadable as error:
        return OpenedFile(file, REFUSED[error.refusal])


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{row['kind']}: {row['title']}", marks=[pytest.mark.long] * (row["kind"] == "long"))
        for row in ROWS
    ],
)
def test_file_is_read_as_people_see_it_or_the_line_says_what_is_not(row: dict[str, Any]) -> None:
    read = opened(File("F1", row["name"], row["mimetype"]), (FOLDER / row["file"]).read_bytes())
    if room := row.get("room_tokens"):
        read = truncate_files({"F1": read}, lambda text: len(text) // 4, room // 2)["F1"]
    said = f"{file_label(read)}\n=> {unread_notice([read])!r}"
    assert [expression for expression in row["must"] if not re.search(expression, said)] == []
    assert [expression for expression in row["never"] if re.search(expression, said)] == []
