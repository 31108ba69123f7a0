"""Who was told what, and what is still to be told, with a model of nobody: each rule by itself, on both databases."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from bot.core.notifications import DueNotification, Notification
from bot.core.outbox import MAX_TRIES, OUTBOX_HOLD_S
from bot.store import Stores
from bot.store.schema import NOTIFICATIONS_KEPT_S
from tests.clocks import ManualClock

KIND = "of a feature"
REFUSED = Notification("U1", "refused", {"text": "The key is refused."})
WORKS = replace(REFUSED, content={"text": "The key works."})


async def due(stores: Stores, *, kinds: Sequence[str] = (KIND,)) -> list[DueNotification]:
    return await stores.notifications.claim_due(20, kinds)


async def told(stores: Stores) -> list[str]:
    taken = await due(stores)
    for one in taken:
        await stores.notifications.complete(one)
    return [one.content["text"] for one in taken]


async def test_notification_is_claimed_once_per_period_by_all_processes(timed: Stores, clock: ManualClock) -> None:
    claim = timed.notifications.claim
    claimed = await asyncio.gather(*(claim("T1", "U1", "denied", 3_600) for _ in range(5)))
    assert sorted(claimed) == [False, False, False, False, True]
    for other in (("T1", "U2", "denied"), ("T2", "U1", "denied"), ("T1", "", "denied")):
        assert await claim(*other, 3_600)
    assert not await timed.notifications.is_known("T1", "U1", "another")
    assert await claim("T1", "U1", "another")
    assert await timed.notifications.is_known("T1", "U1", "another")
    assert not any(
        [await timed.notifications.is_known(*other) for other in (("T2", "U1", "another"), ("T1", "", "another"))]
    )
    clock.now_s += 3_599
    assert not await claim("T1", "U1", "denied", 3_600)
    clock.now_s += 1
    assert await claim("T1", "U1", "denied", 3_600)
    assert not await claim("T1", "U1", "another")
    await timed.notifications.withdraw("T1", "U1", "another")
    assert await claim("T1", "U1", "another")
    assert not await claim("T1", "U1", "denied", 3_600), "others stay"
    clock.now_s += NOTIFICATIONS_KEPT_S - 1
    assert not await claim("T1", "U1", "another")
    clock.now_s += 1
    assert await claim("T1", "U1", "another"), "nobody remembers it by now"


async def test_notification_is_sent_once_by_one_process_and_stays_known(timed: Stores) -> None:
    for _ in range(2):
        await timed.notifications.add("T1", REFUSED, replace(REFUSED, recipient="U2"))
    taken = await asyncio.gather(*(due(timed) for _ in range(3)))
    [first, second] = sorted((one for each in taken for one in each), key=lambda one: one.recipient)
    assert (first.team_id, first.recipient, first.content, first.tries) == ("T1", "U1", REFUSED.content, 1)
    for one in (first, second):
        await timed.notifications.complete(one)
    await timed.notifications.add("T1", REFUSED)
    assert await told(timed) == []
    assert await timed.notifications.is_known("T1", "U2", "refused")
    assert not await timed.notifications.claim("T1", "U1", "refused")


async def test_one_that_was_claimed_is_not_added(timed: Stores) -> None:
    assert await timed.notifications.claim("T1", "U1", "refused")
    await timed.notifications.add("T1", REFUSED)
    assert await told(timed) == []


async def test_notification_of_a_process_that_died_is_taken_by_another_which_alone_completes_it(
    timed: Stores, clock: ManualClock
) -> None:
    await timed.notifications.add("T1", REFUSED)
    [lost] = await due(timed)
    assert await due(timed) == []
    clock.now_s += OUTBOX_HOLD_S
    [again] = await due(timed)
    assert (again.tries, again.since) == (2, lost.since)
    await timed.notifications.complete(lost)
    await timed.notifications.postpone(lost, 0.0)
    assert await due(timed) == []
    await timed.notifications.postpone(again, 60.0)
    clock.now_s += 59
    assert await due(timed) == []
    clock.now_s += 1
    assert await told(timed) == ["The key is refused."]


async def test_notification_is_set_aside_after_a_day_of_tries(timed: Stores, clock: ManualClock) -> None:
    await timed.notifications.add("T1", REFUSED)
    for tries in range(1, MAX_TRIES + 1):
        [one] = await due(timed)
        assert one.tries == tries
        await timed.notifications.postpone(one, 30.0)
        clock.now_s += 30
    assert await due(timed) == []


async def test_kind_that_only_a_newer_version_knows_is_left_to_it(timed: Stores) -> None:
    await timed.notifications.add("T1", Notification("", "80% of a cap", {"cap": 1}, KIND))
    assert await due(timed, kinds=()) == []
    [one] = await due(timed)
    assert (one.kind, one.content) == (KIND, {"cap": 1})


async def test_who_was_told_is_told_that_it_is_over_and_of_the_next_time(timed: Stores) -> None:
    for _ in range(2):
        await timed.notifications.add("T1", REFUSED)
        assert await told(timed) == ["The key is refused."]
        assert await timed.notifications.queue_end("T1", WORKS)
        assert await timed.notifications.queue_end("T1", WORKS)
        assert await told(timed) == ["The key works."]
        assert not await timed.notifications.is_known("T1", "U1", "refused")
        assert await timed.notifications.queue_end("T1", WORKS)
        assert await told(timed) == []


async def test_who_was_not_told_yet_is_told_of_neither(timed: Stores) -> None:
    await timed.notifications.add("T1", REFUSED)
    assert await timed.notifications.queue_end("T1", WORKS)
    assert await told(timed) == []


async def test_who_may_just_be_told_is_told_that_it_is_over_later(timed: Stores) -> None:
    await timed.notifications.add("T1", REFUSED)
    [under_way] = await due(timed)
    assert not await timed.notifications.queue_end("T1", WORKS)
    await timed.notifications.complete(under_way)
    assert await timed.notifications.queue_end("T1", WORKS)
    assert await told(timed) == ["The key works."]


async def test_who_was_not_told_of_an_end_yet_is_told_of_neither_once_it_is_there_again(timed: Stores) -> None:
    await timed.notifications.add("T1", REFUSED)
    assert await told(timed) == ["The key is refused."]
    assert await timed.notifications.queue_end("T1", WORKS)
    await timed.notifications.add("T1", REFUSED)
    assert await told(timed) == []
    assert await timed.notifications.queue_end("T1", WORKS)
    assert await told(timed) == ["The key works."]
