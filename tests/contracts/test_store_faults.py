"""Faults: databases that are away, locked or full, canceled callers and ending processes. Nothing is lost by them."""

import asyncio
import contextlib
import gc
import os
import resource
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import SystemClock, keep_trying
from bot.core.job import Job, StepEstimate
from bot.errors import StoreAway, StoreError
from bot.logs import of_job
from bot.models.prices import ModelPrices
from bot.store import Stores
from bot.store.database import ANSWER_WITHIN_S, FAILING_S, NoConnection, create_engine, remedy_for
from bot.store.schema import channel_settings, jobs, metadata, seen_events, workers
from bot.store.workers import SILENCE_S
from slack_pacing.posts import PostRule
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import ManualClock
from tests.contracts.databases import PostgresqlServer, Process, cut_all_connections, opening, set_read_only
from tests.contracts.pooler import pooler
from tests.contracts.stores import DONE, YES, answered, apart, asked, begun, count, enqueued, one, texts_of

pytestmark = pytest.mark.is_postgresql

FAILS_AT_S = 5
ROOT = Path(__file__).parent.parent.parent


async def works_within(call: Callable[[], Awaitable[object]], limit_s: float) -> None:
    """Calls until it works. Until then it may fail with StoreError only."""
    last: StoreError | None = None
    try:
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    await call()
                except StoreError as error:
                    last = error
                    await asyncio.sleep(0.05)
                else:
                    return
    except TimeoutError:
        raise AssertionError(f"waited {limit_s:g} s for the call to work; its last error: {last!r}") from None


async def test_dead_worker_is_found_a_lease_after_a_database_failure() -> None:
    clock = ManualClock(now_s := 1_000.0)
    dead = await Stores.open("sqlite://", "w1", clock)
    store = Stores(dead.database.engine, "w2", clock, prices=ModelPrices())
    job = await begun(dead, apart(1))

    async def fails(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("SELECT 1 FROM nowhere"))

    found: list[Job] = []
    for passed_s in range(int(3 * SILENCE_S)):
        clock.now_s = now_s + passed_s
        if passed_s == FAILS_AT_S:
            with pytest.raises(StoreError):
                await store.database.read(fails)
        if found := await store.worker_queue.claim(1):
            break
    assert [again.id for again in found] == [job.id]
    assert clock.now_s - now_s == FAILS_AT_S + SILENCE_S, "a gap in the observations doesn't count against others"
    await store.close()


async def test_server_restart_fails_a_few_calls_and_loses_no_job(own_server: PostgresqlServer) -> None:
    owner = await Stores.open(own_server.url, "w1", SystemClock())
    other = await Stores.open(own_server.url, "w2", SystemClock())
    job = await begun(owner, apart(1))

    async def beat() -> None:
        assert (await owner.worker_queue.heartbeat({job: StepEstimate()})).owned_ids == {job.id}

    async def live() -> None:
        while True:
            await works_within(beat, 60)
            await asyncio.sleep(1)

    living = asyncio.create_task(live())
    await asyncio.to_thread(own_server.restart)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        await works_within(lambda: unclaimed(other), 60)
        await other.worker_queue.wait(0.5)
    assert await owner.worker_queue.finish(job, DONE, YES)
    living.cancel()
    await wakes(other, owner)
    await owner.close()
    await other.close()


@contextlib.contextmanager
def short_time_limits(*stores: Stores) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("bot.store.pg_notify.CHECK_S", 0.5)
        for store in stores:
            monkeypatch.setattr(store.database, "limit_s", 0.5)
        yield


async def test_calls_give_up_on_a_frozen_server_and_work_afterwards(
    own_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.pg_notify.CHECK_S", 0.5)
    store = await Stores.open(own_server.url, "w1", SystemClock())
    other = await Stores.open(own_server.url, "w2", SystemClock())
    job = await begun(store, apart(1))
    with short_time_limits(store, other), own_server.standing_still():
        for call in (
            store.worker_queue.heartbeat({job: StepEstimate()}),
            store.worker_queue.claim(1),
            store.question_queue.enqueue("Ev2", apart(3)),
        ):
            with pytest.raises(StoreError, match="it does not answer"):
                await call
        async with asyncio.timeout(WITHIN_S):
            await other.close()
    await works_within(lambda: store.question_queue.enqueue("Ev2", apart(3)), 60)
    await works_within(lambda: locks(store, job), 60)
    assert await store.worker_queue.finish(job, DONE, YES)
    assert len(await store.worker_queue.claim(10)) == 1
    third = await Stores.open(own_server.url, "w3", SystemClock())
    await wakes(store, third)
    await third.close()
    await store.close()


async def sleeps(connection: AsyncConnection) -> None:
    await connection.execute(sa.text("SELECT pg_sleep(0.2)"))


@pytest.mark.empty_database
@pytest.mark.long
async def test_process_takes_six_connections_as_docs_say(own_server: PostgresqlServer) -> None:
    store, most = await Stores.open(own_server.url, "w1", SystemClock()), 0
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(own_server.url, autocommit=True) as observer:
        reading = asyncio.gather(*(store.database.read(sleeps) for _ in range(20)))
        while not reading.done():
            ((count_of_them,),) = await (await observer.execute(others.encode())).fetchall()
            most = max(most, count_of_them)
            await asyncio.sleep(0.02)
    await store.close()
    assert most == 6
    assert "up to six connections" in remedy_for(NoConnection())
    assert "needs six connections per process" in " ".join((ROOT / "docs/admins/company.md").read_text().split())


@pytest.mark.parametrize("size", [6, 3])
async def test_pooler_that_has_too_few_connections_is_named(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """In session mode it accepts each connection, and keeps those beyond its size waiting for minutes."""
    monkeypatch.setattr("bot.store.database._FIRST_ANSWER_S", 3.0 if size < 6 else WITHIN_S)
    async with asyncio.timeout(WITHIN_S), pooler(postgresql_url, size, by_session=True) as pooled_url:
        store = await Stores.open(pooled_url, "w1", SystemClock())
        results = await asyncio.gather(*(store.database.read(sleeps) for _ in range(5)), return_exceptions=True)
        await store.close()
    problems = {str(result) for result in results if result is not None}
    assert [problem.endswith(remedy_for(NoConnection())) for problem in problems] == [True] * (size < 6)


async def test_start_without_a_free_connection_ends_in_a_sentence(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(WITHIN_S), pooler(postgresql_url, 1, by_session=True) as pooled_url:
        other = create_engine(pooled_url)
        async with other.connect():
            monkeypatch.setattr("bot.store.database._FIRST_ANSWER_S", 1.0)
            with pytest.raises(StoreError, match=r"gave none for 1 s.*up to six connections"):
                await Stores.open(pooled_url, "w1", SystemClock())
        await other.dispose()


async def locks(store: Stores, job: Job) -> None:
    """Waits until the heartbeat reports that its lock is held. Until then it may fail with StoreError only."""
    await store.worker_queue.heartbeat({job: StepEstimate()})
    async with store.database.engine.begin() as connection:
        if not await connection.scalar(sa.select(workers.c.has_lock).where(workers.c.worker == "w1")):
            raise StoreError


async def unclaimed(store: Stores) -> None:
    assert await store.worker_queue.claim(1) == []


async def wakes(waiting: Stores, acting: Stores) -> None:
    await waiting.worker_queue.wait(0)
    woken = asyncio.create_task(waiting.worker_queue.wait(2 * WITHIN_S))
    began = time.monotonic()
    await enqueued(acting, apart(2))
    await woken
    assert time.monotonic() - began < WITHIN_S


@pytest.mark.long
async def test_calls_fail_quickly_while_the_server_is_down(own_server: PostgresqlServer) -> None:
    store = await Stores.open(own_server.url, "w1", SystemClock())
    await asyncio.to_thread(own_server.stop)
    began = time.monotonic()
    for call in (
        store.database.check(),
        store.question_queue.enqueue("Ev1", asked(1)),
        store.worker_queue.claim(1),
        store.rate_ledger.reserve("m", 1),
        store.rate_ledger.reserve_post("C1", PostRule()),
    ):
        with pytest.raises(StoreError, match="The database can't be used: "):
            await call
    assert time.monotonic() - began < 4 * ANSWER_WITHIN_S
    await asyncio.to_thread(own_server.start)
    assert await store.question_queue.enqueue("Ev1", asked(1))
    await store.close()


async def test_start_waits_for_a_server_that_is_away_and_not_for_what_it_refuses(own_server: PostgresqlServer) -> None:
    clock = SystemClock()
    with pytest.raises(StoreError, match="nowhere") as refused:
        await Stores.open(own_server.url.replace("/postgres?", "/nowhere?"), "w1", clock)
    assert not isinstance(refused.value, StoreAway)
    await asyncio.to_thread(own_server.stop)
    waiting = asyncio.create_task(keep_trying(lambda: Stores.open(own_server.url, "w1", clock), clock, "-", StoreAway))
    with pytest.raises(StoreAway):
        await Stores.open(own_server.url, "w2", clock)
    await asyncio.to_thread(own_server.start)
    store = await waiting
    await store.database.check()
    await store.close()


async def test_cut_connections_are_replaced_before_use(on_server: Process) -> None:
    store = await on_server("w1")
    killer = await on_server("w2")
    await asyncio.gather(*(store.database.check() for _ in range(5)))
    await cut_all_connections(killer.database.engine)
    await asyncio.gather(*(store.database.check() for _ in range(5)))


async def test_connections_to_a_server_that_takes_no_writes_are_replaced(on_server: Process) -> None:
    """After a failover they may stay, while new ones lead to the server that takes writes."""
    store = await on_server("w1")
    async with contextlib.AsyncExitStack() as held:
        for _ in range(5):
            connection = await held.enter_async_context(store.database.engine.connect())
            await connection.execute(sa.text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
            await connection.commit()
    with pytest.raises(StoreError, match=r"read-only transaction\. .* standby"):
        await store.database.check()
    await store.database.check()


async def test_call_waits_some_seconds_for_a_free_connection(
    on_server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database._POOL_TIMEOUT_S", 1.0)
    store = await on_server("w1")
    held = [await store.database.engine.connect() for _ in range(5)]
    began = time.monotonic()
    with pytest.raises(StoreError, match="all connections were busy"):
        await store.database.check()
    assert 0.9 < time.monotonic() - began < 9, "the pool gives up, not the operation"
    for connection in held:
        await connection.close()
    await store.database.check()


async def test_worker_paused_in_a_transaction_does_not_block_others(on_server: Process) -> None:
    store = await on_server("w1")
    paused = await on_server("w2")
    job = await begun(store, apart(1))
    connection = await paused.database.engine.connect()
    assert await connection.scalar(sa.text("SHOW idle_in_transaction_session_timeout")) == "5s"
    await connection.execute(sa.text("SET idle_in_transaction_session_timeout = '0.3s'"))
    await connection.execute(sa.text("SELECT * FROM jobs FOR UPDATE"))
    await works_within(lambda: store.worker_queue.finish(job, DONE, YES), 60)
    await connection.invalidate()
    await connection.close()


async def test_call_waits_for_a_locked_sqlite_file_and_then_fails(on_file: Process, sqlite_url: str) -> None:
    store = await on_file("w1")
    await pragma(store, "busy_timeout", 300)
    path = sqlite_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.question_queue.count_queued()
        assert (await store.participants.participants_at(apart(1).thread, "U1", "9")).has_bot is False
        with pytest.raises(StoreError, match=r"database is locked\. Another program holds it"):
            await store.question_queue.enqueue("Ev1", asked(1))
        other.execute("COMMIT")
    assert await store.question_queue.enqueue("Ev1", asked(1))


async def test_what_deleted_rows_leave_in_a_locked_file_is_left_for_later(
    on_file: Process, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await on_file("w1")
    await pragma(store, "busy_timeout", 100)
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.database.overwrite_deleted_rows()
        assert "VACUUM failed, the database overwrites the rest later: database is locked" in caplog.text
        other.execute("COMMIT")
    caplog.clear()
    await store.database.overwrite_deleted_rows()
    assert caplog.text == ""


async def test_claim_whose_commit_response_was_lost_is_recovered(on_file: Process, sqlite_url: str) -> None:
    store = await on_file("w1")
    await pragma(store, "busy_timeout", 100)
    ids = [await enqueued(store, apart(number)) for number in range(5)]
    assert [job.id for job in await store.worker_queue.claim(1)] == ids[:1]
    # The claim of this worker is committed, but the process never gets the response.
    await Stores(store.database.engine, "w1", SystemClock()).worker_queue.claim(2)
    assert [job.id for job in await store.worker_queue.claim(1)] == ids[3:4], "nothing failed, so nothing is looked for"
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            await store.worker_queue.claim(1)
        other.execute("COMMIT")
    assert [[job.id for job in await store.worker_queue.claim(1)] for _ in range(3)] == [ids[1:2], ids[2:3], ids[4:]]


async def test_full_disk_is_reported_and_data_stays(on_file: Process) -> None:
    store = await on_file("w1")
    await pragma(store, "max_page_count", 1)
    await enqueued(store, asked(1))
    second = asked(2, text="word " * 20_000)
    with pytest.raises(StoreError, match=r"disk is full\. Make room on the disk"):
        await store.question_queue.enqueue("Ev2", second)
    await pragma(store, "max_page_count", 1_000_000)
    assert await store.question_queue.enqueue("Ev2", second)
    [job] = await store.worker_queue.claim(1)
    assert [*job.earlier_questions, job.question] == [asked(1), second]


async def test_check_finds_a_file_that_can_not_grow(on_file: Process) -> None:
    """The kernel refuses what a full disk would: SQLite's log, which each commit is appended to."""
    store = await on_file("w1")
    await store.database.check()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(StoreError, match="disk"):
            await store.database.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.database.check()


async def test_check_fails_as_long_as_a_write_is_tried_again(tmp_path: Path) -> None:
    """A full disk takes the check's own row, and of two jobs' records the smaller one."""
    clock = ManualClock(0.0)
    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "w1", clock)
    large = "word " * 20_000

    async def record(number: int, text: str = "small", job_id: int = 1) -> None:
        with of_job(job_id):
            await store.question_queue.enqueue(f"Ev{number}", asked(number, text=text))

    await pragma(store, "max_page_count", 1)
    await store.database.check()
    for number in range(2, 5):
        clock.now_s += FAILING_S - 1
        with pytest.raises(StoreError, match="disk is full"):
            await record(1, large)
        await record(number, job_id=2)
        with pytest.raises(StoreError, match=r"disk is full\. Make room on the disk"):
            await store.database.check()
    await pragma(store, "max_page_count", 1_000_000)
    await record(1, large)
    await store.database.check()

    await pragma(store, "max_page_count", 1)
    with pytest.raises(StoreError, match="disk is full"):
        await record(5, large)
    clock.now_s += FAILING_S
    await store.database.check()
    await store.close()


async def test_check_finds_a_read_only_file(on_file: Process) -> None:
    store = await on_file("w1")
    await pragma(store, "query_only", 1)
    with pytest.raises(StoreError, match="readonly"):
        await store.database.check()


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_nothing_is_written_to_a_file_that_was_moved_away(
    on_file: Process, sqlite_url: str, tmp_path: Path, is_replaced: bool
) -> None:
    store = await on_file("w1")
    await store.question_queue.enqueue("Ev1", asked(1))
    file, elsewhere = sqlite_url.removeprefix("sqlite:///"), f"{tmp_path}/elsewhere.db"
    os.rename(file, elsewhere)
    if is_replaced:
        os.mknod(file)
    with pytest.raises(StoreError, match=r"moved, deleted or replaced since\. Put it back"):
        await store.database.check()
    with pytest.raises(StoreError, match=r"moved, deleted or replaced since\. Put it back"):
        await store.question_queue.enqueue("Ev2", apart(2))
    os.replace(elsewhere, file)
    assert await store.question_queue.enqueue("Ev2", apart(2))
    await store.database.check()


@pytest.mark.long
async def test_check_finds_a_read_only_server(own_server: PostgresqlServer) -> None:
    async with opening(own_server.url) as process:
        store = await process("w1")
        await store.database.check()
        set_read_only(own_server.url, is_on=True)
        with pytest.raises(StoreError, match="read-only transaction"):
            await store.database.check()
        set_read_only(own_server.url, is_on=False)
        await store.database.check()


@pytest.mark.empty_database
@pytest.mark.parametrize(
    "statements",
    [
        [f"DROP TABLE {table.name}" for table in reversed(metadata.sorted_tables)],
        ["DROP TABLE feedback"],
        ["ALTER TABLE jobs DROP COLUMN asked_at"],
    ],
    ids=["all tables are gone", "a table is gone", "a column is gone"],
)
@pytest.mark.long(after_row=2)
async def test_check_finds_missing_tables_and_columns(process: Process, statements: list[str]) -> None:
    store = await process("w1")
    await store.database.check()
    async with store.database.engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    with pytest.raises(StoreError, match=r"no such|does not exist"):
        await store.database.check()


async def test_check_leaves_nothing_behind(process: Process) -> None:
    store = await process("w1")
    await asyncio.gather(*(store.database.check() for _ in range(20)))
    async with store.database.engine.connect() as connection:
        assert (await connection.execute(sa.select(channel_settings))).all() == []


async def pragma(store: Stores, name: str, value: int) -> None:
    """Sets a pragma. max_page_count is SQLite's own way to simulate a full disk."""
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.text(f"PRAGMA {name} = {value}"))


async def test_one_database_error_fails_each_call_of_a_batch(on_file: Process) -> None:
    store = await on_file("w1")
    await pragma(store, "max_page_count", 1)
    long = "word " * 20_000
    results = await asyncio.gather(
        *(store.question_queue.enqueue(f"Ev{number}", asked(number, text=long)) for number in range(20)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreError] * 20


def test_sqlite_leaves_one_file_after_all_have_closed(tmp_path: Path) -> None:
    async def open_and_close() -> None:
        stores = [await Stores.open(f"sqlite:///{tmp_path}/typist.db", name, SystemClock()) for name in "ab"]
        assert {name for name in os.listdir(tmp_path) if "worker" in name} == {
            "typist.db-worker-a",
            "typist.db-worker-b",
        }
        for store in stores:
            await store.close()

    (tmp_path / "typist.db-worker-dead").touch()
    asyncio.run(open_and_close())
    assert os.listdir(tmp_path) == ["typist.db"]


async def test_failed_call_of_a_canceled_caller_logs_nothing(on_file: Process, sqlite_url: str) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    store = await on_file("w1")
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as breaking:
        breaking.execute("DROP TABLE slack_calls")
    reserving = asyncio.create_task(store.rate_ledger.reserve("chat.update", 50))
    await asyncio.sleep(0)
    reserving.cancel()
    await asyncio.wait((reserving,))
    del reserving
    with pytest.raises(StoreError):
        await store.rate_ledger.reserve("chat.update", 50)
    gc.collect()
    assert complaints == []


async def test_call_after_close_raises_store_error(store: Stores) -> None:
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.database.check()


async def test_restart_loses_nothing(process: Process) -> None:
    before = await process("w1")
    job = await answered(before)
    await enqueued(before, asked(2))
    await before.close()
    after = await process("w2")
    assert await after.question_queue.enqueue("Ev1", asked(1)) is None
    assert texts_of(await after.recorded_answers.replies(job.question.thread)) == {"5.1": YES}
    assert (await one(after)).question == asked(2)


async def test_canceled_caller_cancels_no_write(store: Stores) -> None:
    for number in range(1, 11):
        call = asyncio.create_task(store.question_queue.enqueue(f"Ev{number}", asked(number)))
        for _ in range(number):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    async with asyncio.timeout(WITHIN_S):
        while await count(store, jobs) < 10:
            pass
    assert await count(store, seen_events) == 10


async def test_close_waits_for_running_calls(process: Process) -> None:
    before = await process("w1")
    call = asyncio.create_task(before.question_queue.enqueue("Ev1", asked(1)))
    await asyncio.sleep(0)
    call.cancel()
    await before.close()
    assert (await one(await process("w1"))).question == asked(1)


async def test_value_that_one_write_cant_store_is_no_failure_of_the_database(on_file: Process) -> None:
    """`/readyz` would stay at 503 for as long as that write is repeated."""
    store = await on_file("w1")

    async def fail(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("INSERT INTO jobs (id) VALUES (NULL)"))

    with pytest.raises(StoreError, match="NOT NULL"):
        await store.database.write(fail, name="poison")
    await store.database.check()
