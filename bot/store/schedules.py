"""Stores schedules and begins their runs.

A run is a job (`jobs.schedule_id`). When a schedule is due, one transaction locks its row, adds the job with the outbox
entry that posts it, and sets `next_at` to the first due time after now. The job's `asked_as`, which is unique, contains
the schedule and the due time. A due time therefore has only one job, even if several processes check the schedule or
one of them dies.

Due times that passed while no process was running or while a clock was stopped are handled together, and
core/schedules.py decides which of them to run. If a clock was fast, `next_at` is too late. Each process corrects this
at startup.

A stopped schedule's row is kept for a few days so that people can undo the stop. Only `restore` reads such rows. The
transaction that skips a run (by deleting its job) or pauses a schedule also adds the notification that gives the
reason.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import SCHEDULE
from bot.core.caps import Amount, Period, day_of, first_day
from bot.core.outbox import OutboxKind
from bot.core.schedules import (
    DAY_TOKENS,
    MAX_FAILURES,
    MAX_IN_CHANNEL,
    RUN_TOKENS,
    PauseReason,
    Proposal,
    Rule,
    Run,
    RunReport,
    Schedule,
    UnusableRule,
    due_at_of_run,
    run_id,
)
from bot.core.texts import schedules as sentences
from bot.core.unposted import QuotedMessage
from bot.errors import EndReason
from bot.store import audit, notifications, outbox
from bot.store.database import Database, Operations, acquire_lock, completes, reads, writes
from bot.store.rows import HAS_ENDED, IS_LIVE, IS_UNPOSTED, has_row, insert_into, known_fields, unposted_values
from bot.store.schema import charges, jobs, schedules, tool_calls, turns
from bot.store.usage import TOKENS

MAX_RUNS_AT_ONCE = 50
"""Maximum number of runs to begin per transaction. The next check begins the rest."""

_IS_NOT_STOPPED = schedules.c.stopped_at.is_(None)
_RUN_COUNTS = sa.func.count(), sa.func.count().filter(jobs.c.held.is_(False))
"""The number of runs that have a rule in words, and the number of those that posted something."""
_IS_ANY_DUE = sa.select(sa.exists().where(schedules.c.next_at <= sa.bindparam("now")))

log = logging.getLogger(__name__)


class ScheduleStore(Operations):
    """Stores schedules and begins their runs. Methods that change a schedule return whether the schedule existed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._is_corrected = False

    @writes
    async def create(
        self,
        connection: AsyncConnection,
        team_id: str,
        channel_id: str,
        user_id: str,
        proposal: Proposal,
        limit: int = MAX_IN_CHANNEL,
    ) -> int:
        """Stores a schedule and returns its ID. Raises UnusableRule if the rule can't be used, if there is no room for
        the schedule, or if an equal one exists. `limit`: the maximum number of this person's schedules in the
        channel."""
        now = self._now()
        await _check_new_schedule(connection, team_id, channel_id, user_id, proposal, limit)
        values = {
            "team_id": team_id,
            "channel_id": channel_id,
            "user_id": user_id,
            "run_tokens": RUN_TOKENS,
            "day_tokens": DAY_TOKENS,
            "created_at": now,
            **_proposal_values(proposal),
            "next_at": proposal.rule.first_due_after(now),
        }
        added = sa.insert(schedules).values(values).returning(schedules)
        row = (await connection.execute(added)).one()
        await _record_change(connection, now, row, "created", by=user_id)
        return int(row.id)

    @reads
    async def active_schedules(self, connection: AsyncConnection, team_id: str, channel_id: str) -> list[Schedule]:
        return await _active_schedules(connection, team_id, channel_id)

    @reads
    async def all(
        self, connection: AsyncConnection, team_id: str, channel_id: str = "", user_id: str = ""
    ) -> list[Schedule]:
        """Returns the schedules of a workspace, or only those in a channel or by a person."""
        of_team = {"team_id": team_id, "channel_id": channel_id, "user_id": user_id}
        these = (schedules.c[name] == value for name, value in of_team.items() if value)
        return await self._read_schedules(connection, *these)

    @reads
    async def read(
        self, connection: AsyncConnection, team_id: str, schedule_id: int, *, is_stopped: bool = False
    ) -> Schedule | None:
        this = schedules.c.team_id == team_id, schedules.c.id == schedule_id
        found = await self._read_schedules(connection, *this, state=~_IS_NOT_STOPPED if is_stopped else _IS_NOT_STOPPED)
        return found[0] if found else None

    @writes
    async def change(
        self,
        connection: AsyncConnection,
        team_id: str,
        schedule_id: int,
        by: str,
        proposal: Proposal,
        run_tokens: int,
        day_tokens: int,
        limit: int = MAX_IN_CHANNEL,
    ) -> bool:
        """Changes a schedule's task, rule and caps. A paused schedule remains paused. Raises UnusableRule if the rule
        can't be used, or if there is no longer room for a one-time schedule that has already run. `limit`: as in
        `create`."""
        row, now = await _lock_schedule(connection, team_id, schedule_id), self._now()
        if row is None:
            return False
        values = {**_proposal_values(proposal), "run_tokens": run_tokens, "day_tokens": day_tokens}
        if by != row.user_id:
            # An account is used only for its owner's own words.
            values["accounts"] = row.accounts if values["text"] == row.text else []
        if not row.paused and _rule_of(row) != proposal.rule:
            values["next_at"] = proposal.rule.first_due_after(now)
            if row.next_at is None:
                _check_room(await _lock_active_schedules(connection, team_id, row.channel_id), row.user_id, limit)
                await outbox.queue_updates_where(connection, now, _shows_schedule(row.id))
        changed = sorted(name for name, value in values.items() if getattr(row, name) != value)
        if changed:
            await _update_row(connection, row, **values, changed_by="" if by == row.user_id else by)
            caps = {name: values[name] for name in ("run_tokens", "day_tokens") if name in changed}
            await _record_change(connection, now, row, "changed", by=by, fields=changed, **caps)
        return True

    @writes
    async def pause(
        self,
        connection: AsyncConnection,
        team_id: str,
        schedule_id: int,
        reason: PauseReason,
        by: str = "",
    ) -> bool:
        """Pauses a schedule, and deletes its run if that hasn't been posted yet. Returns False if the schedule is
        already paused."""
        row = await _lock_schedule(connection, team_id, schedule_id)
        if row is None or row.paused:
            return False
        # Slack might refuse the run's post for an hour.
        await _pause(connection, row, reason, self._now(), by)
        await connection.execute(sa.delete(jobs).where(jobs.c.schedule_id == row.id, IS_UNPOSTED))
        return True

    @writes
    async def resume(
        self, connection: AsyncConnection, team_id: str, schedule_id: int, by: str, reason: PauseReason | None = None
    ) -> float | None:
        """Resumes a schedule. If a reason is given, resumes it only if it was paused for that reason. Returns the next
        due time, or None if the schedule is still paused."""
        row, now = await _lock_schedule(connection, team_id, schedule_id), self._now()
        if row is None or not row.paused or reason not in (None, row.paused):
            return None
        try:
            next_at = _rule_of(row).first_due_after(now)
        except UnusableRule:
            return None
        await _update_row(connection, row, paused="", failures=0, next_at=next_at)
        await _record_change(connection, now, row, "resumed", by=by)
        return next_at

    @writes
    async def stop(
        self, connection: AsyncConnection, team_id: str, schedule_id: int, by: str, clicked_ts: str = ""
    ) -> bool:
        """Stops a schedule, and deletes its run if that hasn't been posted yet. A run in progress continues.
        `clicked_ts`: the run's post with the clicked button, or ""."""
        row, now = await _lock_schedule(connection, team_id, schedule_id), self._now()
        if row is None:
            return False
        await connection.execute(
            sa.update(schedules).where(schedules.c.id == row.id).values(stopped_at=now, next_at=None)
        )
        await connection.execute(sa.delete(jobs).where(jobs.c.schedule_id == row.id, IS_UNPOSTED))
        await _record_change(connection, now, row, "stopped", by=by)
        await outbox.queue_updates_where(connection, now, _shows_schedule(row.id))
        await _restate_runs(connection, row, clicked_ts, now, stopped_by=by)
        return True

    @writes
    async def restore(
        self, connection: AsyncConnection, team_id: str, schedule_id: int, by: str, job_id: int, clicked_ts: str = ""
    ) -> bool:
        """Undoes a stop that a job's answer reported. Returns False if no stop was reported. Raises UnusableRule, as in
        `create`. `clicked_ts`: as in `stop`."""
        row, now = await _lock_schedule(connection, team_id, schedule_id, ~_IS_NOT_STOPPED), self._now()
        if row is None:
            return False
        await _check_new_schedule(connection, team_id, row.channel_id, row.user_id, _schedule_of(row).as_proposal)
        next_at = None if row.paused else _rule_of(row).first_due_after(now)
        await connection.execute(
            sa.update(schedules).where(schedules.c.id == row.id).values(stopped_at=None, next_at=next_at)
        )
        await _record_change(connection, now, row, "restored", by=by)
        await outbox.queue_updates_where(connection, now, sa.or_(_shows_schedule(row.id), jobs.c.id == job_id))
        await _restate_runs(connection, row, clicked_ts, now)
        return True

    @writes
    async def run_now(self, connection: AsyncConnection, team_id: str, schedule_id: int, by: str) -> bool:
        row, now = await _lock_schedule(connection, team_id, schedule_id), self._now()
        is_under_way = sa.or_(IS_UNPOSTED, IS_LIVE)
        if row is None or await has_row(connection, jobs.c.schedule_id == row.id, is_under_way):
            return False
        is_new = await _add_run(connection, row, now, now)
        if is_new:
            await _record_change(connection, now, row, "run", by=by)
        return is_new

    @completes()
    async def begin_due(self, limit: int = MAX_RUNS_AT_ONCE) -> int:
        """Begins up to `limit` runs that are due. Each run begins only once, even with several processes. Returns the
        number of runs."""
        now = self._now()
        if not self._is_corrected:
            await self._correct_due_times(now)
            self._is_corrected = True
        # Usually nothing is due, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if limit <= 0 or not await connection.scalar(_IS_ANY_DUE, {"now": now}):
                return 0
        async with self._database.begin_write() as connection:
            due = (
                sa.select(schedules)
                .where(schedules.c.next_at <= now)
                .order_by(schedules.c.next_at, schedules.c.id)
                .limit(limit)
            )
            rows = (await connection.execute(due.with_for_update(skip_locked=True))).all()
            return sum([await _begin_run(connection, row, now) for row in rows])

    @reads
    async def run(self, connection: AsyncConnection, job_id: int) -> Run | None:
        """Returns the run of a job, or None if the job isn't a run or its schedule was stopped."""
        both = sa.select(jobs.c.asked_as, schedules).join_from(jobs, schedules, schedules.c.id == jobs.c.schedule_id)
        row = (await connection.execute(both.where(jobs.c.id == job_id, _IS_NOT_STOPPED))).one_or_none()
        if row is None:
            return None
        answered = jobs.c.end_reason.in_([reason.value for reason in EndReason if reason.is_answer])
        before = sa.select(jobs.c.asked_as).where(jobs.c.schedule_id == row.id, jobs.c.id < job_id, answered)
        last: str | None = await connection.scalar(before.order_by(jobs.c.id.desc()).limit(1))
        return Run(_schedule_of(row), due_at_of_run(row.asked_as), due_at_of_run(last) if last else None)

    @reads
    async def tokens_used(self, connection: AsyncConnection, schedule: Schedule, job_id: int) -> tuple[int, int]:
        """Returns the number of tokens used by a run, and by all runs of its schedule on the current UTC day."""
        return await _tokens_used(connection, schedule, job_id, self._now())

    @reads
    async def silent_runs(self, connection: AsyncConnection, schedule_id: int, limit: int) -> list[tuple[float, str]]:
        """Returns the due times and reasons of a schedule's last silent runs, newest first."""
        both = sa.select(jobs.c.asked_as, turns.c.end).join_from(jobs, turns, turns.c.job_id == jobs.c.id)
        silent = turns.c.end_reason == EndReason.SILENT.value, jobs.c.schedule_id == schedule_id
        rows = await connection.execute(both.where(*silent).order_by(jobs.c.id.desc()).limit(limit))
        notices = ((row.asked_as, (row.end or {}).get("notices", ())) for row in rows)
        return [(due_at_of_run(asked_as), " ".join(text for _, text, _ in of_run)) for asked_as, of_run in notices]

    @reads
    async def count_jobs_with_rule(
        self, connection: AsyncConnection, team_id: str, since: float, within_s: float
    ) -> tuple[int, int]:
        """Returns how many finished jobs from a period have a rule in words, and how many of these posted something."""
        of_period = jobs.c.created_at >= since, jobs.c.created_at < since + within_s
        this = jobs.c.team_id == team_id, jobs.c.held.is_not(None), HAS_ENDED, *of_period
        runs, posts = (await connection.execute(sa.select(*_RUN_COUNTS).where(*this))).one()
        return runs, posts

    @writes
    async def skip(self, connection: AsyncConnection, schedule: Schedule, job_id: int, reason: PauseReason) -> None:
        """Deletes an unposted run, and notifies people of the reason. If the reason is temporary, pauses the schedule
        only after MAX_FAILURES consecutive runs or if there is no next due time. For any other reason, pauses the
        schedule immediately."""
        row, now = await _lock_schedule(connection, schedule.team_id, schedule.id), self._now()
        this = sa.delete(jobs).where(jobs.c.id == job_id, IS_UNPOSTED).returning(jobs.c.asked_as)
        asked_as = None if row is None else await connection.scalar(this)
        if row is None or asked_as is None:
            return
        pausing: PauseReason | None = None
        if not row.paused and reason.is_temporary and row.next_at is not None:
            in_a_row = reason if reason is PauseReason.QUOTA else PauseReason.FAILURES
            pausing = await _count_run_end(connection, row, EndReason.NOT_SHOWN, now, because=in_a_row)
        elif not row.paused:
            await _pause(connection, row, reason, now)
        await _notify(connection, row, due_at_of_run(asked_as), now, pausing or reason)

    async def _correct_due_times(self, now: float) -> None:
        async with self._database.begin_read() as connection:
            rows = (await connection.execute(sa.select(schedules).where(schedules.c.next_at > now))).all()
        for row in rows:
            with suppress(UnusableRule):
                next_at = _rule_of(row).due_after(now)
                if next_at is not None and next_at < row.next_at:
                    async with self._database.begin_write() as connection:
                        await _update_row(connection, row, next_at=next_at)

    async def _read_schedules(
        self,
        connection: AsyncConnection,
        *which: sa.ColumnElement[bool],
        state: sa.ColumnElement[bool] = _IS_NOT_STOPPED,
    ) -> list[Schedule]:
        rows = (await connection.execute(sa.select(schedules).where(state, *which).order_by(schedules.c.id))).all()
        used = await _usage_this_month(connection, rows, self._now())
        runs = await _count_runs(connection, [row.id for row in rows if row.only_if])
        return [_schedule_of(row, used.get(row.id), runs.get(row.id, (0, 0))) for row in rows]


async def _count_runs(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
    """Counts, for each schedule, the finished runs with a rule in words, and how many of them posted something."""
    if not ids:
        return {}
    ended = jobs.c.schedule_id.in_(ids), jobs.c.held.is_not(None), HAS_ENDED
    rows = await connection.execute(
        sa.select(jobs.c.schedule_id, *_RUN_COUNTS).where(*ended).group_by(jobs.c.schedule_id)
    )
    return {schedule_id: (runs, posts) for schedule_id, runs, posts in rows}


async def on_run_end(connection: AsyncConnection, job_id: int, reason: EndReason, now: float) -> None:
    """Counts a run as failed or successful, in the transaction that ends it. Notifies people if this pauses the
    schedule."""
    run = sa.select(schedules, jobs.c.asked_as).join_from(jobs, schedules, schedules.c.id == jobs.c.schedule_id)
    this = run.where(jobs.c.id == job_id, _IS_NOT_STOPPED).with_for_update(of=schedules)
    row = (await connection.execute(this)).one_or_none()
    if row is not None and await _count_run_end(connection, row, reason, now, job_id) is not None:
        await _notify(connection, row, due_at_of_run(row.asked_as), now)


_PAUSE_REASONS = {
    EndReason.DENIED: PauseReason.NO_ACCESS,
    EndReason.SHUT_OUT: PauseReason.PLACE_GONE,
    # The next run would repeat what the vendor stopped.
    EndReason.MISALIGNED: PauseReason.FAILURES,
}


async def _count_run_end(
    connection: AsyncConnection,
    row: sa.Row[Any],
    reason: EndReason,
    now: float,
    job_id: int | None = None,
    because: PauseReason = PauseReason.FAILURES,
) -> PauseReason | None:
    """Counts a run's failure or success. Returns the reason if this pauses the schedule, or None. The schedule's row
    must be locked."""
    if reason.is_answer:
        await _update_row(connection, row, failures=0)
        return None
    failures = row.failures + 1 if reason.is_failure else row.failures
    pausing = _PAUSE_REASONS.get(reason)
    if reason is EndReason.CAP_REACHED and job_id is not None:
        of_run, of_day = await _tokens_used(connection, row, job_id, now)
        pausing = PauseReason.CAP if of_run >= row.run_tokens or of_day >= row.day_tokens else None
    if pausing is None and failures >= MAX_FAILURES:
        pausing = because
    await _update_row(connection, row, failures=failures)
    if pausing is None or row.next_at is None:
        return None
    await _pause(connection, row, pausing, now)
    return pausing


async def _begin_run(connection: AsyncConnection, row: sa.Row[Any], now: float) -> bool:
    """Begins a due run unless it is too late, and sets the next due time. The schedule's row must be locked."""
    due_at: float | None = None
    next_at: float | None = None
    paused = PauseReason.MISSED
    try:
        due_at, next_at = _rule_of(row).due_and_next(row.next_at, now)
    except UnusableRule as error:
        log.error("schedule %d paused: %s", row.id, error)
        paused = PauseReason.FAILURES
    await _update_row(connection, row, next_at=next_at, last_at=row.last_at if due_at is None else due_at)
    if due_at is None and next_at is None:
        await _pause(connection, row, paused, now)
    elif next_at is None:
        await outbox.queue_updates_where(connection, now, _shows_schedule(row.id))
    if due_at is None:
        await _notify(connection, row, row.next_at, now, paused)
        return False
    return await _add_run(connection, row, due_at, now)


async def _add_run(connection: AsyncConnection, row: sa.Row[Any], due_at: float, now: float) -> bool:
    """Adds the job of a run, which the outbox will post. Returns False if this due time already has a job."""
    about = QuotedMessage(row.channel_id, "", "", "", "")
    held = True if row.only_if else None
    values = unposted_values(row.team_id, run_id(row.id, due_at), row.user_id, about, row.text, now)
    new = insert_into(connection, jobs).values(**values, schedule_id=row.id, held=held).on_conflict_do_nothing()
    job_id = await connection.scalar(new.returning(jobs.c.id))
    if job_id is None:
        return False
    await outbox.add(connection, OutboxKind.POST_QUESTION, [job_id], now)
    return True


async def _notify(
    connection: AsyncConnection, row: sa.Row[Any], due_at: float, now: float, skip_reason: PauseReason | None = None
) -> None:
    report = RunReport(row.id, due_at, skip_reason.value if skip_reason else "")
    await notifications.add(connection, now, row.team_id, report.notification)


def _shows_schedule(schedule_id: int) -> sa.ColumnElement[bool]:
    """Returns whether a job's answer created or changed a schedule and therefore shows the schedule's state."""
    made = sa.select(tool_calls.c.job_id).where(tool_calls.c.tool == SCHEDULE, tool_calls.c.made == schedule_id)
    return jobs.c.id.in_(made)


async def _restate_runs(
    connection: AsyncConnection, row: sa.Row[Any], clicked_ts: str, now: float, *, stopped_by: str = ""
) -> None:
    """Queues updates of a schedule's newest post and of the post with the clicked button. A one-time run's post has no
    such button."""
    runs = jobs.c.schedule_id == row.id, ~IS_UNPOSTED, jobs.c.held.is_not(True)
    newest = sa.select(sa.func.max(jobs.c.id)).where(*runs).scalar_subquery()
    if row.cron:
        shown = sa.select(jobs.c.id).where(*runs, sa.or_(jobs.c.id == newest, jobs.c.ts == clicked_ts))
        job_ids = (await connection.scalars(shown)).all()
        await outbox.add(connection, OutboxKind.RESTATE_RUN, job_ids, now, stopped_by)


async def _lock_schedule(
    connection: AsyncConnection, team_id: str, schedule_id: int, condition: sa.ColumnElement[bool] = _IS_NOT_STOPPED
) -> sa.Row[Any] | None:
    this = sa.select(schedules).where(schedules.c.team_id == team_id, schedules.c.id == schedule_id, condition)
    return (await connection.execute(this.with_for_update())).one_or_none()


async def _update_row(connection: AsyncConnection, row: sa.Row[Any], **values: Any) -> None:
    this = schedules.c.id == row.id, schedules.c.next_at.is_not_distinct_from(row.next_at)
    await connection.execute(sa.update(schedules).where(*this).values(values))


async def _pause(connection: AsyncConnection, row: sa.Row[Any], reason: PauseReason, now: float, by: str = "") -> None:
    this = sa.update(schedules).where(schedules.c.id == row.id)
    await connection.execute(this.values(paused=reason.value, next_at=None))
    await _record_change(connection, now, row, "paused", by=by, reason=reason.value)


async def _record_change(
    connection: AsyncConnection, now: float, row: sa.Row[Any], change: str, by: str, **facts: Any
) -> None:
    place = {"team_id": row.team_id, "channel_id": row.channel_id, "user_id": row.user_id}
    said = {"schedule": row.id, "change": change, **facts}
    await audit.record_setting(connection, now, "schedule", said, by=by, **place)


def _proposal_values(proposal: Proposal) -> dict[str, Any]:
    rule = proposal.rule
    return {
        "text": proposal.words,
        "cron": rule.cron,
        "once_at": rule.at,
        "zone": rule.zone,
        "only_if_changed": proposal.only_if_changed,
        "accounts": list(proposal.accounts),
        "only_if": proposal.only_if,
    }


def _rule_of(row: sa.Row[Any]) -> Rule:
    return Rule(row.zone, row.cron, row.once_at)


def _schedule_of(row: sa.Row[Any], used: Amount | None = None, runs: tuple[int, int] = (0, 0)) -> Schedule:
    converted: dict[str, Any] = {
        "words": row.text,
        "rule": _rule_of(row),
        "pause_reason": PauseReason(row.paused) if row.paused else None,
        "accounts": tuple(row.accounts),
        "usage": used or Amount(),
        "runs": runs[0],
        "posts": runs[1],
    }
    return Schedule(**{**known_fields(Schedule, row._mapping), **converted})


async def _lock_active_schedules(connection: AsyncConnection, team_id: str, channel_id: str) -> list[Schedule]:
    await acquire_lock(connection, f"schedules {team_id} {channel_id}")
    return await _active_schedules(connection, team_id, channel_id)


async def _check_new_schedule(
    connection: AsyncConnection,
    team_id: str,
    channel_id: str,
    user_id: str,
    proposal: Proposal,
    limit: int = MAX_IN_CHANNEL,
) -> None:
    """Raises UnusableRule if a channel has no room for the schedule that a person proposes, or if they already have an
    equal one."""
    found = await _lock_active_schedules(connection, team_id, channel_id)
    theirs = (one for one in found if one.user_id == user_id)
    if same := next((one for one in theirs if proposal.is_same_as(one.as_proposal)), None):
        raise UnusableRule(sentences.already_scheduled(same.id))
    _check_room(found, user_id, limit)


def _check_room(active: Sequence[Schedule], user_id: str, limit: int) -> None:
    if len(active) >= MAX_IN_CHANNEL:
        raise UnusableRule(sentences.channel_limit_reached(MAX_IN_CHANNEL))
    if sum(one.user_id == user_id for one in active) >= limit:
        raise UnusableRule(sentences.member_limit_reached(limit))


async def _active_schedules(connection: AsyncConnection, team_id: str, channel_id: str) -> list[Schedule]:
    here = schedules.c.team_id == team_id, schedules.c.channel_id == channel_id
    # The others are one-time schedules that have run.
    is_standing = sa.or_(schedules.c.next_at.is_not(None), schedules.c.paused != "")
    rows = await connection.execute(
        sa.select(schedules).where(_IS_NOT_STOPPED, *here, is_standing).order_by(schedules.c.id)
    )
    return [_schedule_of(row) for row in rows]


async def _tokens_used(
    connection: AsyncConnection, schedule: Schedule | sa.Row[Any], job_id: int, now: float
) -> tuple[int, int]:
    of_schedule, since = jobs.c.schedule_id == schedule.id, charges.c.day >= day_of(now) - 1
    # By the channel and day, for an index. A run that continues after midnight counts for both days.
    here = charges.c.team_id == schedule.team_id, charges.c.channel_id == schedule.channel_id, since
    sums = (
        sa.func.sum(TOKENS).filter(charges.c.job_id == job_id),
        sa.func.sum(TOKENS).filter(charges.c.day == day_of(now)),
    )
    charged = sa.select(*sums).join_from(charges, jobs, jobs.c.id == charges.c.job_id).where(*here, of_schedule)
    of_run, of_day = (await connection.execute(charged)).one()
    return int(of_run or 0), int(of_day or 0)


async def _usage_this_month(
    connection: AsyncConnection, rows: Sequence[sa.Row[Any]], now: float
) -> Mapping[int, Amount]:
    if not rows:
        return {}
    here = (
        charges.c.team_id == rows[0].team_id,
        charges.c.channel_id.in_({row.channel_id for row in rows}),
        charges.c.day >= first_day(Period.MONTH, now),
        jobs.c.schedule_id.in_([row.id for row in rows]),
    )
    sums = sa.func.sum(TOKENS), sa.func.sum(charges.c.cost_usd)
    summed = sa.select(jobs.c.schedule_id, *sums).join_from(charges, jobs, jobs.c.id == charges.c.job_id)
    found = await connection.execute(summed.where(*here).group_by(jobs.c.schedule_id))
    return {schedule_id: Amount(int(tokens or 0), float(usd or 0.0)) for schedule_id, tokens, usd in found}
