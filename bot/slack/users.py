"""Who people are, and what one person alone is told."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.core.conversation import Question
from bot.core.inbound.triage import Identity
from bot.core.limits.access import UserKind
from bot.errors import RateLimited, Refused, trace_of
from bot.ports import Clock
from bot.slack.client import SlackClient

KNOWN_FOR_S = 600.0
TRY_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""How long to wait before each further try: while Slack does not say who somebody is, they may not ask."""
LONGEST_WAIT_S = 10.0
"""For a rate limit; users.info may be called some 100 times a minute."""
STRANGERS = ("user_not_found", "user_not_visible")
"""What Slack says of people whom the workspace may not see."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    kind: UserKind
    until: float


class SlackUsers:
    """The People port on Slack's Web API."""

    def __init__(self, web: SlackClient, me: Identity, clock: Clock) -> None:
        self._web = web
        self._me = me
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[UserKind | None]] = {}

    def known(self, user_id: str) -> UserKind | None:
        """What somebody is, if Slack said so in the last ten minutes."""
        known = self._known.get(user_id)
        return known.kind if known and self._clock.monotonic() < known.until else None

    async def kind(self, user_id: str) -> UserKind | None:
        """Needs the scope users:read. Where Slack does not answer, what it said before still holds."""
        if known := self.known(user_id):
            return known
        asking = self._asking.get(user_id)
        if asking is None:
            # Once for all who wait, and though one of them is cancelled.
            asking = self._asking[user_id] = asyncio.create_task(self._ask(user_id))
            asking.add_done_callback(lambda _: self._asking.pop(user_id, None))
        return await asyncio.shield(asking)

    async def whisper(self, question: Question, sentence: str) -> None:
        """Where the question was written: a thread that nobody answered in shows nothing to one person alone."""
        thread = question.thread
        in_thread = thread.thread_ts if thread.thread_ts != question.ts else None
        arguments = {"channel": thread.channel_id, "user": question.user_id, "thread_ts": in_thread}
        try:
            await self._web.call("chat.postEphemeral", text=sentence, **arguments)
        except (RateLimited, Refused) as error:
            log.warning("%s was not told: %s", question.user_id, error)
        except Exception as error:
            log.error("%s was not told: %s", question.user_id, trace_of(error))

    async def _ask(self, user_id: str) -> UserKind | None:
        for delay_s in (*TRY_AGAIN_S, None):
            try:
                answer = await self._web.call("users.info", user=user_id)
            except RateLimited as limited:
                log.warning("%s", limited)
                if delay_s is not None:
                    await self._clock.sleep(min(limited.retry_after_s, LONGEST_WAIT_S))
            except Refused as refused:
                if refused.error in STRANGERS:
                    return self._keep(user_id, UserKind.EXTERNAL)
                if not refused.reason.may_pass:
                    log.error("nobody can be told from a guest (is the scope users:read granted?): %s", refused)
                    break
                if delay_s is not None:
                    await self._clock.sleep(delay_s)
            else:
                kind = _kind(answer.get("user") or {}, self._me.team_id)
                return None if kind is None else self._keep(user_id, kind)
        before = self._known.get(user_id)
        return before.kind if before else None

    def _keep(self, user_id: str, kind: UserKind) -> UserKind:
        self._known[user_id] = _Known(kind, self._clock.monotonic() + KNOWN_FOR_S)
        return kind


def _kind(user: Mapping[str, Any], team_id: str) -> UserKind | None:
    """None for an account that is deactivated: Slack no longer says whether it was a guest's."""
    if not user or user.get("deleted"):
        return None
    # In an Enterprise Grid a person has one home workspace, and may belong to more.
    teams = {user.get("team_id", team_id), *(user.get("enterprise_user") or {}).get("teams", ())}
    if user.get("is_stranger") or team_id not in teams:
        return UserKind.EXTERNAL
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return UserKind.GUEST
    return UserKind.BOT if user.get("is_bot") else UserKind.MEMBER
