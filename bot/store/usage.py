"""The usage ledger, which stores the charges for models and who caused them, and limits how much running answers can
still use.

The table `charges` has a row for each charged attempt, step, transcription and decision about a message. It also has an
open row for each running attempt:

- A claim opens the attempt's row. While the row is open, it contains the attempt's reservation and the usage of the
  current step so far, which is updated with each heartbeat.
- When a step is recorded, it gets a separate row, and the open row starts over for the next step. A heartbeat or end
  that reports an earlier step arrived late and isn't counted.
- The end of the attempt closes the row with the charge. An interruption closes the row with the usage so far. A row
  without usage is deleted.

To close a job's open row or add another charge, a worker must hold the job's lock and have passed the fence. Other
writes to an attempt's row include the attempt's worker and number. Locks are taken in one order: jobs by their IDs,
then open rows by their jobs, then the caps of a workspace. Closed rows never change, except that erasure removes
people's names. They don't refer to a job, so they can outlive it.

Caps, App Home and `typist usage` add up these rows. Indexes make this fast enough for caps: adding up a month's 60,000
charges takes 8 ms in a SQLite file with 720,000 charges. An admin's cap replaces BOT_CAPS for the workspace, a channel
or a person.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core import texts
from bot.core.audit import answer_entry
from bot.core.caps import (
    CAP_MARK,
    DAY_S,
    Amount,
    Cap,
    CapCheck,
    CapField,
    CapOwner,
    CapWindow,
    Limits,
    OwnCap,
    Period,
    Scope,
    ScopeIds,
    check_caps,
    day_of,
    due_notices,
    effective_caps,
    first_day,
    scope_ids_of,
)
from bot.core.conversation import Question, is_direct_message
from bot.core.job import End, Job, StepEstimate
from bot.core.notifications import Notification
from bot.core.surfaces import DIRECT_MESSAGES, MonthUsage
from bot.core.texts.weekly import Week
from bot.core.usage import ANSWERED, FAILURES, UNANSWERED, WEEK_DAYS, AnswerUsage, DownReason, Thumb
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prices import ModelPrices
from bot.store import audit, notifications
from bot.store.database import Database, Operations, acquire_lock, completes, reads, writes
from bot.store.rows import IS_MIDWAY, in_thread, turn_values, upsert
from bot.store.schema import caps, charges, feedback, jobs, tool_calls, turns
from bot.store.workers import WorkerLiveness, WorkerOperations

ERASED_DIRECT_MESSAGE = "D"
"""The channel ID for charges in an erased person's direct messages, because the real one would identify the person."""
TOKENS = charges.c.input_tokens + charges.c.output_tokens
IS_OPEN = charges.c.day.is_(None)
_NO_RESERVE = {"reserved_tokens": 0, "reserved_usd": 0.0}
_NO_USAGE_YET = {"input_tokens": 0, "output_tokens": 0, "model": None}
_UPDATE_OPEN_CHARGE = (
    sa.update(charges)
    .where(
        IS_OPEN,
        charges.c.job_id == sa.bindparam("of_job"),
        charges.c.worker == sa.bindparam("of_worker"),
        charges.c.attempt == sa.bindparam("of_attempt"),
        charges.c.step_no <= sa.bindparam("of_step"),
    )
    .values({name: sa.bindparam(f"new_{name}", type_=charges.c[name].type) for name in _NO_USAGE_YET})
)


class Charge(NamedTuple):
    """A closed row, which contains the charge (in the ledger's columns) and who caused it."""

    id: int
    scope_ids: ScopeIds
    used: Mapping[str, Any]


async def insert_open_charges(connection: AsyncConnection, job_ids: Collection[int]) -> None:
    user_id = sa.case((jobs.c.erase_requested, ""), else_=jobs.c.user_id)
    is_hidden = sa.and_(jobs.c.erase_requested, jobs.c.channel_id.startswith("D"))
    columns = {
        "team_id": jobs.c.team_id,
        "user_id": user_id,
        "channel_id": sa.case((is_hidden, ERASED_DIRECT_MESSAGE), else_=jobs.c.channel_id),
        "job_id": jobs.c.id,
        "worker": jobs.c.worker,
        "attempt": jobs.c.attempts,
    }
    begun = sa.select(*columns.values()).where(jobs.c.id.in_(job_ids))
    if job_ids:
        await connection.execute(sa.insert(charges).from_select(list(columns), begun))


async def update_open_charges(connection: AsyncConnection, worker: str, estimates: Mapping[Job, StepEstimate]) -> None:
    # In the same order in all processes, which prevents deadlocks.
    rows = [
        {
            "of_job": job.id,
            "of_worker": worker,
            "of_attempt": job.attempts,
            "of_step": used.step_no,
            "new_input_tokens": used.input_tokens,
            "new_output_tokens": used.output_tokens,
            "new_model": used.model,
        }
        for job, used in sorted(estimates.items(), key=lambda item: item[0].id)
    ]
    if rows:
        await connection.execute(_UPDATE_OPEN_CHARGE, rows)


async def lock_open_charges(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Locks open rows in the same order as heartbeats do. Call this before a statement that changes the rows in an
    arbitrary order."""
    rows = sa.select(charges.c.id).where(IS_OPEN, *which).order_by(charges.c.job_id)
    await connection.execute(rows.with_for_update())


async def erase_person(connection: AsyncConnection, user_id: str | None) -> None:
    """Deletes a person's caps, and removes the person's name from charges. If everybody is erased, also deletes the
    charges."""
    own_cap = caps.c.scope_id == user_id if user_id else sa.true()
    await connection.execute(sa.delete(caps).where(caps.c.scope == Scope.USER.value, own_cap))
    theirs = charges.c.user_id == user_id if user_id else sa.true()
    await lock_open_charges(connection, theirs)
    # A direct message's channel identifies a person.
    channel_id = sa.case((charges.c.channel_id.startswith("D"), ERASED_DIRECT_MESSAGE), else_=charges.c.channel_id)
    nameless = sa.update(charges).values(user_id="", channel_id=channel_id)
    await connection.execute((nameless if user_id else sa.delete(charges)).where(theirs))


async def delete_open_charge(connection: AsyncConnection, job_id: int) -> None:
    await connection.execute(sa.delete(charges).where(IS_OPEN, charges.c.job_id == job_id))


@dataclass(frozen=True, slots=True)
class Meter:
    prices: ModelPrices | None
    """Prices, or None if nothing is charged."""
    caps: Sequence[Cap]
    """Caps from the settings, which apply unless admins have set other caps."""

    async def charge_step(self, connection: AsyncConnection, job: Job, step_no: int, end: End, now: float) -> None:
        await self.charge_request(connection, job, end, now)
        next_step = sa.update(charges).where(IS_OPEN, charges.c.job_id == job.id)
        await connection.execute(next_step.values(step_no=step_no + 1, **_NO_USAGE_YET))

    async def charge_request(self, connection: AsyncConnection, job: Job, end: End, now: float) -> None:
        charge = None
        if end.usage is not None:
            used = self._charge_values(end, end.usage, now)
            names = ("team_id", "user_id", "channel_id", "job_id")
            values = {name: sa.literal(value, charges.c[name].type) for name, value in used.items()}
            of_attempt = sa.select(*(charges.c[name] for name in names), *values.values())
            added = sa.insert(charges).from_select(
                [*names, *values], of_attempt.where(IS_OPEN, charges.c.job_id == job.id)
            )
            charge = _charge_of((await connection.execute(added.returning(charges))).one_or_none(), used)
        await self.record_turns(connection, {job: (turn_values(job.id, job.version, end, "", now), charge)}, now)

    async def charge(self, connection: AsyncConnection, job: Job, end: End, now: float) -> Charge | None:
        """Closes the row of an ended attempt. Returns the charge, or None if there is nothing to charge."""
        charge = None
        if end.usage is not None:
            used = self._charge_values(end, end.usage, now)
            # A stop can come while a step is being recorded, so an estimate for a recorded step counts nothing.
            is_new = sa.true() if end.estimated_step is None else charges.c.step_no <= end.estimated_step
            this = sa.update(charges).where(IS_OPEN, charges.c.job_id == job.id, is_new)
            closed = this.values(**used, **_NO_RESERVE).returning(charges)
            charge = _charge_of((await connection.execute(closed)).one_or_none(), used)
        if charge is None:
            await delete_open_charge(connection, job.id)
        return charge

    async def charge_interrupted(self, connection: AsyncConnection, interrupted: Sequence[Job], now: float) -> None:
        """Closes the rows of attempts that another attempt will continue, and records a turn for each attempt that has
        usage."""
        ours = IS_OPEN, charges.c.job_id.in_([job.id for job in interrupted])
        rows = {row.job_id: row for row in await connection.execute(sa.select(charges).where(*ours))}
        ended: dict[Job, tuple[dict[str, Any], Charge | None]] = {}
        for job in interrupted:
            row = rows.get(job.id)
            if row is not None and (row.input_tokens or row.output_tokens):
                usage = Usage(row.input_tokens, row.output_tokens)
                end = End(EndReason.INTERRUPTED, model=row.model, usage=usage)
                ended[job] = (
                    turn_values(job.id, job.version, end, "", now),
                    await self.charge(connection, job, end, now),
                )
        await connection.execute(sa.delete(charges).where(*ours))
        await self.record_turns(connection, ended, now)

    async def record_turns(
        self, connection: AsyncConnection, ended: Mapping[Job, tuple[Mapping[str, Any], Charge | None]], now: float
    ) -> None:
        """Records the turns of attempts and steps. Notifies admins if usage has reached one of the percentages of a
        cap."""
        if not ended:
            return
        rows = [{**turn, "charge_id": charge and charge.id} for turn, charge in ended.values()]
        await connection.execute(sa.insert(turns), rows)
        entries = [
            answer_entry(job.question, job.id, {**turn, **(charge.used if charge else {})})
            for job, (turn, charge) in ended.items()
        ]
        await audit.append(connection, now, entries)
        # An erased person has no caps, and their job might be gone.
        charged = {charge.scope_ids for _, charge in ended.values() if charge and charge.scope_ids.user_id}
        # In the same order in all processes, which prevents deadlocks.
        for scope_ids in sorted(charged, key=astuple):
            await _notify_admins(connection, scope_ids, now, self.caps)

    def _charge_values(self, end: End, usage: Usage, now: float) -> dict[str, Any]:
        prices, model = self.prices, end.model
        return {
            "day": day_of(now),
            "model": model,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "web_searches": usage.web_searches,
            "cost_usd": prices.cost_usd(model, usage, now) if prices and model else None,
        }


def _charge_of(row: sa.Row[Any] | None, used: Mapping[str, Any]) -> Charge | None:
    return row and Charge(row.id, ScopeIds(row.team_id, row.user_id, row.channel_id), used)


class MeteredOperations(WorkerOperations):
    def __init__(self, database: Database, worker: WorkerLiveness, meter: Meter) -> None:
        super().__init__(database, worker)
        self._meter = meter


class UsageLedger(WorkerOperations):
    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database, worker)
        self._reserving = asyncio.Lock()

    @completes()
    async def reserve(self, job: Job, max_usage: Amount, defaults: Sequence[Cap]) -> CapCheck:
        """Reserves an answer's maximum usage until its attempt ends, if the caps leave enough room. A workspace's
        reservations are made one after another. `defaults`: the caps that apply unless admins have set other caps."""
        scope_ids = scope_ids_of(job.question)
        if not defaults:
            # Without caps, an answer doesn't wait for a lock.
            async with self._database.begin_read() as connection:
                if not await caps_in_force(connection, scope_ids, defaults):
                    return CapCheck()
        # The database takes one at a time anyway. Callers that wait for its lock must not use up all our connections.
        async with self._reserving, self._database.begin_write() as connection:
            this = (
                IS_OPEN,
                charges.c.job_id == job.id,
                charges.c.worker == self._worker.name,
                charges.c.attempt == job.attempts,
            )
            # First, like an end. In the opposite order, the two could deadlock.
            await connection.execute(sa.select(charges.c.id).where(*this).with_for_update())
            await acquire_lock(connection, f"caps {scope_ids.team_id}")
            caps_now = await caps_in_force(connection, scope_ids, defaults)
            # In this order, an answer that ends in between briefly counts twice, and is never missed.
            scopes = {cap.window.scope for cap in caps_now}
            reserved = {scope: await _reserved_by_others(connection, job, scope) for scope in scopes}
            used = await _usage_by_window(connection, scope_ids, {cap.window for cap in caps_now}, self._now())
            check = check_caps(caps_now, used, reserved)
            if check == CapCheck():
                values = {"reserved_tokens": max_usage.tokens, "reserved_usd": max_usage.cost_usd}
                await connection.execute(sa.update(charges).where(*this).values(**values))
            return check

    @reads
    async def cost_so_far(self, connection: AsyncConnection, job_id: int) -> float | None:
        """Returns a running answer's cost in dollars since it last ended, or None if a price is unknown."""
        of_job = sa.select(charges.c.cost_usd).outerjoin_from(turns, charges, turns.c.charge_id == charges.c.id)
        ended = sa.select(sa.func.max(turns.c.id)).where(turns.c.job_id == job_id, ~IS_MIDWAY).scalar_subquery()
        since = turns.c.job_id == job_id, turns.c.id > sa.func.coalesce(ended, 0)
        costs = (await connection.scalars(of_job.where(*since))).all()
        return None if None in costs else float(sum(costs))

    @reads
    async def usage_by_window(
        self, connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow]
    ) -> Mapping[CapWindow, Amount]:
        """Returns the usage in each window's current period. An attempt's usage counts on the day when the attempt
        ended."""
        return await _usage_by_window(connection, scope_ids, windows, self._now())

    async def usage_by_period(self, scope_ids: ScopeIds, scope: Scope) -> dict[Period, Amount]:
        windows = {period: CapWindow(scope, period) for period in Period}
        used = await self.usage_by_window(scope_ids, windows.values())
        return {period: used[window] for period, window in windows.items()}

    @writes
    async def charge_message(
        self, connection: AsyncConnection, question: Question, amount: Amount, defaults: Sequence[Cap]
    ) -> None:
        """Charges the thread's newest job for a message that isn't a question yet. `defaults`: as in Meter."""
        newest = sa.select(jobs.c.id).where(in_thread(question.thread)).order_by(jobs.c.ts.desc()).limit(1)
        # An end also locks its job before the caps.
        job_id = await connection.scalar(newest.with_for_update(read=True, key_share=True))
        if job_id is None or not amount:
            return
        scope_ids, now = scope_ids_of(question), self._now()
        ids = {"team_id": scope_ids.team_id, "user_id": scope_ids.user_id, "channel_id": scope_ids.channel_id}
        used = {"input_tokens": amount.tokens, "cost_usd": amount.cost_usd}
        await connection.execute(sa.insert(charges).values(**ids, job_id=job_id, day=day_of(now), **used))
        await _notify_admins(connection, scope_ids, now, defaults)

    @reads
    async def usage_by_day(
        self, connection: AsyncConnection, team_id: str, owner: CapOwner, first_day: int
    ) -> Mapping[int, Amount]:
        """Returns a cap owner's usage on each day since `first_day`. Days are counted from 1970-01-01."""
        of_owner = _is_charged_to(ScopeIds(team_id, owner.id, owner.id), owner.scope)
        days = sa.select(charges.c.day, *_SUMS).where(*of_owner, charges.c.day >= first_day).group_by(charges.c.day)
        return {day: _amount(*sums) for day, *sums in await connection.execute(days)}

    @reads
    async def month_usage(self, connection: AsyncConnection, team_id: str, first_day: int, end_day: int) -> MonthUsage:
        """Returns a workspace's usage from `first_day` up to, but not including, `end_day`. Days are counted from
        1970-01-01."""
        of_month = charges.c.team_id == team_id, charges.c.day >= first_day, charges.c.day < end_day
        by = (charges.c.user_id, charges.c.channel_id, charges.c.model)
        # Added up in the database, because App Home is opened more often than a report is run.
        summed = sa.select(*by, *_SUMS, sa.func.sum(charges.c.web_searches)).where(*of_month).group_by(*by)
        total, searches = Amount(), 0
        people: dict[str, Amount] = defaultdict(Amount)
        channels: dict[str, Amount] = defaultdict(Amount)
        models: dict[str, Amount] = defaultdict(Amount)
        for user_id, channel_id, model, tokens, cost_usd, count in await connection.execute(summed):
            amount = _amount(tokens, cost_usd)
            total += amount
            searches += int(count or 0)
            channels[DIRECT_MESSAGES if is_direct_message(channel_id) else channel_id] += amount
            if user_id:
                people[user_id] += amount
            if model:
                models[model] += amount
        calls = await _calls_by_tool(connection, team_id, first_day, end_day)
        calls |= {texts.settings.WEB_SEARCH.label: searches} if searches else {}
        return MonthUsage(total=total, people=people, channels=channels, models=models, calls=calls)

    @reads
    async def questions_of_askers(self, connection: AsyncConnection, team_id: str, day: int, limit: int) -> list[int]:
        """Returns how many questions the most active people asked on a day, which is counted from 1970-01-01."""
        number = sa.func.count(charges.c.job_id.distinct())
        asked = sa.select(number).where(charges.c.team_id == team_id, charges.c.day == day, charges.c.user_id != "")
        most = asked.group_by(charges.c.user_id).order_by(number.desc()).limit(limit)
        return list(await connection.scalars(most))

    @reads
    async def week_usage(self, connection: AsyncConnection, team_id: str, first_day: int, limit: int) -> Week:
        """Returns the usage of the week that begins on `first_day` (counted from 1970-01-01), including up to `limit`
        channels with the most 👎."""
        count, over, first_s = sa.func.count(), ~IS_MIDWAY, turns.c.first_token_s
        sums = (
            sa.func.count(jobs.c.user_id.distinct()).filter(over),
            sa.func.sum(charges.c.cost_usd),
            sa.func.sum(TOKENS).filter(charges.c.cost_usd.is_(None)),
            sa.func.max(first_s),
            sa.func.count(first_s),
        )
        # Added up in the database, because reading a large company's rows would block everything else.
        people, usd, unpriced, slowest_s, waits = (
            await connection.execute(_select_week(team_id, first_day, *sums))
        ).one()
        by_end = _select_week(team_id, first_day, turns.c.end_reason, count).group_by(turns.c.end_reason)
        last = _select_week(team_id, first_day, sa.func.max(turns.c.id)).where(over).group_by(turns.c.job_id)
        ends = sa.select(turns.c.end_reason, count).where(turns.c.id.in_(last)).group_by(turns.c.end_reason)
        in_order = _select_week(team_id, first_day, first_s).where(first_s.is_not(None)).order_by(first_s)
        middle = (await connection.scalars(in_order.offset(max(0, waits - 1) // 2).limit(2 - waits % 2))).all()
        attempts = {EndReason(reason): number for reason, number in await connection.execute(by_end)}
        questions = {EndReason(reason): number for reason, number in await connection.execute(ends)}
        up, down, reasons, disliked = await _week_feedback(connection, team_id, first_day, limit)
        return Week(
            questions=sum(questions.values()),
            people=people,
            answers=sum(number for reason, number in attempts.items() if reason in ANSWERED),
            stopped=sum(number for reason, number in attempts.items() if reason.is_stop),
            failed={reason.value: number for reason, number in attempts.items() if reason in FAILURES},
            unanswered={reason.value: number for reason, number in questions.items() if reason in UNANSWERED},
            thumbs=(up, down),
            reasons=reasons,
            disliked=disliked,
            median_s=median(middle) if middle else None,
            slowest_s=slowest_s,
            usd=usd or 0.0,
            unpriced_tokens=int(unpriced or 0),
        )

    @reads
    async def channels_of_asker(
        self, connection: AsyncConnection, team_id: str, user_id: str, first_day: int
    ) -> list[str]:
        """Returns the channels where a person has asked questions since `first_day` (counted from 1970-01-01), most
        recent first. Excludes direct messages."""
        channel_id = charges.c.channel_id
        of_person = _is_charged_to(ScopeIds(team_id, user_id, ""), Scope.USER)
        theirs = (
            sa.select(channel_id)
            .join(jobs, jobs.c.id == charges.c.job_id)
            # A decision about a person's message is charged to them, even if it isn't a question.
            .where(*of_person, charges.c.day >= first_day, jobs.c.user_id == user_id)
        )
        newest_first = theirs.group_by(channel_id).order_by(sa.func.max(charges.c.id).desc())
        return [id_ for id_ in await connection.scalars(newest_first) if not is_direct_message(id_)]


class CapStore(Operations):
    @reads
    async def own_caps(self, connection: AsyncConnection, team_id: str, owner: CapOwner) -> tuple[Cap, ...]:
        return await _caps_of(connection, team_id, owner)

    @reads
    async def caps_in_force(
        self, connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]
    ) -> tuple[Cap, ...]:
        return await caps_in_force(connection, scope_ids, defaults)

    @reads
    async def all_caps(self, connection: AsyncConnection, team_id: str) -> list[OwnCap]:
        now = self._now()
        found = []
        for row in (await connection.execute(sa.select(caps).where(caps.c.team_id == team_id))).all():
            cap, ids = _cap_of(row), ScopeIds(team_id, row.scope_id, row.scope_id)
            used = await _usage_by_window(connection, ids, [cap.window], now)
            found.append(OwnCap(CapOwner(cap.window.scope, row.scope_id), cap, used[cap.window]))
        return found

    @writes
    async def change(
        self, connection: AsyncConnection, team_id: str, owner: CapOwner, limits: Limits, *, by: str
    ) -> bool:
        """Sets or removes an owner's caps, starting with the next answer. Returns whether any cap has changed."""
        # Prevents reservations and other changes between this read and the write.
        await acquire_lock(connection, f"caps {team_id}")
        before = {CapField.for_cap(cap): cap.limit for cap in await _caps_of(connection, team_id, owner)}
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
                await upsert(connection, caps, key, {"amount": limit})
        if changed:
            about = {f"{owner.scope}_id": owner.id} if owner.scope is not Scope.WORKSPACE else {}
            facts = {"scope": owner.scope.value, **{field.value: _audit_value(to) for field, to in changed.items()}}
            await audit.record_setting(connection, self._now(), "caps", facts, by=by, team_id=team_id, **about)
        return bool(changed)


def _audit_value(limit: float | None) -> float | str:
    return "default" if limit is None else int(limit) if limit.is_integer() else limit


async def caps_in_force(connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]) -> tuple[Cap, ...]:
    owners = [CapOwner(scope, scope_ids.id_of(scope)) for scope in Scope]
    return effective_caps(defaults, await _caps_of(connection, scope_ids.team_id, *owners))


async def _caps_of(connection: AsyncConnection, team_id: str, *owners: CapOwner) -> tuple[Cap, ...]:
    of_owners = sa.tuple_(caps.c.scope, caps.c.scope_id).in_([(owner.scope.value, owner.id) for owner in owners])
    rows = await connection.execute(sa.select(caps).where(caps.c.team_id == team_id, of_owners))
    return tuple(map(_cap_of, rows))


def _cap_of(row: sa.Row[Any]) -> Cap:
    return Cap(CapWindow(Scope(row.scope), Period(row.period)), row.amount, row.in_dollars)


_SUMS = sa.func.sum(TOKENS), sa.func.sum(charges.c.cost_usd)


def _amount(tokens: int | None, cost_usd: float | None) -> Amount:
    return Amount(int(tokens or 0), float(cost_usd or 0.0))


def _is_charged_to(scope_ids: ScopeIds, scope: Scope) -> tuple[sa.ColumnElement[bool], ...]:
    within = {
        Scope.USER: charges.c.user_id == scope_ids.user_id,
        Scope.CHANNEL: charges.c.channel_id == scope_ids.channel_id,
        Scope.WORKSPACE: sa.true(),
    }
    return charges.c.team_id == scope_ids.team_id, within[scope]


async def _usage_by_window(
    connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow], now: float
) -> dict[CapWindow, Amount]:
    amounts: dict[CapWindow, Amount] = {}
    for scope in {window.scope for window in windows}:
        firsts = {window: first_day(window.period, now) for window in windows if window.scope is scope}
        sums = [each.filter(charges.c.day >= first) for first in firsts.values() for each in _SUMS]
        since = charges.c.day >= min(firsts.values())
        summed = (await connection.execute(sa.select(*sums).where(*_is_charged_to(scope_ids, scope), since))).one()
        amounts |= {window: _amount(*summed[2 * at : 2 * at + 2]) for at, window in enumerate(firsts)}
    return amounts


async def _reserved_by_others(connection: AsyncConnection, job: Job, scope: Scope) -> Amount:
    others = *_is_charged_to(scope_ids_of(job.question), scope), IS_OPEN, charges.c.job_id != job.id
    reserved = sa.select(sa.func.sum(charges.c.reserved_tokens), sa.func.sum(charges.c.reserved_usd))
    return _amount(*(await connection.execute(reserved.where(*others))).one())


async def _notify_admins(connection: AsyncConnection, scope_ids: ScopeIds, now: float, defaults: Sequence[Cap]) -> None:
    team_id, caps_now = scope_ids.team_id, await caps_in_force(connection, scope_ids, defaults)
    if not caps_now:
        return
    # If two charges pass a mark together, the second has to see the first.
    await acquire_lock(connection, f"caps {team_id}")
    amounts = await _usage_by_window(connection, scope_ids, {cap.window for cap in caps_now}, now)
    for cap in caps_now:
        passed = due_notices(cap, amounts[cap.window], scope_ids.id_of(cap.window.scope), now)
        # At 100%, nobody needs to hear about 80%.
        for overtaken in passed[:-1]:
            await notifications.claim(connection, team_id, "", str(overtaken), now)
        for newest in passed[-1:]:
            told = Notification("", str(newest), {"team_id": team_id, "notice": str(newest)}, CAP_MARK)
            await notifications.add(connection, now, team_id, told)


_ATTEMPTS = turns.join(jobs, turns.c.job_id == jobs.c.id).outerjoin(charges, turns.c.charge_id == charges.c.id)


def _is_in_week(team_id: str, first_day: int, time: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    # In this form, SQLite doesn't use an index to scan all of the team's jobs.
    is_in_team = jobs.c.team_id.concat("") == team_id
    return sa.and_(time >= first_day * DAY_S, time < (first_day + WEEK_DAYS) * DAY_S, is_in_team)


def _select_week(team_id: str, first_day: int, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Selects a week's attempts that are included in reports (AnswerUsage.counts)."""
    counts = sa.or_(~IS_MIDWAY, TOKENS > 0, charges.c.cost_usd > 0)
    return sa.select(*columns).select_from(_ATTEMPTS).where(_is_in_week(team_id, first_day, turns.c.created_at), counts)


async def _week_feedback(
    connection: AsyncConnection, team_id: str, first_day: int, limit: int
) -> tuple[int, int, dict[str, int], dict[str, int]]:
    """Returns the number of 👍 and of 👎 in a week, the number of 👎 by reason, and the channels with the most 👎."""
    of_week, count = _is_in_week(team_id, first_day, feedback.c.at), sa.func.count()
    given = feedback.join(jobs, feedback.c.job_id == jobs.c.id)
    value, reason = feedback.c.value, feedback.c.reason
    place = sa.case((jobs.c.channel_id.startswith("D"), ""), else_=jobs.c.channel_id).label("place")
    by_reason = sa.select(value, reason, count).select_from(given).where(of_week).group_by(value, reason)
    by_place = sa.select(place, count).select_from(given).where(of_week, value <= 0).group_by(place)
    thumbs, reasons = Counter[bool](), Counter[str]()
    for thumb, why, number in await connection.execute(by_reason):
        thumbs[thumb > 0] += number
        reasons += Counter({DownReason(why).value: number} if why else {})
    most = await connection.execute(by_place.order_by(count.desc(), place).limit(limit))
    return thumbs[True], thumbs[False], reasons, {channel_id: int(number) for channel_id, number in most}


async def attempt_usages(
    connection: AsyncConnection, since: float, *which: sa.ColumnElement[bool]
) -> list[AnswerUsage]:
    ended = (
        sa.select(
            turns.c.created_at.label("at"),
            turns.c.job_id,
            jobs.c.user_id,
            jobs.c.channel_id,
            turns.c.model,
            turns.c.end_reason,
            charges.c.input_tokens,
            charges.c.output_tokens,
            charges.c.cost_usd,
            turns.c.first_token_s,
            charges.c.web_searches,
        )
        .select_from(_ATTEMPTS)
        .where(turns.c.created_at >= since, *which)
        .order_by(turns.c.id)
    )
    rows = await connection.execute(ended)
    return [AnswerUsage(**{**row._mapping, "end_reason": EndReason(row.end_reason)}) for row in rows]


async def thumbs(connection: AsyncConnection, since: float, *which: sa.ColumnElement[bool]) -> list[Thumb]:
    given = (
        sa.select(
            feedback.c.at, jobs.c.user_id, jobs.c.channel_id, feedback.c.model, feedback.c.value, feedback.c.reason
        )
        .join_from(feedback, jobs, feedback.c.job_id == jobs.c.id)
        .where(feedback.c.at >= since, *which)
    )
    return [
        Thumb(**{**row._mapping, "reason": DownReason(row.reason) if row.reason else None})
        for row in await connection.execute(given)
    ]


async def _calls_by_tool(connection: AsyncConnection, team_id: str, first_day: int, end_day: int) -> dict[str, int]:
    # Looked up for each row, because with a join, SQLite would scan all jobs of the team.
    team = sa.select(jobs.c.team_id).where(jobs.c.id == tool_calls.c.job_id).scalar_subquery()
    made_at = tool_calls.c.created_at
    counted = (
        sa.select(tool_calls.c.tool, sa.func.count())
        .where(
            made_at >= first_day * DAY_S, made_at < end_day * DAY_S, team == team_id, tool_calls.c.begun_at.is_not(None)
        )
        .group_by(tool_calls.c.tool)
    )
    return {tool: int(number) for tool, number in await connection.execute(counted)}
