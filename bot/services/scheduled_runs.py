"""Runs of schedules: whether one may be posted now, and who is told if its schedule is paused instead.

A run acts as the person who created its schedule. So before each post Slack is asked anew: the person has access, is a
member of the workspace and of the channel. What Slack doesn't say leaves the run to a later try.

"Only if something changed" is a fact, not a judgment: somebody has written in the place since the last answered run.
Nobody asks a model whether that matters, so a run without news costs nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from bot.core.access import Denial, UserKind
from bot.core.conversation import Question, ThreadKey, is_direct
from bot.core.outbox import OutboxEntry
from bot.core.schedules import PauseReason, Run, Schedule
from bot.errors import RateLimited, Refusal, Refused
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.quota import Quota
from bot.services.tool_calls import MEMBER_WITHIN_S
from bot.slack.budget import CALLS_PER_MINUTE
from bot.store import Stores

LOOKUP_S = 60.0
"""Runs of one creator within this time share a lookup."""
CALLS_OF_RUNS = ("users.info", "chat.postMessage")
"""Each run needs these. People who ask at the same time need them at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledRuns:
    """Admits runs to be posted, and tells people about pauses."""

    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    quota: Quota

    def may_begin(self) -> int:
        """Returns how many runs may begin in this second: one, while people have half of a minute's calls left."""
        spare = self.workspace.budget.spare
        return int(all(2 * spare(method) > CALLS_PER_MINUTE[method] for method in CALLS_OF_RUNS))

    async def admitted(self, entry: OutboxEntry, still: Callable[[], bool]) -> Run | None:
        """Returns the run to post; None if there is none: it is forbidden, has no news, or its schedule was stopped.

        Raises RateLimited, Refused, StoreError, and TimeoutError if Slack doesn't say who the creator is.
        """
        run = await self.stores.schedules.run(entry.job_id)
        if run is not None and not run.only_tells:
            if await self._is_to_be_posted(run, entry):
                return run
            run = await self.stores.schedules.run(entry.job_id)
        if run is not None and run.only_tells:
            await self._tell(run.schedule, entry.job_id, still)
        return None

    async def _is_to_be_posted(self, run: Run, entry: OutboxEntry) -> bool:
        """Returns whether nothing forbids a run, and it has something to do. An obstacle pauses its schedule."""
        schedule = run.schedule
        asked = _question(schedule)
        if reason := await self._obstacle(schedule, asked, entry.job_id):
            log.info("schedule %d paused: %s", schedule.id, reason)
            await self.stores.schedules.pause(schedule.team_id, schedule.id, reason, job_id=entry.job_id)
            return False
        if not await self.quota.has_room(asked):
            log.info("schedule %d not run: a quota is used up", schedule.id)
            await self.stores.schedules.fail_unposted(schedule, entry.job_id, PauseReason.QUOTA)
            return False
        surfaces = self.workspace.surfaces
        has_news = not schedule.only_if_changed or await surfaces.has_news(schedule.channel_id, run.since)
        if not has_news:
            log.info("schedule %d not run: nothing is new", schedule.id)
        return has_news

    async def lost(self, entry: OutboxEntry, refusal: Refusal | None) -> bool:
        """Counts a run that can't be posted. Returns whether its entry tells people now that its schedule is paused."""
        run = await self.stores.schedules.run(entry.job_id)
        if run is None or run.only_tells:
            return False
        schedule = run.schedule
        if refusal is not None and refusal.is_final:
            reason = PauseReason.FORBIDDEN if refusal is Refusal.FORBIDDEN else PauseReason.PLACE_GONE
            await self.stores.schedules.pause(schedule.team_id, schedule.id, reason, job_id=entry.job_id)
            return True
        return await self.stores.schedules.fail_unposted(schedule, entry.job_id)

    async def tell_pause(self, entry: OutboxEntry, still: Callable[[], bool]) -> None:
        """Tells people that the end of a run has paused its schedule. Raises RateLimited, Refused and StoreError."""
        if (run := await self.stores.schedules.run(entry.job_id)) is not None:
            await self._tell(run.schedule, entry.job_id, still)

    async def _tell(self, schedule: Schedule, job_id: int, still: Callable[[], bool]) -> None:
        """Tells the place and the creator, each once, unless the schedule was resumed meanwhile.

        Once `still()` is False, nothing is sent. A notice comes twice only if this process dies between Slack's answer
        and the record of it.
        """
        if schedule.paused is None:
            return
        told = {schedule.user_id: schedule.user_id}
        if schedule.paused is not PauseReason.PLACE_GONE and not is_direct(schedule.channel_id):
            told[""] = schedule.channel_id
        notice = f"schedule paused {schedule.id} {job_id}"
        again: RateLimited | Refused | None = None
        for user_id, channel_id in told.items():
            if await self.stores.notices.is_given(schedule.team_id, user_id, notice):
                continue
            try:
                await self.workspace.surfaces.tell_of_pause(channel_id, schedule, still)
            except RateLimited as error:
                again = error
                continue
            except Refused as refused:
                if not refused.reason.is_final:
                    again = refused
                    continue
                log.warning("pause of schedule %d not told: %s", schedule.id, refused)
            await self.stores.notices.claim(schedule.team_id, user_id, notice)
        if again is not None:
            raise again

    async def _obstacle(self, schedule: Schedule, asked: Question, job_id: int) -> PauseReason | None:
        """Returns why the schedule must be paused now, None if nothing forbids the run."""
        kind = await self.workspace.users.kind(schedule.user_id, now_within_s=MEMBER_WITHIN_S, max_age_s=LOOKUP_S)
        denial = await self.access_control.denial(asked)
        if kind is None or denial is Denial.UNKNOWN:
            raise TimeoutError("Slack doesn't say who the creator is")
        if denial is not None or kind is not UserKind.MEMBER:
            return PauseReason.NO_ACCESS
        try:
            is_there = is_direct(schedule.channel_id) or await self.workspace.surfaces.is_in_channel(
                schedule.user_id, schedule.channel_id
            )
        except Refused as refused:
            if refused.reason is not Refusal.CHANNEL_GONE:
                raise
            return PauseReason.PLACE_GONE
        if not is_there:
            return PauseReason.NOT_IN_CHANNEL
        _, of_day = await self.stores.schedules.used(schedule, job_id)
        return PauseReason.CAP if of_day >= schedule.day_tokens else None


def _question(schedule: Schedule) -> Question:
    """Returns what stands for a run before it has a message."""
    place = ThreadKey(schedule.team_id, schedule.channel_id, None)
    return Question(place, "", schedule.user_id, "", schedule=schedule.id)
