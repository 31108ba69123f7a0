"""Participants: whether Typist takes part in a thread, and whether more than one person does."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.inbound.triage import Participants
from bot.store.database import Operations, completes, writes
from bot.store.predicates import in_thread, is_denied, thread_values
from bot.store.rows import insert_into
from bot.store.schema import group_threads, jobs


class ThreadParticipants(Operations):
    """Finds the participants of a thread, and records threads in which several people write."""

    @completes()
    async def at_message(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        """Returns who was in the thread when `user_id` wrote the message `ts`.

        If the writer is not the only person in it, the thread is recorded as a group's from that message on. Later
        messages do not count, however late Slack delivers this one. The message itself counts, so a redelivery gives
        the same result.
        """
        facts = sa.select(
            sa.exists().where(in_thread(thread), ~is_denied()),
            sa.exists().where(in_thread(thread), jobs.c.user_id != user_id, jobs.c.ts < ts),
            sa.exists().where(in_thread(thread), jobs.c.user_id == user_id, jobs.c.ts < ts, ~is_denied()),
            sa.select(group_threads.c.since_ts).where(in_thread(thread, group_threads)).scalar_subquery(),
        )
        async with self._database.begin_read() as connection:
            takes_part, other_asked, asked, since_ts = (await connection.execute(facts)).one()
        is_group = since_ts is not None and since_ts <= ts
        others = takes_part and (other_asked or is_group)
        if others and not is_group:
            await self.mark_group(thread, ts)
        return Participants(takes_part, others, asked_alone=asked and not other_asked)

    @writes
    async def mark_group(self, connection: AsyncConnection, thread: ThreadKey, ts: str) -> None:
        """Records that several people write in a thread since the message `ts`, or since an earlier one on record."""
        row = insert_into(connection, group_threads).values(**thread_values(thread), since_ts=ts)
        earlier = row.on_conflict_do_update(
            index_elements=list(group_threads.primary_key), set_={"since_ts": ts}, where=group_threads.c.since_ts > ts
        )
        await connection.execute(earlier)
