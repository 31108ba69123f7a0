"""Any order of calls by several workers, against a model of the Store that fits on a page."""

import asyncio
from dataclasses import dataclass, replace
from itertools import takewhile

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.errand import ERRAND_S
from bot.core.triage import Company
from bot.ports import Outcome, Pulse, Spent, Status, SystemClock
from bot.store import SqlStore
from bot.store.claiming import SIGN_S
from bot.store.schema import metadata
from bot.store.together import LATE_POST_S
from bot.store.watch import LEASE_S

pytest_plugins = ["tests.contracts.databases"]

THREADS = [
    ThreadKey("T1", "C1", "1700000000.000000"),
    ThreadKey("T1", "D1", None),
    ThreadKey("T2", "D1", None),
]
WORKERS = ["w1", "w2", "w3"]

threads = st.sampled_from(THREADS)
workers = st.sampled_from(WORKERS)
few = st.integers(0, 9)


@dataclass(frozen=True)
class Expected:
    """A job as it ought to be."""

    question: Question
    status: Status = Status.TODO
    worker: str | None = None
    attempts: int = 0
    interruptions: int = 0
    page_ts: tuple[str, ...] = ()
    answer: str = ""
    unannounced_since: float | None = None
    stop_asked: bool = False
    answered_with: int | None = None

    @property
    def unbegun(self) -> bool:
        return self.status is Status.TODO and self.attempts == 0


class ToldClock(SystemClock):
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.time_s = 1_700_000_000.0

    def now(self) -> float:
        return self.time_s

    def monotonic(self) -> float:
        return self.time_s


class Machine(RuleBasedStateMachine):
    """The Store of several workers, beside what it ought to hold."""

    database_url: str
    claims = Bundle("claims")
    """Each is a job, and the worker that claimed it; it may have lost it since."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ToldClock()
        self.expected: dict[int, Expected] = {}
        self.seen: set[str] = set()
        self.heard_at = dict.fromkeys(WORKERS, 0.0)
        """When each worker last showed that it lives."""
        self.to_clear: dict[int, float] = {}
        """Jobs whose sign is to be taken away, and from when on."""

    @initialize()
    def open(self) -> None:
        first = self.runner.run(SqlStore.open(self.database_url, WORKERS[0], self.clock))
        self.stores = {name: SqlStore(first.engine, name, self.clock) for name in WORKERS}
        self.runner.run(self._empty())

    async def _empty(self) -> None:
        async with self.stores["w1"].engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(sa.delete(table))

    def teardown(self) -> None:
        self.runner.run(self.stores["w1"].close())
        self.runner.close()

    @rule(worker=workers, event=few, thread=threads, number=few, full=st.booleans())
    def enqueue(self, worker: str, event: int, thread: ThreadKey, number: int, full: bool) -> None:
        question = Question(thread, f"1700000000.00000{number}", "U1", f"Question {number}")
        before = [
            job
            for job in self._of(thread)
            if job.status is Status.DOING or (job.status is Status.TODO and job.question.ts < question.ts)
        ]
        new = f"Ev{event}" not in self.seen and question not in [job.question for job in self._all()]
        self.seen.add(f"Ev{event}")
        taken = self.runner.run(self.stores[worker].enqueue(f"Ev{event}", question, full=full))
        assert (taken is not None) is new
        if taken:
            assert taken.waiting is (bool(before) or full)
            since = self.clock.now() if taken.waiting else None
            self.expected[taken.job_id] = Expected(question, unannounced_since=since)

    @rule(seconds=st.sampled_from([0.3, 1.0, 5.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.time_s += seconds

    @rule(target=claims, worker=workers, limit=st.integers(0, 4))
    def claim(self, worker: str, limit: int):  # type: ignore[no-untyped-def]
        return multiple(*((worker, job) for job in self._claim(worker, limit)))

    @rule(target=claims, watcher=workers, silent=st.sets(workers, min_size=1))
    def watch(self, watcher: str, silent: set[str]):  # type: ignore[no-untyped-def]
        """Somebody looks each second, others beat or are silent: after the lease, the silent have no jobs left."""
        claimed = []
        for _ in range(int(LEASE_S) + 2):
            self.clock.time_s += 1
            for worker in WORKERS:
                if worker not in silent - {watcher}:
                    self._beat(worker, [self._job(job_id) for job_id in self._held_by(worker)])
            claimed += [(watcher, job) for job in self._claim(watcher, 100)]
        assert not [job_id for worker in silent - {watcher} for job_id in self._held_by(worker)]
        return multiple(*claimed)

    def _claim(self, worker: str, limit: int) -> list[Job]:
        claimed = self.runner.run(self.stores[worker].claim(limit))
        taken_over = [job.id for job in claimed if self.expected[job.id].status is Status.DOING]
        leaders = [job_id for job_id in sorted(self.expected) if self._is_ready(self.expected[job_id])]
        ready = dict(self._together(leader) for leader in leaders[: limit - len(taken_over)])
        assert [job.id for job in claimed] == sorted(taken_over) + sorted(ready)
        for job in claimed:
            old = self.expected[job.id]
            new = replace(old, status=Status.DOING, worker=worker, attempts=old.attempts + 1)
            if job.id in taken_over:
                assert old.worker is not None
                assert self.clock.now() - self.heard_at[old.worker] >= LEASE_S
                new = replace(new, interruptions=old.interruptions + 1)
            else:
                self.heard_at[worker] = self.clock.now()
                self._end_with(job.id, ready[job.id])
            self.expected[job.id] = new
            begun = new.attempts > 1 or new.unannounced_since is not None
            assert job == replace(self._job(job.id), begun=begun)
        return claimed

    def _together(self, leader: int) -> tuple[int, list[int]]:
        """The newest of those that wait behind each other, and the others."""
        thread = self.expected[leader].question.thread
        todo = [(key, job) for key, job in self.expected.items() if job.status is Status.TODO]
        waiting = sorted((job.question.ts, key) for key, job in todo if job.question.thread == thread)
        group = takewhile(self._may_go, (key for _, key in waiting))
        *before, newest = [leader] if self.expected[leader].attempts else group
        return newest, before

    def _may_go(self, job_id: int) -> bool:
        return self.expected[job_id].unbegun and self._shown(self.expected[job_id])

    def _end_with(self, job_id: int, before: list[int]) -> None:
        for each in before:
            self.expected[each] = replace(self.expected[each], status=Status.DONE, answered_with=job_id)
            self._clear(each)

    def _clear(self, job_id: int) -> None:
        job = self.expected[job_id]
        if job.page_ts:
            self.to_clear[job_id] = self.clock.now()
        elif job.unannounced_since is not None:
            self.to_clear[job_id] = self.clock.now() + LATE_POST_S

    @rule(worker=workers, well=st.booleans())
    def run_errands(self, worker: str, well: bool) -> None:
        store = self.stores[worker]
        due = {job_id for job_id, due_at in self.to_clear.items() if due_at <= self.clock.now()}
        taken = self.runner.run(store.take_errands(100))
        jobs = [self.expected[job_id] for job_id in due]
        assert {(each.question, each.page_ts) for each in taken} == {(job.question, job.page_ts) for job in jobs}
        for job_id in due:
            self.to_clear[job_id] = self.clock.now() + ERRAND_S
        if well:
            for errand in taken:
                self.runner.run(store.errand_done(errand))
            self.to_clear = {job_id: due_at for job_id, due_at in self.to_clear.items() if job_id not in due}

    @rule(worker=workers, some=st.lists(claims, max_size=4))
    def heartbeat(self, worker: str, some: list[tuple[str, Job]]) -> None:
        self._beat(worker, [job for _, job in some])

    def _beat(self, worker: str, claimed: list[Job]) -> None:
        pulse = self.runner.run(self.stores[worker].heartbeat(dict.fromkeys(claimed, Spent(1, 2))))
        ours = {job.id for job in claimed if self._holds(worker, job)}
        assert pulse == Pulse(frozenset(ours), frozenset(each for each in ours if self.expected[each].stop_asked))
        if claimed:
            self.heard_at[worker] = self.clock.now()

    @rule(claim=claims)
    def release(self, claim: tuple[str, Job]) -> None:
        worker, job = claim
        holds = self._holds(worker, job)
        assert self.runner.run(self.stores[worker].release(job)) is holds
        if holds:
            self.expected[job.id] = replace(self.expected[job.id], status=Status.TODO, worker=None)

    @rule(worker=workers, number=few)
    def request_stop(self, worker: str, number: int) -> None:
        if number >= len(self.expected):
            return
        job_id = sorted(self.expected)[number]
        old = self.expected[job_id]
        live = old.status in (Status.TODO, Status.DOING)
        assert self.runner.run(self.stores[worker].request_stop(job_id)) is live
        if live:
            status = Status.STOPPED if old.unbegun else old.status
            self.expected[job_id] = replace(old, status=status, stop_asked=True)
        if old.unbegun:
            self._clear(job_id)

    @rule(worker=workers, thread=threads)
    def announce(self, worker: str, thread: ThreadKey) -> None:
        """The askers of a thread are shown that they wait."""
        for job_id, job in self.expected.items():
            waits = job.status is Status.TODO or job.attempts == 0
            if job.question.thread == thread and job.unannounced_since is not None and waits:
                self._record(worker, job_id, (f"1800000000.{job_id:06d}",))

    @rule(claim=claims, pages=st.integers(0, 3))
    def record_pages(self, claim: tuple[str, Job], pages: int) -> None:
        worker, job = claim
        self._record(worker, job.id, tuple(f"17000001{job.id:02d}.00000{page}" for page in range(pages)))

    def _record(self, worker: str, job_id: int, page_ts: tuple[str, ...]) -> None:
        self.runner.run(self.stores[worker].record_pages(job_id, page_ts))
        old = self.expected[job_id]
        if old.worker == worker or old.status is Status.TODO or old.attempts == 0:
            self.expected[job_id] = replace(old, page_ts=page_ts, unannounced_since=None)
            if old.status is not Status.TODO and old.attempts == 0:
                self._clear(job_id)

    @rule(claim=claims, status=st.sampled_from([Status.DONE, Status.FAILED, Status.STOPPED]), answer=st.text())
    def finish(self, claim: tuple[str, Job], status: Status, answer: str) -> None:
        worker, job = claim
        answer = answer.replace("\0", "")
        holds = self._holds(worker, job)
        assert self.runner.run(self.stores[worker].finish(job, Outcome(status, answer))) is holds
        if holds:
            self.expected[job.id] = replace(self.expected[job.id], status=status, answer=answer)

    @rule(worker=workers, thread=threads)
    def read(self, worker: str, thread: ThreadKey) -> None:
        expected = {ts: "" for job in self._of(thread) for ts in job.page_ts}
        expected |= {job.page_ts[0]: job.answer for job in self._of(thread) if job.page_ts}
        assert self.runner.run(self.stores[worker].replies(thread)) == expected
        company = self.runner.run(self.stores[worker].join(thread, "U1", "9"))
        assert company == Company(takes_part=bool(self._of(thread)))

    def _all(self) -> list[Expected]:
        return list(self.expected.values())

    def _of(self, thread: ThreadKey) -> list[Expected]:
        return [job for job in self._all() if job.question.thread == thread]

    def _is_ready(self, job: Expected) -> bool:
        others = self._of(job.question.thread)
        busy = any(other.status is Status.DOING for other in others)
        oldest = min((other for other in others if other.status is Status.TODO), default=job, key=_ts)
        return job.status is Status.TODO and not busy and job is oldest and self._shown(job)

    def _shown(self, job: Expected) -> bool:
        since = job.unannounced_since
        return since is None or self.clock.now() - since >= SIGN_S

    def _job(self, job_id: int) -> Job:
        job = self.expected[job_id]
        earlier = [each.question for each in self._all() if each.answered_with == job_id]
        earlier.sort(key=lambda question: question.ts)
        return Job(
            job_id, job.question, job.attempts, job.page_ts, interruptions=job.interruptions, earlier=tuple(earlier)
        )

    def _held_by(self, worker: str) -> list[int]:
        return [key for key, job in self.expected.items() if (job.status, job.worker) == (Status.DOING, worker)]

    def _holds(self, worker: str, job: Job) -> bool:
        now = self.expected[job.id]
        return (now.status, now.worker, now.attempts) == (Status.DOING, worker, job.attempts)


def _ts(job: Expected) -> str:
    return job.question.ts


@pytest.mark.parametrize(("database", "examples"), [("memory", 30), ("postgresql", 8)])
def test_any_order_of_calls_agrees_with_the_model(request: pytest.FixtureRequest, database: str, examples: int) -> None:
    url = "sqlite://" if database == "memory" else request.getfixturevalue("postgresql_url")
    machine = type("DatabaseMachine", (Machine,), {"database_url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
