"""Decides whether a schedule's run can be posted now, and reports skipped runs and paused schedules.

A run acts on behalf of the person who created its schedule. Before each post, Slack is therefore asked again whether
the person has access and is a member of the workspace and of the channel. If Slack doesn't answer, a later try posts
the run. A run that uses the person's own accounts also needs their sign-ins.

"Only if something changed" means that someone has written in the place since the last answered run. Runs that find
nothing new cost nothing, because no model is called.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.access import UserKind
from bot.core.conversation import Question, ThreadKey, is_direct_message
from bot.core.outbox import OutboxEntry
from bot.core.schedules import PauseReason, Run, RunReport, Schedule
from bot.core.texts.access import Denial
from bot.errors import Refusal, Refused
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.quota import Quota
from bot.services.schedules import Schedules
from bot.services.tool_calls import MEMBER_CHECK_TIMEOUT_S
from bot.slack.blockkit import Json
from bot.slack.views.schedules import run_notice
from bot.store import Stores
from bot.store.accounts import Owner

CACHE_S = 60.0
"""Seconds for which all of a creator's runs share one lookup."""
RUN_METHODS = ("users.info", "chat.postMessage")
"""Slack methods that every run needs, but so do people who ask questions at the same time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledRuns:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    quota: Quota
    schedules: Schedules

    def max_runs_to_begin(self) -> int:
        """Returns the number of runs that can begin this second: 1 or 0."""
        return int(self.workspace.budget.is_half_free(*RUN_METHODS))

    async def run_to_post(self, entry: OutboxEntry, *, has_worked: bool = False) -> Run | None:
        """Returns the run to post, or None if the run is skipped, nothing is new or the schedule was stopped. Raises
        RateLimited, Refused and StoreError, and TimeoutError if Slack doesn't identify the creator or a server doesn't
        renew the creator's sign-in. `has_worked`: whether the run's work is done and only has to be posted, whatever it
        cost and whether or not anything is new."""
        run = await self.stores.schedules.run(entry.job_id)
        if run is None:
            return None
        schedule = run.schedule
        asked = _placeholder_question(schedule)
        reason = await self._skip_reason(schedule, asked, entry.job_id, has_worked=has_worked)
        if reason is None and not has_worked and not await self.quota.is_below_caps(asked):
            reason = PauseReason.QUOTA
        if reason is not None:
            log.info("schedule %d not run: %s", schedule.id, reason)
            await self.stores.schedules.skip(schedule, entry.job_id, reason)
            return None
        surfaces = self.workspace.surfaces
        if schedule.only_if_changed and not has_worked and not await surfaces.has_news(schedule.channel_id, run.since):
            log.info("schedule %d not run: nothing is new", schedule.id)
            return None
        return run

    async def skip_run(self, entry: OutboxEntry, refusal: Refusal | None) -> None:
        """Skips a run that can't be posted, because `refusal` is final or, without a refusal, because it is too
        late."""
        reason = PauseReason.MISSED
        if refusal is not None and refusal.is_final:
            reason = PauseReason.FORBIDDEN if refusal is Refusal.FORBIDDEN else PauseReason.PLACE_GONE
        if (run := await self.stores.schedules.run(entry.job_id)) is not None:
            await self.stores.schedules.skip(run.schedule, entry.job_id, reason)

    async def restate(self, entry: OutboxEntry) -> None:
        """Shows in a run's post who stopped its schedule, or that nobody has. `entry.about`: the person who stopped it,
        or "" after Undo. Raises RateLimited, Refused and StoreError."""
        asked, stopped_by = entry.question, entry.about
        assert asked.schedule_id is not None
        is_stopped = await self.stores.schedules.read(asked.thread.team_id, asked.schedule_id) is None
        if is_stopped and not stopped_by:
            return  # Someone stopped it again, which another entry shows.
        name = (await self.workspace.users.names([stopped_by])).get(stopped_by, texts.schedules.SOMEONE)
        place = asked.thread.channel_id, asked.ts, asked.schedule_id
        await self.workspace.surfaces.restate_run(*place, name if is_stopped else "")

    async def write(self, content: Mapping[str, Any]) -> dict[str, Json]:
        """Returns messages for the place and, if the schedule was paused, for its creator. Returns none if they would
        be outdated. Raises StoreError."""
        report = RunReport(**content)
        schedule = await self.stores.schedules.read(self.workspace.me.team_id, report.schedule_id)
        if schedule is None or not (report.skip_reason or report.has_caused_pause(schedule)):
            return {}
        is_place_gone = PauseReason.PLACE_GONE in (report.skip_reason, schedule.pause_reason)
        is_signed_out = report.has_caused_pause(schedule) and schedule.pause_reason is PauseReason.SIGNED_OUT
        signed_out = await self.schedules.servers_signed_out_of(schedule) if is_signed_out else ()
        messages = {}
        if report.has_caused_pause(schedule) or is_place_gone or is_direct_message(schedule.channel_id):
            messages[schedule.user_id] = run_notice(schedule, report, signed_out)
        if not is_place_gone and not is_direct_message(schedule.channel_id):
            messages[schedule.channel_id] = run_notice(schedule, report)
        return messages

    async def _skip_reason(
        self, schedule: Schedule, asked: Question, job_id: int, *, has_worked: bool
    ) -> PauseReason | None:
        kind = await self.workspace.users.kind(schedule.user_id, now_within_s=MEMBER_CHECK_TIMEOUT_S, max_age_s=CACHE_S)
        denial = await self.access_control.denial(asked)
        if kind is None or denial is Denial.UNKNOWN:
            raise TimeoutError("Slack doesn't say who the creator is")
        if denial is not None or kind is not UserKind.MEMBER:
            return PauseReason.NO_ACCESS
        try:
            is_there = is_direct_message(schedule.channel_id) or await self.workspace.surfaces.is_in_channel(
                schedule.user_id, schedule.channel_id
            )
        except Refused as refused:
            if refused.reason is not Refusal.CHANNEL_GONE:
                raise
            return PauseReason.PLACE_GONE
        if not is_there:
            return PauseReason.NOT_IN_CHANNEL
        if has_worked:
            return None
        _, of_day = await self.stores.schedules.tokens_used(schedule, job_id)
        if of_day >= schedule.day_tokens:
            return PauseReason.CAP
        for server in schedule.accounts:
            owner = Owner(schedule.team_id, schedule.user_id, server)
            if (sign_ins := self.schedules.sign_ins) is None or not await sign_ins.is_signed_in(owner):
                return PauseReason.SIGNED_OUT
        return None


def _placeholder_question(schedule: Schedule) -> Question:
    """Returns a placeholder question for a run whose message isn't posted yet."""
    place = ThreadKey(schedule.team_id, schedule.channel_id, None)
    return Question(place, "", schedule.user_id, "", schedule_id=schedule.id)
