"""The conditions of core/job.py in SQL: live, begun, same thread. Each condition exists once, here.

Statuses are literals in the statements, not parameters: otherwise SQLite and PostgreSQL couldn't use the partial
indexes. Each condition also keeps the form that those indexes have (bot/store/schema.py).
"""

from typing import Any

import sqlalchemy as sa

from bot.core.conversation import ThreadKey
from bot.core.job import Status
from bot.errors import EndReason
from bot.store.schema import jobs, workers

QUEUED = sa.literal_column(f"'{Status.QUEUED.value}'", sa.Text)
RUNNING = sa.literal_column(f"'{Status.RUNNING.value}'", sa.Text)
AWAITING_APPROVAL = sa.literal_column(f"'{Status.AWAITING_APPROVAL.value}'", sa.Text)

CLOCKS_DIFFER_S = 10.0
"""By how much the clocks of processes may differ: each took the server's time, or its machine's, at its start."""

Jobs = sa.FromClause
"""The table of jobs, or an alias of it."""


def is_queued(of: Jobs = jobs) -> sa.ColumnElement[bool]:
    """Whether a live job may be claimed: it is QUEUED or RELEASED."""
    return of.c.status == QUEUED


def is_running(of: Jobs = jobs) -> sa.ColumnElement[bool]:
    """Whether a worker has the job."""
    return of.c.status == RUNNING


def is_awaiting_approval() -> sa.ColumnElement[bool]:
    """Whether the job waits for a person's approval."""
    return jobs.c.status == AWAITING_APPROVAL


def is_live() -> sa.ColumnElement[bool]:
    """Whether the job's answer is still to come."""
    return sa.or_(is_queued(), is_running(), is_awaiting_approval())


def has_ended() -> sa.ColumnElement[bool]:
    """Whether the job is over."""
    return jobs.c.status == Status.ENDED.value


def is_begun() -> sa.ColumnElement[bool]:
    """Whether a worker writes the job's answer, or the next one will continue it."""
    return sa.or_(is_ahead(), is_awaiting_approval())


def is_ahead() -> sa.ColumnElement[bool]:
    """Whether the job goes before all others of its thread: it is begun, and waits for nobody."""
    return sa.or_(is_running(), sa.and_(is_queued(), jobs.c.attempts > 0))


def is_denied() -> sa.ColumnElement[bool]:
    """Whether the job ended because its asker has no access."""
    return jobs.c.end_reason.is_not_distinct_from(EndReason.DENIED.value)


def may_be_regenerated() -> sa.ColumnElement[bool]:
    """Whether the job has ended with an answer of its own, or without one, and not by a denial."""
    return sa.and_(has_ended(), jobs.c.answered_with.is_(None), ~is_denied(), ~jobs.c.answer_deleted)


def is_batched_with(job_id: Any) -> sa.ColumnElement[bool]:
    """Whether a question that was not deleted has its answer from this later job."""
    return sa.and_(jobs.c.answered_with == job_id, jobs.c.end_reason == EndReason.BATCHED.value)


def has_content() -> sa.ColumnElement[bool]:
    """Whether the question is neither deleted nor expired: it has words or files."""
    return sa.or_(jobs.c.text != "", sa.cast(jobs.c.files, sa.Text) != "[]")


def has_come(due_at: sa.ColumnElement[Any], now: float, max_wait_s: Any) -> sa.ColumnElement[bool]:
    """Whether a stored time has come. One further ahead than anybody waits was stored by a clock that was wrong."""
    return sa.or_(due_at <= now, due_at > now + max_wait_s + CLOCKS_DIFFER_S)


def same_thread(one: Jobs, other: Jobs) -> sa.ColumnElement[bool]:
    """Whether two jobs are of one thread."""
    return sa.and_(*(one.c[name] == other.c[name] for name in THREAD))


def in_thread(thread: ThreadKey, of: Jobs = jobs) -> sa.ColumnElement[bool]:
    """Whether a row is of this thread: a job's, or that of another table with a thread's columns."""
    return sa.and_(*(of.c[name] == value for name, value in thread_values(thread).items()))


THREAD = ("team_id", "channel_id", "thread_ts")
"""The columns of a thread."""


def thread_values(thread: ThreadKey) -> dict[str, str]:
    """Returns a thread's columns."""
    return dict(zip(THREAD, (thread.team_id, thread.channel_id, thread.thread_ts or ""), strict=True))


def has_jobs() -> sa.ColumnElement[bool]:
    """Whether a row of `workers` is of a worker that holds jobs: then others have to watch it."""
    return sa.exists().where(jobs.c.worker == workers.c.worker, is_running())
