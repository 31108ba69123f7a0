"""A job that a worker holds, and the fence around all that the worker writes about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import answer_entry
from bot.core.caps import Cap
from bot.core.job import Job
from bot.models.prices import ModelPrices
from bot.store import audit, usage
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.rows import is_running, scope_ids_of
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


class MeteredOperations(WorkerOperations):
    """Operations that record a worker's usage: what it costs, and the caps that it counts for."""

    def __init__(
        self, database: Database, worker: WorkerLiveness, prices: ModelPrices | None, caps: Sequence[Cap] = ()
    ) -> None:
        super().__init__(database, worker)
        self._prices = prices
        self._caps = caps

    async def _record_turn(self, connection: AsyncConnection, job: Job, turn: Mapping[str, Any], now: float) -> None:
        """Adds an attempt's or a step's turn, and counts its usage."""
        await connection.execute(sa.insert(turns), turn)
        await audit.append(connection, now, [answer_entry(job.question, job.id, turn)])
        await usage.count(connection, [(scope_ids_of(job.question), turn)], now, self._caps)
