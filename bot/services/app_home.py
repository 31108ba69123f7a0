"""App Home, which is built each time a person opens it."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.clock import Clock
from bot.core.app_home import HomeView, Quotas, WorkspaceUsage
from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings, DefaultSettings, effective_settings
from bot.core.inbound.triage import Identity
from bot.core.limits.access import Denial
from bot.core.limits.caps import Scope, ScopeIds, days_of_last_month
from bot.errors import RateLimited, Refused, StoreError, trace_of
from bot.services.access_control import AccessControl
from bot.services.cap_settings import CapSettings
from bot.services.quota import Quota
from bot.slack.surfaces import Surfaces
from bot.store.usage_ledger import UsageLedger

MAX_BUILDING = 50
WITHIN_S = 10.0
"""How long to try: later, the person has left the tab or opens it again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppHome:
    """Builds the Home tab. `settings`: what Typist admins see of the bot's settings."""

    usage: UsageLedger
    tab: Surfaces
    quota: Quota
    caps: CapSettings
    access_control: AccessControl
    clock: Clock
    me: Identity
    defaults: DefaultSettings
    admins: frozenset[str]
    settings: Mapping[str, str]
    _building: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _outdated: set[str] = field(default_factory=set, init=False)
    """The people whose Home shows what has changed since its building began."""

    def opened(self, user_id: str) -> None:
        """Builds a person's Home in the background, so that the acknowledgment doesn't wait for the rate budget."""
        if user_id in self._building or len(self._building) >= MAX_BUILDING:
            return
        task = self._building[user_id] = asyncio.create_task(self._publish(user_id))
        task.add_done_callback(lambda _: self._built(user_id))

    def changed(self, user_id: str) -> None:
        """Builds a person's Home again because of what they changed, also if it is being built."""
        if user_id in self._building:
            self._outdated.add(user_id)
        self.opened(user_id)

    def _built(self, user_id: str) -> None:
        del self._building[user_id]
        if user_id in self._outdated:
            self._outdated.remove(user_id)
            self.opened(user_id)

    async def _publish(self, user_id: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                if denial := await self._denial(user_id):
                    await self.tab.publish_home(user_id, denial)
                    return
                workspace = await self._workspace() if user_id in self.admins else None
                usage = await self.quota.personal_use(self.me.team_id, user_id)
                defaults = effective_settings(ChannelSettings(), self.defaults)
                await self.tab.publish_home(user_id, HomeView(defaults, usage, workspace))
        except (RateLimited, Refused, StoreError, TimeoutError) as error:
            log.warning("App Home of user %s not updated: %s", user_id, error or "it took too long")
        except Exception as error:
            log.error("App Home of user %s not updated: %s", user_id, trace_of(error))

    async def _denial(self, user_id: str) -> Denial | None:
        question = Question(ThreadKey(self.me.team_id, f"D{user_id}", None), "", user_id, "")
        return await self.access_control.denial(question)

    async def _workspace(self) -> WorkspaceUsage:
        now = self.clock.now()
        last_month, this_month = days_of_last_month(now)
        return WorkspaceUsage(
            await self.usage.used_by_period(ScopeIds(self.me.team_id, "", ""), Scope.WORKSPACE),
            await self.usage.month(self.me.team_id, this_month, this_month + 31),
            await self.usage.month(self.me.team_id, last_month, this_month),
            Quotas(self.caps.defaults, await self.caps.store.all(self.me.team_id), self.caps.unpriced),
            self.settings,
            now,
        )
