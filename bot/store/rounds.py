"""Recorded steps of models: read by the attempt that goes on with them, and dropped once nobody can.

What a step wrote (`rounds`) is needed until its job ends. Its calls (`tool_steps`) stay with the answer, because the
answer's details name them, and a new version must know what an earlier one has done.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.job import Spent
from bot.core.tool_steps import Decision, Round, StepState, ToolStep
from bot.core.trust import of_record
from bot.store.schema import jobs, rounds, tool_steps


async def with_rounds(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs with the steps that earlier attempts at the same version left on record."""
    resumed = [job.id for job in claimed if job.attempts > 1]
    if not resumed:
        return list(claimed)
    of_resumed = sa.select(rounds).where(rounds.c.job_id.in_(resumed)).order_by(rounds.c.step_no)
    recorded = (await connection.execute(of_resumed)).all()
    if not recorded:
        return list(claimed)
    calls = sa.select(tool_steps).where(tool_steps.c.job_id.in_(resumed)).order_by(tool_steps.c.index)
    steps = (await connection.execute(calls)).all()

    def of(job: Job) -> tuple[Round, ...]:
        mine = [row for row in recorded if (row.job_id, row.version) == (job.id, job.version)]
        theirs = [row for row in steps if (row.job_id, row.version) == (job.id, job.version)]
        return tuple(_round_of(row, [step for step in theirs if step.step_no == row.step_no]) for row in mine)

    return [replace(job, rounds=of(job)) for job in claimed]


def _round_of(row: sa.Row[Any], steps: Collection[sa.Row[Any]]) -> Round:
    items, calls = tuple(json.loads(row.items)), tuple(map(step_of, steps))
    return Round(row.step_no, row.text, items, row.model, calls, of_record(row.origins))


def step_of(row: sa.Row[Any]) -> ToolStep:
    """Returns a recorded call; one whose texts have expired has no arguments."""
    return ToolStep(
        step_no=row.step_no,
        # A row is a tuple, and has a method of that name.
        index=row._mapping["index"],
        call_id=row.call_id,
        tool=row.tool,
        arguments=json.loads(row.arguments or "{}"),
        definition_hash=row.definition_hash,
        state=StepState(row.state),
        read_only=row.read_only,
        result=row.result,
        result_is_error=row.result_is_error,
        decision=Decision(row.decision) if row.decision else None,
        decided_by=row.decided_by,
    )


async def calls(
    connection: AsyncConnection, job_id: int, version: int | sa.ScalarSelect[int], *which: sa.ColumnElement[bool]
) -> tuple[ToolStep, ...]:
    """Returns calls of a version of an answer, in their order."""
    of_version = sa.select(tool_steps).where(tool_steps.c.job_id == job_id, tool_steps.c.version == version, *which)
    in_order = of_version.order_by(tool_steps.c.step_no, tool_steps.c.index)
    return tuple(map(step_of, (await connection.execute(in_order)).all()))


async def counted(connection: AsyncConnection, spent: Mapping[int, Spent]) -> set[int]:
    """Returns the ids of the jobs whose step is on record, and with it the step's usage. `spent`: by job id.

    A heartbeat may still report what a step has spent when the step's record has counted it.
    """
    steps = [(job_id, step.version, step.step_no) for job_id, step in spent.items()]
    step = sa.tuple_(tool_steps.c.job_id, tool_steps.c.version, tool_steps.c.step_no)
    on_record = sa.select(tool_steps.c.job_id).where(step.in_(steps)).distinct()
    return set((await connection.scalars(on_record)).all()) if steps else set()


async def drop(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Removes what the steps of these jobs wrote; their calls stay."""
    await connection.execute(sa.delete(rounds).where(rounds.c.job_id.in_(sa.select(jobs.c.id).where(*which))))


async def empty(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> int:
    """Empties the arguments and results of calls; returns of how many. A hash of short arguments can be guessed."""
    texts = sa.or_(tool_steps.c.arguments != "", tool_steps.c.result != "")
    emptied = sa.update(tool_steps).where(texts, *which).values(arguments="", result="", binding="")
    return (await connection.execute(emptied)).rowcount
