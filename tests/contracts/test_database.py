"""Database operations outlive their callers, have a time limit, share commits, and fail with StoreError."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import StoreError
from bot.store.database import MAX_GROUP, Database, GroupCommit, create_engine
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import ManualClock

pytestmark = pytest.mark.is_postgresql

FILES = 20
NUMBERS = sa.table("numbers", sa.column("number"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
async def database(database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    database = Database(create_engine(database_url), clock)
    await database.write(create_numbers)
    yield database
    await database.engine.dispose()


async def create_numbers(connection: AsyncConnection) -> None:
    await connection.execute(sa.text("CREATE TABLE numbers (number INTEGER)"))


async def insert(connection: AsyncConnection, number: int, *, after: asyncio.Event | None = None) -> None:
    if after is not None:
        await after.wait()
    await connection.execute(sa.insert(NUMBERS).values(number=number))


async def numbers(connection: AsyncConnection) -> list[int]:
    return list(await connection.scalars(sa.select(NUMBERS.c.number).order_by(NUMBERS.c.number)))


async def insert_two(database: Database, after: asyncio.Event) -> None:
    async with database.begin_write() as connection:
        await insert(connection, 1, after=after)
    async with database.begin_write() as connection:
        await insert(connection, 2)


async def begun(caller: "asyncio.Task[None]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not caller.done()


async def synchronous(connection: AsyncConnection) -> str:
    on_server = connection.dialect.name == "postgresql"
    return str(await connection.scalar(sa.text("SHOW synchronous_commit" if on_server else "PRAGMA synchronous")))


async def test_transactions_read_what_is_committed_whatever_the_servers_default_is(postgresql_url: str) -> None:
    strict = quote(" -c default_transaction_isolation=serializable")
    engine = create_engine(postgresql_url + strict)
    database = Database(engine, ManualClock())

    async def level(connection: AsyncConnection) -> str:
        return str(await connection.scalar(sa.text("SHOW transaction_isolation")))

    assert [await database.read(level), await database.write(level)] == ["read committed"] * 2
    await database.overwrite_deleted_rows()
    assert await database.write(level, synced=False) == "read committed"
    await engine.dispose()


async def test_only_commits_that_a_power_cut_may_undo_wait_for_no_disk(database: Database) -> None:
    synced, unsynced = ("on", "off") if database.on_server else ("2", "1")
    found = [await database.write(synchronous, synced=is_synced) for is_synced in (True, False, False, True)]
    assert found == [synced, unsynced, unsynced, synced]


async def test_connections_of_one_process_keep_the_locks_of_each_other(tmp_path: Path, clock: ManualClock) -> None:
    """Closing a file drops all locks that a process has on it. Another process would take the database for unused."""
    file = tmp_path / "typist.db"
    database = Database(create_engine(f"sqlite:///{file}"), clock)
    await database.write(create_numbers)
    assert await database.read(numbers) == []
    # Only the last connection of all processes may leave the write-ahead log.
    leave = "PRAGMA journal_mode=DELETE"
    program = f"import sqlite3; print(sqlite3.connect({str(file)!r}, timeout=0).execute({leave!r}).fetchone())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out, b"database is locked" in err) == (b"", True), (out, err)
    await database.engine.dispose()


async def test_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Of two that have SQLite write ahead at once, it refuses one, however long that one would wait."""

    async def connect(url: str) -> None:
        engine = create_engine(url)
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        await engine.dispose()

    for number in range(FILES):
        await asyncio.gather(*(connect(f"sqlite:///{tmp_path}/{number}.db") for _ in range(8)))


async def test_readers_wait_for_no_writer_and_not_for_each_other(shared_url: str, clock: ManualClock) -> None:
    """Hundreds of answers that begin read for seconds. A heartbeat that waits behind them costs the worker its jobs."""
    database = Database(create_engine(shared_url), clock)
    await database.write(create_numbers)
    go_on, both = asyncio.Event(), asyncio.Barrier(3)

    async def read_slowly(connection: AsyncConnection) -> list[int]:
        found = await numbers(connection)
        await both.wait()
        await go_on.wait()
        return found

    writing = asyncio.create_task(database.write(partial(insert, number=1, after=go_on)))
    reading = [asyncio.create_task(database.read(read_slowly)) for _ in range(2)]
    async with asyncio.timeout(WITHIN_S):
        await both.wait()
        assert await database.read(numbers) == []
        go_on.set()
        assert await asyncio.gather(*reading) == [[], []]
        await writing
        assert await database.read(numbers) == [1]
    await database.engine.dispose()


class TestCancelledCaller:
    @pytest.mark.parametrize("transactions", [1, 2])
    async def test_operation_of_canceled_caller_is_completed(self, database: Database, transactions: int) -> None:
        go_on = asyncio.Event()
        if transactions == 1:
            caller = asyncio.create_task(database.write(partial(insert, number=1, after=go_on)))
        else:
            caller = asyncio.create_task(database.complete(insert_two(database, go_on)))
        await begun(caller)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        await database.wait_for_operations()
        assert await database.read(numbers) == [1, 2][:transactions]


class TestFailure:
    async def test_failed_operation_raises_store_error_and_records_its_time(
        self, database: Database, clock: ManualClock
    ) -> None:
        assert database.failed_at < 0
        clock.now_s = 5.0
        with pytest.raises(StoreError, match="The database can't be used: "):
            await database.write(create_numbers)
        assert database.failed_at == 5.0

    async def test_failed_operation_rolls_back_its_transaction(self, database: Database) -> None:
        async def insert_and_fail(connection: AsyncConnection) -> None:
            await insert(connection, 1)
            await create_numbers(connection)

        with pytest.raises(StoreError):
            await database.write(insert_and_fail)
        assert await database.read(numbers) == []

    async def test_only_bounded_operation_gives_up_on_a_server_that_does_not_answer(
        self, postgresql_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.store.database.ANSWER_WITHIN_S", 0.2)
        database = Database(create_engine(postgresql_url), clock)

        async def sleep(connection: AsyncConnection) -> None:
            await connection.execute(sa.text("SELECT pg_sleep(1)"))

        async def unbounded() -> None:
            async with database.begin_read() as connection:
                await sleep(connection)

        with pytest.raises(StoreError, match="it does not answer"):
            await database.read(sleep)
        await database.complete(unbounded(), bounded=False)
        await database.engine.dispose()


class TestClose:
    async def test_closing_refuses_new_operations_and_lets_running_ones_end(self, database: Database) -> None:
        go_on = asyncio.Event()
        caller = asyncio.create_task(database.write(partial(insert, number=1, after=go_on)))
        await begun(caller)
        database.refuse_new_operations()
        with pytest.raises(StoreError, match="closed"):
            await database.write(partial(insert, number=2))
        go_on.set()
        await database.wait_for_operations()
        await caller
        async with database.begin_read() as connection:
            assert await numbers(connection) == [1]

    async def test_closing_cancels_operations_that_hang(self, database: Database) -> None:
        caller = asyncio.create_task(database.write(partial(insert, number=1, after=asyncio.Event())))
        await begun(caller)
        database.cancel_operations()
        with pytest.raises(asyncio.CancelledError):
            await caller


class Transactions:
    def __init__(self, failure: BaseException | None = None) -> None:
        self.written: list[list[int]] = []
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.failure = failure

    async def write(self, numbers: Sequence[int]) -> Sequence[int]:
        self.written.append(list(numbers))
        self.began.set()
        await self.may_end.wait()
        if self.failure:
            raise self.failure
        return [2 * number for number in numbers]


async def test_items_share_the_transaction_after_the_one_that_runs() -> None:
    transactions = Transactions()
    commit = GroupCommit(transactions.write)
    first = asyncio.create_task(commit.add(1))
    await transactions.began.wait()
    others = [asyncio.create_task(commit.add(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    transactions.may_end.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert transactions.written == [[1], [2, 3]]


@pytest.mark.parametrize("failure", [None, StoreError()])
async def test_canceled_caller_neither_takes_its_item_back_nor_disturbs_others(failure: StoreError | None) -> None:
    transactions = Transactions(failure)
    commit = GroupCommit(transactions.write)
    first, second = [asyncio.create_task(commit.add(number)) for number in (1, 2)]
    await transactions.began.wait()
    first.cancel()
    transactions.may_end.set()
    ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError, StoreError if failure else int]
    await asyncio.gather(commit.add(3), return_exceptions=True)
    assert transactions.written == [[1, 2], [3]], "later ones are written"


async def test_canceled_transaction_leaves_no_caller_waiting() -> None:
    transactions = Transactions(asyncio.CancelledError())
    commit = GroupCommit(transactions.write)
    first = asyncio.create_task(commit.add(1))
    await transactions.began.wait()
    second = asyncio.create_task(commit.add(2))
    await asyncio.sleep(0)
    transactions.may_end.set()
    async with asyncio.timeout(WITHIN_S):
        ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    transactions.failure = None
    assert await commit.add(3) == 6, "later ones are written"


async def test_transaction_takes_a_limited_number_of_items() -> None:
    transactions = Transactions()
    transactions.may_end.set()
    commit = GroupCommit(transactions.write)
    await asyncio.gather(*map(commit.add, range(2 * MAX_GROUP + 1)))
    assert [len(group) for group in transactions.written] == [MAX_GROUP, MAX_GROUP, 1]
