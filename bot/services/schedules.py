"""Schedules as people handle them: a model's proposal, the list, and presses that change, run, pause and stop one.

Nothing but a person's press creates or changes a schedule. A model proposes one by a tool, and the asker alone agrees
to what the card shows (bot/slack/cards.py). Afterwards it is its creator's and the Typist admins': their rights are
looked at with each press, and again when a modal is submitted, which may have been open for hours.

The times, runs and pauses are in bot/core/schedules.py and bot/store/schedules.py.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot.core import texts
from bot.core.access import Denial
from bot.core.actions import ActionResponse
from bot.core.calls import NO_SUCH_TOOL, SCHEDULE, CallResult, CallState, own_tool, visible
from bot.core.conversation import Question, ThreadKey, is_direct
from bot.core.job import direct_message_of
from bot.core.schedules import (
    ADMIN_GAP_MINUTES,
    DAY_TOKENS,
    MAX_IN_CHANNEL,
    MAX_WORDS_CHARS,
    MEMBER_GAP_MINUTES,
    RUN_TOKENS,
    PauseReason,
    Proposal,
    Rule,
    Schedule,
    UnusableRule,
    proposal_of,
    rule_of,
    zone_of,
)
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.models.prompt import Offered, Permission, ToolRule
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.slack.schedule_views import ListPlace, ScheduleAction, ScheduleField, ScheduleList, when_of
from bot.store import Stores

log = logging.getLogger(__name__)

DEFINITION = replace(
    own_tool(
        SCHEDULE,
        "Proposes a schedule for this conversation: what you do here by yourself at set times, or once later. Call it "
        "only if the asker wants that in their own message. They see a card and decide; until then, nothing exists.",
        {
            "type": "object",
            "properties": {
                "words": {
                    "type": "string",
                    "description": "What to do each time, without the times. Complete in itself, in the asker's "
                    f"language, at most {MAX_WORDS_CHARS} characters",
                },
                "cron": {
                    "type": "string",
                    "description": "Five fields, such as 0 9 * * 1-5. At most hourly. "
                    "They can't say every other week, and the asker must choose: 0 9 * * TUE, 0 9 * * TUE#1,TUE#3, or "
                    "0 9 1,15 * *",
                },
                "at": {"type": "string", "description": "In place of cron, one time: 2026-12-10T09:00"},
                "zone": {"type": "string", "description": "An IANA zone, if the asker names another one than theirs"},
                "only_if_changed": {"type": "boolean", "description": "Whether to post only if something has changed"},
            },
            "required": ["words"],
            "additionalProperties": False,
        },
        is_dispensable=True,
    ),
    rule=ToolRule(Permission.ASK),
)

# What the model reads of a call.
CREATED = (
    "The schedule is created. Its first run posts here. The person can change or stop it in the list of schedules."
)
FULL = (
    f"Nothing was created: this conversation has {MAX_IN_CHANNEL} schedules, which is the most. Say that one must be "
    "stopped first, in the list of schedules."
)
NO_ZONE = "Slack doesn't say in which time zone the asker is. Ask them, and name it as the zone."

_TIME = re.compile(r"\d{4}-")
"""Begins one time; five fields of cron can't."""
_TOKENS = re.compile(r"[1-9]\d{0,8}")


@dataclass(frozen=True)
class ScheduleTool:
    """Has models propose schedules to members, and creates those that the asker agrees to."""

    stores: Stores
    workspace: Workspace
    admins: frozenset[str]

    async def definitions(self, question: Question) -> Offered:
        """Returns the tool for a person's question. No run of a schedule proposes another one."""
        user_id = question.user_id
        if question.schedule is not None or question.from_bot:
            return Offered()
        await self.workspace.users.names((user_id,))
        zone = self.workspace.users.zones((user_id,)).get(user_id)
        prepared = partial(self._prepared, user_id, zone.key if zone else "")
        return Offered((replace(DEFINITION, prepared=prepared),))

    def _prepared(self, user_id: str, zone: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | str:
        """Returns a proposal's arguments in one form, with its next times; or why it can't be used."""
        if not (zone or arguments.get("zone")):
            return NO_ZONE
        now = self.stores.clock.now()
        try:
            proposal = proposal_of(arguments, zone, now, min_gap_minutes=min_gap_minutes(user_id, self.admins))
            return {**proposal.arguments, "words": visible(proposal.words), "next": proposal.rule.upcoming(now)}
        except UnusableRule as unusable:
            return str(unusable)

    async def call(
        self,
        question: Question,
        tool: str,
        definition_hash: str,
        arguments: Mapping[str, Any],
        *,
        version: int = 0,
        timeout_s: float,
    ) -> CallResult:
        """Creates a schedule that its asker has agreed to. Raises StoreError."""
        if (tool, definition_hash) != (SCHEDULE, DEFINITION.definition_hash):
            return CallResult.failed(NO_SUCH_TOOL)
        thread, user_id, now = question.thread, question.user_id, self.stores.clock.now()
        try:
            proposal = proposal_of(arguments, "", now, min_gap_minutes=min_gap_minutes(user_id, self.admins))
        except UnusableRule as unusable:
            return CallResult.failed(str(unusable))
        created = await self.stores.schedules.create(thread.team_id, thread.channel_id, user_id, proposal)
        if created is None:
            return CallResult.failed(FULL)
        log.info("user %s created schedule %d in channel %s", user_id, created, thread.channel_id)
        return CallResult(CallState.DONE, CREATED)


def min_gap_minutes(user_id: str, admins: frozenset[str]) -> int:
    """Returns how often a person's schedules may run."""
    return ADMIN_GAP_MINUTES if user_id in admins else MEMBER_GAP_MINUTES


@dataclass(frozen=True, slots=True)
class SchedulePress:
    """A press of a button about schedules."""

    action: ScheduleAction
    user_id: str
    trigger_id: str
    schedule_id: int = 0
    """0 for a list."""
    channel_id: str = ""
    """Of a list; "" for the presser's own."""
    place: ListPlace | None = None
    """The list in which the button stands; None if it stands elsewhere."""
    in_modal: bool = False
    thread: ThreadKey | None = None
    """Of the message in which it stands."""
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class SubmittedSchedule:
    """What a person submitted in the modal that changes a schedule."""

    user_id: str
    schedule_id: int
    place: ListPlace | None
    """The list below the modal."""
    entered: Mapping[ScheduleField, str]
    """What they changed. The rest stays as it is now: somebody else may have changed it meanwhile."""


@dataclass(frozen=True)
class Schedules:
    """Lists schedules, and changes them for their creators and Typist admins."""

    stores: Stores
    workspace: Workspace
    access_control: AccessControl

    async def open(self, user_id: str, channel_id: str, trigger_id: str, *, in_modal: bool = False) -> str:
        """Shows a channel's schedules, in a direct message or with "" a person's own; `in_modal`: above a modal.

        Returns why not, "" if they are shown. Raises RateLimited, Refused and StoreError.
        """
        listed = await self._list(user_id, "" if is_direct(channel_id) else channel_id)
        if listed is None:
            return texts.NOT_YOUR_SCHEDULES
        await self.workspace.surfaces.open_schedules(trigger_id, listed, in_modal=in_modal)
        return ""

    async def pressed(self, press: SchedulePress) -> None:
        """Does what a button says, and shows the presser the outcome. Raises RateLimited and Refused in App Home."""
        try:
            outcome = await self._press(press)
        except (StoreError, RateLimited, Refused) as error:
            log.error("%s of schedule %d failed: %s", press.action, press.schedule_id, error)
            outcome = texts.ACTION_FAILED
        surfaces, outcome = self.workspace.surfaces, self.access_control.naming_admins(outcome)
        if outcome and press.place:
            await self.show_again(press.user_id, press.place, outcome)
        elif outcome and press.thread:
            response = ActionResponse(outcome)
            await surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)
        elif outcome:
            await surfaces.open_sentence(press.trigger_id, outcome, texts.SCHEDULES)

    async def show_again(self, user_id: str, place: ListPlace, outcome: str) -> None:
        """Shows a list as it is now, with the outcome of what its reader did."""
        listed = None
        try:
            listed = await self._list(user_id, place.channel_id)
        except (StoreError, RateLimited, Refused) as error:
            log.warning("list of schedules not read again: %s", error)
        shown = outcome if listed is None else replace(listed, outcome=outcome)
        await self.workspace.surfaces.update_schedules(place.view_id, shown)

    async def change(self, submitted: SubmittedSchedule) -> dict[str, str]:
        """Saves what a person changed of a schedule, or returns a sentence for each bad field.

        Raises RateLimited, Refused and StoreError.
        """
        user_id, team_id = submitted.user_id, self.workspace.me.team_id
        schedule = await self.stores.schedules.read(team_id, submitted.schedule_id)
        if refusal := await self._refusal(schedule, user_id):
            return {ScheduleField.WORDS: await self.access_control.naming_admins_plainly(refusal)}
        assert schedule is not None
        entered, problems = submitted.entered, dict[str, str]()
        words = entered.get(ScheduleField.WORDS, schedule.words)
        if not 0 < len(words) <= MAX_WORDS_CHARS:
            problems[ScheduleField.WORDS] = texts.schedule_words(MAX_WORDS_CHARS)
        only_if_changed = bool(entered.get(ScheduleField.ONLY_IF_CHANGED, schedule.only_if_changed))
        rule = self._rule(schedule.rule, submitted, problems)
        run_tokens = self._tokens(ScheduleField.RUN_TOKENS, schedule.run_tokens, RUN_TOKENS, submitted, problems)
        day_tokens = self._tokens(ScheduleField.DAY_TOKENS, schedule.day_tokens, DAY_TOKENS, submitted, problems)
        if problems:
            return problems
        changed = Proposal(words, rule, only_if_changed)
        if not await self.stores.schedules.change(team_id, schedule.id, user_id, changed, run_tokens, day_tokens):
            return {ScheduleField.WORDS: texts.SCHEDULE_GONE}
        log.info("user %s changed schedule %d", user_id, schedule.id)
        return {}

    def _rule(self, rule: Rule, submitted: SubmittedSchedule, problems: dict[str, str]) -> Rule:
        """Returns the rule that a person wants; adds a sentence for a bad field."""
        if not submitted.entered.keys() & {ScheduleField.WHEN, ScheduleField.ZONE}:
            return rule
        when = submitted.entered.get(ScheduleField.WHEN, when_of(rule))
        zone = submitted.entered.get(ScheduleField.ZONE, rule.zone)
        at, cron = (when, "") if _TIME.match(when) else ("", when)
        gap = min_gap_minutes(submitted.user_id, self.access_control.admins)
        field = ScheduleField.ZONE
        try:
            zone_of(zone)
            field = ScheduleField.WHEN
            return rule_of(zone, self.stores.clock.now(), cron=cron, at=at, min_gap_minutes=gap)
        except UnusableRule as unusable:
            problems[field] = str(unusable)
            return rule

    def _tokens(
        self, field: ScheduleField, now: int, default: int, submitted: SubmittedSchedule, problems: dict[str, str]
    ) -> int:
        """Returns the limit of tokens that a person wants; adds a sentence for a bad one. Only admins widen it."""
        text, most = submitted.entered.get(field, str(now)), max(now, default)
        if not _TOKENS.fullmatch(text):
            problems[field] = texts.TOKENS_NOT_A_NUMBER
        elif int(text) > most and submitted.user_id not in self.access_control.admins:
            problems[field] = texts.only_admins_allow_tokens(most)
        return now if field in problems else int(text)

    async def _press(self, press: SchedulePress) -> str:
        """Does what a button says; returns the outcome, "" if the presser sees it in a modal."""
        team_id, schedules, user_id = self.workspace.me.team_id, self.stores.schedules, press.user_id
        if press.action is ScheduleAction.LIST:
            if denial := await self._denial(user_id, press.channel_id or direct_message_of(user_id)):
                return denial
            return await self.open(user_id, press.channel_id, press.trigger_id, in_modal=press.in_modal)
        schedule = await schedules.read(team_id, press.schedule_id)
        if refusal := await self._refusal(schedule, user_id):
            return refusal
        assert schedule is not None
        log.info("%s of schedule %d by user %s", press.action, schedule.id, user_id)
        match press.action:
            case ScheduleAction.CHANGE:
                await self.workspace.surfaces.open_schedule(
                    press.trigger_id, schedule, press.place, in_modal=press.in_modal
                )
                return ""
            case ScheduleAction.RUN:
                is_done = await schedules.run_now(team_id, schedule.id, user_id)
            case ScheduleAction.PAUSE:
                is_done = await schedules.pause(team_id, schedule.id, PauseReason.BY_PERSON, user_id)
            case ScheduleAction.RESUME:
                is_done = await schedules.resume(team_id, schedule.id, user_id)
            case ScheduleAction.STOP:
                is_done = await schedules.stop(team_id, schedule.id, user_id)
        outcome = (texts.SCHEDULE_PRESSED if is_done else texts.SCHEDULE_UNCHANGED)[press.action]
        is_unsure = press.action is ScheduleAction.RUN and schedule.only_if_changed
        return f"{outcome} {texts.ONLY_IF_CHANGED}" if is_unsure else outcome

    async def _refusal(self, schedule: Schedule | None, user_id: str) -> str:
        """Returns why a person may not change a schedule, or that it is gone; "" if they may."""
        if schedule is None:
            return texts.SCHEDULE_GONE
        if user_id != schedule.user_id and user_id not in self.access_control.admins:
            return texts.NOT_YOUR_SCHEDULE
        return await self._denial(user_id, schedule.channel_id) or ""

    async def _denial(self, user_id: str, channel_id: str) -> Denial | None:
        in_channel = ThreadKey(self.workspace.me.team_id, channel_id, None)
        return await self.access_control.denial(Question(in_channel, "", user_id, ""), is_press=True)

    async def _list(self, user_id: str, channel_id: str) -> ScheduleList | None:
        """Returns the schedules of a channel as a person in it sees them, with "" the person's own; None for others."""
        team_id, schedules = self.workspace.me.team_id, self.stores.schedules
        if not channel_id:
            found = await schedules.of_person(team_id, user_id)
        elif await self._is_in_channel(user_id, channel_id):
            found = await schedules.of_channel(team_id, channel_id)
        else:
            return None
        return ScheduleList(channel_id, found, user_id, user_id in self.access_control.admins)

    async def _is_in_channel(self, user_id: str, channel_id: str) -> bool:
        try:
            return await self.workspace.surfaces.is_in_channel(user_id, channel_id)
        except Refused as refused:
            if refused.reason is not Refusal.CHANNEL_GONE:
                raise
            return False
