"""Stores the separate messages of a reply: mentions of the asker, and links to canvases.

Each message is recorded before it is posted, and has no ts until Slack has responded. A process that finds a message
without a ts looks for it in Slack. Only the process that has claimed the outbox entry writes these messages
(core/outbox.py).
"""

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import MENTION_ROLES, SIDE_ROLES, MessageRole, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.store import outbox
from bot.store.rows import upsert
from bot.store.schema import messages_beside

_KEY = messages_beside.c.job_id, messages_beside.c.role, messages_beside.c.version


async def messages_of_jobs(
    connection: AsyncConnection, job_ids: Collection[int] | sa.Select[tuple[int]]
) -> defaultdict[int, tuple[RecordedMessage, ...]]:
    known = messages_beside.c.role.in_([role.value for role in SIDE_ROLES])
    of_jobs = sa.select(*_KEY, messages_beside.c.ts).where(known, messages_beside.c.job_id.in_(job_ids))
    rows = (await connection.execute(of_jobs.order_by(*_KEY))).all()
    found: defaultdict[int, tuple[RecordedMessage, ...]] = defaultdict(tuple)
    for row in rows:
        found[row.job_id] += (RecordedMessage(row.ts, MessageRole(row.role), row.version),)
    return found


async def record_message(connection: AsyncConnection, job_id: int, message: RecordedMessage) -> None:
    key = {"job_id": job_id, "role": message.role.value, "version": message.version}
    await upsert(connection, messages_beside, key, {"ts": message.ts})


async def queue_updates(connection: AsyncConnection, job_ids: Collection[int], now: float) -> None:
    is_mention = messages_beside.c.role.in_([role.value for role in MENTION_ROLES])
    mentioned = sa.select(messages_beside.c.job_id).where(is_mention, messages_beside.c.job_id.in_(job_ids)).distinct()
    await outbox.add(connection, OutboxKind.SIDE_MESSAGES, (await connection.scalars(mentioned)).all(), now)
