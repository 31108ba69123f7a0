"""What it costs to keep the text of an answer under way: `python -m benchmarks.checkpoints`, on SQLite and PostgreSQL.

An answer grows by 250 characters a second. Each second it is written with the heartbeat and, five seconds in six,
once more ahead of an edit. Printed for an answer that has just begun and for one of 100,000 characters: CPU of our
process and what the database writes, a second; how long an edit waits; and how long a take-over takes to read it.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa

from benchmarks.store import question, sqlite_file
from bot.core.conversation import Job
from bot.core.job import Piece, Spent
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.engine import database_file
from tests.contracts.databases import postgresql_server

SECONDS = 200
EDITS_A_SECOND = 50 / 60
PIECE = "word " * 25
"""What comes between two writes."""
LONG_CHARS = 100_000


async def measure(url: str) -> None:
    store = await Stores.open(url, "benchmark", SystemClock())
    try:
        await _measure(store)
    finally:
        await store.close()


async def _measure(store: Stores) -> None:
    await store.queue.enqueue("Ev1", question(1))
    [job] = await store.worker_queue.claim(1)
    without = await _a_second(store, lambda _: store.worker_queue.heartbeat({job: Spent()}))
    show("a heartbeat alone", without)
    for what, before_chars in (("begun", 0), (f"of {LONG_CHARS:,} characters", LONG_CHARS)):
        if before_chars:
            await _grow(store, job, before_chars)
        chars = before_chars

        async def beat(_: int) -> None:
            nonlocal chars
            await store.worker_queue.heartbeat({job: Spent()}, {job: Piece(chars, PIECE)})
            chars += len(PIECE)

        async def ahead(_: int) -> None:
            nonlocal chars
            await store.worker_queue.checkpoint({job: Piece(chars, PIECE)})
            chars += len(PIECE)

        beats, edits = await _a_second(store, beat), await _a_second(store, ahead)
        show(f"a heartbeat with an answer {what}", beats)
        show(f"an edit of an answer {what}", edits)
        added = [beats[n] - without[n] + EDITS_A_SECOND * edits[n] for n in (0, 1)]
        print(f"  an answer {what}: {added[0]:.2f} ms CPU and {added[1]:.1f} kB written a second more")
    await store.worker_queue.release(job)
    began = time.perf_counter()
    [again] = await store.worker_queue.claim(1)
    print(
        f"  claimed again with {len(again.checkpoint.text):,} characters: {(time.perf_counter() - began) * 1e3:.1f} ms"
    )


async def _grow(store: Stores, job: Job, chars: int) -> None:
    for start in range(0, chars, len(PIECE)):
        await store.worker_queue.checkpoint({job: Piece(start, PIECE)})


async def _a_second(store: Stores, call: Callable[[int], Awaitable[object]]) -> tuple[float, float, float]:
    """Of one call: CPU in ms, kB written, and its median time in ms."""
    cpu_s, written, took_ms = time.process_time(), await _written_bytes(store), list[float]()
    for number in range(SECONDS):
        began = time.perf_counter()
        await call(number)
        took_ms.append((time.perf_counter() - began) * 1e3)
    cpu_ms = (time.process_time() - cpu_s) / SECONDS * 1e3
    return cpu_ms, (await _written_bytes(store) - written) / SECONDS / 1e3, statistics.median(took_ms)


async def _written_bytes(store: Stores) -> int:
    """Into the log of changes, since some beginning."""
    if (file := database_file(store.database.engine.url)) is not None:
        return _sqlite_written(file)
    async with store.database.engine.connect() as connection:
        lsn = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        return int(await connection.scalar(sa.text(lsn)) or 0)


def _sqlite_written(file: Path) -> int:
    """By this process, in blocks: SQLite goes round in its log."""
    assert file.exists()
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("wchar:")))


def show(what: str, figures: tuple[float, float, float]) -> None:
    cpu_ms, written_kb, took_ms = figures
    print(f"  {what:<52} CPU {cpu_ms:6.2f} ms   written {written_kb:6.1f} kB   takes {took_ms:6.2f} ms", flush=True)


def main() -> None:
    for name, database in (("SQLite", sqlite_file()), ("PostgreSQL", postgresql_server())):
        print(name)
        with contextlib.ExitStack() as stack:
            asyncio.run(measure(stack.enter_context(database)))


if __name__ == "__main__":
    main()
