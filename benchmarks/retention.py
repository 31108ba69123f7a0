"""How long retention holds SQLite's write lock, over many answers: python -m benchmarks.retention --answers 500000

A second process takes the write lock again and again while the texts of all answers expire, and then their records go.
The longest that it waited is what an answer's checkpoint would have waited.
"""

import argparse
import asyncio
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from bot.clock import SystemClock
from bot.services.retention import DAY_S
from bot.store import Stores
from bot.store.retention import RECORDS_KEPT_S

PROBE_EVERY_S = 0.005
LONGEST_MS = 50.0
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


async def run(answers: int, folder: Path) -> bool:
    """Returns whether no wait for the lock was longer than LONGEST_MS."""
    path, clock = folder / "typist.db", SystemClock()
    stores = await Stores.open(f"sqlite:///{path}", "benchmark", clock)
    # Old enough for texts and records, so that everything goes in two passes.
    created_at = clock.now() - RECORDS_KEPT_S - DAY_S
    began = time.perf_counter()
    fill(path, answers, created_at)
    print(f"{answers:,} answers written in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
    met = True
    print(f"{'':24}{'took_s':>8}{'waits':>8}{'p50_ms':>8}{'p99_ms':>8}{'longest_ms':>12}")
    for name, before in (
        ("nothing is due", created_at - DAY_S),
        ("texts and records go", clock.now() - 30 * DAY_S),
        ("nothing is left", clock.now()),
    ):
        stop, (reading, waits) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=probe, args=(str(path), stop, waits))
        process.start()
        began = time.perf_counter()
        await stores.erasure.expire(before)
        took_s = time.perf_counter() - began
        await asyncio.sleep(0.3)
        stop.set()
        waited = sorted(await asyncio.to_thread(reading.recv))
        process.join()
        p50, p99, longest = (1000 * waited[min(len(waited) - 1, int(part * len(waited)))] for part in (0.5, 0.99, 1.0))
        print(f"{name:24}{took_s:8.1f}{len(waited):8}{p50:8.1f}{p99:8.1f}{longest:12.1f}", flush=True)
        met = met and longest <= LONGEST_MS
    await stores.close()
    return met


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500_000)
    with tempfile.TemporaryDirectory(prefix="retention-") as directory:
        if not asyncio.run(run(parser.parse_args().answers, Path(directory))):
            sys.exit(1)
