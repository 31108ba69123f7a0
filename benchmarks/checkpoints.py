"""Measures the cost of checkpoints on SQLite and PostgreSQL: `python -m benchmarks.checkpoints`.

An answer grows by 250 characters a second. A checkpoint is written with each heartbeat, once a second, and before each
edit, in five of six seconds. Prints figures for a new answer and for one of 100,000 characters: CPU and bytes written
per second, how long an edit waits, and how long a take-over takes to read the checkpoint.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa

from benchmarks.store import question, sqlite_file
from bot.clock import SystemClock
from bot.core.conversation import Job
from bot.core.job import Piece, Spent
from bot.store import Stores
from bot.store.engine import database_file
from tests.contracts.databases import postgresql_server

SECONDS = 200
EDITS_A_SECOND = 50 / 60
PIECE = "word " * 25
"""The text that arrives between two checkpoints."""
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
    heartbeat = await _measure_call(store, lambda _: store.worker_queue.heartbeat({job: Spent()}))
    show("a heartbeat without a checkpoint", heartbeat)
    for what, before_chars in (("just begun", 0), (f"of {LONG_CHARS:,} characters", LONG_CHARS)):
        if before_chars:
            await _grow(store, job, before_chars)
        chars = before_chars

        async def write_with_heartbeat(_: int) -> None:
            nonlocal chars
            await store.worker_queue.heartbeat({job: Spent()}, {job: Piece(chars, PIECE)})
            chars += len(PIECE)

        async def write_before_edit(_: int) -> None:
            nonlocal chars
            await store.worker_queue.checkpoint({job: Piece(chars, PIECE)})
            chars += len(PIECE)

        beats = await _measure_call(store, write_with_heartbeat)
        edits = await _measure_call(store, write_before_edit)
        show(f"a heartbeat with the checkpoint of an answer {what}", beats)
        show(f"the checkpoint before an edit, answer {what}", edits)
        added = [beats[n] - heartbeat[n] + EDITS_A_SECOND * edits[n] for n in (0, 1)]
        print(f"  checkpoints of an answer {what} add {added[0]:.2f} ms CPU and {added[1]:.1f} kB written per second")
    await store.worker_queue.release(job)
    began = time.perf_counter()
    [reclaimed] = await store.worker_queue.claim(1)
    took_ms = (time.perf_counter() - began) * 1e3
    print(f"  claimed again with {len(reclaimed.checkpoint.text):,} characters: {took_ms:.1f} ms")


async def _grow(store: Stores, job: Job, chars: int) -> None:
    for start in range(0, chars, len(PIECE)):
        await store.worker_queue.checkpoint({job: Piece(start, PIECE)})


async def _measure_call(store: Stores, call: Callable[[int], Awaitable[object]]) -> tuple[float, float, float]:
    """Returns the figures of one call: CPU in ms, kB written, and its median time in ms."""
    cpu_s, written, took_ms = time.process_time(), await _written_bytes(store), list[float]()
    for number in range(SECONDS):
        began = time.perf_counter()
        await call(number)
        took_ms.append((time.perf_counter() - began) * 1e3)
    cpu_ms = (time.process_time() - cpu_s) / SECONDS * 1e3
    return cpu_ms, (await _written_bytes(store) - written) / SECONDS / 1e3, statistics.median(took_ms)


async def _written_bytes(store: Stores) -> int:
    """Returns how many bytes were written to the WAL so far, from an arbitrary start."""
    if (file := database_file(store.database.engine.url)) is not None:
        return _sqlite_written(file)
    async with store.database.engine.connect() as connection:
        lsn = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        return int(await connection.scalar(sa.text(lsn)) or 0)


def _sqlite_written(file: Path) -> int:
    """Returns how many bytes this process wrote. SQLite reuses its WAL file, so the file's size doesn't tell."""
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
