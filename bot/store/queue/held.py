"""A job that a worker holds, and the fence around all that the worker writes about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import answer_entry
from bot.core.conversation import Job
from bot.core.limits.caps import Cap
from bot.store import audit, usage_totals
from bot.store.predicates import is_running
from bot.store.rows import scope_ids_of
from bot.store.schema import jobs, turns


@dataclass(frozen=True, slots=True)
class Held:
    """A job as a worker claimed it."""

    job: Job
    worker: str

    @property
    def is_ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Whether a row is the job's, and no other attempt has it."""
        return (
            jobs.c.id == self.job.id,
            jobs.c.attempts == self.job.attempts,
            jobs.c.worker == self.worker,
            is_running(),
        )

    @property
    def fenced(self) -> sa.Update:
        """An update of the job that has no effect once the job has ended or another attempt has it."""
        return sa.update(jobs).where(*self.is_ours)


async def record_turn(
    connection: AsyncConnection, job: Job, turn: Mapping[str, Any], now: float, caps: Sequence[Cap]
) -> None:
    """Adds an attempt's or a step's turn, and counts its usage. `caps`: as in usage_totals.count."""
    await connection.execute(sa.insert(turns), turn)
    await audit.append(connection, now, [answer_entry(job.question, job.id, turn)])
    await usage_totals.count(connection, [(scope_ids_of(job.question), turn)], now, caps)
