"""Checkpoints: the recorded text of growing answers, from which the next attempt continues.

An attempt appends only new text, so a long answer costs no more per second than a short one. Each row replaces the text
from its start on: an attempt that takes over may continue from a little before the end. Within an attempt a row never
shortens the text: one that reaches the database late, after its writer gave up on it, holds less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import decided_about
from bot.core.job import Checkpoint, Job, Piece
from bot.models.events import Citation
from bot.store import recorded_steps
from bot.store.rows import end_of, end_values, is_running, source_values, sources_of
from bot.store.schema import SafeText, checkpoints, jobs

_FROM_PIECE = {
    checkpoints.c.version: sa.bindparam("of_version", type_=sa.Integer),
    checkpoints.c.attempt: sa.bindparam("of_attempt", type_=sa.Integer),
    checkpoints.c.start: sa.bindparam("from_start", type_=sa.Integer),
    checkpoints.c.text: sa.bindparam("new_text", type_=SafeText),
    checkpoints.c.end: sa.bindparam("new_end", type_=sa.JSON(none_as_null=True)),
    checkpoints.c.sources: sa.bindparam("new_sources", type_=sa.JSON(none_as_null=True)),
}


async def append(connection: AsyncConnection, worker: str, pieces: Mapping[Job, Piece]) -> bool:
    """Appends to the texts of jobs that are still the worker's, in the version that it answers; returns if all are.

    The lock orders this and a take-over: either the take-over reads the row, or the row is not written.
    """
    if not pieces:
        return True
    ours = (
        sa.select(jobs.c.id, *_FROM_PIECE.values())
        .where(
            jobs.c.id == sa.bindparam("of_job"),
            jobs.c.worker == worker,
            jobs.c.attempts == sa.bindparam("of_attempt"),
            jobs.c.version == sa.bindparam("of_version"),
            is_running(),
        )
        .with_for_update(read=True)
    )
    rows = sa.insert(checkpoints).from_select([checkpoints.c.job_id, *_FROM_PIECE], ours)
    # In the same order in all processes, which prevents deadlocks.
    values = [_values(job, pieces[job]) for job in sorted(pieces, key=lambda job: job.id)]
    added = await connection.execute(rows, values, execution_options={"preserve_rowcount": True})
    return added.rowcount == len(pieces)


def _values(job: Job, piece: Piece) -> dict[str, Any]:
    return {
        "of_job": job.id,
        "of_version": job.version,
        "of_attempt": job.attempts,
        "from_start": piece.start,
        "new_text": piece.text,
        "new_end": end_values(piece.end) if piece.end else None,
        "new_sources": source_values(piece.sources),
    }


async def with_checkpoints(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs with the text that earlier attempts at the same version left on record."""
    resumed = [job.id for job in claimed if job.attempts > 1]
    if not resumed:
        return list(claimed)
    of_resumed = sa.select(checkpoints).where(checkpoints.c.job_id.in_(resumed))
    rows: dict[tuple[int, int], list[sa.Row[Any]]] = {}
    for row in await connection.execute(of_resumed.order_by(checkpoints.c.attempt, checkpoints.c.id)):
        rows.setdefault((row.job_id, row.version), []).append(row)
    whole = [replace(job, checkpoint=_folded(job.so_far, rows.get((job.id, job.version), []))) for job in claimed]
    return [await _with_decisions(connection, job) for job in whole]


async def _with_decisions(connection: AsyncConnection, job: Job) -> Job:
    """Returns a job whose end, if it is on record, says who decided about its calls."""
    end = job.checkpoint.end
    if end is None:
        return job
    calls = await recorded_steps.calls(connection, job.id, job.version)
    return replace(job, checkpoint=replace(job.checkpoint, end=replace(end, decided=decided_about(calls))))


def _folded(so_far: str, rows: Sequence[sa.Row[Any]]) -> Checkpoint:
    """Puts the rows of one version together. `so_far`: the first part of a continued answer, from its turn."""
    text = so_far
    end = None
    attempt = 0
    sources: tuple[Citation, ...] = ()
    for row in rows:
        row_end = row.start + len(row.text)
        if row.start > len(text) or (row.attempt == attempt and row_end < len(text)):
            continue
        text = text[: row.start] + row.text
        attempt = row.attempt
        sources = sources_of(row.sources)
        end = end_of(row.end, sources) if row.end else end
    return Checkpoint(text, end, sources) if rows else Checkpoint()


async def choices_of(connection: AsyncConnection, job_id: int) -> tuple[str, ...]:
    """Returns the choices that a job's end on record offers."""
    ends = sa.select(checkpoints.c.end).join(jobs, checkpoints.c.job_id == jobs.c.id).where(jobs.c.id == job_id)
    of_version = ends.where(checkpoints.c.version == jobs.c.version).order_by(checkpoints.c.id.desc())
    values = next(filter(None, (await connection.scalars(of_version)).all()), None)
    return end_of(values, ()).choices if values else ()


async def choose(connection: AsyncConnection, job_id: int, choice: str) -> None:
    """Records which of its choices somebody has pressed with a job's end."""
    has_end = checkpoints.c.job_id == job_id, checkpoints.c.end.is_not(None)
    for row in (await connection.execute(sa.select(checkpoints.c.id, checkpoints.c.end).where(*has_end))).all():
        values = {"end": {**row.end, "chosen": choice}} if row.end else {}
        if values:
            await connection.execute(sa.update(checkpoints).where(checkpoints.c.id == row.id).values(**values))


async def drop(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Removes the texts of these jobs."""
    await connection.execute(sa.delete(checkpoints).where(checkpoints.c.job_id.in_(sa.select(jobs.c.id).where(*which))))
