"""What is said about the last time without Slack. tests/scenarios/check_report.md has the rest."""

from bot.checks.database import gap_sentence
from bot.store.listening import Report, Tally


def test_one_conversation_has_no_plural() -> None:
    said = gap_sentence(Report(0.0, 600.0, Tally(looked_at=1, unread=1, answered=1)))
    assert "checked 1 conversation or thread, and couldn't read 1 of" in said
