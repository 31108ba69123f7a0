"""App Home, which is built each time a person opens it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core.caps import Scope, ScopeIds, days_of_last_month
from bot.core.channel_settings import ChannelSettings, DefaultSettings, changes, effective_settings
from bot.core.conversation import Question, ThreadKey
from bot.core.message_question import direct_message_of
from bot.core.surfaces import TOP, ChannelsWithSettings, HomeView, Quotas, WorkspaceUsage
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.loops import Background
from bot.services.quota import CapSettings, Quota
from bot.store import Stores

MAX_BUILDING = 50
WITHIN_S = 10.0
"""How long to try: later, the person has left the tab or opens it again."""


@dataclass(frozen=True)
class AppHome:
    """Builds the Home tab. `settings`: what Typist admins see of the bot's settings."""

    stores: Stores
    workspace: Workspace
    quota: Quota
    caps: CapSettings
    access_control: AccessControl
    defaults: DefaultSettings
    settings: Mapping[str, str]
    _background: Background = field(default_factory=Background, init=False)
    _building: set[str] = field(default_factory=set, init=False)
    """The people whose Home is being built."""
    _outdated: set[str] = field(default_factory=set, init=False)
    """The people whose Home shows what has changed since its building began."""

    def opened(self, user_id: str) -> None:
        """Builds a person's Home in the background, so that the acknowledgment doesn't wait for the rate budget."""
        if user_id in self._building or len(self._building) >= MAX_BUILDING:
            return
        self._building.add(user_id)
        task = self._background.start(self._publish(user_id), f"App Home of user {user_id} not updated", WITHIN_S)
        task.add_done_callback(lambda _: self._built(user_id))

    def changed(self, user_id: str) -> None:
        """Builds a person's Home again because of what they changed, also if it is being built."""
        if user_id in self._building:
            self._outdated.add(user_id)
        self.opened(user_id)

    def _built(self, user_id: str) -> None:
        self._building.remove(user_id)
        if user_id in self._outdated:
            self._outdated.remove(user_id)
            self.opened(user_id)

    async def _publish(self, user_id: str) -> None:
        at_home = ThreadKey(self.workspace.me.team_id, direct_message_of(user_id), None)
        if denial := await self.access_control.denial(Question(at_home, "", user_id, "")):
            await self.workspace.surfaces.publish_home(user_id, self.access_control.naming_admins(denial))
            return
        workspace = await self._for_admins() if user_id in self.access_control.admins else None
        usage = await self.quota.personal_use(self.workspace.me.team_id, user_id)
        defaults = effective_settings(ChannelSettings(), self.defaults)
        await self.workspace.surfaces.publish_home(user_id, HomeView(defaults, usage, workspace))

    async def _for_admins(self) -> WorkspaceUsage:
        now = self.stores.clock.now()
        last_month, this_month = days_of_last_month(now)
        return WorkspaceUsage(
            await self.stores.usage.used_by_period(ScopeIds(self.workspace.me.team_id, "", ""), Scope.WORKSPACE),
            await self.stores.usage.month(self.workspace.me.team_id, this_month, this_month + 31),
            await self.stores.usage.month(self.workspace.me.team_id, last_month, this_month),
            Quotas(self.caps.defaults, await self.stores.caps.all(self.workspace.me.team_id), self.caps.unpriced),
            self.settings,
            now,
            await self._channels(),
            self.defaults.names,
        )

    async def _channels(self) -> ChannelsWithSettings:
        stored = await self.stores.channel_settings.all(self.workspace.me.team_id)
        own = {channel_id: changes(ChannelSettings(), of, self.defaults) for channel_id, of in stored.items()}
        # A channel's model may be gone from BOT_MODELS, for example.
        lines = [(channel_id, sentences) for channel_id, sentences in own.items() if sentences]
        return ChannelsWithSettings(lines[:TOP], len(lines[TOP:]))
