"""Quotas: tokens and dollars are reserved before a model is asked, and people are warned before a cap is reached."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from bot.clock import Clock
from bot.core.conversation import Job, Question
from bot.core.limits.caps import (
    Amount,
    Cap,
    CapCheck,
    CapWindow,
    Scope,
    ScopeIds,
    UsageToDate,
    cap_reached_text,
    check_caps,
    warning,
    warning_key,
)
from bot.core.stream import SEARCH_RESULT_TOKENS, Usage
from bot.errors import CapReached, StoreError, trace_of
from bot.prices import ModelPrices
from bot.services.insisting import insist
from bot.slack.ephemeral_messages import EphemeralMessages
from bot.store.caps import CapStore
from bot.store.notices import Notices
from bot.store.usage_ledger import UsageLedger

ROOM_POLL_S = 0.5
"""How often to check whether answers under way have left room below a cap."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quota:
    """Reserves usage below the caps, and reports the remaining quota. `models`: all that may answer."""

    caps: tuple[Cap, ...]
    """The caps of the settings, which hold where admins have set no others."""
    models: tuple[str, ...]
    max_output_tokens: int
    prices: ModelPrices
    usage: UsageLedger
    own_caps: CapStore
    notices: Notices
    ephemeral: EphemeralMessages
    clock: Clock
    _lines: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)
    """One lock for each cap that answers wait for, so that only the first of them polls. The last one drops it."""
    _warnings: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0) -> None:
        """Returns when all caps leave room for the answer; raises CapReached if one is used up.

        If the rest is reserved for answers under way, it waits until they leave some.
        """
        most = self._most(input_tokens, web_searches)
        check = await self._check_caps(job, most)
        if check.reserved is not None:
            scope_ids = _scope_ids(job.question)
            waited_for = f"{check.reserved.window.scope} {scope_ids.id_of(check.reserved.window.scope)}"
            line = self._lines.setdefault(waited_for, asyncio.Lock())
            async with line:
                while (check := await self._check_caps(job, most)).reserved is not None:
                    await self.clock.sleep(ROOM_POLL_S)
        if check.reached is not None:
            raise CapReached(cap_reached_text(check.reached, self.clock.now()))

    def warn(self, question: Question) -> None:
        """Tells the asker, in the background and once in a period, that most of a cap is used.

        As a part of the answer's attempt it would be canceled by the next heartbeat, because the job has ended.
        """
        task = asyncio.create_task(self._warn(question))
        self._warnings.add(task)
        task.add_done_callback(self._warnings.discard)

    async def _warn(self, question: Question) -> None:
        scope_ids = _scope_ids(question)
        now = self.clock.now()
        try:
            caps, used = await self._caps_and_usage(scope_ids)
            for cap in caps:
                sentence = warning(cap, used[cap.window], now)
                to = question.user_id if cap.window.scope is Scope.USER else ""
                if sentence and await self.notices.claim(scope_ids.team_id, to, warning_key(cap, scope_ids, now)):
                    await self.ephemeral.tell(question, sentence)
        except StoreError as error:
            log.error("user %s is not warned about a quota: %s", question.user_id, error)
        except Exception as error:
            log.error("user %s is not warned about a quota: %s", question.user_id, trace_of(error))

    async def has_room(self, question: Question) -> bool:
        """Returns whether no cap is used up for the asker, here and in the workspace. Raises StoreError."""
        caps, used = await self._caps_and_usage(_scope_ids(question))
        return check_caps(caps, used, dict.fromkeys(Scope, Amount())) == CapCheck()

    async def _caps_and_usage(self, scope_ids: ScopeIds) -> tuple[tuple[Cap, ...], Mapping[CapWindow, Amount]]:
        caps = await self.own_caps.in_force(scope_ids, self.caps)
        return caps, await self.usage.used(scope_ids, {cap.window for cap in caps}) if caps else {}

    async def count(self, question: Question, tokens: int, cost_usd: float) -> None:
        """Counts what was used before a message of the thread became a question, however long that takes."""
        used = Amount(tokens, cost_usd)
        await insist(lambda: self.usage.count(question, used, self.caps), self.clock, "usage not counted")

    async def earlier_usd(self, job: Job) -> float | None:
        """Returns what earlier attempts at this version of an answer have cost; None if nobody knows."""
        if job.attempts == 1:
            return 0.0
        try:
            return await self.usage.cost_so_far(job.id)
        except StoreError as error:
            log.warning("cost so far not read: %s", error)
            return None

    async def personal_use(self, team_id: str, user_id: str, channel_id: str = "") -> UsageToDate:
        """Returns a person's usage today and this month, with the caps that hold in a channel, or "" for anywhere.

        Raises StoreError.
        """
        ids = ScopeIds(team_id, user_id, channel_id)
        in_force = [cap for cap in await self.own_caps.in_force(ids, self.caps) if ids.id_of(cap.window.scope)]
        scopes = {Scope.USER, *(cap.window.scope for cap in in_force)}
        spent = {scope: await self.usage.used_by_period(ids, scope) for scope in scopes}
        used = [(cap, cap.percent_used(spent[cap.window.scope][cap.window.period])) for cap in in_force]
        return UsageToDate(spent[Scope.USER], used)

    async def _check_caps(self, job: Job, most: Amount) -> CapCheck:
        return await insist(lambda: self.usage.reserve(job, most, self.caps), self.clock, "quota not reserved")

    def _most(self, input_tokens: int, web_searches: int) -> Amount:
        """Returns the most that an answer may use: with the most expensive model, which caches the whole prompt."""
        input_tokens += SEARCH_RESULT_TOKENS if web_searches else 0
        usage = Usage(input_tokens, self.max_output_tokens, 0, input_tokens, web_searches)
        costs = [self.prices.cost_usd(model, usage, self.clock.now()) or 0.0 for model in self.models]
        return Amount(input_tokens + self.max_output_tokens, max(costs, default=0.0))


def _scope_ids(question: Question) -> ScopeIds:
    return ScopeIds(question.thread.team_id, question.user_id, question.thread.channel_id)
