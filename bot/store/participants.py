"""Who is in a thread: the bot and one person, or several people."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.inbound.triage import Participants
from bot.core.job import Status
from bot.store.database import Database
from bot.store.rows import in_thread, insert_into, thread_values
from bot.store.schema import jobs, shared_threads


class SqlParticipants:
    """Implements the ports ThreadParticipants and GroupThreads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def at_message(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        """Returns who was in the thread when `user_id` wrote the message `ts`; records a group's thread as one."""
        return await self._database.complete(self._at_message(thread, user_id, ts))

    async def mark_group(self, thread: ThreadKey, ts: str) -> None:
        """Records that several people write in a thread since the message `ts`."""
        await self._database.write(share, thread, ts)

    async def _at_message(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        async with self._database.begin_read() as connection:
            participants, since_ts = await company(connection, thread, user_id, ts)
        if participants.others and (since_ts is None or ts < since_ts):
            async with self._database.begin_write() as connection:
                await share(connection, thread, ts)
        return participants


async def company(
    connection: AsyncConnection, thread: ThreadKey, user_id: str, ts: str
) -> tuple[Participants, str | None]:
    """What a person who wrote in the thread found there; and since when it is known to be shared.

    What came after their message does not count, however late Slack delivers it. The message itself does: delivered
    again, it finds the same.
    """
    of_thread = [shared_threads.c[name] == value for name, value in thread_values(thread).items()]
    found = sa.select(
        sa.exists().where(in_thread(thread), jobs.c.status != Status.REFUSED.value),
        sa.exists().where(in_thread(thread), jobs.c.user_id != user_id, jobs.c.ts < ts),
        sa.select(shared_threads.c.since_ts).where(*of_thread).scalar_subquery(),
    )
    takes_part, other_asked, since_ts = (await connection.execute(found)).one()
    shared = since_ts is not None and since_ts <= ts
    return Participants(takes_part, takes_part and (other_asked or shared)), since_ts


async def share(connection: AsyncConnection, thread: ThreadKey, ts: str) -> None:
    """Since a message, or an earlier one if that is known."""
    row = insert_into(connection, shared_threads).values(**thread_values(thread), since_ts=ts)
    earlier = row.on_conflict_do_update(
        index_elements=list(shared_threads.primary_key), set_={"since_ts": ts}, where=shared_threads.c.since_ts > ts
    )
    await connection.execute(earlier)
