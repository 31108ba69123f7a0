"""Usage for reports. It needs no texts, so a report stays the same after they are emptied."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store.schema import feedback, jobs, turns


async def uses(connection: AsyncConnection, since: float) -> list[AnswerUsage]:
    """Returns the attempts that ended since then, in seconds since the epoch."""
    ended = (
        sa.select(
            turns.c.created_at.label("at"),
            jobs.c.user_id,
            jobs.c.channel_id,
            turns.c.model,
            turns.c.end_reason,
            turns.c.input_tokens,
            turns.c.output_tokens,
            turns.c.cost_usd,
            turns.c.first_token_s,
            turns.c.web_searches,
        )
        .join_from(turns, jobs, turns.c.job_id == jobs.c.id)
        .where(turns.c.created_at >= since, turns.c.end_reason != EndReason.DENIED.value)
        .order_by(turns.c.id)
    )
    rows = await connection.execute(ended)
    return [AnswerUsage(**{**row._mapping, "end_reason": EndReason(row.end_reason)}) for row in rows]


async def thumbs(connection: AsyncConnection, since: float) -> list[Thumb]:
    """Returns the feedback given since then."""
    given = (
        sa.select(feedback.c.at, jobs.c.user_id, jobs.c.channel_id, feedback.c.model, feedback.c.value)
        .join_from(feedback, jobs, feedback.c.job_id == jobs.c.id)
        .where(feedback.c.at >= since)
    )
    return [Thumb(**row._mapping) for row in await connection.execute(given)]
