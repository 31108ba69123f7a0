"""Recorded steps of models: read by the attempt that goes on with them, and dropped once nobody can.

What a step wrote (`steps`) is needed until its job ends. Its calls (`tool_calls`) stay with the answer, because the
answer's details name them, and a new version must know what an earlier one has done.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import Job
from bot.core.tool_calls import NO_CLAIMS, CallState, Decision, RecordedCall, Step, claims_in
from bot.models.trust import of_record
from bot.store.schema import jobs, steps, tool_calls, tool_pins


async def with_steps(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs with the steps that earlier attempts at the same version left on record."""
    resumed = [job.id for job in claimed if job.attempts > 1]
    if not resumed:
        return list(claimed)
    of_resumed = sa.select(steps).where(steps.c.job_id.in_(resumed)).order_by(steps.c.step_no)
    recorded = (await connection.execute(of_resumed)).all()
    if not recorded:
        return list(claimed)
    of_steps = _as_asked().where(tool_calls.c.job_id.in_(resumed)).order_by(tool_calls.c.index)
    recorded_calls = (await connection.execute(of_steps)).all()

    def of(job: Job) -> tuple[Step, ...]:
        mine = [row for row in recorded if (row.job_id, row.version) == (job.id, job.version)]
        theirs = [row for row in recorded_calls if (row.job_id, row.version) == (job.id, job.version)]
        return tuple(_step_of(row, [call for call in theirs if call.step_no == row.step_no]) for row in mine)

    return [replace(job, steps=of(job)) for job in claimed]


def _step_of(row: sa.Row[Any], recorded_calls: Collection[sa.Row[Any]]) -> Step:
    items = tuple(json.loads(row.items))
    return Step(row.step_no, row.text, items, row.model, tuple(map(call_of, recorded_calls)), of_record(row.origins))


def _as_asked() -> sa.Select[Any]:
    """Selects calls with what a person who decides about them is told.

    That is the definition that a call was asked for, where it is still the pinned one, and whether the call repeats one
    of an earlier version.
    """
    earlier = tool_calls.alias()
    repeats = sa.exists().where(
        earlier.c.job_id == tool_calls.c.job_id,
        earlier.c.version < tool_calls.c.version,
        earlier.c.binding == tool_calls.c.binding,
        earlier.c.begun_at.is_not(None),
    )
    is_pinned = sa.and_(
        tool_pins.c.tool == tool_calls.c.tool, tool_pins.c.definition_hash == tool_calls.c.definition_hash
    )
    return sa.select(tool_calls, tool_pins.c.definition, repeats.label("repeats")).outerjoin(tool_pins, is_pinned)


def call_of(row: sa.Row[Any]) -> RecordedCall:
    """Returns a recorded call; one whose texts have expired has no arguments."""
    definition = row._mapping.get("definition")
    return RecordedCall(
        step_no=row.step_no,
        # A row is a tuple, and has a method of that name.
        index=row._mapping["index"],
        call_id=row.call_id,
        tool=row.tool,
        arguments=json.loads(row.arguments or "{}"),
        definition_hash=row.definition_hash,
        state=CallState(row.state),
        read_only=row.read_only,
        result=row.result,
        result_is_error=row.result_is_error,
        decision=Decision(row.decision) if row.decision else None,
        decided_by=row.decided_by,
        claims=claims_in(definition) if definition else NO_CLAIMS,
        repeats=bool(row._mapping.get("repeats")),
    )


async def calls(
    connection: AsyncConnection, job_id: int, version: int | sa.ScalarSelect[int], *which: sa.ColumnElement[bool]
) -> tuple[RecordedCall, ...]:
    """Returns calls of a version of an answer, in their order."""
    of_version = _as_asked().where(tool_calls.c.job_id == job_id, tool_calls.c.version == version, *which)
    in_order = of_version.order_by(tool_calls.c.step_no, tool_calls.c.index)
    return tuple(map(call_of, (await connection.execute(in_order)).all()))


async def drop(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Removes what the steps of these jobs wrote; their calls stay."""
    await connection.execute(sa.delete(steps).where(steps.c.job_id.in_(sa.select(jobs.c.id).where(*which))))


async def empty(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> int:
    """Empties the arguments and results of calls; returns of how many. A hash of short arguments can be guessed."""
    texts = sa.or_(tool_calls.c.arguments != "", tool_calls.c.result != "")
    emptied = sa.update(tool_calls).where(texts, *which).values(arguments="", result="", binding="")
    return (await connection.execute(emptied)).rowcount
