"""How long retention holds SQLite's write lock, over many answers: python -m benchmarks.soak --retention 500000

All texts and records of the answers expire at once. "hold" is how long one of retention's transactions has the lock,
from BEGIN IMMEDIATE to the end of its commit; "cpu" is the process's CPU time meanwhile, which is what is left on a
quiet machine with a fast disk. "wait" is how long a second process waits, which takes the lock again and again: what an
answer's checkpoint would wait. A run fails if a hold is too long. TMPDIR names the folder of the database.
"""

import asyncio
import gc
import multiprocessing
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.caps import DAY_S
from bot.store import Stores
from bot.store.erasure import RECORDS_KEPT_S

PROBE_EVERY_S = 0.005
MAX_MS = 50.0
ANSWER = "An answer of a usual length, which a model wrote. " * 20


def fill(path: Path, answers: int, created_at: float) -> None:
    """Writes so many answered questions, each with an event."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO jobs (id, team_id, channel_id, thread_ts, ts, user_id, text, created_at, status, end_reason)"
            " VALUES (?, 'T1', 'C1', ?, ?, 'U1', 'Why is that so, and since when?', ?, 'ended', 'whole')",
            ((n, str(n), str(n), created_at) for n in range(1, answers + 1)),
        )
        connection.executemany(
            "INSERT INTO turns (job_id, answer, end_reason, created_at) VALUES (?, ?, 'whole', ?)",
            ((n, ANSWER, created_at) for n in range(1, answers + 1)),
        )
        connection.executemany(
            "INSERT INTO seen_events (event_id, seen_at) VALUES (?, ?)",
            ((f"Ev{n}", created_at) for n in range(1, answers + 1)),
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def probe(path: str, stop: Event, waits: "Connection[list[float], None]") -> None:
    """Takes the write lock until told to stop; reports how long each try waited, in seconds."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    # SQLite's own wait sleeps for up to 100 ms at a time, so this one asks each millisecond.
    connection.execute("PRAGMA busy_timeout = 0")
    waited = []
    while not stop.is_set():
        began = time.perf_counter()
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError:
                time.sleep(0.0005)
        waited.append(time.perf_counter() - began)
        connection.execute("ROLLBACK")
        time.sleep(PROBE_EVERY_S)
    waits.send(waited)


@dataclass
class Transactions:
    """How long each transaction of an engine has held the write lock, and the process's CPU time meanwhile, in s."""

    hold: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    _began: tuple[float, float] | None = None

    def watch(self, engine: sa.Engine) -> None:
        sa.event.listen(engine, "after_cursor_execute", self._after_statement)
        sa.event.listen(engine, "checkin", self._after_commit)

    def _after_statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            self._began = time.perf_counter(), time.process_time()

    def _after_commit(self, *_: object) -> None:
        if self._began is not None:
            self.hold.append(time.perf_counter() - self._began[0])
            self.cpu.append(time.process_time() - self._began[1])
            self._began = None


def figures_ms(times_s: Sequence[float]) -> list[float]:
    """Returns the median, the 99th percentile and the longest of some times."""
    ordered = sorted(times_s) or [0.0]
    return [1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in (0.5, 0.99, 1.0)]


async def run(answers: int, folder: Path) -> bool:
    """Returns whether no transaction held the lock for longer than MAX_MS."""
    path, clock = folder / "typist.db", SystemClock()
    stores = await Stores.open(f"sqlite:///{path}", "benchmark", clock)
    # Old enough for texts and records, so that everything goes in two passes.
    created_at = clock.now() - RECORDS_KEPT_S - DAY_S
    began = time.perf_counter()
    fill(path, answers, created_at)
    print(f"{answers:,} answers written in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
    # As the bot does once it is connected.
    gc.freeze()
    met = True
    print(f"{'':22}{'took_s':>8}{'':8}{'number':>8}{'p50_ms':>8}{'p99_ms':>8}{'longest_ms':>12}")
    for name, before in (
        ("nothing is due", created_at - DAY_S),
        ("texts and records go", clock.now() - 30 * DAY_S),
        ("nothing is left", clock.now()),
    ):
        transactions = Transactions()
        transactions.watch(stores.database.engine.sync_engine)
        stop, (reading, waits) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=probe, args=(str(path), stop, waits))
        process.start()
        began = time.perf_counter()
        await stores.erasure.expire(before)
        took_s = time.perf_counter() - began
        await asyncio.sleep(0.3)
        stop.set()
        waited = await asyncio.to_thread(reading.recv)
        process.join()
        for kind, times_s in (("cpu", transactions.cpu), ("hold", transactions.hold), ("wait", waited)):
            p50, p99, longest = figures_ms(times_s)
            print(f"{name:22}{took_s:8.1f}{kind:>8}{len(times_s):8}{p50:8.1f}{p99:8.1f}{longest:12.1f}", flush=True)
        met = met and figures_ms(transactions.hold)[-1] <= MAX_MS
    await stores.close()
    return met
