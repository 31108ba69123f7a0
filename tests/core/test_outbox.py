"""How long outbox entries wait for their next try."""

from bot.core.outbox import MAX_IN_VAIN, MAX_TRIES, OUTBOX_HOLD_S, wait_s


def test_waits_grow_and_all_tries_take_about_a_day() -> None:
    waits = [wait_s(tries) for tries in range(MAX_TRIES)]
    assert waits == sorted(waits)
    assert min(waits[1:]) > OUTBOX_HOLD_S, "a postponed entry differs from one that a process holds"
    assert 20 * 3600 < sum(waits) < 28 * 3600


def test_tries_without_a_turn_are_repeated_each_minute_at_first_and_then_like_others() -> None:
    waits = [wait_s(tries, had_no_turn=True) for tries in range(1, MAX_TRIES)]
    assert waits[:MAX_IN_VAIN] == [60.0] * MAX_IN_VAIN
    assert waits[MAX_IN_VAIN:] == [wait_s(tries) for tries in range(MAX_IN_VAIN + 1, MAX_TRIES)]
