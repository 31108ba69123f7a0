"""The messages beside a reply, on record: those that mention the asker, and the links of canvases.

Each is on record before it is posted, and has no ts until Slack has answered. A process that finds one without a ts
looks for it in Slack. The process that has an outbox entry about them writes them (core/outbox.py).

A process of the version before knows three columns instead: `jobs.mention_ts`, `jobs.ask_ts` and
`canvases.message_ts`. They are written beside the rows, and what such a process has recorded is read from them.
"""

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import BESIDE_ROLES, MessageRole, RecordedMessage
from bot.store.rows import put
from bot.store.schema import canvases, jobs, messages_beside

_KEY = messages_beside.c.job_id, messages_beside.c.role, messages_beside.c.version


async def of_jobs(
    connection: AsyncConnection, job_ids: Collection[int] | sa.Select[tuple[int]]
) -> defaultdict[int, tuple[RecordedMessage, ...]]:
    """Returns the messages beside the replies to some jobs, by job."""
    known = messages_beside.c.role.in_([role.value for role in BESIDE_ROLES])
    of_jobs = sa.select(*_KEY, messages_beside.c.ts).where(known, messages_beside.c.job_id.in_(job_ids))
    rows = (await connection.execute(of_jobs.order_by(*_KEY))).all()
    on_record = {row.ts for row in rows}
    of_before = (await connection.execute(_of_before(job_ids))).all()
    found: defaultdict[int, tuple[RecordedMessage, ...]] = defaultdict(tuple)
    for row in (*rows, *(row for row in of_before if row.ts not in on_record)):
        found[row.job_id] += (RecordedMessage(row.ts, MessageRole(row.role), row.version),)
    return found


async def record(connection: AsyncConnection, job_id: int, message: RecordedMessage) -> None:
    """Records a message that is about to be posted, or its ts once it is."""
    key = {"job_id": job_id, "role": message.role.value, "version": message.version}
    await put(connection, messages_beside, key, {"ts": message.ts})
    if not message.ts:
        return
    if message.role is MessageRole.LINK:
        of_version = canvases.c.job_id == job_id, canvases.c.version == message.version
        await connection.execute(sa.update(canvases).where(*of_version).values(message_ts=message.ts))
    else:
        column = "ask_ts" if message.role is MessageRole.ASK else "mention_ts"
        await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values({column: message.ts}))


async def remove(connection: AsyncConnection, job_id: int, messages: Collection[RecordedMessage]) -> None:
    """Removes messages from record, each only while it has the same ts there: one posted since then stays."""
    for message in messages:
        this = messages_beside.c.job_id == job_id, messages_beside.c.role == message.role.value
        same = messages_beside.c.version == message.version, messages_beside.c.ts == message.ts
        await connection.execute(sa.delete(messages_beside).where(*this, *same))
    for column in (jobs.c.mention_ts, jobs.c.ask_ts):
        gone = jobs.c.id == job_id, column.in_([message.ts for message in messages])
        await connection.execute(sa.update(jobs).where(*gone).values({column.name: None}))


async def outdate_mention(connection: AsyncConnection, job_id: int) -> bool:
    """Leaves the message that says that an answer is ready to an earlier version; returns whether there is one."""
    found = await of_jobs(connection, [job_id])
    mentioned = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.mention_ts.is_not(None))
    # A process of the version before deletes what this column has.
    await connection.execute(mentioned.values(mention_ts=None, ask_ts=jobs.c.mention_ts))
    return any(message.role is MessageRole.MENTION for message in found[job_id])


def is_any_stale(asks: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether a message that mentions a job's asker isn't true any more (core/outbox.py: `stale`).

    `asks`: whether one that asks for an approval still does.
    """
    beside = messages_beside.c
    of_earlier = sa.and_(beside.role == MessageRole.MENTION.value, beside.version != jobs.c.version)
    is_stale = sa.or_(of_earlier, sa.and_(beside.role == MessageRole.ASK.value, ~asks))
    of_before = sa.and_(jobs.c.ask_ts.is_not(None), ~asks)
    return sa.or_(sa.exists().where(beside.job_id == jobs.c.id, is_stale), of_before)


def _of_before(job_ids: Collection[int] | sa.Select[tuple[int]]) -> sa.CompoundSelect[tuple[int, str, int, str | None]]:
    """Selects what the columns of the version before have."""
    of_jobs = {MessageRole.MENTION.value: jobs.c.mention_ts, MessageRole.ASK.value: jobs.c.ask_ts}
    mentions = (
        sa.select(jobs.c.id.label("job_id"), sa.literal(role).label("role"), jobs.c.version, ts.label("ts")).where(
            jobs.c.id.in_(job_ids), ts.is_not(None)
        )
        for role, ts in of_jobs.items()
    )
    link = canvases.c.message_ts.label("ts")
    links = sa.select(canvases.c.job_id, sa.literal(MessageRole.LINK.value).label("role"), canvases.c.version, link)
    return sa.union_all(*mentions, links.where(canvases.c.job_id.in_(job_ids), link.is_not(None)))
