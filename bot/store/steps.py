"""Stores the work that attempts record along the way: the answer's text, and the model's steps with their calls.

**Text.** An attempt appends only new text, so a long answer costs no more per second than a short one. Each row
replaces any text after its starting position, because an attempt that takes over can continue from a point a little
before the end. A row that arrives after its writer has given up on it contains less text. So that it can't replace
newer text, a row never shortens the text within one attempt.

**Steps.** The output of a step (`steps`) and the beginning of its prompt are needed until the job ends. A step is
recorded in the same transaction as the answer's text up to the end of the step, so it only needs to store the length of
that text. Calls (`tool_calls`) are kept for as long as the answer, because its details and later versions need them.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import NO_CLAIMS, CallState, Decision, RecordedCall, Step, claims_of_definition
from bot.core.job import Checkpoint, Job, Piece
from bot.models.events import Citation
from bot.models.prompt import parse_origins
from bot.store.rows import (
    NO_CALL_TEXTS,
    end_of,
    end_values,
    is_running,
    known_fields,
    source_values,
    sources_of,
    verbatim_condition,
)
from bot.store.schema import CALL_HAS_CONTENT, SafeText, checkpoints, jobs, steps, tool_calls, tool_pins

_FROM_PIECE = {
    checkpoints.c.version: sa.bindparam("of_version", type_=sa.Integer),
    checkpoints.c.attempt: sa.bindparam("of_attempt", type_=sa.Integer),
    checkpoints.c.start: sa.bindparam("from_start", type_=sa.Integer),
    checkpoints.c.text: sa.bindparam("new_text", type_=SafeText),
    checkpoints.c.end: sa.bindparam("new_end", type_=sa.JSON(none_as_null=True)),
    checkpoints.c.sources: sa.bindparam("new_sources", type_=sa.JSON(none_as_null=True)),
}


async def append_text(connection: AsyncConnection, worker: str, pieces: Mapping[Job, Piece]) -> bool:
    """Appends text to the worker's jobs. Returns False if the worker has lost any of the jobs, or if any of them has a
    newer version."""
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
        # Either a takeover reads the row, or the row isn't written.
        .with_for_update(read=True)
    )
    rows = sa.insert(checkpoints).from_select([checkpoints.c.job_id, *_FROM_PIECE], ours)
    # In the same order in all processes, which prevents deadlocks.
    values = [
        {
            "of_job": job.id,
            "of_version": job.version,
            "of_attempt": job.attempts,
            "from_start": piece.start,
            "new_text": piece.text,
            "new_end": end_values(piece.end) if piece.end else None,
            "new_sources": source_values(piece.sources),
        }
        for job, piece in sorted(pieces.items(), key=lambda item: item[0].id)
    ]
    added = await connection.execute(rows, values, execution_options={"preserve_rowcount": True})
    return added.rowcount == len(pieces)


async def jobs_with_progress(connection: AsyncConnection, claimed_jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs with the text and steps recorded by earlier attempts at the same version."""
    resumed = [job.id for job in claimed_jobs if job.attempts > 1]
    if not resumed:
        return list(claimed_jobs)
    texts = sa.select(checkpoints).where(checkpoints.c.job_id.in_(resumed))
    rows: defaultdict[tuple[int, int], list[sa.Row[Any]]] = defaultdict(list)
    for row in await connection.execute(texts.order_by(checkpoints.c.attempt, checkpoints.c.id)):
        rows[row.job_id, row.version].append(row)
    of_steps = _CALLS_AND_PINS.where(tool_calls.c.job_id.in_(resumed)).order_by(tool_calls.c.index)
    made: defaultdict[tuple[int, int, int], list[RecordedCall]] = defaultdict(list)
    for call in await connection.execute(of_steps):
        made[call.job_id, call.version, call.step_no].append(call_of(call))
    of_resumed = sa.select(steps).where(steps.c.job_id.in_(resumed)).order_by(steps.c.step_no)
    found: defaultdict[tuple[int, int], list[Step]] = defaultdict(list)
    for row in await connection.execute(of_resumed):
        items, its_calls = tuple(json.loads(row.items)), tuple(made[row.job_id, row.version, row.step_no])
        begun = row.beginning or "", row.bound_to
        step = Step(row.step_no, row.chars, items, row.model, its_calls, parse_origins(row.origins), *begun)
        found[row.job_id, row.version].append(step)
    keys = [(job.id, job.version) for job in claimed_jobs]
    return [
        replace(job, checkpoint=_combine_pieces(job.continued_text, rows[key]), steps=tuple(found[key]))
        for job, key in zip(claimed_jobs, keys, strict=True)
    ]


def _combine_pieces(text_so_far: str, rows: Sequence[sa.Row[Any]]) -> Checkpoint:
    text = text_so_far
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


async def drop_progress(connection: AsyncConnection, job_id: int) -> None:
    """Deletes the text and steps that a job's attempts have recorded so far, but not its calls."""
    for table in (checkpoints, steps):
        await connection.execute(sa.delete(table).where(table.c.job_id == job_id))


_EARLIER_CALLS = tool_calls.alias()
_REPEATS = sa.exists().where(
    _EARLIER_CALLS.c.job_id == tool_calls.c.job_id,
    _EARLIER_CALLS.c.version < tool_calls.c.version,
    _EARLIER_CALLS.c.binding == tool_calls.c.binding,
    _EARLIER_CALLS.c.begun_at.is_not(None),
)
_IS_PINNED = sa.and_(tool_pins.c.tool == tool_calls.c.tool, tool_pins.c.definition_hash == tool_calls.c.definition_hash)
_CALLS_AND_PINS: sa.Select[Any] = sa.select(tool_calls, tool_pins.c.definition, _REPEATS.label("repeats")).outerjoin(
    tool_pins, _IS_PINNED
)
"""Selects calls with their pinned definitions, and with whether each repeats a call of an earlier version."""


def call_of(row: sa.Row[Any]) -> RecordedCall:
    definition = row._mapping.get("definition")
    converted: dict[str, Any] = {
        "arguments": json.loads(row.arguments or "{}"),
        "state": CallState(row.state),
        "item_no": row.made,
        "uses_own_account": row.own_account,
        "approval_reasons": tuple(row.because),
        "decision": Decision(row.decision) if row.decision else None,
        "claims": claims_of_definition(definition) if definition else NO_CLAIMS,
        "is_repeat": bool(row._mapping.get("repeats")),
    }
    return RecordedCall(**{**known_fields(RecordedCall, row._mapping), **converted})


async def read_calls(
    connection: AsyncConnection, job_id: int, version: int | sa.ScalarSelect[int], *which: sa.ColumnElement[bool]
) -> tuple[RecordedCall, ...]:
    of_version = _CALLS_AND_PINS.where(tool_calls.c.job_id == job_id, tool_calls.c.version == version, *which)
    in_order = of_version.order_by(tool_calls.c.step_no, tool_calls.c.index)
    return tuple(map(call_of, (await connection.execute(in_order)).all()))


async def clear_call_texts(connection: AsyncConnection, job_id: int) -> None:
    these = tool_calls.c.job_id == job_id, verbatim_condition(CALL_HAS_CONTENT)
    await connection.execute(sa.update(tool_calls).where(*these).values(NO_CALL_TEXTS))
