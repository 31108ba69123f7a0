"""Offers models tools that find people and propose to notify them. Carries out accepted proposals.

The message is queued under the call's key, so a call that is repeated after a crash notifies nobody twice.
"""

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bot.core import texts
from bot.core.calls import NO_SUCH_TOOL, NOTIFY, CallResult, CallState, ToolUse, convert_arguments, result_for_model
from bot.core.conversation import Question
from bot.core.notifications import Notification
from bot.core.notify import (
    FIND_PEOPLE,
    FIND_TOOL,
    NO_MATCHING_NAME,
    NOTIFY_TOOL,
    Addressees,
    UnusableProposal,
    UserGroup,
    heading,
    proposal,
)
from bot.errors import RateLimited, Refused
from bot.models.prompt import OfferedTools
from bot.reply.workspace import Workspace
from bot.slack.json_values import string, strings
from bot.slack.notices import passed_on
from bot.slack.user_groups import list_groups
from bot.slack.users import cache_newest
from bot.store import Stores

LOOKUP_TIMEOUT_S = 20.0
LOOKUP_FAILED = "Slack doesn't say who is in this channel. Tell the asker that nobody was notified."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NotifyTool:
    stores: Stores
    workspace: Workspace
    _addressees: dict[str, Addressees] = field(default_factory=dict, init=False)
    """The results of models' latest lookups, by channel ID."""

    async def definitions(self, question: Question) -> OfferedTools:
        """Returns the tools for a person's question in a channel. In a direct message, there is nobody to notify."""
        if question.thread.in_direct_message or question.schedule_id is not None or question.is_from_bot:
            return OfferedTools()
        prepare = partial(self._prepare_arguments, question.thread.channel_id)
        return OfferedTools((FIND_TOOL, replace(NOTIFY_TOOL, prepare=prepare)))

    def _prepare_arguments(self, channel_id: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | str:
        """Returns a proposal's arguments as the card shows them, or an error for the model."""
        known = self._addressees.get(channel_id)
        try:
            return proposal(known, convert_arguments(NOTIFY_TOOL.parameters, arguments))
        except UnusableProposal as unusable:
            return str(unusable)

    async def call(self, use: ToolUse) -> CallResult:
        """Finds people, or notifies those on an accepted card. Raises StoreError."""
        ours = {FIND_PEOPLE: FIND_TOOL.definition_hash, NOTIFY: NOTIFY_TOOL.definition_hash}
        if use.definition_hash != ours.get(use.tool):
            return CallResult.failed(NO_SUCH_TOOL)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                known = await self._read_addressees(use.question.thread.channel_id, with_groups=use.tool == FIND_PEOPLE)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("channel %s: its people are not known: %s", use.question.thread.channel_id, error)
            return CallResult.failed(LOOKUP_FAILED)
        if use.tool == NOTIFY:
            return await self._notify(use, known)
        cache_newest(self._addressees, use.question.thread.channel_id, known)
        found = known.lines(str(use.arguments.get("name") or ""))
        shown = result_for_model(found, FIND_PEOPLE, secrets.token_hex(8)) if found else NO_MATCHING_NAME
        return CallResult(CallState.DONE, shown)

    async def _read_addressees(self, channel_id: str, *, with_groups: bool) -> Addressees:
        """Reads a channel's members. `with_groups`: also reads which members of each user group are in the channel."""
        names = await self.workspace.readers.names_of_members(channel_id)
        try:
            groups = await list_groups(self.workspace.paced) if with_groups else ()
        except Refused as refused:
            log.info("user groups not read: %s", refused)
            groups = ()
        found: dict[str, UserGroup] = {}
        for one in groups:
            people = strings(one, "users")
            members = tuple(id_ for id_ in people if id_ in names)
            found[string(one, "id")] = UserGroup(string(one, "handle"), len(people), members)
        return Addressees(names, found)

    async def _notify(self, use: ToolUse, known: Addressees) -> CallResult:
        question, arguments = use.question, use.arguments
        people = {id_: name for id_, name in arguments["people"].items() if id_ in known.names}
        in_channel = arguments["also_to_channel"]
        if not (people or in_channel):
            return CallResult(CallState.DONE, texts.notify.NOBODY_LEFT)
        asker = await self.workspace.asker_name_in_channel(question)
        content = {
            **passed_on(heading([*people], asker), arguments["text"]),
            "thread_ts": question.thread.thread_ts,
            **({"reply_broadcast": True} if in_channel else {}),
        }
        said = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
        key = f"{NOTIFY} {question.ts} {use.version} {said} {question.user_id} {question.thread}"
        one = Notification(question.thread.channel_id, key, content)
        await self.stores.notifications.add(question.thread.team_id, one)
        log.info("user %s notifies people: %d", question.user_id, len(people))
        return CallResult(
            CallState.DONE, texts.notify.notified_notice([*people.values()], len(arguments["people"]) - len(people))
        )
