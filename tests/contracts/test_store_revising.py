"""Questions that are edited, deleted, or to be answered again."""

from dataclasses import replace

import pytest

from bot.core.conversation import Job
from bot.core.errand import ErrandKind
from bot.ports import Outcome, Pulse, Spent, Status
from bot.store import SqlStore
from tests.contracts.stores import DONE, THREAD, Workers, asked, enqueued
from tests.contracts.test_store_together import one

pytest_plugins = ["tests.contracts.databases"]

EDITED = replace(asked(1), text="Why not?")


async def kinds(store: SqlStore) -> list[ErrandKind]:
    return [errand.kind for errand in await store.take_errands(10)]


async def answered(store: SqlStore, number: int = 1) -> Job:
    await enqueued(store, asked(number))
    job = await one(store)
    await store.record_pages(job.id, [f"5.{number}"])
    assert await store.finish(job, DONE)
    return job


async def withdraw(store: SqlStore, number: int) -> bool:
    return await store.withdraw(THREAD.team_id, THREAD.channel_id, asked(number).ts)


async def test_what_was_never_a_question_is_none_when_it_is_edited_or_deleted(store: SqlStore) -> None:
    assert not await store.edit(EDITED, "2.0")
    assert not await withdraw(store, 1)
    assert not await store.answer_again(12345)


async def test_what_waits_is_answered_as_it_is_now_and_what_comes_late_undoes_no_edit(store: SqlStore) -> None:
    await enqueued(store, asked(1))
    assert await store.edit(EDITED, "3.0")
    assert await store.edit(asked(1), "2.0")
    job = await one(store)
    assert (job.question, job.version) == (EDITED, 0)


async def test_whoever_answers_it_hears_that_it_starts_over(worker: Workers) -> None:
    store, other = await worker("w1"), await worker("w2")
    await enqueued(store, asked(1))
    job = await one(store)
    await store.record_pages(job.id, ["5.1"])
    assert await other.edit(EDITED, "2.0")
    ours = frozenset({job.id})
    assert await store.heartbeat({job: Spent()}) == Pulse(ours, to_restart=ours)
    assert await store.release(job)
    again = await one(other)
    assert (again.question, again.version, again.page_ts, again.interruptions) == (EDITED, 1, ("5.1",), 0)
    assert await other.heartbeat({again: Spent()}) == Pulse(ours)


async def test_an_answer_to_words_that_were_edited_meanwhile_ends_nothing_and_is_kept(store: SqlStore) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.record_pages(job.id, ["5.1"])
    await store.edit(EDITED, "2.0")
    assert not await store.finish(job, DONE)
    again = await one(store)
    assert again.version == 1
    assert await store.replies(THREAD) == {"5.1": DONE.answer}
    assert await store.finish(again, Outcome(Status.DONE, "No."))
    assert await store.replies(THREAD) == {"5.1": "No."}


@pytest.mark.parametrize("last", [True, False])
async def test_another_answer_is_offered_for_a_threads_last_question(store: SqlStore, last: bool) -> None:
    job = await answered(store)
    if not last:
        await answered(store, 2)
    assert await store.edit(EDITED, "2.0")
    errands = await store.take_errands(10)
    assert [(each.kind, each.job_id) for each in errands] == ([(ErrandKind.OFFER, job.id)] if last else [])


async def test_a_job_is_done_again_in_its_messages(store: SqlStore) -> None:
    job = await answered(store)
    await store.edit(EDITED, "2.0")
    assert await store.answer_again(job.id)
    assert not await store.answer_again(job.id)
    assert await kinds(store) == [], "what was offered is being done"
    again = await one(store)
    assert (again.question, again.page_ts, again.version, again.begun) == (EDITED, ("5.1",), 1, True)


async def test_a_question_that_is_deleted_while_it_waits_is_not_answered(store: SqlStore) -> None:
    taken = await store.enqueue("Ev1", asked(1), full=True)
    assert taken
    await store.record_pages(taken.job_id, ["5.1"])
    assert await withdraw(store, 1)
    assert not await withdraw(store, 1)
    assert await store.claim(1) == []
    assert await kinds(store) == [ErrandKind.CLEAR]
    assert not await store.answer_again(taken.job_id)


async def test_one_that_is_deleted_while_it_is_answered_stops_and_what_ends_with_it_does_not(store: SqlStore) -> None:
    await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    job = await one(store)
    assert await withdraw(store, 2)
    assert (await store.heartbeat({job: Spent()})).to_stop == {job.id}
    assert await kinds(store) == [], "its reply still grows"
    await store.finish(job, Outcome(Status.STOPPED, ""))
    assert ErrandKind.REMOVE in await kinds(store)
    assert (await one(store)).question == asked(1)


async def test_one_of_several_that_are_answered_together_has_them_start_over_without_it(store: SqlStore) -> None:
    await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    job = await one(store)
    assert job.earlier == (asked(1),)
    assert await withdraw(store, 1)
    assert (await store.heartbeat({job: Spent()})).to_restart == {job.id}
    await store.release(job)
    assert (await one(store)).earlier == ()


async def test_who_waited_long_is_told_once(store: SqlStore) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.finish(job, DONE, ping=True)
    assert not await store.finish(job, DONE, ping=True)
    [errand] = await store.take_errands(10)
    assert (errand.kind, errand.askers) == (ErrandKind.PING, ("U1",))
    await store.errand_done(errand, "6.1")
    assert await store.replies(THREAD) == {"6.1": ""}
