"""Claims jobs: decides which jobs a worker takes from the queue or from dead workers, and which jobs share an answer.

A claim first takes over the jobs of dead workers. It then claims queued jobs, up to a limit, in three steps:

1. `_LEADERS` finds one job in each thread that has no running job: the released job if there is one, or else the
   oldest. A thread is skipped while its leader's placeholder is being posted or the end of an answer is being shown.
   People who have the maximum number of running answers are also skipped. Scheduled runs come after people's questions
   and have separate limits, so that they don't delay their creator's questions.
2. `read_batches` adds the asker's jobs queued after each leader, and `_claimable_batches` picks the newest if the asker
   can have another answer. Steps 1 and 2 repeat until the limit is reached, or until no skipped job makes room for
   another person's job.
3. The UPDATE that claims the picked jobs checks their status again, and `end_batched_jobs` ends the earlier jobs in
   their batches.

Races. On PostgreSQL, an advisory lock makes claims run one after another, because two concurrent claims wouldn't see
each other's jobs when counting a person's running answers. SQLite has only one writer. Leaders are locked, and leaders
that are already locked are skipped. A unique index allows one running job per thread, so a worker that claims without
the advisory lock (in a process of another version) gets an IntegrityError and tries again.

A takeover locks each dead worker's row and checks its heartbeat again. A worker that has sent a heartbeat since the
failure detector's observation keeps its jobs. The dead worker's attempts are charged for the usage in its last
heartbeat.

Batches. If a person queues several questions in a row in a thread, all of them share the newest question's answer. All
jobs in a batch have the same asker, because an answer is bound to one person's permissions: their tools, approvals,
Slack search and caps. Commands share an answer only with other commands; otherwise, a model would read them.

A thread's oldest queued job is its leader. `read_batches` collects the asker's following jobs, stopping at the first
job that was already begun, whose placeholder is being edited, or that has another asker. The newest job in the batch is
claimed. `end_batched_jobs` ends the earlier jobs, and records `answered_with` and a turn for each. The outbox removes
their placeholders, because the answer will appear below the newest question.

If the model uses tools, new questions can also join a running answer before each of its steps (`join_follow_ups`). The
answer's first prompt can't include these questions, so `joined_step` records which step was the first to read them.

If the claimed job isn't answered, `unbatch` returns the batch's other jobs to the queue. They keep their placeholders
unless the outbox has begun to remove them. The leader is locked the whole time, so no other claim changes its thread. A
question that arrives late or is regenerated can still get ahead of the leader. In that case, either this question
becomes the leader or the claim reads the leaders again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import EntryKind
from bot.core.job import End, FollowUp, Job, Status
from bot.errors import EndReason
from bot.store import answers, audit, outbox, steps, usage
from bot.store.database import acquire_lock
from bot.store.rows import (
    THREAD,
    has_jobs,
    in_thread,
    is_batched_with,
    is_past,
    is_queued,
    is_running,
    job_of,
    messages_of,
    question_of,
    same_thread,
    thread_columns,
    turn_values,
)
from bot.store.schema import jobs, turns, workers
from bot.store.usage import Meter
from bot.store.workers import Observation

# Built once, because workers poll, and an alias copies every column: it is most of the cost of a claim's statement.
_OTHER_JOBS = jobs.alias()
_JOBS_OF_ASKER = jobs.alias()
_IS_RUN = jobs.c.schedule_id.is_not(None).label("is_run")
_QUEUED_COLUMNS = jobs.c.id, jobs.c.user_id, jobs.c.is_command, _IS_RUN
_RUNNING_OF_ASKER: sa.ScalarSelect[int] = (
    sa.select(sa.func.count())
    .correlate(jobs)
    .where(
        is_running(_JOBS_OF_ASKER),
        _JOBS_OF_ASKER.c.team_id == jobs.c.team_id,
        _JOBS_OF_ASKER.c.user_id == jobs.c.user_id,
        _JOBS_OF_ASKER.c.schedule_id.is_(None) == jobs.c.schedule_id.is_(None),
    )
    .scalar_subquery()
)
"""The number of the asker's running jobs of the same type: scheduled runs if the job is a run, or else questions."""
_SAME_THREAD = same_thread(_OTHER_JOBS, jobs)
_IS_EARLIER = sa.tuple_(_OTHER_JOBS.c.attempts == 0, _OTHER_JOBS.c.ts) < sa.tuple_(jobs.c.attempts == 0, jobs.c.ts)
_LEADERS = (
    sa.select(
        jobs.c.id,
        jobs.c.team_id,
        jobs.c.channel_id,
        jobs.c.thread_ts,
        jobs.c.user_id,
        _IS_RUN,
        _RUNNING_OF_ASKER.label("running_of_asker"),
        sa.and_(
            jobs.c.attempts == 0, sa.exists().where(_SAME_THREAD, is_queued(_OTHER_JOBS), _OTHER_JOBS.c.ts > jobs.c.ts)
        ).label("is_followed"),
    )
    .where(
        is_queued(),
        ~sa.exists().where(_SAME_THREAD, sa.or_(is_running(_OTHER_JOBS), sa.and_(is_queued(_OTHER_JOBS), _IS_EARLIER))),
    )
    .order_by(jobs.c.schedule_id.is_not(None), jobs.c.id)
    .with_for_update(skip_locked=True, of=jobs)
)

PLACEHOLDER_HOLD_S = 10.0
MAX_EARLIER_ANSWERS = 10
"""Maximum number of earlier answers that are checked for messages below a job's placeholder."""
RESTARTS_AT_ONCE = 3
RESTART_PAUSE_S = 10.0
"""The pause before each subsequent restart of an answer. Every restart calls a model, so edits made during the pause
are covered by a single restart."""


async def claim_ready(connection: AsyncConnection, worker: str, limit: int, max_per_user: int, now: float) -> list[Job]:
    """Claims queued jobs. Raises IntegrityError if another worker has just claimed a job in one of the threads."""
    await acquire_lock(connection, "claims")
    due_since = jobs.c.placeholder_due_since
    has_placeholder = sa.or_(due_since.is_(None), is_past(due_since + PLACEHOLDER_HOLD_S, now, PLACEHOLDER_HOLD_S))
    # If a job's question is edited repeatedly, it must pause before it starts again, unless it is stopped.
    is_rare = sa.or_(jobs.c.version <= RESTARTS_AT_ONCE, jobs.c.edited_ts.is_(None), jobs.c.started_at.is_(None))
    has_paused = is_past(jobs.c.started_at + RESTART_PAUSE_S, now, RESTART_PAUSE_S)
    can_restart = sa.or_(is_rare, jobs.c.stop_requested, has_paused)
    is_free = sa.and_(has_placeholder, can_restart, ~outbox.is_reply_being_edited(now, jobs.c.id))
    claimed: list[Job] = []
    while len(claimed) < limit:
        # The asker can have one more answer.
        can_lead = is_free, max_per_user > _RUNNING_OF_ASKER
        leaders = (await connection.execute(_LEADERS.where(*can_lead).limit(limit - len(claimed)))).all()
        picked = _claimable_batches(await read_batches(connection, leaders, is_free), max_per_user)
        if picked:
            taken = sa.update(jobs).where(jobs.c.id.in_(list(picked)), is_queued())
            taken = taken.values(worker=worker, **_claimed_values(now))
            rows = (await connection.execute(taken.returning(jobs))).all()
            await usage.insert_open_charges(connection, [row.id for row in rows])
            claimed += map(job_of, rows)
            # A job that was just stopped or deleted isn't among the rows, and batches no others.
            if batched := {row.id: earlier for row in rows if (earlier := picked[row.id])}:
                await end_batched_jobs(connection, batched, now)
        if len(picked) == len(leaders):
            # Nobody was skipped whose place somebody else could take.
            break
    whole = await _jobs_with_records(connection, sorted(claimed, key=lambda job: job.id))
    return [replace(job, must_move_down=await _is_overtaken(connection, job)) for job in whole]


async def _is_overtaken(connection: AsyncConnection, job: Job) -> bool:
    if job.attempts > 1 or not job.page_ts:
        return False
    ahead = sa.select(jobs.c.messages).where(
        in_thread(job.question.thread), jobs.c.ts < job.question.ts, jobs.c.answered_with.is_distinct_from(job.id)
    )
    rows = await connection.execute(ahead.order_by(jobs.c.ts.desc()).limit(MAX_EARLIER_ANSWERS))
    return any(message.ts > job.page_ts[-1] for row in rows for message in messages_of(row))


def _claimable_batches(groups: Sequence[Sequence[sa.Row[Any]]], max_per_user: int) -> dict[int, list[int]]:
    """Returns the ID of each group's newest job, with the IDs of the earlier jobs, if the asker can have another
    running answer."""
    picked: dict[int, list[int]] = {}
    of_person: Counter[tuple[str, str, bool]] = Counter()
    for *before, newest in groups:
        person = (newest.team_id, newest.user_id, newest.is_run)
        if newest.running_of_asker + of_person[person] < max_per_user:
            of_person[person] += 1
            picked[newest.id] = [row.id for row in before]
    return picked


def _claimed_values(now: float) -> dict[str, Any]:
    return {"status": Status.RUNNING.value, "attempts": jobs.c.attempts + 1, "started_at": now}


async def jobs_of_worker(connection: AsyncConnection, worker: str) -> list[Job]:
    held = sa.select(jobs).where(jobs.c.worker == worker, is_running())
    return await _jobs_with_records(connection, _jobs_by_id((await connection.execute(held)).all()))


async def take_over(
    connection: AsyncConnection,
    worker: str,
    dead_workers: Mapping[str, Observation],
    limit: int,
    now: float,
    meter: Meter,
) -> list[Job]:
    """Claims the oldest jobs of dead workers that haven't sent a heartbeat since they were observed."""
    still_dead = await _workers_still_dead(connection, dead_workers)
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
    claimed = _jobs_by_id((await connection.execute(taken)).all())
    await meter.charge_interrupted(connection, claimed, now)
    await usage.insert_open_charges(connection, [job.id for job in claimed])
    await connection.execute(sa.delete(workers).where(workers.c.worker.in_(still_dead), ~has_jobs()))
    return await _jobs_with_records(connection, claimed)


async def _jobs_with_records(connection: AsyncConnection, claimed_jobs: Sequence[Job]) -> list[Job]:
    whole = await jobs_with_batched_questions(connection, claimed_jobs)
    if all(job.attempts == 1 and job.version == 0 for job in whole):
        # None of their answers was begun before.
        return whole
    jobs_with_versions = await answers.jobs_with_versions(connection, whole)
    return await steps.jobs_with_progress(connection, jobs_with_versions)


async def _workers_still_dead(connection: AsyncConnection, suspects: Mapping[str, Observation]) -> list[str]:
    """Returns the workers that haven't sent a heartbeat since they were observed. Locks the workers' rows to prevent
    further heartbeats."""
    rows = sa.select(workers).where(workers.c.worker.in_(list(suspects))).order_by(workers.c.worker).with_for_update()
    beats = {row.worker: row.beat for row in await connection.execute(rows)}
    return [name for name, observation in suspects.items() if beats.get(name) == observation.beat]


def _jobs_by_id(rows: Sequence[sa.Row[Any]]) -> list[Job]:
    return sorted((job_of(row) for row in rows), key=lambda job: job.id)


LATE_POST_S = 20.0
"""The period in which an unrecorded placeholder can still appear in Slack. After that, the call that posts it has been
given up."""


async def read_batches(
    connection: AsyncConnection, leaders: Sequence[sa.Row[Any]], is_free: sa.ColumnElement[bool]
) -> list[Sequence[sa.Row[Any]]]:
    """Returns, for each leader, the jobs that will be answered together, including the leader. The oldest job comes
    first."""
    threads = [_thread_of(leader) for leader in leaders if leader.is_followed]
    if not threads:
        return [[leader] for leader in leaders]
    thread, can_join = thread_columns(), sa.and_(jobs.c.attempts == 0, is_free).label("can_join")
    queued: sa.Select[Any] = (
        sa.select(*thread, *_QUEUED_COLUMNS, _RUNNING_OF_ASKER.label("running_of_asker"), can_join)
        .where(is_queued(), sa.tuple_(*thread).in_(threads))
        .order_by(*thread, jobs.c.ts)
    )
    rows = (await connection.execute(queued)).all()
    joining = {key: _first_batch(of_thread) for key, of_thread in groupby(rows, key=_thread_of)}
    groups = [joining[_thread_of(leader)] if leader.is_followed else [leader] for leader in leaders]
    # None can join behind an answer that was regenerated since the leaders were read, because that one leads now.
    return [group for group in groups if group]


def _thread_of(row: sa.Row[Any]) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in THREAD)


def _first_batch(queued: Iterable[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
    """Returns the first of a thread's queued jobs, up to the first job that can't join them or has another asker."""
    joining = list(takewhile(lambda row: row.can_join, queued))
    return list(takewhile(lambda row: _batch_key(row) == _batch_key(joining[0]), joining))


def _batch_key(row: sa.Row[Any]) -> tuple[str, bool]:
    """Returns the key shared by all jobs in a batch. Commands need no model, so they aren't batched with questions."""
    return row.user_id, row.is_command


async def end_batched_jobs(connection: AsyncConnection, batches: Mapping[int, Sequence[int]], now: float) -> None:
    """Ends the earlier jobs that share a claimed job's answer, and queues the removal of their placeholders. `batches`:
    the earlier jobs' IDs, keyed by the claimed job's ID."""
    ended: list[sa.Row[Any]] = []
    for job_id, earlier in batches.items():
        batched = {"status": Status.ENDED.value, "end_reason": EndReason.BATCHED.value}
        update = sa.update(jobs).where(jobs.c.id.in_(earlier), is_queued())
        update = update.values(**batched, answered_with=job_id)
        ended += (await connection.execute(update.returning(jobs))).all()
    if ended:
        batch = [turn_values(row.id, row.version, End(EndReason.BATCHED), "", now) for row in ended]
        await connection.execute(sa.insert(turns), batch)
        await record_queue_ends(connection, ended, EndReason.BATCHED, now)


async def unbatch(connection: AsyncConnection, job_id: int, now: float) -> None:
    ids = (await connection.scalars(sa.select(jobs.c.id).where(is_batched_with(job_id)))).all()
    if not ids:
        return
    queued: dict[str, Any] = {
        "status": Status.QUEUED.value,
        "end_reason": None,
        "answered_with": None,
        "joined_step": None,
    }
    await connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids), is_batched_with(job_id)).values(**queued))
    await keep_placeholders(connection, ids, now)


async def keep_placeholders(connection: AsyncConnection, job_ids: Sequence[int], now: float) -> None:
    """Keeps the placeholders of jobs that will be answered separately after all. Posts a placeholder again if it might
    be gone."""
    untouched = await outbox.delete_redundant_entries(connection, job_ids, now)
    cleared = jobs.c.id.in_(set(job_ids) - set(untouched)), jobs.c.attempts == 0
    await connection.execute(sa.update(jobs).where(*cleared).values(messages=[]))


async def record_queue_ends(
    connection: AsyncConnection, rows: Sequence[sa.Row[Any]], reason: EndReason, now: float
) -> None:
    """Records why queued jobs ended, and queues the removal of their placeholders."""
    ended = {"end": reason.value}
    await audit.append(connection, now, [audit.job_entry(row, EntryKind.ANSWER, ended) for row in rows])
    await clear_placeholders(connection, rows, now)


async def clear_placeholders(connection: AsyncConnection, rows: Sequence[sa.Row[Any]], now: float) -> None:
    await outbox.queue_updates(connection, [row.id for row in rows if row.messages], now)
    unrecorded = [row.id for row in rows if not row.messages and row.placeholder_due_since is not None]
    await outbox.queue_updates(connection, unrecorded, now + LATE_POST_S)


async def jobs_with_batched_questions(connection: AsyncConnection, claimed_jobs: Sequence[Job]) -> list[Job]:
    if not claimed_jobs:
        return []
    batched = sa.select(jobs).where(is_batched_with(*(job.id for job in claimed_jobs)))
    rows: dict[int, list[sa.Row[Any]]] = {}
    for row in await connection.execute(batched.order_by(jobs.c.ts)):
        rows.setdefault(row.answered_with, []).append(row)
    with_others = []
    for job in claimed_jobs:
        asked = [(question_of(row), row.joined_step) for row in rows.get(job.id, ())]
        earlier = tuple(question for question, step_no in asked if step_no is None)
        follow_ups = tuple(FollowUp(question, step_no) for question, step_no in asked if step_no is not None)
        with_others.append(replace(job, earlier_questions=earlier, follow_ups=follow_ups))
    return with_others


async def join_follow_ups(connection: AsyncConnection, job: Job, step_no: int, now: float) -> tuple[FollowUp, ...]:
    """Adds the questions that a running job's asker has queued in the same thread (see
    RecordedCalls.take_follow_ups)."""
    queued = sa.select(jobs).where(in_thread(job.question.thread), is_queued(), jobs.c.ts > job.question.ts)
    rows = (await connection.execute(queued.order_by(jobs.c.ts).with_for_update())).all()

    def can_join(row: sa.Row[Any]) -> bool:
        has_more = row.files or row.from_bot or row.had_sign_in or row.is_command
        return row.attempts == 0 and row.user_id == job.question.user_id and not has_more

    joined = list(takewhile(can_join, rows))
    if joined:
        # They are locked, so all of them can be ended.
        ids = [row.id for row in joined]
        await end_batched_jobs(connection, {job.id: ids}, now)
        await connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids)).values(joined_step=step_no))
    return tuple(FollowUp(question_of(row), step_no) for row in joined)


async def add_follow_ups_to_prompt(connection: AsyncConnection, job_id: int) -> None:
    """Moves questions that joined an earlier version of an answer to the new version's first prompt."""
    joined = jobs.c.answered_with == job_id, jobs.c.joined_step.is_not(None)
    await connection.execute(sa.update(jobs).where(*joined).values(joined_step=0))
