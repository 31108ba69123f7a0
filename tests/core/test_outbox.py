"""How long outbox entries wait for their next try, and what follows from the record of a question."""

from dataclasses import replace

import pytest

from bot.core.job import MessageRole, RecordedMessage, Status
from bot.core.outbox import MAX_RATE_LIMITED_TRIES, MAX_TRIES, OUTBOX_HOLD_S, QuestionRecord, ReplyTarget, wait_s


def test_waits_grow_and_all_tries_take_about_a_day() -> None:
    waits = [wait_s(tries) for tries in range(MAX_TRIES)]
    assert waits == sorted(waits)
    assert min(waits[1:]) > OUTBOX_HOLD_S, "a postponed entry differs from one that a process holds"
    assert 20 * 3600 < sum(waits) < 28 * 3600


def test_tries_without_a_turn_are_repeated_each_minute_at_first_and_then_like_others() -> None:
    waits = [wait_s(tries, was_rate_limited=True) for tries in range(1, MAX_TRIES)]
    assert waits[:MAX_RATE_LIMITED_TRIES] == [60.0] * MAX_RATE_LIMITED_TRIES
    assert waits[MAX_RATE_LIMITED_TRIES:] == [wait_s(tries) for tries in range(MAX_RATE_LIMITED_TRIES + 1, MAX_TRIES)]


ENDED = QuestionRecord(
    Status.ENDED,
    attempts=1,
    version=2,
    messages=(RecordedMessage("5.0", MessageRole.PAGE),),
    side_messages=(),
    answer_deleted=False,
    is_asked=True,
    is_shown=True,
    mention_due_at=None,
    can_mention=False,
)
WAITING = replace(ENDED, status=Status.AWAITING_APPROVAL)
DELETED = replace(ENDED, answer_deleted=True)
UNASKED = replace(ENDED, is_asked=False)


@pytest.mark.parametrize(
    ("record", "shows"),
    [
        (ENDED, ReplyTarget.END),
        (UNASKED, ReplyTarget.UNLESS_FOLLOWED),
        (WAITING, ReplyTarget.ASKS),
        (replace(ENDED, attempts=0), ReplyTarget.NO_PLACEHOLDER),
        (DELETED, ReplyTarget.NOTHING),
        (replace(WAITING, answer_deleted=True), ReplyTarget.NOTHING),
        (replace(ENDED, messages=(*ENDED.messages, RecordedMessage("6.0", MessageRole.STRAY))), ReplyTarget.NOTHING),
    ],
)
def test_reply_shows_what_follows_from_the_record(record: QuestionRecord, shows: ReplyTarget) -> None:
    assert record.target is shows


BESIDE = tuple(
    RecordedMessage(f"{role}.{version}", role, version)
    for role in (MessageRole.MENTION, MessageRole.ASK, MessageRole.LINK)
    for version in (1, 2)
)
NOW, HOUR_S = 2.0, 3600.0
OLD_MENTION, MENTIONS, ASKS = {"mention.1"}, {"mention.1", "mention.2"}, {"ask.1", "ask.2"}


@pytest.mark.parametrize(
    ("record", "gone"),
    [
        (ENDED, OLD_MENTION | ASKS),
        (WAITING, OLD_MENTION),
        (replace(WAITING, mention_due_at=1.0), OLD_MENTION | ASKS),
        (UNASKED, MENTIONS | ASKS),
        (DELETED, MENTIONS | ASKS | {"link.1", "link.2"}),
    ],
)
def test_message_beside_a_reply_is_true_as_long_as_what_it_says(record: QuestionRecord, gone: set[str]) -> None:
    assert replace(record, side_messages=BESIDE).outdated_messages == tuple(
        message for message in BESIDE if message.ts in gone
    )


@pytest.mark.parametrize(
    ("record", "mentions", "due_at"),
    [
        (ENDED, False, None),
        (replace(ENDED, mention_due_at=1.0), True, NOW),
        (replace(ENDED, mention_due_at=1.0, is_shown=False), False, None),
        (replace(ENDED, mention_due_at=1.0, side_messages=BESIDE[:1]), False, NOW),
        (WAITING, False, None),
        (replace(WAITING, mention_due_at=9.0), False, 9.0),
        (replace(WAITING, mention_due_at=NOW + 4 * HOUR_S), False, NOW + HOUR_S),
        (replace(WAITING, mention_due_at=1.0, can_mention=True), True, NOW),
        (replace(WAITING, side_messages=BESIDE[3:4]), False, None),
        (replace(ENDED, side_messages=BESIDE[3:4]), False, NOW),
    ],
    ids=[
        "nothing is to come",
        "the answer is ready",
        "its end isn't shown yet",
        "an earlier mention goes first",
        "it waits, and nobody is to be mentioned",
        "it hasn't waited for long",
        "it waits for hours, and is looked at after one",
        "it waits for long",
        "it asks, and still waits",
        "it asks, and no longer waits",
    ],
)
def test_entry_about_messages_beside_a_reply_is_due_once_something_is_to_be_done(
    record: QuestionRecord, mentions: bool, due_at: float | None
) -> None:
    assert (record.should_mention, record.side_messages_due_at(NOW)) == (mentions, due_at)
