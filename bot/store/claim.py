"""Claims: which jobs a worker may take, from the queue or from dead workers.

A claim first takes over the jobs of dead workers, then fills the rest of its limit from the queue:

1. `_leaders` finds one job of each thread in which none is running: the released one if there is one, else the oldest.
   A thread whose leader's placeholder is still being posted waits, as does one whose end is being shown. A person who
   has as many answers running as one may have is passed over.
2. `batch.followers` adds the jobs of its asker that are queued behind each leader, and `_picked` chooses the newest if
   its asker may have one more. Reading and choosing repeat until the limit is reached or nobody is passed over whose
   place another may take.
3. The update that claims them looks at the status again, and `batch.end_batched` ends those before them.

Races. On PostgreSQL one claim runs after another (an advisory lock), because two at once would not see how many answers
of a person the other one starts; SQLite has one writer anyway. Leaders are locked, and locked ones skipped. A unique
index allows one running job per thread, so a worker that claims beside this lock (a process of another version) loses
with IntegrityError and tries again a moment later.

A take-over looks at each dead worker's heartbeat a second time, with its row locked: a worker that came back between
the failure detector's observation and this transaction keeps its jobs. What the dead worker's attempts had used, as
its last heartbeat says, is charged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import Job, Status
from bot.store import answers, outbox, steps, usage
from bot.store.batch import end_batched, followers, with_earlier
from bot.store.engine import one_at_a_time
from bot.store.rows import has_come, has_jobs, is_queued, is_running, job_of, same_thread
from bot.store.schema import jobs, workers
from bot.store.usage import Meter
from bot.store.workers import Observation

# Made once, because workers poll, and an alias is most of the cost of a claim's statement: it copies every column.
_OTHERS = jobs.alias()
_THEIRS = jobs.alias()

PLACEHOLDER_HOLD_S = 10.0
"""How long a job isn't claimed while its placeholder is being posted."""
RESTARTS_AT_ONCE = 3
"""How often an edited question starts its answer over without a pause."""
RESTART_PAUSE_S = 10.0
"""Between further starts: each asks a model again, and each edit within the pause costs nothing more."""


async def claim_ready(connection: AsyncConnection, worker: str, limit: int, max_per_user: int, now: float) -> list[Job]:
    """Claims queued jobs; raises IntegrityError where another worker claimed in one of the threads at the same time."""
    await one_at_a_time(connection, "claims")
    due_since = jobs.c.placeholder_due_since
    has_placeholder = sa.or_(due_since.is_(None), has_come(due_since + PLACEHOLDER_HOLD_S, now, PLACEHOLDER_HOLD_S))
    is_free = sa.and_(has_placeholder, _may_restart(now), ~outbox.is_reply_being_edited(now, jobs.c.id))
    claimed: list[Job] = []
    while len(claimed) < limit:
        leaders = (await connection.execute(_leaders(limit - len(claimed), max_per_user, is_free))).all()
        picked = _picked(await followers(connection, leaders, is_free, _running_of_asker()), max_per_user)
        if picked:
            taken = sa.update(jobs).where(jobs.c.id.in_(list(picked)), is_queued())
            taken = taken.values(worker=worker, **_claimed_values(now))
            rows = (await connection.execute(taken.returning(jobs))).all()
            await usage.open_charges(connection, [row.id for row in rows])
            claimed += map(job_of, rows)
            # A job that was stopped or deleted at this moment is not among the rows, and takes nobody along.
            await end_batched(connection, {row.id: picked[row.id] for row in rows}, now)
        if len(picked) == len(leaders):
            # Nobody was passed over whose place another one may take.
            break
    return await _with_records(connection, sorted(claimed, key=lambda job: job.id))


def _may_restart(now: float) -> sa.ColumnElement[bool]:
    """Whether a job needs no pause: it has one if its question is edited again and again, unless it is to stop."""
    is_rare = sa.or_(jobs.c.version <= RESTARTS_AT_ONCE, jobs.c.edited_ts.is_(None), jobs.c.started_at.is_(None))
    return sa.or_(is_rare, jobs.c.stop_requested, has_come(jobs.c.started_at + RESTART_PAUSE_S, now, RESTART_PAUSE_S))


def _leaders(limit: int, max_per_user: int, is_free: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Selects the job that leads each thread in which none is running, if its asker may have one more."""
    of_thread = same_thread(_OTHERS, jobs)
    first = sa.tuple_(_OTHERS.c.attempts == 0, _OTHERS.c.ts) < sa.tuple_(jobs.c.attempts == 0, jobs.c.ts)
    before = sa.or_(is_running(_OTHERS), sa.and_(is_queued(_OTHERS), first))
    after = sa.exists().where(of_thread, is_queued(_OTHERS), _OTHERS.c.ts > jobs.c.ts)
    running_of_asker = _running_of_asker()
    return (
        sa.select(
            jobs.c.id,
            jobs.c.team_id,
            jobs.c.channel_id,
            jobs.c.thread_ts,
            jobs.c.user_id,
            running_of_asker.label("running_of_asker"),
            sa.and_(jobs.c.attempts == 0, after).label("is_followed"),
        )
        .where(is_queued(), is_free, ~sa.exists().where(of_thread, before), running_of_asker < max_per_user)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=jobs)
    )


def _running_of_asker() -> sa.ScalarSelect[int]:
    """Counts the running jobs of a job's asker."""
    count = sa.select(sa.func.count()).correlate(jobs)
    return count.where(
        is_running(_THEIRS), _THEIRS.c.team_id == jobs.c.team_id, _THEIRS.c.user_id == jobs.c.user_id
    ).scalar_subquery()


def _picked(groups: Sequence[Sequence[sa.Row[Any]]], max_per_user: int) -> dict[int, list[int]]:
    """Returns the newest job of each group if its asker may have one more answer, with the ids of those before it."""
    picked: dict[int, list[int]] = {}
    of_person: Counter[tuple[str, str]] = Counter()
    for *before, newest in groups:
        person = (newest.team_id, newest.user_id)
        if newest.running_of_asker + of_person[person] < max_per_user:
            of_person[person] += 1
            picked[newest.id] = [row.id for row in before]
    return picked


def _claimed_values(now: float) -> dict[str, Any]:
    """Returns the columns of a job that starts an attempt."""
    return {"status": Status.RUNNING.value, "attempts": jobs.c.attempts + 1, "started_at": now}


async def held_by(connection: AsyncConnection, worker: str) -> list[Job]:
    """Returns a worker's running jobs."""
    held = sa.select(jobs).where(jobs.c.worker == worker, is_running())
    return await _with_records(connection, _oldest_first((await connection.execute(held)).all()))


async def take_over(
    connection: AsyncConnection,
    worker: str,
    dead: Mapping[str, Observation],
    limit: int,
    now: float,
    meter: Meter,
) -> list[Job]:
    """Claims the oldest jobs of dead workers, as long as these have not sent a heartbeat since they were observed."""
    still_dead = await _still_dead(connection, dead)
    if not still_dead:
        return []
    left_behind = (
        sa.select(jobs.c.id)
        .where(jobs.c.worker.in_(still_dead), is_running())
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update()
        .cte("left_behind")
    )
    taken = (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(left_behind.c.id)))
        .values(worker=worker, interruptions=jobs.c.interruptions + 1, **_claimed_values(now))
        .returning(jobs)
    )
    claimed = _oldest_first((await connection.execute(taken)).all())
    await meter.interrupt(connection, claimed, now)
    await usage.open_charges(connection, [job.id for job in claimed])
    await connection.execute(sa.delete(workers).where(workers.c.worker.in_(still_dead), ~has_jobs()))
    return await _with_records(connection, claimed)


async def _with_records(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs with their earlier questions, what earlier versions left, and their checkpoints."""
    with_versions = await answers.with_versions(connection, await with_earlier(connection, claimed))
    return await steps.with_steps(connection, await steps.with_checkpoints(connection, with_versions))


async def _still_dead(connection: AsyncConnection, dead: Mapping[str, Observation]) -> list[str]:
    """Returns the workers that have not sent a heartbeat since; their rows are locked, so none can follow."""
    rows = sa.select(workers).where(workers.c.worker.in_(list(dead))).order_by(workers.c.worker).with_for_update()
    beats = {row.worker: row.beat for row in await connection.execute(rows)}
    return [name for name, observation in dead.items() if beats.get(name) == observation.beat]


def _oldest_first(rows: Sequence[sa.Row[Any]]) -> list[Job]:
    return sorted((job_of(row) for row in rows), key=lambda job: job.id)
