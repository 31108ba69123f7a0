"""Memories: one store for each place, numbers that stay unique, and what erasure and retention leave of them."""

import asyncio
import json
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from bot.core.actions import ReplyAction
from bot.core.conversation import ThreadKey
from bot.core.job import End, Notice, NoticeKind
from bot.core.job import sentence_notice as said_below
from bot.core.memory import MAX_MEMORIES, Memory, RememberOutcome, RememberResult
from bot.core.picture import picture
from bot.core.texts.memory import RESTORED, UNDONE
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import HALF_A_YEAR_S, UNDO_S, audit_entries, memories, turns
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import DIRECT, OTHER_THREAD, THREAD, asked, begun, count

REMEMBERED = (Notice(NoticeKind.REMEMBERED, "Remembered."),)


async def said(
    store: Stores, number: int, text: str, thread: ThreadKey = THREAD, *, by: str = "U1", is_private: bool = False
) -> RememberResult:
    question = replace(asked(number, thread), user_id=by)
    return await store.memories.remember(question, text, is_private=is_private)


async def proposed(store: Stores, number: int, text: str) -> RememberResult:
    return await store.memories.remember(asked(number), text, is_private=False, is_proposed=True)


async def of(store: Stores, channel_id: str = "C1") -> list[tuple[int, str]]:
    return [(memory.number, memory.text) for memory in await store.memories.of_place(("T1", channel_id))]


async def test_memory_is_kept_as_it_was_said_with_who_when_and_where(timed: Stores, clock: ManualClock) -> None:
    assert await said(timed, 1, "Tea <@U2>\0", is_private=True) == RememberResult(RememberOutcome.NEW, 1)
    [memory] = await timed.memories.of_place(("T1", "C1"))
    expected = Memory(
        memory.id,
        1,
        "Tea <@U2>\N{REPLACEMENT CHARACTER}",
        "U1",
        str(THREAD.thread_ts),
        asked(1).ts,
        "",
        False,
        True,
        clock.now_s,
    )
    assert memory == expected


async def test_each_place_has_its_own_memories_and_numbers(store: Stores) -> None:
    other_channel, other_team = ThreadKey("T1", "C2", None), ThreadKey("T2", "C1", None)
    for number, thread in enumerate((THREAD, OTHER_THREAD, DIRECT, other_channel, other_team)):
        await said(store, number, f"Text {number}", thread)
    assert await of(store) == [(1, "Text 0"), (2, "Text 1")]
    assert await of(store, "D1") == [(1, "Text 2")]
    assert await of(store, "C2") == [(1, "Text 3")]
    assert not await store.memories.forget(("T1", "C2"), 2, "U1")
    [elsewhere] = await store.memories.of_place(("T1", "C2"))
    changes = {elsewhere.id: "Mine now"}
    await store.memories.change(("T1", "C1"), "U1", changes, [elsewhere.id], is_private=True)
    await store.memories.change(("T1", "C1"), "U1", {elsewhere.id: ""}, (), is_private=True)
    assert await store.memories.of_place(("T1", "C2")) == [elsewhere]


async def test_message_that_says_something_again_says_one_thing(store: Stores) -> None:
    await said(store, 1, "Tea")
    await said(store, 2, "Milk")
    for _ in range(2):
        # A repeated attempt, and then an edited message.
        assert await said(store, 1, "Coffee") == RememberResult(RememberOutcome.NEW, 1)
    assert await of(store) == [(1, "Coffee"), (2, "Milk")]
    # Several proposals may stand below one message.
    assert [await proposed(store, 1, text) for text in ("A", "B")] == [
        RememberResult(RememberOutcome.NEW, 3),
        RememberResult(RememberOutcome.NEW, 4),
    ]
    assert await store.memories.take_back(asked(1), "U1")
    assert not await store.memories.take_back(asked(1), "U1")
    assert await of(store) == [(2, "Milk"), (3, "A"), (4, "B")]


async def test_deleted_message_takes_what_was_remembered_because_of_it(store: Stores) -> None:
    job = await begun(store)
    elsewhere = ThreadKey("T1", "C2", None)
    await said(store, 1, "Tea")
    await proposed(store, 1, "We drink tea.")
    await said(store, 2, "Milk")
    await said(store, 1, "Salt", elsewhere)
    assert await store.question_queue.delete("T1", "C1", job.question.ts)
    assert await of(store) == [(3, "Milk")]
    assert await of(store, "C2") == [(1, "Salt")]
    # Memories outlive the questions that they come from.
    assert not await store.question_queue.delete("T1", "C1", asked(2).ts)
    assert await of(store) == []


async def test_message_that_is_deleted_while_it_is_carried_out_says_nothing(store: Stores) -> None:
    job = await begun(store)
    assert await store.question_queue.delete("T1", "C1", job.question.ts)
    assert await said(store, 1, "Tea") == RememberResult(RememberOutcome.DELETED, 0)
    assert await proposed(store, 1, "Tea") == RememberResult(RememberOutcome.DELETED, 0)
    assert await of(store) == []


async def test_deletion_and_command_at_once_leave_nothing(process: Process) -> None:
    first, second = [await process(name) for name in ("w1", "w2")]
    for number in range(1, 6):
        question = replace(asked(number, ThreadKey("T1", "C1", f"{number}.0")), user_id=f"U{number}")
        await begun(first, question)
        remembering = first.memories.remember(question, f"Text {number}", is_private=False)
        await asyncio.gather(remembering, second.question_queue.delete("T1", "C1", question.ts))
    assert await of(first) == []


async def test_who_changed_a_text_is_said_until_its_author_says_it_in_another_way(store: Stores) -> None:
    await said(store, 1, "Tea")
    [tea] = await store.memories.of_place(("T1", "C1"))
    await store.memories.change(("T1", "C1"), "U2", {tea.id: "Coffee"}, (), is_private=False)
    await said(store, 2, "Coffee", by="U3")
    assert [memory.changed_by for memory in await store.memories.of_place(("T1", "C1"))] == ["U2"]
    await said(store, 1, "Milk")
    [milk] = await store.memories.of_place(("T1", "C1"))
    assert (milk.text, milk.user_id, milk.changed_by) == ("Milk", "U1", "")


async def test_changed_and_edited_texts_need_room_and_shorter_ones_always_have_it(store: Stores) -> None:
    for number in range(14):
        await said(store, number, f"{number:03}" + "x" * 490)
    memories = await store.memories.of_place(("T1", "C1"))
    change = partial(store.memories.change, ("T1", "C1"), "U2", is_private=False)
    longer = {memory.id: memory.text + "y" * 20 for memory in memories}
    assert not await change(longer, ())
    assert await store.memories.of_place(("T1", "C1")) == memories
    assert (await said(store, 0, "x" * 1_000)).outcome is RememberOutcome.FULL
    assert await change({**longer, memories[0].id: ""}, ())
    assert await change({memories[1].id: "short"}, ())


async def test_text_that_a_place_has_is_renewed(timed: Stores, clock: ManualClock) -> None:
    await said(timed, 1, "Tea", is_private=True)
    clock.now_s += HALF_A_YEAR_S - 1
    assert await said(timed, 2, " tea.", by="U2") == RememberResult(RememberOutcome.KNOWN, 1)
    clock.now_s += 2
    await timed.erasure.expire(0)
    [memory] = await timed.memories.of_place(("T1", "C1"))
    assert (memory.text, memory.user_id, memory.is_private) == ("Tea", "U1", False)


async def test_full_place_takes_nothing_and_names_its_oldest(store: Stores) -> None:
    for number in range(MAX_MEMORIES):
        await said(store, number, f"Text {number}")
    await store.memories.forget(("T1", "C1"), 1, "U1")
    assert await said(store, 100, "One more") == RememberResult(RememberOutcome.NEW, MAX_MEMORIES + 1)
    for _ in range(2):
        assert await said(store, 101, "Too much") == RememberResult(RememberOutcome.FULL, 2)
    assert await said(store, 100, "Another one") == RememberResult(RememberOutcome.NEW, MAX_MEMORIES + 1), (
        "in place of the one before"
    )
    assert await said(store, 102, "Elsewhere", DIRECT) == RememberResult(RememberOutcome.NEW, 1)
    assert len(await of(store)) == MAX_MEMORIES


async def test_processes_that_remember_at_once_give_each_memory_its_number(worker: Process) -> None:
    stores = [await worker(f"w{number}") for number in range(3)]
    texts = [(store, number, f"Text {number}") for number, store in enumerate(stores * 15)]
    results = await asyncio.gather(*(said(*one) for one in texts))
    assert sorted(one.number for one in results if one.outcome is RememberOutcome.NEW) == list(
        range(1, MAX_MEMORIES + 1)
    )
    assert [number for number, _ in await of(stores[0])] == list(range(1, MAX_MEMORIES + 1))


async def test_changes_name_who_made_them_and_renew_what_they_change_or_keep(timed: Stores, clock: ManualClock) -> None:
    for number, text in enumerate(("Tea", "Milk", "Salt", "Rice")):
        await said(timed, number, text, is_private=True)
    ids = [memory.id for memory in await timed.memories.of_place(("T1", "C1"))]
    clock.now_s += HALF_A_YEAR_S - 1
    await timed.memories.change(("T1", "C1"), "U2", {ids[0]: "Coffee", ids[1]: ""}, [ids[2]], is_private=False)
    clock.now_s += 2
    await timed.erasure.expire(0)
    found = [
        (one.text, one.user_id, one.changed_by, one.is_private) for one in await timed.memories.of_place(("T1", "C1"))
    ]
    assert found == [("Coffee", "U1", "U2", False), ("Salt", "U1", "", False)]


@pytest.mark.parametrize(
    ("user_id", "thread", "left"),
    [
        ("U1", None, ["Milk"]),
        ("U2", None, ["Tea"]),
        ("U3", None, ["Tea", "Milk", "Salt"]),
        (None, THREAD, ["Milk", "Salt"]),
        (None, None, []),
    ],
)
async def test_erasure_removes_what_a_person_said_or_changed_or_what_was_said_in_a_thread(
    store: Stores, user_id: str | None, thread: ThreadKey | None, left: list[str]
) -> None:
    await said(store, 1, "Tea")
    await said(store, 2, "Milk", OTHER_THREAD, by="U2")
    await said(store, 3, "Salt", OTHER_THREAD)
    [salt] = [memory for memory in await store.memories.of_place(("T1", "C1")) if memory.text == "Salt"]
    await store.memories.change(("T1", "C1"), "U2", {salt.id: "Salt"}, (), is_private=False)
    await store.erasure.erase(user_id=user_id, thread=thread)
    assert [text for _, text in await of(store)] == left


async def test_audit_says_who_changed_memories_and_repeats_no_text(store: Stores) -> None:
    await said(store, 1, "Tea")
    await proposed(store, 2, "Milk")
    [tea, _] = await store.memories.of_place(("T1", "C1"))
    await store.memories.change(("T1", "C1"), "U2", {tea.id: "Coffee"}, (), is_private=False)
    await store.memories.change(("T1", "C1"), "U2", {}, [tea.id], is_private=True)
    await store.memories.forget(("T1", "C1"), 1, "U3")
    async with store.database.engine.connect() as connection:
        rows = (await connection.execute(sa.select(audit_entries).order_by(audit_entries.c.id))).all()
    done = [(row.by_id, json.loads(row.facts)) for row in rows]
    setting = {"setting": "memory"}
    assert done == [
        ("U1", setting | {"memory": "remembered"}),
        ("U1", setting | {"memory": "proposed"}),
        ("U2", setting | {"memory": "changed"}),
        ("U2", setting | {"memory": "kept"}),
        ("U3", setting | {"memory": "forgotten"}),
    ]
    assert not {"Tea", "Milk", "Coffee"} & set(str(rows).replace("'", " ").split())


async def test_undo_removes_what_the_message_said_and_shows_it_in_the_answer(store: Stores) -> None:
    job = await begun(store)
    await said(store, 1, "Tea")
    assert await store.worker_queue.finish(job, End(EndReason.COMMAND, REMEMBERED), "")
    assert await store.memories.undo(job.question, "U1")
    assert not await store.memories.undo(job.question, "U1")
    assert await of(store) == []
    [entry] = await store.outbox.claim_due(10)
    shown = await store.outbox.unshown_end(entry)
    assert shown
    assert shown.record
    below = picture(shown.record)
    assert (below.notice, ReplyAction.UNDO in below.buttons) == (UNDONE, False)


async def test_number_is_used_once_whatever_removed_its_memory(store: Stores) -> None:
    job = await begun(store)
    await said(store, 1, "Tea")
    assert await store.memories.undo(job.question, "U1")
    assert await said(store, 2, "Milk") == RememberResult(RememberOutcome.NEW, 2)
    assert await store.memories.forget(("T1", "C1"), 2, "U1")
    assert await said(store, 3, "Salt") == RememberResult(RememberOutcome.NEW, 3)
    [salt] = await store.memories.of_place(("T1", "C1"))
    await store.memories.change(("T1", "C1"), "U1", {salt.id: ""}, (), is_private=False)
    assert await said(store, 4, "Milk") == RememberResult(RememberOutcome.NEW, 4)
    for number in (1, 2, 3):
        assert await store.memories.forget(("T1", "C1"), number, "U1") is None
    assert await of(store) == [(4, "Milk")]


async def test_what_was_forgotten_comes_back_for_some_days_unless_its_message_goes(
    timed: Stores, clock: ManualClock
) -> None:
    job, place = await begun(timed), ("T1", "C1")

    async def restored(number: int) -> bool:
        return await timed.memories.restore(job.question, number, "U1", job.id)

    await said(timed, 1, "Tea")
    forgotten = await timed.memories.forget(place, 1, "U1")
    assert forgotten
    assert (forgotten.text, await of(timed)) == ("Tea", [])
    notice = Notice(NoticeKind.FORGOTTEN, "Forgotten.", 1)
    assert await timed.worker_queue.finish(job, End(EndReason.COMMAND, (notice,)), "")
    assert await restored(1)
    assert not await restored(1)
    assert await of(timed) == [(1, "Tea")]
    [entry] = await timed.outbox.claim_due(10)
    shown = await timed.outbox.unshown_end(entry)
    assert shown
    assert shown.record
    below = picture(shown.record)
    assert (below.notice, ReplyAction.UNDO in below.buttons) == (RESTORED, False)

    await timed.memories.forget(place, 1, "U1")
    await timed.question_queue.delete("T1", "C1", asked(1).ts)
    assert not await restored(1)
    await said(timed, 2, "Milk")
    await timed.memories.forget(place, 2, "U1")
    clock.now_s += UNDO_S + 1
    await timed.erasure.expire(0.0)
    assert not await restored(2)
    assert (await said(timed, 3, "Salt")).number == 3


async def test_undo_removes_what_the_answer_proposed(store: Stores) -> None:
    job = await begun(store)
    await proposed(store, 1, "Tea")
    await proposed(store, 2, "Milk")
    assert await store.worker_queue.finish(job, End(EndReason.WHOLE, REMEMBERED), "Done.")
    assert await store.memories.undo(job.question, "U1")
    assert await of(store) == [(2, "Milk")]


async def test_undo_below_an_answer_that_remembered_nothing_changes_nothing(store: Stores) -> None:
    job = await begun(store)
    await proposed(store, 2, "Tea")
    await said(store, 3, "Milk")
    assert await store.worker_queue.finish(job, End(EndReason.WHOLE, said_below("Cut.")), "Yes.")
    assert not await store.memories.undo(job.question, "U1")
    assert await count(store, memories) == 2
    async with store.database.engine.connect() as connection:
        assert (await connection.scalars(sa.select(turns.c.end))).one()["notices"] == [["said", "Cut.", 0]]
    assert await store.outbox.claim_due(10) == []
