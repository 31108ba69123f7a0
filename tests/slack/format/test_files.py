"""Slack's file objects as our files."""

import pytest

from bot.core import texts
from bot.core.conversation import ThreadKey
from bot.slack.format.files import files_of, is_for_readers


def test_files_of_forwarded_messages_belong_to_the_message() -> None:
    message = {"files": [{"id": "F1"}], "attachments": [{"is_share": True, "files": [{"id": "F2"}]}, {"text": "x"}]}
    assert [file.id for file in files_of(message)] == ["F1", "F2"]
    assert files_of({"text": "none"}) == ()


@pytest.mark.parametrize(("size", "size_bytes"), [(98_000, 98_000), (None, 0), (-1, 0), ("98000", 0), (1.5, 0)])
def test_size_counts_only_if_it_is_one(size: object, size_bytes: int) -> None:
    (file,) = files_of({"files": [{"id": "F1", "size": size}]})
    assert file.size_bytes == size_bytes


def test_only_canvases_of_forwarded_messages_are_checked_and_have_no_title_before() -> None:
    canvas = {"id": "F1", "title": "Layoffs", "mimetype": "application/vnd.slack-docs"}
    image = {"id": "F2", "name": "chart.png", "mimetype": "image/png"}
    files = files_of({"files": [canvas], "attachments": [{"files": [canvas, image]}]})
    assert [(file.name, file.access) for file in files] == [
        ("Layoffs", ""),
        (texts.CANVAS_UNNAMED, "check_file_info"),
        ("chart.png", ""),
    ]


CHANNEL, DIRECT = ThreadKey("T1", "C1", "1.0"), ThreadKey("T1", "D1", None)
PLACES: dict[str, tuple[dict[str, object], ThreadKey, bool]] = {
    "shared nowhere": ({"user": "U1"}, CHANNEL, False),
    "shared in the channel": ({"channels": ["C1"]}, CHANNEL, True),
    "shared in a private channel": ({"groups": ["C1"]}, CHANNEL, True),
    "shared by a message": ({"shares": {"private": {"C1": [{"ts": "1.0"}]}}}, CHANNEL, True),
    "the channel's own": ({"linked_channel_id": "C1"}, CHANNEL, True),
    "shared elsewhere": ({"channels": ["C2"], "is_public": True, "user": "U1"}, CHANNEL, False),
    "shared in the direct message": ({"ims": ["D1"]}, DIRECT, True),
    "the asker's own": ({"user": "U1"}, DIRECT, True),
    "another person's": ({"user": "U2"}, DIRECT, False),
    "without an answer": ({}, DIRECT, False),
    "of an unknown form": ({"channels": "C1", "shares": ["C1"], "user": None}, CHANNEL, False),
}


@pytest.mark.parametrize(("file", "thread", "is_for_them"), PLACES.values(), ids=PLACES)
def test_canvas_is_for_the_readers_of_a_thread_where_it_is_shared(
    file: dict[str, object], thread: ThreadKey, is_for_them: bool
) -> None:
    assert is_for_readers(file, thread, "U1") is is_for_them
