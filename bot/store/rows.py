"""Between our types and the tables' rows."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import File, Job, Question, ThreadKey
from bot.core.job import Outcome, Spent, Status
from bot.core.limits.caps import Spender
from bot.core.limits.prices import cost_usd
from bot.core.stream import Usage
from bot.store.schema import jobs

# Written into the statements, not bound: only then do SQLite and PostgreSQL see that a partial index will do.
TODO = sa.literal(Status.TODO.value, sa.Text, literal_execute=True)
DOING = sa.literal(Status.DOING.value, sa.Text, literal_execute=True)

INTERRUPTED = "interrupted"
"""The finish_reason of an attempt that did not end: its process died, or handed the job over."""
TOGETHER = "together"
"""The finish_reason of a question whose answer is that of a later one, which its job names."""


def insert_into(connection: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, which each database's dialect has of its own."""
    return (postgresql.insert if on_postgresql(connection) else sqlite.insert)(table)


def on_postgresql(connection: AsyncConnection) -> bool:
    """Whether it is a server, which can wake other processes."""
    return connection.dialect.name == "postgresql"


def in_thread(thread: ThreadKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(jobs.c[name] == value for name, value in thread_values(thread).items()))


def thread_values(thread: ThreadKey) -> dict[str, str]:
    return {
        "team_id": thread.team_id,
        "channel_id": thread.channel_id,
        "thread_ts": thread.thread_ts or "",
    }


def question_of(row: sa.Row[Any]) -> Question:
    thread = ThreadKey(row.team_id, row.channel_id, row.thread_ts or None)
    return Question(thread, row.ts, row.user_id, row.text, tuple(map(_file_of, row.files)), row.from_bot)


def file_values(question: Question) -> list[dict[str, Any]]:
    return [asdict(file) for file in question.files]


def job_of(row: sa.Row[Any]) -> Job:
    return Job(
        row.id,
        question_of(row),
        row.attempts,
        tuple(row.page_ts),
        # Its sign was not recorded in time, and may have been posted all the same.
        begun=row.attempts > 1 or row.announced_at is not None,
        interruptions=row.interruptions,
        version=row.version,
        asked_at=row.created_at if row.asked_at is None else row.asked_at,
    )


def spender_of(question: Question) -> Spender:
    return Spender(question.thread.team_id, question.user_id, question.thread.channel_id)


def _file_of(kept: Mapping[str, str]) -> File:
    """A process of a newer version may have kept more."""
    return File(**{field.name: kept[field.name] for field in fields(File) if field.name in kept})


def turn_values(job_id: int, outcome: Outcome, now: float) -> dict[str, Any]:
    usage = outcome.usage
    return {
        "job_id": job_id,
        "answer": outcome.answer,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cached_input_tokens": usage and usage.cached_input_tokens,
        "cost_usd": cost_usd(outcome.model, usage) if outcome.model and usage else None,
        "first_token_s": outcome.first_token_s,
        "prompt_version": outcome.prompt_version,
        "created_at": now,
    }


def interrupted_values(job_id: int, spent: Spent, now: float) -> dict[str, Any]:
    """The turn of an attempt that broke off: no answer, but what it cost."""
    usage = Usage(spent.input_tokens, spent.output_tokens)
    return turn_values(job_id, Outcome(Status.FAILED, "", spent.model, INTERRUPTED, usage), now)


async def wake_others(connection: AsyncConnection, worker: str, *where: sa.ColumnElement[bool]) -> None:
    """Once this transaction commits, other processes' `wait` returns; with `where`, if there is such a job."""
    if on_postgresql(connection):
        statement = sa.select(sa.func.pg_notify(channel(), worker))
        await connection.execute(statement.select_from(jobs).where(*where).limit(1) if where else statement)


def channel() -> sa.ColumnElement[str]:
    """PostgreSQL's channels are a database's, not a schema's, and have short names."""
    return sa.literal("typist_") + sa.func.md5(sa.func.current_schema())


def lock_key(name: str | sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """The number of a PostgreSQL advisory lock, which is a database's as well."""
    return sa.func.hashtextextended(sa.func.concat("typist ", sa.func.current_schema(), " ", name), 0)
