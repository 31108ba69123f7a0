"""Workers: how one sees another die, freeze or be cut off, their locks, and what processes tell each other."""

import asyncio
import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.clock import SystemClock
from bot.core.job import POSTING, Job
from bot.store import Stores
from bot.store.schema import metadata, workers
from bot.store.workers import LOCK_GRACE_S, MAX_PAYLOAD_BYTES, SILENCE_S, FailureDetector, FileLocks, Observation
from slack_sandbox.testing.processes import WITHIN_S
from tests.charged_turns import CHARGED_TURNS
from tests.contracts.databases import Process
from tests.contracts.holding import holder, wait_for_output
from tests.contracts.pooler import pooler
from tests.contracts.stores import DONE, YES, apart, claimed_within, enqueued


async def test_jobs_of_a_killed_process_are_taken_over(process: Process, shared_url: str) -> None:
    store = await process("w1")
    async with holder(shared_url, "w2") as dying:
        job_id = await enqueued(store, apart(1))
        await wait_for_output(dying, f"claimed {job_id}")
        assert await store.worker_queue.claim(1) == []
        os.kill(dying.pid, signal.SIGKILL)
        job = await claimed_within(store, SILENCE_S - 2)
    assert job == Job(job_id, apart(1), attempts=2, messages=(POSTING,), interruptions=1)
    async with store.database.engine.begin() as connection:
        [turn] = (await connection.execute(CHARGED_TURNS)).all()
    assert (turn.answer, turn.end_reason, turn.input_tokens, turn.output_tokens) == ("", "interrupted", 100, 1)


async def test_living_worker_on_a_file_is_not_taken_for_dead(on_file: Process) -> None:
    """A worker without a lock on its row is judged by its silence, one with a lock by that."""
    living, other = await on_file("w1"), await on_file("w2")
    await enqueued(living, apart(1))
    assert len(await living.worker_queue.claim(1)) == 1
    assert await other._worker.dead_workers() == {}
    assert await other.worker_queue.claim(1) == []


async def test_processes_that_run_with_a_database_are_those_that_hold_their_lock(process: Process) -> None:
    """One that was killed left its row and no lock. Its connections to Slack don't count for the database."""
    one, other = await process("w1"), await process("w2")
    assert (
        sorted(await one.listening.living_workers()) == sorted(await other.listening.living_workers()) == ["w1", "w2"]
    )
    killed = {"worker": "w3", "beat": 1, "has_lock": True, "seen_at": other.clock.now()}
    async with one.database.engine.begin() as connection:
        await connection.execute(sa.insert(workers).values(killed))
    assert sorted(await one.listening.living_workers()) == ["w1", "w2"]
    await other.close()
    assert await one.listening.living_workers() == ["w1"]


@pytest.mark.long
async def test_paused_process_loses_its_jobs_and_learns_it_when_resumed(
    on_server: Process, postgresql_url: str
) -> None:
    store = await on_server("w1")
    async with holder(postgresql_url, "w2") as process:
        job_id = await enqueued(store, apart(1))
        await wait_for_output(process, f"claimed {job_id}")
        os.kill(process.pid, signal.SIGSTOP)
        job = await claimed_within(store, SILENCE_S + 40)
        assert job.interruptions == 1
        os.kill(process.pid, signal.SIGCONT)
        await wait_for_output(process, f"lost {job_id}")


@pytest.mark.long
async def test_pooler_in_transaction_mode_works_with_take_over_after_the_lease(postgresql_url: str) -> None:
    async with pooler(postgresql_url) as pooled_url:
        store = await Stores.open(pooled_url, "w1", SystemClock())
        async with holder(pooled_url, "w2") as process:
            job_id = await enqueued(store, apart(1))
            await wait_for_output(process, f"claimed {job_id}")
            assert await store.question_queue.request_stop(job_id)
            await wait_for_output(process, f"stop {job_id}")
            assert (await store.rate_ledger.reserve("chat.update", 1)).is_granted
            assert await session_locks(store) == 0, "the pooler would keep it"
            os.kill(process.pid, signal.SIGKILL)
            job = await claimed_within(store, SILENCE_S + 40)
        assert job.interruptions == 1
        assert await store.worker_queue.finish(job, DONE, YES)
        await store.close()


async def session_locks(store: Stores) -> int:
    async with store.database.engine.begin() as connection:
        return await connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) or 0


HELD, FREE = False, True


def dead_at(observations: Sequence[tuple[float, int | None, bool]], lock_grace_s: float = LOCK_GRACE_S) -> float:
    """Returns the first observation (time, heartbeat, whether the lock is free) at which the worker is dead."""
    detector = FailureDetector(lock_grace_s)
    for now_s, beat, lock_is_free in observations:
        if detector.dead_workers(now_s, {"w": Observation(beat, lock_is_free=lock_is_free)}):
            return now_s
    return math.inf


@pytest.mark.parametrize(
    ("what", "observations", "dead_s"),
    [
        ("silent", [(s, 1, HELD) for s in range(20)], 8),
        ("beating", [(s, s, HELD) for s in range(20)], math.inf),
        ("without a row", [(s, None, HELD) for s in range(20)], 8),
        ("free from the first look on", [(s / 2, 1, FREE) for s in range(20)], 1.5),
        ("free and beating", [(s / 2, s, FREE) for s in range(20)], math.inf),
        ("free for a moment", [(0, 1, FREE), (1, 1, HELD), (1.6, 1, FREE), (2, 1, FREE)], math.inf),
        ("back after a restart", [(0, 1, FREE), (1, 2, FREE), (2, 2, HELD), (3, 3, HELD)], math.inf),
        ("gone after a restart", [(0, 1, FREE), (1, 2, FREE), (2, 2, FREE), (2.5, 2, FREE)], 2.5),
        ("we were away", [(0, 1, HELD), (30, 1, HELD), (31, 1, HELD)], math.inf),
        ("we were away, all are gone", [(0, 1, HELD), *((30 + s, 1, HELD) for s in range(20))], 38),
    ],
)
def test_worker_is_dead_after_lease_or_lock_grace(
    what: str, observations: list[tuple[float, int | None, bool]], dead_s: float
) -> None:
    assert dead_at(observations) == dead_s, what


def test_free_file_lock_alone_means_dead() -> None:
    assert dead_at([(5, 1, FREE)], lock_grace_s=0.0) == 5


def test_observation_restarts_after_an_own_error() -> None:
    detector = FailureDetector()
    for now_s in range(7):
        detector.dead_workers(now_s, {"w": Observation(1)})
    detector.reset()
    assert not any(detector.dead_workers(now_s, {"w": Observation(1)}) for now_s in range(7, 15))
    assert detector.dead_workers(15, {"w": Observation(1)})


def test_checks_are_due_only_while_others_hold_jobs() -> None:
    detector = FailureDetector()
    assert detector.is_due(0)
    detector.dead_workers(0, {})
    assert detector.next_check_s(0) == math.inf
    assert not detector.is_due(0.1)
    detector.dead_workers(1, {"w": Observation(1)})
    assert detector.next_check_s(1) == 0.5
    detector.dead_workers(1.5, {"w": Observation(1, lock_is_free=True)})
    assert detector.next_check_s(1.5) == 0.5
    detector.dead_workers(2.7, {"w": Observation(1, lock_is_free=True)})
    assert detector.next_check_s(2.7) == pytest.approx(0.3)


@given(
    st.lists(st.tuples(st.floats(0.25, 4), st.integers(0, 2), st.booleans()), max_size=40),
    st.sampled_from([0.0, LOCK_GRACE_S]),
)
def test_worker_is_never_dead_without_a_reason(observations: list[tuple[float, int, bool]], grace_s: float) -> None:
    """A worker is dead if its heartbeat stood still for the lease, or for the grace period with its lock free."""
    detector, now_s, seen = FailureDetector(grace_s), 0.0, []
    for passed_s, beat, free in observations:
        now_s += passed_s
        seen.append((now_s, beat, free))
        if not detector.dead_workers(now_s, {"w": Observation(beat, lock_is_free=free)}):
            continue
        still = [look for look in reversed(seen) if look[1] == beat]
        since = min(at for at, _, _ in still)
        assert (now_s - since >= SILENCE_S) or (free and now_s - since >= grace_s)


pytestmark = pytest.mark.is_postgresql

HOLDING = """
import sys, time
from pathlib import Path
from bot.store.workers import FileLocks

locks = FileLocks(Path(sys.argv[1]), "w2")
locks.lock()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "typist [1].db"


def test_lock_is_held_from_take_to_release(database: Path) -> None:
    ours, theirs = FileLocks(database, "w1"), FileLocks(database, "w2")
    assert (theirs.is_held, ours.is_free("w2")) == (False, True)
    theirs.lock()
    theirs.lock()
    assert (theirs.is_held, ours.is_free("w2")) == (True, False)
    theirs.release()
    theirs.release()
    assert (theirs.is_held, ours.is_free("w2")) == (False, True)


def test_lock_is_held_by_whichever_name_a_process_knows_the_database(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "linked.db").symlink_to(database)
    (folder / "again.db").symlink_to("linked.db")
    names = [database, folder / "linked.db", folder / "again.db", folder / ".." / database.name]
    for mine, other in itertools.product(names, names):
        locks = FileLocks(mine, "w2")
        locks.lock()
        assert not FileLocks(other, "w1").is_free("w2"), (mine, other)
        locks.release()


@pytest.mark.long
def test_lock_of_a_killed_process_is_free_though_its_file_stays(database: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(database)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"taken\n"
            ours = FileLocks(database, "w1")
            assert not ours.is_free("w2")
        finally:
            process.send_signal(signal.SIGKILL)
    assert os.listdir(database.parent) == [f"{database.name}-worker-w2"]
    assert ours.is_free("w2")


def test_take_removes_files_of_dead_workers_only(database: Path) -> None:
    living, ours = FileLocks(database, "w2"), FileLocks(database, "w1")
    living.lock()
    (database.parent / f"{database.name}-worker-dead").touch()
    ours.lock()
    assert sorted(os.listdir(database.parent)) == [f"{database.name}-worker-w1", f"{database.name}-worker-w2"]
    assert not ours.is_free("w2")
    ours.release()
    living.release()


def test_only_the_bots_account_may_read_a_lock_file(database: Path) -> None:
    locks = FileLocks(database, "w1")
    locks.lock()
    [file] = database.parent.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    locks.release()


def test_lock_file_that_was_removed_meanwhile_is_no_error(database: Path) -> None:
    locks = FileLocks(database, "w1")
    locks.lock()
    [file] = database.parent.iterdir()
    file.unlink()
    locks.release()
    assert not locks.is_held


SECRET = "s3cret-token 'quoted' \N{SNOWMAN}"


@pytest.fixture
async def three(on_server: Process) -> list[Stores]:
    return [await on_server(name) for name in ("w1", "w2", "w3")]


def heard_by(stores: Stores) -> asyncio.Queue[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    stores.process_messages.on_message(heard.put_nowait)
    return heard


async def test_all_others_hear_a_text_and_the_sender_does_not(three: list[Stores]) -> None:
    first, second, third = map(heard_by, three)
    async with asyncio.timeout(WITHIN_S):
        await three[0].process_messages.send("one")
        await three[2].process_messages.send("two")
        assert [await second.get(), await second.get()] == ["one", "two"]
        assert (await first.get(), await third.get()) == ("two", "one")
    assert [queue.empty() for queue in (first, second, third)] == [True, True, True]


async def test_nothing_is_stored(three: list[Stores]) -> None:
    heard = heard_by(three[1])
    await three[0].process_messages.send(SECRET)
    async with asyncio.timeout(WITHIN_S):
        assert await heard.get() == SECRET
    async with three[0].database.begin_read() as connection:
        for table in metadata.tables.values():
            assert "s3cret" not in str((await connection.execute(sa.select(table))).all())


async def test_text_that_is_too_long_is_not_sent(three: list[Stores]) -> None:
    heard = heard_by(three[1])
    await three[0].process_messages.send("x" * MAX_PAYLOAD_BYTES)
    await three[0].process_messages.send("next")
    async with asyncio.timeout(WITHIN_S):
        assert await heard.get() == "next"


async def test_failure_to_send_raises_nothing(store: Stores) -> None:
    store.database.refuse_new_operations()
    await store.process_messages.send("one")
