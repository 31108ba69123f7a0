"""Usage totals by day, the caps that they may use up, and reports.

A cap that a Typist admin has set replaces those of BOT_CAPS for the workspace, a channel or a person. A report needs no
texts, so it stays the same after they are emptied.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core import texts
from bot.core.caps import (
    DAY_S,
    Amount,
    Cap,
    CapField,
    CapOwner,
    CapWindow,
    Limits,
    OwnCap,
    Period,
    Scope,
    ScopeIds,
    caps_in_force,
    day_of,
    first_day,
    passed_marks,
)
from bot.core.conversation import is_direct
from bot.core.outbox import OutboxKind
from bot.core.surfaces import DIRECT_MESSAGES, MonthUsage
from bot.core.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store import audit, outbox
from bot.store.database import Operations, reads, writes
from bot.store.engine import one_at_a_time
from bot.store.rows import insert_into, put
from bot.store.schema import caps, feedback, jobs, tool_calls, turns, usage_totals
from bot.store.threads import claim_notice

DAYS_KEPT = 62
"""App Home shows this month and the last."""


Counted = tuple[ScopeIds, Mapping[str, Any]]
"""A turn's row, and whom it counts for."""


async def count(connection: AsyncConnection, turns: Sequence[Counted], now: float, defaults: Sequence[Cap]) -> None:
    """Adds the usage of turns to the totals, and has the outbox tell Typist admins of marks that it has passed.

    Answers that will be erased when they end are left out: the totals name their askers.
    `defaults`: the caps that hold where admins have set no others.
    """
    # A transcription is billed by its length, and may use no tokens.
    counted = [(scope_ids, turn) for scope_ids, turn in turns if _tokens(turn) or turn["cost_usd"]]
    erased = await _erased(connection, {turn["job_id"] for _, turn in counted})
    counted = [(scope_ids, turn) for scope_ids, turn in counted if turn["job_id"] not in erased]
    if not counted:
        return
    await _add(connection, counted, now)
    for scope_ids, job_id in {scope_ids: turn["job_id"] for scope_ids, turn in counted}.items():
        await _tell_admins(connection, scope_ids, job_id, now, defaults)


async def used(
    connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow], now: float
) -> dict[CapWindow, Amount]:
    """Returns the usage in each window until now."""
    amounts = {}
    for window in windows:
        where = (
            usage_totals.c.team_id == scope_ids.team_id,
            usage_totals.c.scope == window.scope.value,
            usage_totals.c.scope_id == scope_ids.id_of(window.scope),
            usage_totals.c.day >= first_day(window.period, now),
        )
        amounts[window] = await added_up(connection, usage_totals.c.tokens, usage_totals.c.cost_usd, where)
    return amounts


async def by_day(connection: AsyncConnection, team_id: str, owner: CapOwner, first: int) -> dict[int, Amount]:
    """Returns what the owner of a cap used on each day since one."""
    totals = usage_totals.c
    of_owner = totals.team_id == team_id, totals.scope == owner.scope.value, totals.scope_id == owner.id
    days = sa.select(totals.day, totals.tokens, totals.cost_usd).where(*of_owner, totals.day >= first)
    return {row.day: Amount(row.tokens, row.cost_usd) for row in await connection.execute(days)}


async def added_up(
    connection: AsyncConnection,
    tokens: sa.Column[int],
    cost_usd: sa.Column[float],
    where: Sequence[sa.ColumnElement[bool]],
) -> Amount:
    """Returns the sum of two columns."""
    total = sa.select(sa.func.sum(tokens), sa.func.sum(cost_usd)).where(*where)
    summed = (await connection.execute(total)).one()
    return Amount(int(summed[0] or 0), float(summed[1] or 0.0))


def _tokens(turn: Mapping[str, Any]) -> int:
    return (turn["input_tokens"] or 0) + (turn["output_tokens"] or 0)


async def _erased(connection: AsyncConnection, job_ids: Collection[int]) -> set[int]:
    """Returns which of the jobs will be erased when they end."""
    these = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.erase_requested)
    return set(await connection.scalars(these)) if job_ids else set()


async def _add(connection: AsyncConnection, turns: Iterable[Counted], now: float) -> None:
    """Adds to the totals, in the same order in all processes, which prevents deadlocks."""
    sums: dict[tuple[str, str, str], Amount] = {}
    for scope_ids, turn in turns:
        for scope in Scope:
            key = (scope_ids.team_id, scope.value, scope_ids.id_of(scope))
            sums[key] = sums.get(key, Amount()) + Amount(_tokens(turn), turn["cost_usd"] or 0.0)
    names = ("team_id", "scope", "scope_id")
    rows = [
        {
            **dict(zip(names, key, strict=True)),
            "day": day_of(now),
            "tokens": sums[key].tokens,
            "cost_usd": sums[key].cost_usd,
        }
        for key in sorted(sums)
    ]
    add = insert_into(connection, usage_totals)
    more = {name: usage_totals.c[name] + add.excluded[name] for name in ("tokens", "cost_usd")}
    await connection.execute(add.on_conflict_do_update(index_elements=list(usage_totals.primary_key), set_=more), rows)


async def _tell_admins(
    connection: AsyncConnection, scope_ids: ScopeIds, job_id: int, now: float, defaults: Sequence[Cap]
) -> None:
    """Adds an outbox entry for each cap whose usage has passed a mark, once over all processes.

    The totals that were just written stay locked until this transaction ends, so no other one passes the same mark.
    """
    caps_now = await in_force(connection, scope_ids, defaults)
    amounts = await used(connection, scope_ids, {cap.window for cap in caps_now}, now)
    for cap in caps_now:
        passed = passed_marks(cap, amounts[cap.window], scope_ids.id_of(cap.window.scope), now)
        new = [notice for notice in passed if await claim_notice(connection, scope_ids.team_id, "", str(notice), now)]
        if new:
            # At 100%, nobody needs to hear of 80%.
            await outbox.add(connection, OutboxKind.TELL_ADMINS, [job_id], now, str(new[-1]))


class CapStore(Operations):
    """Reads and changes the caps that admins have set."""

    @reads
    async def own(self, connection: AsyncConnection, team_id: str, owner: CapOwner) -> tuple[Cap, ...]:
        """Returns the caps of the workspace, a channel or a person, without the defaults."""
        return await _own(connection, team_id, owner)

    @reads
    async def in_force(
        self, connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]
    ) -> tuple[Cap, ...]:
        """Returns the caps on a person's answers in a channel."""
        return await in_force(connection, scope_ids, defaults)

    @reads
    async def all(self, connection: AsyncConnection, team_id: str) -> list[OwnCap]:
        """Returns all caps that admins have set, with what is used of them."""
        now = self._now()
        used = [_used(column, now).label(f"used_{column.name}") for column in (_TOTALS.tokens, _TOTALS.cost_usd)]
        rows = await connection.execute(sa.select(caps, *used).where(caps.c.team_id == team_id))
        return [
            OwnCap(
                CapOwner(Scope(row.scope), row.scope_id),
                _cap(row),
                Amount(int(row.used_tokens or 0), float(row.used_cost_usd or 0.0)),
            )
            for row in rows
        ]

    @writes
    async def change(
        self, connection: AsyncConnection, team_id: str, owner: CapOwner, limits: Limits, *, by: str
    ) -> bool:
        """Sets and removes caps of one owner, from the next answer on and in all processes.

        `by` is the admin. Returns whether that changed anything.
        """
        # Neither a reservation nor another change comes between what is read here and what is written.
        await one_at_a_time(connection, f"caps {team_id}")
        before = {CapField.of(cap): cap.limit for cap in await _own(connection, team_id, owner)}
        changed = {field: limit for field, limit in limits.items() if before.get(field) != limit}
        for field, limit in changed.items():
            key = {
                "team_id": team_id,
                "scope": owner.scope.value,
                "scope_id": owner.id,
                "period": field.period.value,
                "in_dollars": field.in_dollars,
            }
            if limit is None:
                this = (caps.c[name] == value for name, value in key.items())
                await connection.execute(sa.delete(caps).where(*this))
            else:
                await put(connection, caps, key, {"amount": limit})
        if changed:
            about = {f"{owner.scope}_id": owner.id} if owner.scope is not Scope.WORKSPACE else {}
            facts = {"scope": owner.scope.value, **{field.value: _fact(to) for field, to in changed.items()}}
            await audit.setting_changed(connection, self._now(), "caps", facts, by=by, team_id=team_id, **about)
        return bool(changed)


def _fact(limit: float | None) -> float | str:
    """Returns a cap as the audit names it, whole numbers without a decimal point."""
    return "default" if limit is None else int(limit) if limit.is_integer() else limit


_TOTALS = usage_totals.c


async def in_force(connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]) -> tuple[Cap, ...]:
    """Returns the caps on a person's answers in a channel, as they are in this transaction."""
    owners = [CapOwner(scope, scope_ids.id_of(scope)) for scope in Scope]
    return caps_in_force(defaults, await _own(connection, scope_ids.team_id, *owners))


async def _own(connection: AsyncConnection, team_id: str, *owners: CapOwner) -> tuple[Cap, ...]:
    of_owners = sa.tuple_(caps.c.scope, caps.c.scope_id).in_([(owner.scope.value, owner.id) for owner in owners])
    rows = await connection.execute(sa.select(caps).where(caps.c.team_id == team_id, of_owners))
    return tuple(map(_cap, rows))


def _cap(row: sa.Row[Any]) -> Cap:
    return Cap(CapWindow(Scope(row.scope), Period(row.period)), row.amount, row.in_dollars)


def _used(column: sa.Column[Any], now: float) -> sa.ScalarSelect[Any]:
    """Sums what a cap's owner has used in its period."""
    since = sa.case((caps.c.period == Period.DAY.value, first_day(Period.DAY, now)), else_=first_day(Period.MONTH, now))
    of_owner = (_TOTALS[name] == caps.c[name] for name in ("team_id", "scope", "scope_id"))
    return sa.select(sa.func.sum(column)).where(*of_owner, _TOTALS.day >= since).correlate(caps).scalar_subquery()


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
