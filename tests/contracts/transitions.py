"""Reads the states of jobs from a database, and checks how they change against the table of core/job.py."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from bot.core.job import TRANSITIONS, Event, State, state_of
from bot.store import Stores
from bot.store.schema import jobs


async def states(stores: Stores) -> dict[int, State]:
    """Returns the state of each job in the database, by ID."""
    columns = (jobs.c.id, jobs.c.status, jobs.c.attempts, jobs.c.end_reason)
    async with stores.database.engine.begin() as connection:
        rows = (await connection.execute(sa.select(*columns))).all()
    return {row.id: state_of(row.status, row.attempts, row.end_reason) for row in rows}


def assert_moved(
    before: Mapping[int, State], after: Mapping[int, State], happened: Mapping[int, Event], also: Collection[Event] = ()
) -> None:
    """Asserts that each job changed state as the table says.

    `happened`: the event of each job that a call was about, without those that the call left alone.
    `also`: events that the call may cause for other jobs.
    """
    for job_id in sorted({*before, *after}):
        old, new = before.get(job_id, State.ABSENT), after.get(job_id, State.ABSENT)
        if event := happened.get(job_id):
            assert (old, event) in TRANSITIONS, f"job {job_id}: {event} happened while it was {old}, now it is {new}"
            assert TRANSITIONS[old, event] is new, f"job {job_id}: {event} led from {old} to {new}"
        elif old is not new:
            led = [event for event in also if TRANSITIONS.get((old, event)) is new]
            assert led, f"job {job_id}: from {old} to {new}, by none of {[*also]}"
