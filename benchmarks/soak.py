"""Checks that one process's memory and open files stay constant over 20,000 answers with constant faults.

Run: python -m benchmarks.soak [--answers 20000] [--minutes 45] [--database sqlite|postgresql] [--askers 40]
     python -m benchmarks.soak --retention 500000

Real processes and sockets: the bot, a sandbox over HTTP and WebSocket, a database, and a model on this machine. 2,000
people ask in 200 channels; each asker asks the next question when the last one is answered, every fourth in the same
thread. Slack, its sockets and events, the model and the database fail as in a chaos run, but nothing ends the process.

Slack's budgets would make 20,000 answers take 13 hours. So the sandbox's are raised, and the process that runs here is
Typist with its own raised as well (`python -m benchmarks.soak bot`). All else is as in production.

Prints memory, open files and threads over time, and the database's bytes for each answer. Exits with 1 if a target is
missed, a question was not answered, or the process logged an unexpected error. Reads /proc, so Linux only.

With `--retention`, it measures instead how long retention over so many answers holds up other writes (`retention`).
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import sqlalchemy as sa

from benchmarks import faults
from benchmarks.chaos import SECRET, chaos_environment
from benchmarks.databases import Engine, database
from benchmarks.faults import FaultTargets, inject_faults
from benchmarks.fleet import Fleet, process_faults
from benchmarks.process import Process, spawn
from benchmarks.scripted_model import ScriptedModel
from benchmarks.vendor_failures import VendorFailures
from bot.clock import SystemClock
from bot.core.caps import DAY_S
from bot.store import Stores
from bot.store.erasure import RECORDS_KEPT_S
from slack_pacing.budget import CALLS_PER_MINUTE
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import FLOORS, PostRule
from slack_sandbox.workspace import Change, Changed, Channel, Posted, User

RAISED_CALLS = 20_000
"""Calls of each method in a minute, more than the run makes."""
ANY_POSTS = PostRule(1_000, 1.0, frozenset({"chat.postMessage"}))
RAISED_BOT = (sys.executable, "-m", "benchmarks.soak", "bot")
"""Typist with raised budgets."""
PEOPLE, CHANNELS = 2_000, 200
"""As many as a large workspace has: what is kept for each of them shows."""
WORDS, WORDS_PER_S = 12, 40
FOLLOW_UP_EVERY = 4
ANSWERED_WITHIN_S = 120.0
FAULTS: Mapping[faults.Fault, int] = {
    kind: count
    for kind, count in faults.POSTGRESQL_FAULTS.items()
    if kind not in (faults.kill, faults.pause, faults.deploy, faults.restart)
}
FAULTS_S, FAULT_GAP_S = 60.0, 4.0
SAMPLES = 40
WARM_UP_SHARE = 0.2
"""Caches fill, and the allocator finds its size, during this share of the answers."""
MAX_GROWTH = 0.05
"""How much more memory the last tenth may take than the tenth after the warm-up."""
MAX_FURTHER_FILES = 5


@dataclass(frozen=True)
class Sample:
    """The bot's process at one moment."""

    at_s: float
    answers: int
    memory_bytes: int
    files: int
    threads: int

    def __str__(self) -> str:
        memory_mb = self.memory_bytes / 1e6
        return f"{self.at_s:7.0f}{self.answers:9,}{memory_mb:11.1f}{self.files:7}{self.threads:9}"


@dataclass
class Soak:
    """One run: what was asked, how it ended, and samples of the process."""

    sandbox: Sandbox
    pid: int
    """The bot's process."""
    answers: int
    minutes: float
    """After these, no further question is asked."""
    samples: list[Sample] = field(default_factory=list)
    asked: int = 0
    over: int = 0
    unanswered: list[tuple[str, str]] = field(default_factory=list)
    _awaited: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.sandbox.workspace.listeners.append(self._on_change)

    async def ask_in_turn(self, rng: random.Random) -> None:
        """Asks one question after the other until all are asked or the time is up."""
        place, ts = ("", ""), ""
        while self.asked < self.answers and time.monotonic() < self._began_s + 60 * self.minutes:
            self.asked += 1
            if not ts or rng.randrange(FOLLOW_UP_EVERY):
                place, ts = (f"U1{rng.randrange(PEOPLE)}", f"C1{rng.randrange(CHANNELS)}"), ""
            text = f"<@BOT> q{self.asked}: {WORDS} words, {WORDS_PER_S} a second"
            sent = await self.sandbox.say(*place, text, ts or None)
            ended = self._awaited[place[1], sent] = asyncio.Event()
            ts = ts or sent
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    await ended.wait()
            except TimeoutError:
                self.unanswered.append((place[1], sent))
            del self._awaited[place[1], sent]
            self._question_is_over()

    def _on_change(self, change: Change) -> None:
        if isinstance(change, Posted | Changed):
            # Its metadata says that an answer has ended, however it did.
            about = (change.message.metadata or {}).get("event_payload", {})
            place = (change.message.channel, about.get("question_ts", ""))
            if "end" in about and place in self._awaited:
                self._awaited[place].set()

    def _question_is_over(self) -> None:
        """Counts a question, and takes a sample of the process now and then."""
        self.over += 1
        if self.over % (self.answers // SAMPLES) == 0:
            sample = Sample(
                time.monotonic() - self._began_s,
                self.over,
                Process(self.pid, Path(os.devnull)).memory_bytes(),
                len(os.listdir(f"/proc/{self.pid}/fd")),
                len(os.listdir(f"/proc/{self.pid}/task")),
            )
            self.samples.append(sample)
            print(sample, flush=True)


def populate(sandbox: Sandbox) -> None:
    """Adds many people, and channels that all of them and the bot are members of."""
    people = [User(f"U1{number}", f"person{number}", f"Person {number}", "#0f766e") for number in range(PEOPLE)]
    members = [person.id for person in people] + [sandbox.bot_user_id]
    sandbox.workspace.users.update({person.id: person for person in people})
    for number in range(CHANNELS):
        channel = Channel(f"C1{number}", f"channel{number}", "channel", members, creator=members[0])
        sandbox.workspace.channels[channel.id] = channel


@asynccontextmanager
async def faults_going_on(targets: FaultTargets) -> AsyncIterator[None]:
    """Injects faults until the block ends, and then waits for the end of those under way."""
    stopping = asyncio.Event()

    async def inject() -> None:
        while not stopping.is_set():
            await inject_faults(targets, FAULTS, FAULTS_S, FAULT_GAP_S)

    injecting = asyncio.create_task(inject())
    try:
        yield
    finally:
        stopping.set()
        await injecting


async def soak(engine: Engine, answers: int, minutes: float, askers: int, seed: int, folder: Path) -> bool:
    """Runs, prints what it measures, and returns whether all targets are met."""
    kinds: Counter[str] = Counter()
    async with (
        Sandbox(
            budgets=dict.fromkeys(FLOORS, RAISED_CALLS),
            posts=ANY_POSTS,
            redelivery_delays_s=(0.0, 5.0, 10.0, 20.0, 40.0),
            keep_revisions=False,
            seed=seed,
        ) as sandbox,
        ScriptedModel() as model,
        database(engine, folder) as store,
    ):
        populate(sandbox)
        env = chaos_environment(sandbox, model, store.url, drain_s=20)
        fleet = Fleet(folder, env, partial(spawn, command=RAISED_BOT))
        targets = FaultTargets(
            sandbox, store, fleet, random.Random(seed), lambda note: kinds.update([note.split(",")[0]])
        )
        try:
            bot = await fleet.start()
            model.failures = VendorFailures(seed, time.monotonic())
            empty_bytes = await store.size_bytes()
            run = Soak(sandbox, bot.pid, answers, minutes)
            print(f"{'at_s':>7}{'answers':>9}{'memory_mb':>11}{'files':>7}{'threads':>9}")
            async with faults_going_on(targets):
                await asyncio.gather(*(run.ask_in_turn(random.Random(seed + n)) for n in range(askers)))
            states = Counter(job.state for job in await store.jobs())
            await fleet.close()
            used_bytes = await store.size_bytes() - empty_bytes
        finally:
            fleet.kill()
        print(f"faults: {kinds.total()}; asked: {run.asked}; states of the jobs: {dict(states)}")
        print(f"questions without an answer in {ANSWERED_WITHIN_S:.0f} s: {run.unanswered or 'none'}")
        print(f"database: {used_bytes / max(1, run.over):,.0f} bytes for each answer")
        unexpected = process_faults(fleet.bots, store.outages, (sandbox.bot_token, sandbox.app_token, SECRET))
        print(*unexpected, sep="\n")
        return is_flat(run.samples) and not run.unanswered and not unexpected


def is_flat(samples: list[Sample]) -> bool:
    """Prints and returns whether memory and open files were flat after the warm-up."""
    if len(samples) < SAMPLES:
        print("not all questions were asked in time")
        return False
    tenth = len(samples) // 10
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    memory_bytes = [sum(sample.memory_bytes for sample in part) / tenth for part in (warm[:tenth], warm[-tenth:])]
    files = [max(sample.files for sample in part) for part in (warm[:tenth], warm[-tenth:])]
    growth = memory_bytes[1] / memory_bytes[0] - 1
    print(
        f"memory: {memory_bytes[0] / 1e6:.1f} MB after the warm-up, {memory_bytes[1] / 1e6:.1f} at the end, "
        f"{growth:+.1%} (at most {MAX_GROWTH:.0%}); files: {files[0]}, then {files[1]}"
    )
    return growth <= MAX_GROWTH and files[1] <= files[0] + MAX_FURTHER_FILES


def run_raised_bot() -> None:
    """Runs Typist in this process, with budgets that it won't reach."""
    CALLS_PER_MINUTE.update(dict.fromkeys(CALLS_PER_MINUTE, RAISED_CALLS))
    from bot.__main__ import main as run_typist

    sys.argv = ["typist", "run"]
    run_typist()


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
            "INSERT INTO turns (job_id, version, answer, end_reason, origins, created_at)"
            " VALUES (?, 0, ?, 'whole', '[]', ?)",
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


async def retention(answers: int, folder: Path) -> bool:
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


def main() -> int:
    if sys.argv[1:] == ["bot"]:
        run_raised_bot()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--askers", type=int, default=40)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--retention", type=int, metavar="ANSWERS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        folder = Path(directory)
        if options.retention:
            run = retention(options.retention, folder)
        else:
            run = soak(options.database, options.answers, options.minutes, options.askers, options.seed, folder)
        return 0 if asyncio.run(run) else 1


if __name__ == "__main__":
    sys.exit(main())
