"""What the database has of the turns of a conversation."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from bot.settings import Settings
from bot.store.database import create_engine
from bot.store.schema import jobs, turns
from tests.clocks import until_read

Rows = Sequence[sa.Row[Any]]


async def recorded(settings: Settings, query: sa.Select[Any], are_there: Callable[[Rows], object]) -> Rows:
    """Waits until a query returns the rows that are awaited, and returns them: a test is quicker than a person."""
    engine = create_engine(settings.database_url)

    async def rows() -> Rows:
        async with engine.connect() as connection:
            found = (await connection.execute(query)).all()
        return found if are_there(found) else ()

    try:
        return await until_read(rows, f"rows of {query}")
    finally:
        await engine.dispose()


async def ended(settings: Settings, count: int) -> list[tuple[str, str]]:
    """The recorded turns, as answer and end reason, once there are so many and their job has ended."""
    query = sa.select(turns, jobs.c.status).join(jobs, jobs.c.id == turns.c.job_id).order_by(turns.c.id)
    turn_rows = await recorded(settings, query, lambda rows: len(rows) >= count and rows[0].status == "ended")
    return [(turn.answer, turn.end_reason) for turn in turn_rows]
