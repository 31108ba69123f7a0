"""Offers models a tool that proposes to create, change or stop a schedule, and carries out accepted proposals.

The asker accepts the content of the card (bot/slack/cards.py). schedules.py handles later changes by people.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot.clock import keep_trying
from bot.core import texts
from bot.core.calls import (
    NO_SUCH_TOOL,
    SCHEDULE,
    CallResult,
    CallState,
    ToolUse,
    builtin_tool,
    convert_arguments,
    result_for_model,
)
from bot.core.conversation import Question
from bot.core.prompt import one_line
from bot.core.schedules import (
    MAX_WORDS_CHARS,
    Schedule,
    UnusableRule,
    can_change,
    max_schedules,
    min_gap_minutes,
    parse_proposal,
)
from bot.core.unseen import visible
from bot.models.prompt import OfferedTools, Permission, ReadResult, ToolRule
from bot.reply.workspace import Workspace
from bot.store import Stores

log = logging.getLogger(__name__)

DEFINITION = builtin_tool(
    SCHEDULE,
    "Proposes a schedule for this conversation: what you do here by yourself at set times, or once later. Or "
    "proposes to change or stop one by its number: “make it ten instead” is a change. You can't pause, resume or "
    "run one: people do that with the buttons of the list, which the slash command shows with `schedules`. Call it "
    "only if the asker wants that in their own message. They see a card and decide; until then, nothing changes. "
    "Without arguments, it proposes nothing, and returns what each schedule here does, and whose it is.",
    {
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
        "at": {"type": "string", "description": "Instead of cron, one time: 2026-12-10T09:00"},
        "zone": {"type": "string", "description": "An IANA zone, if the asker names another one than theirs"},
        "only_if_changed": {
            "type": "boolean",
            "description": "Whether to skip a run if nobody has written here since the last one",
        },
        "only_if": {
            "type": "string",
            "description": "The asker's rule in words for posting a result, such as: something changed. "
            "Without a rule, each run posts",
        },
        "number": {"type": "integer", "description": "The schedule to change or stop; what you omit stays"},
        "stop": {"type": "boolean", "description": "Whether to stop the schedule with this number for good"},
    },
    rule=ToolRule(Permission.ASK),
    is_dispensable=True,
)

# Text for the model about the result of a call.
NOTHING_HERE = "Nothing is scheduled here."
NOT_SIGNED_IN = "The asker isn't signed in to {servers}, so runs can't use an account there."
NO_ZONE = "Slack doesn't say in which time zone the asker is. Ask them, and name it as the zone."

_WHEN = {"cron", "at"}


@dataclass(frozen=True)
class ScheduleTool:
    stores: Stores
    workspace: Workspace
    admins: frozenset[str]
    servers: Sequence[str] = ()

    async def definitions(self, question: Question) -> OfferedTools:
        """Returns the tool for a person's question. A schedule's run can't propose another schedule."""
        user_id, (team_id, channel_id) = question.user_id, question.thread.place
        if question.schedule_id is not None or question.is_from_bot:
            return OfferedTools()
        standing = partial(self.stores.schedules.active_schedules, team_id, channel_id)
        here = await keep_trying(standing, self.stores.clock, "schedules not read")
        names = await self.workspace.users.names((user_id, *(one.user_id for one in here)))
        zone = self.workspace.users.zones((user_id,)).get(user_id)
        own = partial(self.stores.accounts.by_server, team_id, user_id)
        signed_in = [*await keep_trying(own, self.stores.clock, "accounts not read")] if self.servers else []
        prepare = partial(self._prepare_arguments, user_id, zone.key if zone else "", here, names, signed_in)
        # The list has only our own words and doesn't depend on the asker, so that prompts in the same place begin the
        # same.
        lines = [f"number {one.id}, {one.rule.description}{', paused' if one.pause_reason else ''}" for one in here]
        listed = f"Scheduled here now: {'; '.join(lines)}." if lines else NOTHING_HERE
        text = f"{DEFINITION.description} {listed}"
        return OfferedTools((replace(DEFINITION, description=text, parameters=self._parameters, prepare=prepare),))

    @property
    def _parameters(self) -> Mapping[str, Any]:
        return _parameters_for_servers(self.servers) if self.servers else DEFINITION.parameters

    def _prepare_arguments(
        self,
        user_id: str,
        zone: str,
        here: Sequence[Schedule],
        names: Mapping[str, str],
        signed_in: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Mapping[str, Any] | str:
        """Returns a proposal's normalized arguments with the schedule's next run times, or an error for the model."""
        arguments = convert_arguments(self._parameters, arguments)
        now, number, stops = self.stores.clock.now(), arguments.get("number") or 0, arguments.get("stop") is True
        if not any(arguments.values()) or (stops and not number):
            return _schedules_for_model(here, names)
        changed = next((one for one in here if one.id == number), None)
        if number and changed is None:
            return texts.schedules.nothing_to_stop(str(number))
        if changed is not None and not can_change(changed, user_id, self.admins):
            return texts.schedules.NOT_YOUR_SCHEDULE
        if changed is not None and stops:
            return {**changed.as_proposal.arguments, "number": changed.id, "stop": True}
        if not (zone or arguments.get("zone") or changed):
            return NO_ZONE
        if changed is not None and changed.user_id != user_id:
            # Only a schedule's creator can agree to the use of their account.
            arguments = {**arguments, "accounts": []}
        try:
            gap = min_gap_minutes(user_id, self.admins)
            proposal = parse_proposal(_complete_arguments(arguments, changed), zone, now, min_gap_minutes=gap)
            if missing := [server for server in proposal.accounts if server not in signed_in]:
                raise UnusableRule(NOT_SIGNED_IN.format(servers=", ".join(missing)))
        except UnusableRule as unusable:
            return str(unusable)
        theirs = (one for one in here if one.user_id == (changed.user_id if changed else user_id))
        if same := next((one for one in theirs if proposal.is_same_as(one.as_proposal)), None):
            return texts.schedules.already_scheduled(same.id)
        whole = {**proposal.arguments, "words": visible(proposal.words), "next": proposal.rule.next_times(now)}
        return {**whole, **_current_state(changed)} if changed else whole

    async def call(self, use: ToolUse) -> CallResult:
        if (use.tool, use.definition_hash) != (SCHEDULE, DEFINITION.definition_hash):
            return CallResult.failed(NO_SUCH_TOOL)
        try:
            return await self._carry_out(use)
        except UnusableRule as unusable:
            return CallResult.failed(str(unusable))

    async def _carry_out(self, use: ToolUse) -> CallResult:
        (team_id, channel_id), user_id, now = use.question.thread.place, use.question.user_id, self.stores.clock.now()
        schedules, number = self.stores.schedules, use.arguments.get("number") or 0
        changed = await schedules.read(team_id, number) if number else None
        if number and (changed is None or changed.channel_id != channel_id):
            raise UnusableRule(texts.schedules.SCHEDULE_GONE)
        if changed is not None and not can_change(changed, user_id, self.admins):
            raise UnusableRule(texts.schedules.NOT_YOUR_SCHEDULE)
        if changed is not None and use.arguments.get("stop"):
            await schedules.stop(team_id, changed.id, user_id)
            return CallResult(CallState.DONE, texts.schedules.stopped_notice(changed.id, changed.rule.description))
        proposal = parse_proposal(use.arguments, "", now, min_gap_minutes=min_gap_minutes(user_id, self.admins))
        said = proposal.rule.description, proposal.rule.first_day_text(now)
        if changed is not None:
            caps = changed.run_tokens, changed.day_tokens, max_schedules(changed.user_id, channel_id, self.admins)
            if not await schedules.change(team_id, changed.id, user_id, proposal, *caps):
                raise UnusableRule(texts.schedules.SCHEDULE_GONE)
            log.info("user %s changed schedule %d", user_id, changed.id)
            sentence = texts.schedules.changed_notice(changed.id, *said, is_paused=bool(changed.pause_reason))
            return CallResult(CallState.DONE, sentence, item_no=changed.id)
        most = max_schedules(user_id, channel_id, self.admins)
        created = await schedules.create(team_id, channel_id, user_id, proposal, most)
        log.info("user %s created schedule %d in channel %s", user_id, created, channel_id)
        return CallResult(CallState.DONE, texts.schedules.created_notice(created, *said), item_no=created)


def _parameters_for_servers(servers: Sequence[str]) -> Mapping[str, Any]:
    """Returns the tool's parameters. They include accounts if people can have accounts at these servers."""
    described = {
        "type": "array",
        "items": {"type": "string", "enum": list(servers)},
        "description": "The servers whose tools each run needs with the asker's own account. Such runs can't read this "
        "conversation",
    }
    return {**DEFINITION.parameters, "properties": {**DEFINITION.parameters["properties"], "accounts": described}}


def _complete_arguments(arguments: Mapping[str, Any], changed: Schedule | None) -> Mapping[str, Any]:
    """Returns a proposal's arguments. In a proposed change, missing arguments have the schedule's current values."""
    if changed is None:
        return arguments
    known, given = changed.as_proposal.arguments, {name: value for name, value in arguments.items() if value != ""}
    # A new time replaces the old one, whether it is `cron` or `at`.
    kept = {name: value for name, value in known.items() if name not in ("cron", "at") or not given.keys() & _WHEN}
    return {**kept, **given}


def _current_state(changed: Schedule) -> Mapping[str, Any]:
    return {"number": changed.id, "before": changed.rule.description, "skipped_before": changed.only_if_changed}


def _schedules_for_model(here: Sequence[Schedule], names: Mapping[str, str]) -> ReadResult:
    whose = {one.id: one_line(names.get(one.user_id, one.user_id)) for one in here}
    lines = [f"Number {one.id}, of {whose[one.id]}, {one.rule.description}: {one.words}" for one in here]
    return ReadResult(result_for_model("\n".join(lines), SCHEDULE, secrets.token_hex(8)) if lines else NOTHING_HERE)
