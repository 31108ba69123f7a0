"""Which jobs a worker may take: those to do, and those of workers that are gone."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.job import Pulse, Spent, Status
from bot.store import checkpoints, outbox, recorded_answers, usage_totals
from bot.store.liveness.failure_detector import Sight
from bot.store.queue.batch import end_together, followed, with_earlier
from bot.store.rows import DOING, TODO, interrupted_values, job_of, lock_key, on_postgresql, spender_of
from bot.store.schema import jobs, turns, workers

SIGN_S = 10.0
"""A job whose asker is to be told first that it waits is left alone for so long."""

# Workers poll: an alias is a copy of every column, and makes up most of what a claim's statement costs.
_OTHERS = jobs.alias()
_THEIRS = jobs.alias()


async def claim_ready(
    connection: AsyncConnection, worker: str, limit: int, most_per_user: int, now: float
) -> list[Job]:
    """Raises IntegrityError where another worker took a job of one of the threads in the same moment."""
    if on_postgresql(connection):
        # One claim after another: two at once would not see how many jobs of a person the other one takes.
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_key("claims"))))
    has_sign = sa.or_(jobs.c.announced_at.is_(None), jobs.c.announced_at <= now - SIGN_S)
    settled = sa.and_(has_sign, ~outbox.held(now, jobs.c.id))
    claimed: list[Job] = []
    while len(claimed) < limit:
        leaders = (await connection.execute(_leaders(limit - len(claimed), most_per_user, settled))).all()
        picked = _picked(await followed(connection, leaders, settled, _under_way()), most_per_user)
        if picked:
            taken = sa.update(jobs).where(jobs.c.id.in_(list(picked)), jobs.c.status == TODO)
            taken = taken.values(worker=worker, **_claimed_values(now))
            rows = (await connection.execute(taken.returning(jobs))).all()
            claimed += map(job_of, rows)
            # What was stopped or deleted in this moment is not among them, and takes nobody along.
            await end_together(connection, {row.id: picked[row.id] for row in rows}, now)
        if len(picked) == len(leaders):
            # Nobody was passed over whose place another one may take.
            break
    return await _whole(connection, sorted(claimed, key=lambda job: job.id))


def _leaders(limit: int, most_per_user: int, settled: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Of each thread with none being done, what was begun or else the oldest job; of people who may have more."""
    same_thread = (
        _OTHERS.c.team_id == jobs.c.team_id,
        _OTHERS.c.channel_id == jobs.c.channel_id,
        _OTHERS.c.thread_ts == jobs.c.thread_ts,
    )
    first = sa.tuple_(_OTHERS.c.attempts == 0, _OTHERS.c.ts) < sa.tuple_(jobs.c.attempts == 0, jobs.c.ts)
    before = sa.or_(_OTHERS.c.status == DOING, sa.and_(_OTHERS.c.status == TODO, first))
    after = sa.exists().where(*same_thread, _OTHERS.c.status == TODO, _OTHERS.c.ts > jobs.c.ts)
    under_way = _under_way()
    return (
        sa.select(
            jobs.c.id,
            jobs.c.team_id,
            jobs.c.channel_id,
            jobs.c.thread_ts,
            jobs.c.user_id,
            under_way.label("under_way"),
            sa.and_(jobs.c.attempts == 0, after).label("is_followed"),
        )
        .where(jobs.c.status == TODO, settled, ~sa.exists().where(*same_thread, before), under_way < most_per_user)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=jobs)
    )


def _under_way() -> sa.ScalarSelect[int]:
    """How many answers a job's asker has under way."""
    count = sa.select(sa.func.count()).correlate(jobs)
    return count.where(
        _THEIRS.c.status == DOING, _THEIRS.c.team_id == jobs.c.team_id, _THEIRS.c.user_id == jobs.c.user_id
    ).scalar_subquery()


def _picked(groups: Sequence[Sequence[sa.Row[Any]]], most_per_user: int) -> dict[int, list[int]]:
    """The last of each group whose asker may have one more beside what is under way; and those before it."""
    picked: dict[int, list[int]] = {}
    of_person: Counter[tuple[str, str]] = Counter()
    for group in groups:
        for place, row in reversed(list(enumerate(group))):
            person = (row.team_id, row.user_id)
            if row.under_way + of_person[person] < most_per_user:
                of_person[person] += 1
                picked[row.id] = [before.id for before in group[:place]]
                break
    return picked


def _claimed_values(now: float) -> dict[str, Any]:
    """What was set aside for an earlier attempt is free again."""
    return {
        "status": Status.DOING.value,
        "attempts": jobs.c.attempts + 1,
        "started_at": now,
        "reserved_tokens": 0,
        "reserved_usd": 0.0,
    }


async def held_by(connection: AsyncConnection, worker: str) -> list[Job]:
    """All that a worker has claimed and not ended."""
    held = sa.select(jobs).where(jobs.c.worker == worker, jobs.c.status == DOING)
    return await _whole(connection, _oldest_first((await connection.execute(held)).all()))


async def pulse(connection: AsyncConnection, worker: str, claimed: Collection[Job]) -> Pulse:
    """What became of jobs that a worker claimed, by their attempts."""
    held = sa.select(jobs.c.id, jobs.c.attempts, jobs.c.stop_asked, jobs.c.version)
    held = held.where(jobs.c.worker == worker, jobs.c.status == DOING)
    rows = {(row.id, row.attempts): row for row in await connection.execute(held)}
    ours = {job: rows[job.id, job.attempts] for job in claimed if (job.id, job.attempts) in rows}
    return Pulse(
        ours=frozenset(row.id for row in ours.values()),
        to_stop=frozenset(row.id for row in ours.values() if row.stop_asked),
        to_restart=frozenset(job.id for job, row in ours.items() if row.version != job.version and not row.stop_asked),
    )


async def take_over(
    connection: AsyncConnection, worker: str, gone: Mapping[str, Sight], limit: int, now: float
) -> list[Job]:
    """The oldest jobs of those who are gone, unless they were heard of in this moment."""
    spent = await _spent_by(connection, gone)
    left_behind = (
        sa.select(jobs.c.id)
        .where(sa.or_(*(_left_by(name, gone[name]) for name in spent)), jobs.c.status == DOING)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update()
        .cte("left_behind")
    )
    taken = (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(left_behind.c.id)))
        .values(worker=worker, interruptions=jobs.c.interruptions + 1, heartbeat_at=None, **_claimed_values(now))
        .returning(jobs)
    )
    if not spent:
        return []
    claimed = _oldest_first((await connection.execute(taken)).all())
    await _keep_spent(connection, claimed, spent, now)
    await _strike_off(connection, list(spent))
    return await _whole(connection, claimed)


async def _whole(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """With what else is on record of them."""
    whole = await recorded_answers.with_so_far(connection, await with_earlier(connection, claimed))
    return await checkpoints.with_checkpoints(connection, whole)


Tokens = dict[str, dict[str, list[Any]]]
"""Of each worker, what spent_values gave."""


async def _spent_by(connection: AsyncConnection, gone: Mapping[str, Sight]) -> Tokens:
    """Of those who are still gone; their rows are locked, so that none of them beats any more."""
    rows = sa.select(workers).where(workers.c.worker.in_(list(gone))).order_by(workers.c.worker).with_for_update()
    found = {row.worker: row for row in await connection.execute(rows)}
    spent: Tokens = {}
    for name, sight in gone.items():
        row = found.get(name)
        if (row and row.beat) == sight.beat:
            spent[name] = row.spent if row else {}
    return spent


def _left_by(worker: str, sight: Sight) -> sa.ColumnElement[bool]:
    unheard: sa.ColumnElement[bool] = jobs.c.heartbeat_at.is_(None)
    if sight.heartbeat_at is not None:
        unheard = sa.or_(unheard, jobs.c.heartbeat_at <= sight.heartbeat_at)
    return sa.and_(jobs.c.worker == worker, unheard)


async def _keep_spent(connection: AsyncConnection, claimed: Sequence[Job], spent: Tokens, now: float) -> None:
    """What each attempt that broke off had used becomes a turn."""
    used = {
        (int(job_id), attempt): Spent(*used)
        for of_worker in spent.values()
        for job_id, (attempt, *used) in of_worker.items()
    }
    before = {job.id: used.get((job.id, job.attempts - 1), Spent()) for job in claimed}
    broken_off = {job: interrupted_values(job.id, before[job.id], now) for job in claimed if before[job.id] != Spent()}
    if broken_off:
        await connection.execute(sa.insert(turns), list(broken_off.values()))
        await usage_totals.count(
            connection, [(spender_of(job.question), turn) for job, turn in broken_off.items()], now
        )


def spent_values(claimed: Mapping[Job, Spent]) -> dict[str, Any]:
    """As `workers` keeps it."""
    return {
        str(job.id): [job.attempts, spent.input_tokens, spent.output_tokens, spent.model]
        for job, spent in claimed.items()
    }


async def _strike_off(connection: AsyncConnection, gone: Sequence[str]) -> None:
    at_work = sa.exists().where(jobs.c.worker == workers.c.worker, jobs.c.status == DOING)
    await connection.execute(sa.delete(workers).where(workers.c.worker.in_(gone), ~at_work))


def _oldest_first(rows: Sequence[sa.Row[Any]]) -> list[Job]:
    return sorted((job_of(row) for row in rows), key=lambda job: job.id)
