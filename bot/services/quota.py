"""Reserves usage against caps before a model is called, warns people close to a cap, and lets admins set caps.

Typist admins see and set caps in App Home and in a channel's settings, and are notified when much of a cap is used.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from bot.clock import Background, keep_trying
from bot.core import texts
from bot.core.caps import (
    DAYS_IN_CHART,
    Amount,
    Cap,
    CapCheck,
    CapNotice,
    CapOwner,
    CapWindow,
    EnteredLimits,
    OwnerCaps,
    Scope,
    ScopeIds,
    UsageToDate,
    cap_notice_text,
    cap_problems,
    cap_reached_text,
    cap_usage,
    cap_warning,
    cap_warning_key,
    caps_by_field,
    check_caps,
    daily_usage,
    day_of,
    parse_limits,
    scope_ids_of,
)
from bot.core.conversation import Question
from bot.core.job import End, Job
from bot.errors import CapReached, StoreError
from bot.models.events import LONGER_THINKING_TOKENS, SEARCH_RESULT_TOKENS, THINKING_TOKENS, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import Effort
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.services.schedule_quota import check_run_quota
from bot.slack.blockkit import Json
from bot.slack.quotas import cap_notification
from bot.slack.views.caps import CAPS, SubmittedCaps
from bot.slack.views.modal import sentence_modal
from bot.store import Stores

ROOM_POLL_S = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quota:
    stores: Stores
    notifier: Notifier
    caps: tuple[Cap, ...]
    """Caps from the settings, which apply unless admins have set others."""
    models: tuple[str, ...]
    max_output_tokens: int
    prices: ModelPrices
    admins: Collection[str] = ()
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)
    """One lock for each cap that answers are waiting for, so that only the first of them polls."""
    _background: Background = field(default_factory=Background, init=False)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        """Reserves usage for a request once all caps leave room. Raises CapReached if a cap is used up.

        Waits while the remaining amount of a cap is reserved for running answers.
        """
        await check_run_quota(job, self.stores)
        most = self.max_usage(input_tokens, web_searches, effort)
        usage, clock = self.stores.usage, self.stores.clock
        reserve = partial(keep_trying, lambda: usage.reserve(job, most, self.caps), clock, "quota not reserved")
        check = await reserve()
        if check.reserved_cap is not None:
            scope_ids = scope_ids_of(job.question)
            waited_for = f"{check.reserved_cap.window.scope} {scope_ids.id_of(check.reserved_cap.window.scope)}"
            line = self._locks.setdefault(waited_for, asyncio.Lock())
            async with line:
                while (check := await reserve()).reserved_cap is not None:
                    await clock.sleep(ROOM_POLL_S)
        if check.reached_cap is not None:
            is_admin = job.question.user_id in self.admins
            raise CapReached(cap_reached_text(check.reached_cap, clock.now(), is_admin=is_admin))

    def warn(self, question: Question) -> None:
        """Tells the asker in the background, once per period, that most of a cap is used. This isn't part of the
        attempt, because the job has ended and the next heartbeat would cancel the attempt."""
        self._background.start(self._send_warnings(question), f"user {question.user_id} is not warned about a quota")

    async def _send_warnings(self, question: Question) -> None:
        scope_ids = scope_ids_of(question)
        now = self.stores.clock.now()
        caps, used = await self._caps_and_usage(scope_ids)
        for cap in caps:
            sentence = cap_warning(cap, used[cap.window], now)
            if sentence:
                to = question.user_id if cap.window.scope is Scope.USER else ""
                await self.notifier.show(question, sentence, cap_warning_key(cap, scope_ids, now), to)

    async def is_below_caps(self, question: Question) -> bool:
        """Returns whether the asker, the channel and the workspace are all below their caps. Raises StoreError."""
        caps, used = await self._caps_and_usage(scope_ids_of(question))
        return check_caps(caps, used, dict.fromkeys(Scope, Amount())) == CapCheck()

    async def _caps_and_usage(self, scope_ids: ScopeIds) -> tuple[tuple[Cap, ...], Mapping[CapWindow, Amount]]:
        caps = await self.stores.caps.caps_in_force(scope_ids, self.caps)
        return caps, await self.stores.usage.usage_by_window(scope_ids, {cap.window for cap in caps}) if caps else {}

    async def count_usage(self, question: Question, tokens: int, cost_usd: float) -> None:
        """Records the usage of deciding whether a message is a question. Retries while the database is unavailable."""
        used = Amount(tokens, cost_usd)
        await keep_trying(
            lambda: self.stores.usage.charge_message(question, used, self.caps), self.stores.clock, "usage not counted"
        )

    def cost_usd(self, end: End) -> float | None:
        if not (end.model and end.usage):
            return None
        return self.prices.cost_usd(end.model, end.usage, self.stores.clock.now())

    async def earlier_usd(self, job: Job) -> float | None:
        """Returns the cost of earlier attempts at this version of an answer, or None if a price is unknown."""
        if job.attempts == 1:
            return 0.0
        try:
            return await self.stores.usage.cost_so_far(job.id)
        except StoreError as error:
            log.warning("cost so far not read: %s", error)
            return None

    async def personal_usage(self, team_id: str, user_id: str, channel_id: str = "") -> UsageToDate:
        """Returns a person's usage today and this month, and the caps that apply in a channel (or, with "",
        everywhere). Raises StoreError."""
        ids = ScopeIds(team_id, user_id, channel_id)
        caps_in_force = [
            cap for cap in await self.stores.caps.caps_in_force(ids, self.caps) if ids.id_of(cap.window.scope)
        ]
        scopes = {Scope.USER, *(cap.window.scope for cap in caps_in_force)}
        spent = {scope: await self.stores.usage.usage_by_period(ids, scope) for scope in scopes}
        now = self.stores.clock.now()
        used = [cap_usage(cap, spent[cap.window.scope][cap.window.period], now) for cap in caps_in_force]
        return UsageToDate(spent[Scope.USER], used)

    def max_usage(self, input_tokens: int, web_searches: int, effort: Effort) -> Amount:
        """Returns a request's maximum usage, assuming the most expensive model and caching of the whole prompt."""
        input_tokens += SEARCH_RESULT_TOKENS if web_searches else 0
        more_tokens = LONGER_THINKING_TOKENS - THINKING_TOKENS if effort is Effort.THOROUGH else 0
        usage = Usage(input_tokens, self.max_output_tokens + more_tokens, 0, input_tokens, web_searches)
        costs = [self.prices.cost_usd(model, usage, self.stores.clock.now()) or 0.0 for model in self.models]
        return Amount(input_tokens + usage.output_tokens, max(costs, default=0.0))


@dataclass(frozen=True)
class CapSettings:
    """Shows and saves the caps of one owner. `open` raises RateLimited and Refused, and all other methods raise
    StoreError."""

    stores: Stores
    workspace: Workspace
    defaults: tuple[Cap, ...]
    unpriced: tuple[str, ...]
    """User-facing names of models in use without a price."""
    access_control: AccessControl

    async def open(self, user_id: str, trigger_id: str, owner: CapOwner) -> None:
        if user_id not in self.access_control.admins:
            sentence = self.access_control.with_admin_mentions(texts.quotas.ONLY_ADMINS_SET_QUOTAS)
            await self.workspace.surfaces.open(trigger_id, sentence_modal(sentence, texts.quotas.QUOTAS_TITLE))
            return
        try:
            caps = await self.of(owner)
        except StoreError as error:
            log.warning("caps of %s %s not read: %s", owner.scope, owner.id, error)
            failed = sentence_modal(texts.commands.COMMAND_FAILED, texts.quotas.QUOTAS_TITLE)
            await self.workspace.surfaces.open(trigger_id, failed)
            return
        await self.workspace.surfaces.open(trigger_id, CAPS.build(caps))

    async def of(self, owner: CapOwner) -> OwnerCaps:
        team_id, scope = self.workspace.me.team_id, owner.scope
        return OwnerCaps(
            owner,
            caps_by_field(await self.stores.caps.own_caps(team_id, owner), scope),
            caps_by_field(self.defaults, scope),
            await self.stores.usage.usage_by_period(ScopeIds(team_id, owner.id, owner.id), scope),
        )

    async def problems(self, user_id: str, entered: EnteredLimits) -> dict[str, str]:
        if entered and user_id not in self.access_control.admins:
            return {entered[0][0]: await self.access_control.with_admin_names(texts.quotas.ONLY_ADMINS_SET_QUOTAS)}
        return cap_problems(entered, self.unpriced)

    async def save(self, user_id: str, submitted: SubmittedCaps) -> dict[str, str]:
        owner, entered = submitted.owner, submitted.entered
        if problems := await self.problems(user_id, entered):
            return problems
        if await self.stores.caps.change(self.workspace.me.team_id, owner, parse_limits(entered), by=user_id):
            log.info("admin %s changed the caps of %s %s", user_id, owner.scope, owner.id)
        return {}


@dataclass(frozen=True)
class CapNotifications:
    stores: Stores
    admins: Collection[str]

    async def write(self, content: Mapping[str, str]) -> dict[str, Json]:
        """Returns the message for each admin, with a chart of the last days. Raises StoreError."""
        now = self.stores.clock.now()
        notice = CapNotice.parse(content["notice"])
        unit = texts.quotas.DOLLARS_UNIT if notice.cap.in_dollars else texts.quotas.TOKENS_UNIT
        owner = CapOwner(notice.cap.window.scope, notice.owner_id)
        by_day = await self.stores.usage.usage_by_day(content["team_id"], owner, day_of(now) - DAYS_IN_CHART)
        message = cap_notification(cap_notice_text(notice, now), unit, daily_usage(notice.cap, by_day, now))
        return dict.fromkeys(sorted(self.admins), message)
