"""Who is in a thread: the bot and one person, or several people."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.inbound.triage import Participants
from bot.core.job import Status
from bot.store.rows import in_thread, insert_into, thread_values
from bot.store.schema import jobs, shared_threads


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
