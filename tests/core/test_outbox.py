"""How long outbox entries wait for their next try, and which messages beside a reply are no longer true."""

import pytest

from bot.core.job import MessageRole, RecordedMessage
from bot.core.outbox import MAX_IN_VAIN, MAX_TRIES, OUTBOX_HOLD_S, stale, wait_s


def test_waits_grow_and_all_tries_take_about_a_day() -> None:
    waits = [wait_s(tries) for tries in range(MAX_TRIES)]
    assert waits == sorted(waits)
    assert min(waits[1:]) > OUTBOX_HOLD_S, "a postponed entry differs from one that a process holds"
    assert 20 * 3600 < sum(waits) < 28 * 3600


def test_tries_without_a_turn_are_repeated_each_minute_at_first_and_then_like_others() -> None:
    waits = [wait_s(tries, had_no_turn=True) for tries in range(1, MAX_TRIES)]
    assert waits[:MAX_IN_VAIN] == [60.0] * MAX_IN_VAIN
    assert waits[MAX_IN_VAIN:] == [wait_s(tries) for tries in range(MAX_IN_VAIN + 1, MAX_TRIES)]


BESIDE = tuple(
    RecordedMessage(f"{role}.{version}", role, version)
    for role in (MessageRole.MENTION, MessageRole.ASK, MessageRole.LINK)
    for version in (1, 2)
)
OLD_MENTION, MENTIONS, ASKS = {"mention.1"}, {"mention.1", "mention.2"}, {"ask.1", "ask.2"}


@pytest.mark.parametrize(
    ("asks", "is_ready", "is_deleted", "gone"),
    [
        (True, True, False, OLD_MENTION),
        (False, True, False, OLD_MENTION | ASKS),
        (True, False, False, MENTIONS),
        (False, False, True, MENTIONS | ASKS | {"link.1", "link.2"}),
    ],
)
def test_message_beside_a_reply_is_true_as_long_as_what_it_says(
    asks: bool, is_ready: bool, is_deleted: bool, gone: set[str]
) -> None:
    found = stale(BESIDE, 2, asks=asks, is_ready=is_ready, is_deleted=is_deleted)
    assert found == tuple(message for message in BESIDE if message.ts in gone)
