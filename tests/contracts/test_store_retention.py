"""Retention works in short transactions, finds rows by an index, and removes records when their time is over."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.job import End
from bot.core.reply.actions import Vote
from bot.errors import EndReason
from bot.store import Stores
from bot.store.retention import RECORDS_KEPT_S, rules
from bot.store.schema import OF_THREADS, feedback, jobs, metadata, turns
from tests.clocks import ManualClock
from tests.contracts.stores import DIRECT, DONE, THREAD, YES, apart, asked, count, enqueued, one

DAY_S = 86_400.0
MANY = 400


async def with_answers(url: str, number: int, clock: ManualClock) -> Stores:
    """Returns a store with so many answered questions."""
    store = await Stores.open(url, "w1", clock)
    async with store.database.engine.begin() as connection:
        values = [
            {"team_id": "T1", "channel_id": "C1", "thread_ts": f"{n}", "ts": f"{n}", "user_id": "U1", "text": "Why?"}
            for n in range(number)
        ]
        ended = [{**row, "files": [], "created_at": clock.now_s, "status": "ended"} for row in values]
        await connection.execute(sa.insert(jobs), ended)
        ids = (await connection.scalars(sa.select(jobs.c.id))).all()
        answers = [{"job_id": i, "answer": "Yes.", "end_reason": "whole", "created_at": clock.now_s} for i in ids]
        await connection.execute(sa.insert(turns), answers)
    return store


async def test_others_may_write_between_the_batches_of_retention(database_url: str) -> None:
    clock = ManualClock()
    store = await with_answers(database_url, MANY, clock)
    written: list[int] = []

    @sa.event.listens_for(store.database.engine.sync_engine, "after_cursor_execute")
    def note(_connection: object, cursor: sa.CursorResult[object], statement: str, *_: object) -> None:
        if statement.startswith(("UPDATE", "DELETE")):
            written.append(cursor.rowcount)

    assert await store.erasure.expire(clock.now_s + DAY_S) == 2 * MANY
    # The clock stands still, so batches grow as far as they may.
    assert written[:3] == [50, 100, 100]
    assert sum(written) >= 2 * MANY
    await store.close()


@pytest.mark.parametrize("number", range(len(rules(0, 0))))
async def test_retention_finds_old_rows_by_an_index(tmp_path: Path, number: int) -> None:
    clock = ManualClock()
    store = await with_answers(f"sqlite:///{tmp_path}/typist.db", 10, clock)
    rule = rules(clock.now_s, clock.now_s)[number]
    statement = rule.due.compile(store.database.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with store.database.engine.connect() as connection:
        plan = [str(row.detail) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    await store.close()
    small = {"checkpoints", "steps", "message_questions", "slack_calls", "notices", "pane_contexts"}
    if rule.table.name not in small:
        assert any("INDEX ix_" in step for step in plan), plan
    assert not any(step.startswith(("SCAN jobs", "SCAN turns", "SCAN tool_calls")) for step in plan), plan


async def test_records_without_texts_are_removed_after_400_days(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    for question in (asked(1), asked(2, DIRECT)):
        await enqueued(store, question)
        await store.worker_queue.finish(await one(store), DONE, YES)
    await store.participants.mark_group(THREAD, "1.0")
    await store.participants.record_line(THREAD, "U2", "2.0")
    await store.participants.switch(THREAD, quiet=True, ts="2.0")
    answer = await store.recorded_answers.of_job(THREAD, 1)
    assert answer
    await store.recorded_answers.vote(answer, "U1", Vote.UP)
    clock.now_s += RECORDS_KEPT_S - DAY_S
    await enqueued(store, asked(3, DIRECT))
    await store.worker_queue.finish(await one(store), End(EndReason.WHOLE), "Yes.")
    await store.erasure.expire(clock.now_s - 30 * DAY_S)
    assert await count(store, jobs) == 3
    clock.now_s += 2 * DAY_S
    await store.erasure.expire(clock.now_s - 30 * DAY_S)
    assert [await count(store, table) for table in (jobs, turns, feedback, *OF_THREADS)] == [1, 1, 0, 0, 0, 0]
    await store.close()


async def test_records_are_kept_as_long_as_texts_are(database_url: str) -> None:
    clock = ManualClock()
    store = await with_answers(database_url, 1, clock)
    clock.now_s += 2 * RECORDS_KEPT_S
    await store.erasure.expire(clock.now_s - 3 * RECORDS_KEPT_S)
    assert await count(store, jobs) == 1
    await store.close()


async def test_jobs_that_were_lost_are_forgotten(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.queue.worker.MAX_HANDED_OUT", 5)
    store = await Stores.open(database_url, "w1", SystemClock())
    for number in range(12):
        await enqueued(store, apart(number))
        job = await one(store)
        async with store.database.engine.begin() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(worker="w2"))
    assert len(store.worker_queue._handed_out) <= 6
    await store.close()


def test_every_table_has_a_rule_or_is_bounded_otherwise() -> None:
    bounded = {
        *("turns", "feedback", "outbox_entries", "canvases"),  # They go with their job.
        *(table.name for table in OF_THREADS),  # They go with the last job of their thread.
        *("workers", "channel_settings", "tool_pins", "allowed_tools"),  # So many as processes, channels and tools.
        "caps",  # So many as admins set.
        "audit_entries",  # They have a time of their own (bot/services/audit.py).
        "learned_budgets",  # As many as methods.
    }
    assert {rule.table.name for rule in rules(0, 0)} | bounded == set(metadata.tables)
