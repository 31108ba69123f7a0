"""Rows recorded under another organization's team ID belong to Typist's team from the next start on."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings
from bot.core.limits.caps import CapWindow, Period, Scope, ScopeIds
from bot.store import Stores
from bot.store.schema import channel_settings, group_threads, jobs, notices, pane_contexts, usage_totals
from bot.store.teams import adopt
from tests.contracts.stores import DIRECT, DONE, OTHER_THREAD, THREAD, asked, count, enqueued

TABLES = (jobs, group_threads, usage_totals, notices, channel_settings, pane_contexts)


def theirs(thread: ThreadKey, team_id: str = "T2") -> ThreadKey:
    return replace(thread, team_id=team_id)


async def teams(store: Stores, table: sa.Table) -> set[str]:
    async with store.database.engine.begin() as connection:
        return set((await connection.scalars(sa.select(table.c.team_id).distinct())).all())


async def filled(store: Stores, team_id: str, ts: int) -> None:
    """Writes a row into every table."""
    thread = theirs(THREAD, team_id)
    await enqueued(store, asked(ts, thread))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, DONE)
    await store.participants.mark_group(thread, f"1700000000.{9 - ts:06d}")
    await store.notices.claim(team_id, "U1", "denied")
    await store.channel_settings.write(team_id, "C1", ChannelSettings("openai/a", "", None))
    await store.pane_context.write(team_id, "U1", "C1")


@pytest.mark.parametrize("foreign", [["T2"], ["T0", "T2"], ["T2", "T3"]], ids=" ".join)
async def test_all_rows_get_our_team_id_and_usage_is_added_up(store: Stores, foreign: list[str]) -> None:
    for number, team_id in enumerate(["T1", *foreign]):
        await filled(store, team_id, number)
    await adopt(store.database, "T1")
    assert [await teams(store, table) for table in TABLES] == [{"T1"}] * len(TABLES)
    assert await count(store, jobs) == 1 + len(foreign)
    windows = [CapWindow(scope, Period.DAY) for scope in Scope]
    spent = await store.usage.used(ScopeIds("T1", "U1", "C1"), windows)
    assert [amount.tokens for amount in spent.values()] == [30 * (1 + len(foreign))] * len(windows)
    async with store.database.engine.begin() as connection:
        since = await connection.scalar(sa.select(group_threads.c.since_ts))
    assert since == f"1700000000.{9 - len(foreign):06d}", "the earliest"
    assert not await store.notices.claim("T1", "U1", "denied")
    assert (await store.channel_settings.read("T1", "C1")).model == "openai/a"


async def test_queued_question_of_the_other_team_is_claimed_as_ours(store: Stores) -> None:
    for number, thread in enumerate((THREAD, OTHER_THREAD, DIRECT)):
        await enqueued(store, asked(number, theirs(thread)))
    await adopt(store.database, "T1")
    claimed = await store.worker_queue.claim(9)
    assert {job.question.thread for job in claimed} == {THREAD, OTHER_THREAD, DIRECT}
    assert await store.queue.delete("T1", THREAD.channel_id, asked(0).ts)


async def test_two_running_jobs_of_one_thread_stay_separate(store: Stores) -> None:
    await enqueued(store, asked(1))
    await enqueued(store, asked(2, theirs(THREAD)))
    claimed = await store.worker_queue.claim(9)
    assert len(claimed) == 2
    await adopt(store.database, "T1")
    assert await teams(store, jobs) == {"T1", "T2"}
    for job in claimed:
        await store.worker_queue.finish(job, DONE)
    await adopt(store.database, "T1")
    assert await teams(store, jobs) == {"T1"}


async def test_message_recorded_under_both_ids_stays_once_under_ours(store: Stores) -> None:
    ours = await enqueued(store, asked(1))
    other = await store.queue.enqueue("Ev other", asked(1, theirs(THREAD)))
    assert other is not None
    await adopt(store.database, "T1")
    async with store.database.engine.begin() as connection:
        rows = await connection.execute(sa.select(jobs.c.id, jobs.c.team_id))
        assert {tuple(row) for row in rows} == {(ours, "T1"), (other.job_id, "T2")}


async def test_second_start_changes_nothing(store: Stores) -> None:
    await filled(store, "T1", 1)
    await adopt(store.database, "T1")
    await adopt(store.database, "T1")
    assert [await count(store, table) for table in TABLES] == [1, 1, 3, 1, 1, 1]
