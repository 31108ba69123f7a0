"""Any order of calls by several workers, against a model of the Store that fits on a page."""

import asyncio
from dataclasses import dataclass, replace

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
from bot.ports import Outcome, Status, SystemClock
from bot.store import SqlStore
from bot.store.schema import jobs, metadata

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
    page_ts: tuple[str, ...] = ()
    answer: str = ""


class Machine(RuleBasedStateMachine):
    """The Store of several workers, beside what it ought to hold."""

    database_url: str
    claims = Bundle("claims")
    """Each is a job, and the worker that claimed it; it may have lost it since."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.expected: dict[int, Expected] = {}
        self.seen: set[str] = set()

    @initialize()
    def open(self) -> None:
        first = self.runner.run(SqlStore.open(self.database_url, WORKERS[0], SystemClock()))
        self.stores = {name: SqlStore(first.engine, name, SystemClock()) for name in WORKERS}
        self.runner.run(self._empty())

    async def _empty(self) -> None:
        async with self.stores["w1"].engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(sa.delete(table))

    def teardown(self) -> None:
        self.runner.run(self.stores["w1"].close())
        self.runner.close()

    @rule(worker=workers, event=few, thread=threads, number=few)
    def enqueue(self, worker: str, event: int, thread: ThreadKey, number: int) -> None:
        question = Question(thread, f"1700000000.00000{number}", "U1", f"Question {number}")
        before = [
            job
            for job in self._of(thread)
            if job.status is Status.DOING or (job.status is Status.TODO and job.question.ts < question.ts)
        ]
        new = f"Ev{event}" not in self.seen and question not in [job.question for job in self._all()]
        self.seen.add(f"Ev{event}")
        taken = self.runner.run(self.stores[worker].enqueue(f"Ev{event}", question))
        assert (taken is not None) is new
        if taken:
            assert taken.waiting is bool(before)
            self.expected[taken.job_id] = Expected(question)

    @rule(target=claims, worker=workers, limit=st.integers(0, 4))
    def claim(self, worker: str, limit: int):  # type: ignore[no-untyped-def]
        ready = [job_id for job_id in sorted(self.expected) if self._is_ready(self.expected[job_id])]
        claimed = self.runner.run(self.stores[worker].claim(limit))
        assert [job.id for job in claimed] == ready[:limit]
        for job in claimed:
            old = self.expected[job.id]
            new = replace(old, status=Status.DOING, worker=worker, attempts=old.attempts + 1)
            assert job == Job(job.id, new.question, new.attempts, new.page_ts)
            self.expected[job.id] = new
        return multiple(*((worker, job) for job in claimed))

    @rule(target=claims, claim=claims, worker=workers)
    def take_over(self, claim: tuple[str, Job], worker: str):  # type: ignore[no-untyped-def]
        """What is done with the jobs of a worker that went silent."""
        old = self.expected[claim[1].id]
        if old.status is not Status.DOING:
            return multiple()
        new = replace(old, worker=worker, attempts=old.attempts + 1)
        self.expected[claim[1].id] = new
        self.runner.run(self._set(claim[1].id, worker=worker, attempts=new.attempts))
        return worker, replace(claim[1], attempts=new.attempts)

    async def _set(self, job_id: int, **values: object) -> None:
        async with self.stores["w1"].engine.begin() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))

    @rule(worker=workers, some=st.lists(claims, max_size=4))
    def heartbeat(self, worker: str, some: list[tuple[str, Job]]) -> None:
        ours = self.runner.run(self.stores[worker].heartbeat([job for _, job in some]))
        assert ours == {job.id for _, job in some if self._holds(worker, job)}

    @rule(claim=claims, pages=st.integers(0, 3))
    def record_pages(self, claim: tuple[str, Job], pages: int) -> None:
        worker, job = claim
        page_ts = tuple(f"17000001{job.id:02d}.00000{page}" for page in range(pages))
        self.runner.run(self.stores[worker].record_pages(job.id, page_ts))
        if self.expected[job.id].worker == worker:
            self.expected[job.id] = replace(self.expected[job.id], page_ts=page_ts)

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
        assert self.runner.run(self.stores[worker].takes_part(thread)) is bool(self._of(thread))

    def _all(self) -> list[Expected]:
        return list(self.expected.values())

    def _of(self, thread: ThreadKey) -> list[Expected]:
        return [job for job in self._all() if job.question.thread == thread]

    def _is_ready(self, job: Expected) -> bool:
        others = self._of(job.question.thread)
        busy = any(other.status is Status.DOING for other in others)
        oldest = min((other for other in others if other.status is Status.TODO), default=job, key=_ts)
        return job.status is Status.TODO and not busy and job is oldest

    def _holds(self, worker: str, job: Job) -> bool:
        now = self.expected[job.id]
        return (now.status, now.worker, now.attempts) == (Status.DOING, worker, job.attempts)


def _ts(job: Expected) -> str:
    return job.question.ts


@pytest.mark.parametrize(("database", "examples"), [("memory", 50), ("postgresql", 15)])
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
