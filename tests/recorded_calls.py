import sqlalchemy as sa

from bot.core.calls import RecordedCall
from bot.store import Stores, steps
from bot.store.schema import jobs


async def newest_calls(stores: Stores, job_id: int) -> tuple[RecordedCall, ...]:
    """Returns all calls of the newest version of a job's answer, in order."""
    newest = sa.select(jobs.c.version).where(jobs.c.id == job_id).scalar_subquery()
    async with stores.database.begin_read() as connection:
        return await steps.read_calls(connection, job_id, newest)
