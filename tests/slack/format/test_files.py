"""Slack's file objects as our files."""

from bot.slack.format.files import files_of


def test_files_of_forwarded_messages_belong_to_the_message() -> None:
    message = {"files": [{"id": "F1"}], "attachments": [{"is_share": True, "files": [{"id": "F2"}]}, {"text": "x"}]}
    assert [file.id for file in files_of(message)] == ["F1", "F2"]
    assert files_of({"text": "none"}) == ()
