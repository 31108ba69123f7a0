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
    models, searches = await _by_model(connection, team_id, first, end)
    calls = await _calls(connection, team_id, first, end)
    return MonthUsage(
        total=by_scope[Scope.WORKSPACE].get(team_id, Amount()),
        people=by_scope[Scope.USER],
        channels=channels,
        models=models,
        calls=calls | ({texts.WEB_SEARCH_LABEL: searches} if searches else {}),
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


async def _by_model(connection: AsyncConnection, team_id: str, first: int, end: int) -> tuple[dict[str, Amount], int]:
    """Returns what each model used, and how often the vendors searched the web."""
    tokens = sa.func.sum(sa.func.coalesce(turns.c.input_tokens, 0) + sa.func.coalesce(turns.c.output_tokens, 0))
    summed = (
        sa.select(turns.c.model, tokens, sa.func.sum(turns.c.cost_usd), sa.func.sum(turns.c.web_searches))
        .where(*_of_team(turns, team_id, first, end))
        .group_by(turns.c.model)
    )
    rows = (await connection.execute(summed)).all()
    used = {model: Amount(int(tokens or 0), float(cost_usd or 0.0)) for model, tokens, cost_usd, _ in rows if model}
    return used, sum(int(searches or 0) for *_, searches in rows)


async def _calls(connection: AsyncConnection, team_id: str, first: int, end: int) -> dict[str, int]:
    """Counts the calls of each tool that were made."""
    counted = (
        sa.select(tool_calls.c.tool, sa.func.count())
        .where(*_of_team(tool_calls, team_id, first, end), tool_calls.c.begun_at.is_not(None))
        .group_by(tool_calls.c.tool)
    )
    return {tool: int(number) for tool, number in await connection.execute(counted)}


def _of_team(table: sa.Table, team_id: str, first: int, end: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the conditions for a team's rows of some days.

    The team is looked up for each row: joined, SQLite would go through all jobs of the team.
    """
    team = sa.select(jobs.c.team_id).where(jobs.c.id == table.c.job_id).scalar_subquery()
    return table.c.created_at >= first * DAY_S, table.c.created_at < end * DAY_S, team == team_id
