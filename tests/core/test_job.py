"""A job's messages by their roles, and what is on record of its text."""

from dataclasses import replace

import pytest

from bot.core.calls import Step
from bot.core.job import (
    POSTING,
    Checkpoint,
    End,
    Job,
    MessageRole,
    Notice,
    NoticeKind,
    Piece,
    RecordedMessage,
    sentence_notice,
    ts_of,
)
from bot.errors import EndReason
from tests.core.conversations import job

ROLES = ("FILE", "STRAY", "PAGE", "MENTION", "REPLACED", "PAGE")
MESSAGES = (*(RecordedMessage(f"{at}.5", MessageRole[role]) for at, role in enumerate(ROLES, start=1)), POSTING)


def test_readers_see_pages_and_then_what_slack_posted_elsewhere() -> None:
    assert replace(job(), messages=MESSAGES).page_ts == ("3.5", "6.5", "2.5")
    assert ts_of(MESSAGES, MessageRole.POSTING, MessageRole.FILE) == ("", "1.5")
    assert ts_of(MESSAGES, MessageRole.LINK) == ts_of(MESSAGES) == ()


@pytest.mark.parametrize(
    ("known", "has_begun"),
    [
        (job(), False),
        (replace(job(), attempts=2, continued_text="Because", messages=MESSAGES), False),
        (replace(job(), checkpoint=Checkpoint("Because")), True),
        (replace(job(), checkpoint=Checkpoint("", End(EndReason.STOPPED))), True),
        (replace(job(), steps=(Step(0, 0, (), "m"),)), True),
    ],
    ids=["nothing", "earlier version", "text", "end", "step"],
)
def test_attempt_has_begun_once_anything_of_its_version_is_on_record(known: Job, has_begun: bool) -> None:
    assert known.has_begun is has_begun


def test_piece_ends_where_its_text_does() -> None:
    assert Piece(7, "é👩").chars == 9


@pytest.mark.parametrize(("sentence", "notices"), [("", ()), ("Done.", (Notice(NoticeKind.SENTENCE, "Done."),))])
def test_end_without_a_sentence_has_no_notice(sentence: str, notices: tuple[Notice, ...]) -> None:
    assert sentence_notice(sentence) == notices
