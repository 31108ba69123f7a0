"""Measures the store's calls on a SQLite file and on PostgreSQL: `python -m benchmarks.store`.

Prints p50 and p95 in milliseconds of each call, one at a time, and of 1,000 simultaneous enqueues.
"""

import asyncio
import contextlib
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator

from bot.clock import SystemClock
from bot.core.conversation import Job, Question, ThreadKey
from bot.core.job import End, Enqueued, Spent
from bot.errors import EndReason
from bot.store import Stores
from tests.contracts.databases import postgresql_server

JOBS = 300
BURST = 1000
ANSWER = "One of the answer's many words. " * 100


def question(number: int) -> Question:
    ts = f"1700000000.{number:06d}"
    return Question(ThreadKey("T1", "C1", ts), ts, "U1", f"<@UBOT> What is {number}?")


async def timed(call: Callable[[int], Awaitable[object]], count: int) -> list[float]:
    durations_ms = []
    for number in range(count):
        began = time.perf_counter()
        await call(number)
        durations_ms.append((time.perf_counter() - began) * 1000)
    return durations_ms


def show(what: str, durations_ms: list[float]) -> None:
    cuts = statistics.quantiles(durations_ms, n=20)
    print(f"  {what:<30} p50 {statistics.median(durations_ms):7.2f} ms   p95 {cuts[18]:7.2f} ms")


async def measure(url: str) -> None:
    store = await Stores.open(url, "benchmark", SystemClock())
    jobs: list[Job] = []

    async def enqueue(number: int) -> Enqueued | None:
        return await store.queue.enqueue(f"Ev{number}", question(number))

    async def claim(_: int) -> None:
        jobs.extend(await store.worker_queue.claim(1))

    async def finish(number: int) -> bool:
        return await store.worker_queue.finish(jobs[number], End(EndReason.WHOLE), ANSWER)

    async def at_once(number: int) -> float:
        began = time.perf_counter()
        await enqueue(JOBS + number)
        return (time.perf_counter() - began) * 1000

    try:
        show("enqueue", await timed(enqueue, JOBS))
        show("enqueue, seen before", await timed(enqueue, JOBS))
        show("claim", await timed(claim, JOBS))
        show("claim, nothing to do", await timed(claim, JOBS))
        show(
            f"heartbeat of {JOBS}",
            await timed(lambda _: store.worker_queue.heartbeat(dict.fromkeys(jobs, Spent(900, 300))), 20),
        )
        show("record_pages", await timed(lambda n: store.worker_queue.record_pages(jobs[n].id, [f"{n}.1"]), JOBS))
        show("finish", await timed(finish, JOBS))
        show("replies", await timed(lambda n: store.recorded_answers.replies(jobs[n].question.thread), JOBS))
        show("reserve, granted", await timed(lambda _: store.rate_ledger.reserve("chat.update", JOBS + 1), JOBS))
        show("reserve, refused", await timed(lambda _: store.rate_ledger.reserve("chat.update", JOBS), JOBS))
        began = time.perf_counter()
        burst_ms = await asyncio.gather(*(at_once(number) for number in range(BURST)))
        show(f"enqueue, {BURST} at once", burst_ms)
        print(f"  {'':<30} {BURST / (time.perf_counter() - began):.0f} a second")
    finally:
        await store.close()


@contextlib.contextmanager
def sqlite_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite:///{directory}/typist.db"


def main() -> None:
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {JOBS} jobs")
    for name, database in (("SQLite file", sqlite_file), ("PostgreSQL", postgresql_server)):
        with database() as url:
            print(f"{name}:")
            asyncio.run(measure(url))


if __name__ == "__main__":
    main()
