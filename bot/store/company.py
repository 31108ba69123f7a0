"""Who is in a thread: the bot and one person, or several people."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.triage import Company
from bot.ports import Status
from bot.store.rows import in_thread, insert_into, thread_values
from bot.store.schema import jobs, shared_threads


async def company(connection: AsyncConnection, thread: ThreadKey, user_id: str) -> tuple[Company, bool]:
    """What a person who writes in the thread finds there; and whether it is known to be shared."""
    of_thread = [shared_threads.c[name] == value for name, value in thread_values(thread).items()]
    found = sa.select(
        sa.exists().where(in_thread(thread), jobs.c.status != Status.REFUSED.value),
        sa.exists().where(in_thread(thread), jobs.c.user_id != user_id),
        sa.exists().where(*of_thread),
    )
    takes_part, other_asked, shared = (await connection.execute(found)).one()
    return Company(takes_part, takes_part and (other_asked or shared)), shared


async def share(connection: AsyncConnection, thread: ThreadKey) -> None:
    """Does nothing where it is known."""
    await connection.execute(insert_into(connection, shared_threads).on_conflict_do_nothing(), thread_values(thread))
