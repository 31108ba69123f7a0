"""Usage for reports. It needs no texts, so a report stays the same after they are emptied."""

from collections import defaultdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core import texts
from bot.core.app_home import DIRECT_MESSAGES, MonthUsage
from bot.core.conversation import is_direct
from bot.core.limits.caps import DAY_S, Amount, Scope
from bot.core.limits.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store.schema import feedback, jobs, tool_calls, turns, usage_totals


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


async def month(connection: AsyncConnection, team_id: str, first: int, end: int) -> MonthUsage:
    """Returns what a workspace used from one day until before another, counted from 1970-01-01.

    Added up in the database, because App Home is opened more often than a report is run.
    """
    by_scope = await _by_scope(connection, team_id, first, end)
    channels: dict[str, Amount] = defaultdict(Amount)
    for channel_id, amount in by_scope[Scope.CHANNEL].items():
        channels[DIRECT_MESSAGES if is_direct(channel_id) else channel_id] += amount
    return MonthUsage(
        total=by_scope[Scope.WORKSPACE].get(team_id, Amount()),
        people=by_scope[Scope.USER],
        channels=channels,
        models=await _by_model(connection, team_id, first, end),
        calls=await _calls(connection, team_id, first, end),
    )


async def _by_scope(connection: AsyncConnection, team_id: str, first: int, end: int) -> dict[Scope, dict[str, Amount]]:
    totals = usage_totals.c
    summed = (
        sa.select(totals.scope, totals.scope_id, sa.func.sum(totals.tokens), sa.func.sum(totals.cost_usd))
        .where(totals.team_id == team_id, totals.day >= first, totals.day < end)
        .group_by(totals.scope, totals.scope_id)
    )
    used: dict[Scope, dict[str, Amount]] = {scope: {} for scope in Scope}
    for scope, scope_id, tokens, cost_usd in await connection.execute(summed):
        used[Scope(scope)][scope_id] = Amount(int(tokens), float(cost_usd))
    return used


async def _by_model(connection: AsyncConnection, team_id: str, first: int, end: int) -> dict[str, Amount]:
    tokens = sa.func.sum(sa.func.coalesce(turns.c.input_tokens, 0) + sa.func.coalesce(turns.c.output_tokens, 0))
    in_time = turns.c.created_at >= first * DAY_S, turns.c.created_at < end * DAY_S
    summed = (
        sa.select(turns.c.model, tokens, sa.func.sum(turns.c.cost_usd))
        .join_from(turns, jobs, turns.c.job_id == jobs.c.id)
        .where(jobs.c.team_id == team_id, *in_time, turns.c.model.is_not(None))
        .group_by(turns.c.model)
    )
    rows = await connection.execute(summed)
    return {model: Amount(int(tokens or 0), float(cost_usd or 0.0)) for model, tokens, cost_usd in rows}


async def _calls(connection: AsyncConnection, team_id: str, first: int, end: int) -> dict[str, int]:
    """Counts the calls of each tool that were made, and the vendors' web searches."""
    made = tool_calls.c.begun_at >= first * DAY_S, tool_calls.c.begun_at < end * DAY_S
    counted = (
        sa.select(tool_calls.c.tool, sa.func.count())
        .join_from(tool_calls, jobs, tool_calls.c.job_id == jobs.c.id)
        .where(jobs.c.team_id == team_id, *made)
        .group_by(tool_calls.c.tool)
    )
    calls = {tool: int(number) for tool, number in await connection.execute(counted)}
    in_time = turns.c.created_at >= first * DAY_S, turns.c.created_at < end * DAY_S
    searches = (
        sa.select(sa.func.sum(turns.c.web_searches))
        .join_from(turns, jobs, turns.c.job_id == jobs.c.id)
        .where(jobs.c.team_id == team_id, *in_time)
    )
    if number := await connection.scalar(searches):
        calls[texts.WEB_SEARCH_LABEL] = int(number)
    return calls
