"""Lets people list schedules, and change, run, pause and stop them with buttons.

A model only proposes schedules (schedule_tool.py), and only the asker can accept a proposal. Afterwards, only the
schedule's creator and Typist admins can change it. People's rights are checked at each click, and again when a modal is
submitted, because it might have been open for hours. People can also list and stop schedules by message, without a
model.

bot/core/schedules.py and bot/store/schedules.py handle times, runs and pauses.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bot.clock import keep_trying
from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.conversation import Question, ThreadKey, is_direct_message
from bot.core.job import Job, Notice, NoticeKind, sentence_notice
from bot.core.notifications import Notification
from bot.core.schedules import (
    DAY_TOKENS,
    MAX_WORDS_CHARS,
    RUN_TOKENS,
    AwaitedSignIn,
    PauseReason,
    Proposal,
    Rule,
    Schedule,
    ScheduleCommand,
    UnusableRule,
    Weekly,
    as_weekly,
    can_change,
    max_schedules,
    min_gap_minutes,
    parse_rule,
    schedule_command,
    valid_only_if,
    valid_rule,
)
from bot.core.silence import LISTED_REASONS
from bot.core.surfaces import Invocation
from bot.core.texts.access import Denial
from bot.core.unposted import direct_message_placeholder
from bot.core.unseen import visible
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.reply.workspace import Workspace
from bot.services.access_control import SHORT_LOOKUP_TIMEOUT_S, AccessControl, access_question
from bot.services.answer_attempt import CommandResult
from bot.slack.blockkit import Json
from bot.slack.notices import notification
from bot.slack.views.modal import sentence_modal
from bot.slack.views.schedules import (
    CHANGE_SCHEDULE,
    ListPlace,
    ScheduleAction,
    ScheduleField,
    ScheduleList,
    SubmittedSchedule,
    schedules_modal,
    silent_runs_modal,
)
from bot.store import Stores
from slack_markdown.render import beginning

if TYPE_CHECKING:
    from bot.accounts.sign_ins import SignIns

log = logging.getLogger(__name__)

MAX_LISTED_CHARS = 150
"""Maximum length of a schedule's text in a list that everybody in a conversation can see."""
_TOKEN_COUNT = re.compile(r"[1-9]\d{0,8}")


@dataclass(frozen=True, slots=True)
class SchedulePress:
    action: ScheduleAction
    user_id: str
    trigger_id: str
    schedule_id: int = 0
    """The button's schedule, or 0 for a button that shows a list."""
    channel_id: str = ""
    """The list's channel, or "" for the person's own list."""
    place: ListPlace | None = None
    """The list that contains the button, or None."""
    in_modal: bool = False
    thread: ThreadKey | None = None
    message_ts: str = ""
    response_url: str = ""


@dataclass(frozen=True)
class Schedules:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    sign_ins: "SignIns | None" = None
    """None if nobody can sign in to an MCP server."""

    async def carry_out(self, job: Job) -> CommandResult | None:
        """Carries out a job's messages if all are commands. Returns None if a model must read the messages."""
        questions = (*job.earlier_questions, job.question)
        commands = [schedule_command(question, self.workspace.me) for question in questions]
        if not all(commands):
            return None
        here = await self._schedules_here(job.question.thread)
        both = list(zip(questions, commands, strict=True))
        named = [(asked, command) for asked, command in both if command and command.about]
        if not all(command.find_schedule(here, asked.user_id) for asked, command in named):
            return None
        for asked, _ in named:
            # "stop" might have been meant for an answer that its author couldn't stop, or that had just ended.
            if await keep_trying(
                partial(self.stores.recorded_answers.was_answer_in_progress, asked), self.stores.clock, "not read"
            ):
                return None
        return CommandResult.combine([await self._carry_out(*one, here) for one in both])

    async def _carry_out(
        self, question: Question, command: ScheduleCommand | None, here: list[Schedule]
    ) -> CommandResult:
        if command is None or command == ScheduleCommand():
            names = await self.workspace.users.names([one.user_id for one in here])
            now = self.stores.clock.now()
            lines = [_schedule_line(one, names, now) for one in here]
            if not here:
                return CommandResult(sentence_notice(texts.schedules.NOTHING_HERE))
            return CommandResult(sentence_notice(texts.schedules.change_by_number(here[0].id)), "\n".join(lines))
        schedule = command.find_schedule(here, question.user_id)
        if schedule is None:
            return CommandResult(sentence_notice(texts.schedules.nothing_to_stop(str(command.number))))
        if refusal := await self._refusal(schedule, question.user_id):
            return CommandResult(sentence_notice(refusal))
        log.info("message %s is a command: schedule %d stopped", question.ts, schedule.id)
        stop = partial(self.stores.schedules.stop, *question.thread.place[:1], schedule.id, question.user_id)
        await keep_trying(stop, self.stores.clock, "schedule not stopped")
        here.remove(schedule)
        words = beginning(visible(schedule.words), MAX_LISTED_CHARS)
        sentence = texts.schedules.stopped_notice(schedule.id, schedule.rule.description, words)
        return CommandResult((Notice(NoticeKind.STOPPED, sentence, schedule.id),))

    async def restore(self, schedule_id: int, user_id: str, job_id: int = 0, clicked_ts: str = "") -> str:
        """Restores a stopped schedule. Returns an error message, or "" if there is none. `job_id`: the job whose answer
        reports that the schedule was stopped. `clicked_ts`: the run's post where it was stopped. Raises RateLimited,
        Refused and StoreError."""
        team_id, schedules = self.workspace.me.team_id, self.stores.schedules
        active = await schedules.read(team_id, schedule_id)
        found = active or await schedules.read(team_id, schedule_id, is_stopped=True)
        if found is None:
            return texts.schedules.CANT_RESTORE
        if refusal := await self._refusal(found, user_id):
            return refusal
        if active:
            return texts.schedules.RESTORED
        try:
            is_restored = await schedules.restore(team_id, schedule_id, user_id, job_id, clicked_ts)
        except UnusableRule as unusable:
            return str(unusable)
        log.info("schedule %d restored by user %s", schedule_id, user_id)
        return "" if is_restored else texts.schedules.CANT_RESTORE

    async def _schedules_here(self, thread: ThreadKey) -> list[Schedule]:
        standing = partial(self.stores.schedules.active_schedules, *thread.place)
        return await keep_trying(standing, self.stores.clock, "schedules not read")

    async def open(self, user_id: str, channel_id: str, trigger_id: str, *, in_modal: bool = False) -> str:
        """Shows a channel's schedules or, in a direct message or with "", the person's own schedules. Returns an error
        message, or "" if there is none. `in_modal`: whether to open above another modal. Raises RateLimited, Refused
        and StoreError."""
        listed = await self._schedule_list(user_id, "" if is_direct_message(channel_id) else channel_id)
        if listed is None:
            return texts.schedules.NOT_YOUR_SCHEDULES
        await self.workspace.surfaces.open(trigger_id, schedules_modal(listed), in_modal=in_modal)
        return ""

    async def on_command(self, invocation: Invocation) -> str:
        return await self.open(invocation.user_id, invocation.channel_id, invocation.trigger_id)

    async def on_press(self, press: SchedulePress) -> None:
        """Carries out a button's action and shows the outcome. Raises RateLimited and Refused in App Home."""
        try:
            is_undo = press.action is ScheduleAction.RESTORE
            outcome = await (self._undo_stop(press) if is_undo else self._perform(press))
            if await self._report_stop(press):
                return
        except (StoreError, RateLimited, Refused) as error:
            log.error("%s of schedule %d failed: %s", press.action, press.schedule_id, error)
            outcome = texts.actions.ACTION_FAILED
        surfaces, outcome = self.workspace.surfaces, self.access_control.with_admin_mentions(outcome)
        if outcome and press.place:
            await self.refresh_list(press.user_id, press.place, outcome)
        elif outcome and press.thread:
            is_undone = is_undo and outcome == texts.schedules.RESTORED
            response = ActionResponse(outcome, replaces_response=is_undone)
            if outcome == texts.schedules.SCHEDULE_PRESSED[ScheduleAction.STOP]:
                undo = {ScheduleAction.RESTORE.value: texts.memory.UNDO}
                response = replace(response, follow_ups=undo, value=f"{press.schedule_id} {press.message_ts}")
            await surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)
        elif outcome:
            await surfaces.open(press.trigger_id, sentence_modal(outcome, texts.schedules.SCHEDULES))

    async def _undo_stop(self, press: SchedulePress) -> str:
        ids = press.schedule_id, press.user_id
        return await self.restore(*ids, clicked_ts=press.message_ts) or texts.schedules.RESTORED

    async def _report_stop(self, press: SchedulePress) -> bool:
        """Updates the answer whose Stop button was clicked if its schedule no longer exists. Returns False if it
        exists."""
        if press.action is not ScheduleAction.STOP or press.thread is None:
            return False
        if await self.stores.schedules.read(self.workspace.me.team_id, press.schedule_id) is not None:
            return False
        answers = self.stores.recorded_answers
        answer = await answers.answer_in_message(press.thread, press.message_ts)
        return answer is not None and await answers.on_schedule_stopped(answer.job_id, press.schedule_id)

    async def refresh_list(self, user_id: str, place: ListPlace, outcome: str) -> None:
        listed = None
        try:
            listed = await self._schedule_list(user_id, place.channel_id)
        except (StoreError, RateLimited, Refused) as error:
            log.warning("list of schedules not read again: %s", error)
        view = (
            sentence_modal(outcome, texts.schedules.SCHEDULES)
            if listed is None
            else schedules_modal(replace(listed, outcome=outcome))
        )
        await self.workspace.surfaces.update(place.view_id, view)

    async def change(self, user_id: str, submitted: SubmittedSchedule) -> dict[str, str]:
        """Saves a person's changes to a schedule, or returns a sentence for each invalid field. Raises RateLimited,
        Refused and StoreError."""
        team_id = self.workspace.me.team_id
        schedule = await self.stores.schedules.read(team_id, submitted.schedule_id)
        if refusal := await self._refusal(schedule, user_id):
            return {ScheduleField.WORDS: await self.access_control.with_admin_names(refusal)}
        assert schedule is not None
        entered, problems = submitted.entered, dict[str, str]()
        words = entered.get(ScheduleField.WORDS, schedule.words)
        if not 0 < len(words) <= MAX_WORDS_CHARS:
            problems[ScheduleField.WORDS] = texts.schedules.schedule_words(MAX_WORDS_CHARS)
        only_if_changed = bool(entered.get(ScheduleField.ONLY_IF_CHANGED, schedule.only_if_changed))
        only_if = schedule.only_if
        try:
            only_if = valid_only_if(entered.get(ScheduleField.ONLY_IF, only_if))
        except UnusableRule as unusable:
            problems[ScheduleField.ONLY_IF] = str(unusable)
        rule = await self._parse_rule(user_id, schedule, submitted, problems)
        run_tokens = self._parse_token_limit(
            user_id, ScheduleField.RUN_TOKENS, schedule.run_tokens, RUN_TOKENS, submitted, problems
        )
        day_tokens = self._parse_token_limit(
            user_id, ScheduleField.DAY_TOKENS, schedule.day_tokens, DAY_TOKENS, submitted, problems
        )
        if problems:
            return problems
        changed = Proposal(words, rule, only_if_changed, schedule.accounts, only_if)
        caps = run_tokens, day_tokens, max_schedules(schedule.user_id, schedule.channel_id, self.access_control.admins)
        try:
            if not await self.stores.schedules.change(team_id, schedule.id, user_id, changed, *caps):
                return {ScheduleField.WORDS: texts.schedules.SCHEDULE_GONE}
        except UnusableRule as unusable:
            return {ScheduleField.WORDS: str(unusable)}
        log.info("user %s changed schedule %d", user_id, schedule.id)
        return {}

    async def _parse_rule(
        self, user_id: str, schedule: Schedule, submitted: SubmittedSchedule, problems: dict[str, str]
    ) -> Rule:
        """Returns the rule that a person entered. Adds a sentence for each invalid field to `problems`."""
        entered, zone = submitted.entered, await self._zone(user_id, schedule)
        when = entered.keys() & {ScheduleField.DAYS, ScheduleField.TIME, ScheduleField.OTHER}
        if not when:
            return schedule.rule
        other, is_weekly = entered.get(ScheduleField.OTHER, ""), bool(when - {ScheduleField.OTHER})
        now, gap = self.stores.clock.now(), min_gap_minutes(user_id, self.access_control.admins)
        try:
            if other and is_weekly:
                raise UnusableRule(texts.schedules.NOT_BOTH)
            if other:
                return parse_rule(other, zone, now, min_gap_minutes=gap)
            shown = as_weekly(schedule.rule, zone, now) or Weekly("", "")
            days, time = entered.get(ScheduleField.DAYS, shown.days), entered.get(ScheduleField.TIME, shown.time)
            return valid_rule(zone, now, cron=Weekly(days, time).cron, min_gap_minutes=gap)
        except UnusableRule as unusable:
            problems[ScheduleField.OTHER if other else ScheduleField.TIME] = str(unusable)
            return schedule.rule

    async def _zone(self, user_id: str, schedule: Schedule) -> str:
        await self.workspace.users.names((user_id,))
        zone = self.workspace.users.zones((user_id,)).get(user_id)
        return zone.key if zone else schedule.rule.zone

    def _parse_token_limit(
        self,
        user_id: str,
        field: ScheduleField,
        now: int,
        default: int,
        submitted: SubmittedSchedule,
        problems: dict[str, str],
    ) -> int:
        """Returns the token limit that a person entered. Adds a sentence about an invalid limit to `problems`. Only
        admins can raise a limit."""
        text, most = submitted.entered.get(field, str(now)), max(now, default)
        if not _TOKEN_COUNT.fullmatch(text):
            problems[field] = texts.schedules.TOKENS_NOT_A_NUMBER
        elif int(text) > most and user_id not in self.access_control.admins:
            problems[field] = texts.schedules.only_admins_allow_tokens(most)
        return now if field in problems else int(text)

    async def _perform(self, press: SchedulePress) -> str:
        team_id, schedules, user_id = self.workspace.me.team_id, self.stores.schedules, press.user_id
        if press.action is ScheduleAction.LIST:
            denial = await self._denial(user_id, press.channel_id or direct_message_placeholder(user_id))
            return denial or await self.open(user_id, press.channel_id, press.trigger_id, in_modal=press.in_modal)
        schedule = await schedules.read(team_id, press.schedule_id)
        if refusal := await self._refusal(schedule, user_id):
            return refusal
        assert schedule is not None
        log.info("%s of schedule %d by user %s", press.action, schedule.id, user_id)
        if press.action in (ScheduleAction.CHANGE, ScheduleAction.DETAILS):
            view = await self._view(press, schedule)
            await self.workspace.surfaces.open(press.trigger_id, view, in_modal=press.in_modal)
            return ""
        match press.action:
            case ScheduleAction.RUN:
                is_done = await schedules.run_now(team_id, schedule.id, user_id)
            case ScheduleAction.PAUSE:
                is_done = await schedules.pause(team_id, schedule.id, PauseReason.BY_PERSON, user_id)
            case ScheduleAction.RESUME:
                if missing := await self.servers_signed_out_of(schedule):
                    return texts.schedules.sign_in_needed(", ".join(missing), f"<@{schedule.user_id}>")
                is_done = await schedules.resume(team_id, schedule.id, user_id) is not None
            case ScheduleAction.STOP:
                is_done = await schedules.stop(team_id, schedule.id, user_id, press.message_ts)
                if is_done and schedule.is_done:
                    return texts.schedules.REMOVED
        outcome = (texts.schedules.SCHEDULE_PRESSED if is_done else texts.schedules.SCHEDULE_UNCHANGED)[press.action]
        is_unsure = press.action is ScheduleAction.RUN and schedule.only_if_changed
        return f"{outcome} {texts.schedules.ONLY_IF_CHANGED}" if is_unsure else outcome

    async def _view(self, press: SchedulePress, schedule: Schedule) -> Json:
        if press.action is ScheduleAction.DETAILS:
            return silent_runs_modal(schedule, await self.stores.schedules.silent_runs(schedule.id, LISTED_REASONS))
        zone = await self._zone(press.user_id, schedule)
        weekly = as_weekly(schedule.rule, zone, self.stores.clock.now())
        return CHANGE_SCHEDULE.build(schedule, press.place, weekly, zone)

    async def servers_signed_out_of(self, schedule: Schedule) -> Sequence[str]:
        key = schedule.team_id, schedule.user_id, schedule.accounts
        return await self.sign_ins.servers_signed_out_of(*key) if self.sign_ins else schedule.accounts

    async def awaited_sign_in(self, schedule_id: int, user_id: str) -> AwaitedSignIn | str:
        """Returns a schedule that is waiting for its creator's sign-in, or a sentence about why it isn't. Resumes the
        schedule if the creator has signed in elsewhere. Raises RateLimited, Refused and StoreError."""
        team_id = self.workspace.me.team_id
        schedule = await self.stores.schedules.read(team_id, schedule_id)
        if schedule is None:
            return texts.schedules.SCHEDULE_GONE
        if schedule.user_id != user_id:
            return texts.schedules.ONLY_CREATOR_SIGNS_IN
        if schedule.pause_reason is not PauseReason.SIGNED_OUT:
            return texts.schedules.WAITS_FOR_NO_SIGN_IN
        if denial := await self._denial(user_id, schedule.channel_id, members_only=True):
            return denial
        if not (servers := await self.servers_signed_out_of(schedule)):
            return await self.resume_after_sign_in(schedule)
        return AwaitedSignIn(schedule, servers[0])

    async def is_signed_out(self, schedule: Schedule) -> bool:
        now = await self.stores.schedules.read(schedule.team_id, schedule.id)
        return now is not None and now.pause_reason is PauseReason.SIGNED_OUT

    async def resume_after_sign_in(self, schedule: Schedule) -> str:
        """Resumes a schedule that was waiting for a sign-in, and notifies its creator. Returns an error message, or ""
        if there is none."""
        if missing := await self.servers_signed_out_of(schedule):
            return texts.schedules.sign_in_needed(", ".join(missing), f"<@{schedule.user_id}>")
        by, because = schedule.user_id, PauseReason.SIGNED_OUT
        next_at = await self.stores.schedules.resume(schedule.team_id, schedule.id, by, because)
        if next_at is None:
            is_over = await self.is_signed_out(schedule)
            return texts.schedules.SIGNED_IN_TOO_LATE if is_over else texts.schedules.WAITS_FOR_NO_SIGN_IN
        log.info("schedule %d resumed by a sign-in of user %s", schedule.id, by)
        sentence = texts.schedules.resumed_message(schedule.id, schedule.rule.description, texts.times.token(next_at))
        # A direct message, because Slack can lose an ephemeral message while the person is on the server's page.
        told = Notification(by, f"schedule resumed {schedule.id} {next_at}", notification(sentence))
        await self.stores.notifications.add(schedule.team_id, told)
        return ""

    async def _refusal(self, schedule: Schedule | None, user_id: str) -> str:
        """Returns why a person can't change a schedule, or "" if they can. Nobody can change a schedule that no longer
        exists."""
        if schedule is None:
            return texts.schedules.SCHEDULE_GONE
        if not can_change(schedule, user_id, self.access_control.admins):
            return texts.schedules.NOT_YOUR_SCHEDULE
        return await self._denial(user_id, schedule.channel_id) or ""

    async def _denial(self, user_id: str, channel_id: str, *, members_only: bool = False) -> Denial | None:
        asked = access_question(self.workspace, user_id, channel_id)
        within_s = SHORT_LOOKUP_TIMEOUT_S if members_only else None
        return await self.access_control.denial(asked, now_within_s=within_s, members_only=members_only, is_press=True)

    async def _schedule_list(self, user_id: str, channel_id: str) -> ScheduleList | None:
        """Returns the schedules of a channel that the person is in or, with "", the person's own schedules. Returns
        None for a channel that the person isn't in."""
        team_id, schedules = self.workspace.me.team_id, self.stores.schedules
        if not channel_id:
            found = await schedules.all(team_id, user_id=user_id)
        elif await self._is_in_channel(user_id, channel_id):
            found = await schedules.all(team_id, channel_id)
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


def _schedule_line(schedule: Schedule, names: Mapping[str, str], now: float) -> str:
    rule, words = schedule.rule, beginning(visible(schedule.words), MAX_LISTED_CHARS)
    said, person = (rule.description, rule.first_day_text(now)), names.get(schedule.user_id, schedule.user_id)
    return texts.schedules.schedule_line(schedule.id, *said, words, person, is_paused=bool(schedule.pause_reason))
