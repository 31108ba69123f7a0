"""Handles slash commands, channel settings and App Home."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.clock import Background
from bot.core import channel_settings, texts
from bot.core.calls import MAX_TOOLS, AvailableTools
from bot.core.caps import CapOwner, Scope, ScopeIds, UsageToDate, days_of_last_month
from bot.core.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    SettingsPlace,
    change_sentences,
    settings_line,
    with_changes,
)
from bot.core.conversation import escape, is_direct_message, message_link
from bot.core.surfaces import (
    HELP,
    MAX_LISTED,
    SETTINGS_FIELDS,
    USAGE,
    ChannelsWithSettings,
    CommandResponse,
    Help,
    HomeView,
    Invocation,
    Quotas,
    TypedCommand,
    WorkspaceUsage,
)
from bot.core.unposted import direct_message_placeholder
from bot.errors import RateLimited, Refused
from bot.models.prices import price_of_tools
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl, access_question, channel_refusal, refusal_to_change
from bot.services.quota import CapSettings, Quota
from bot.slack.blockkit import remark
from bot.slack.client import TURN_WITHIN_S
from bot.slack.views.caps import SubmittedCaps
from bot.slack.views.settings import SETTINGS, SubmittedSettings
from bot.store import Stores

TOOL_LIST_TIMEOUT_S = 0.8
"""Time limit for listing MCP tools. Slack accepts a modal only within three seconds of the command."""

log = logging.getLogger(__name__)


Subcommand = Callable[[Invocation], Awaitable[str]]
"""Carries out a subcommand. Returns the response in mrkdwn, or "" if it is a modal."""


@dataclass(frozen=True)
class SlashCommands:
    """Responds to slash commands and saves channel settings. Methods raise RateLimited, Refused and StoreError."""

    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    quota: Quota
    caps: CapSettings
    defaults: DefaultSettings
    subcommands: Mapping[str, Subcommand]
    list_tools: Callable[[Sequence[str], float], Awaitable[AvailableTools]] | None
    """Returns the MCP servers' tools, within the given number of seconds. None if no servers are configured."""
    _background: Background = field(default_factory=Background, init=False)

    async def respond(self, invocation: Invocation, typed: TypedCommand) -> CommandResponse | None:
        asked = access_question(self.workspace, invocation.user_id, invocation.channel_id)
        if denial := await self.access_control.denial(asked, is_press=True):
            return CommandResponse(self.access_control.with_admin_mentions(denial))
        subcommand = typed.subcommand
        if field := SETTINGS_FIELDS.get(subcommand):
            return await self._open_settings(invocation, field)
        if opens := self.subcommands.get(subcommand):
            refusal = await opens(invocation)
            return CommandResponse(self.access_control.with_admin_mentions(refusal)) if refusal else None
        if subcommand == USAGE:
            usage = await self.quota.personal_usage(
                self.workspace.me.team_id, invocation.user_id, invocation.channel_id
            )
            return await self._response(invocation.channel_id, usage)
        return await self._response(invocation.channel_id, Help(typed.name, "" if subcommand == HELP else subcommand))

    async def save_channel_settings(self, user_id: str, submitted: SubmittedSettings) -> dict[str, str]:
        """Saves changes to a channel's settings and caps. Returns a sentence for each invalid field (a setting or
        CapField). Checks access and rights again, because the modal might have been open for hours."""
        place, caps = submitted.place, submitted.caps
        problems = channel_settings.setting_problems(submitted.entered, self.defaults)
        if problems := problems | await self.caps.problems(user_id, caps):
            return problems
        if refusal := await refusal_to_change(self.access_control, self.workspace, user_id, place.channel_id):
            return {"model": await self.access_control.with_admin_names(refusal)}
        before = await self.stores.channel_settings.read(self.workspace.me.team_id, place.channel_id)
        settings = with_changes(before, submitted.initial_settings, submitted.entered)
        if user_id not in self.access_control.admins:
            # Servers act with the bot's credentials, so only admins can enable them in a channel.
            settings = replace(settings, mcp_servers=before.mcp_servers)
        elif submitted.revoked_tools:
            await self.stores.approvals.revoke(
                submitted.revoked_tools, user_id, self.workspace.me.team_id, place.channel_id
            )
        # Unchanged settings aren't written, because the audit log has an entry for each write.
        if settings != before:
            await self.stores.channel_settings.write(self.workspace.me.team_id, place.channel_id, settings, user_id)
            sentences = change_sentences(before, settings, self.defaults)
            if sentences and not is_direct_message(place.channel_id):
                failure = f"change of settings not announced in channel {place.channel_id}"
                self._background.start(self._announce(user_id, place.channel_id, sentences), failure)
        await self.caps.save(user_id, SubmittedCaps(CapOwner(Scope.CHANNEL, place.channel_id), caps))
        log.info("user %s changed the settings of channel %s", user_id, place.channel_id)
        is_about_tools = settings.mcp_servers != before.mcp_servers
        warnings = await self._tool_warnings(settings.mcp_servers) if is_about_tools else ()
        response = await self._response(place.channel_id, "\n".join((texts.commands.SETTINGS_SAVED, *warnings)))
        await self.workspace.surfaces.respond_to_command(place.response_url, response)
        return {}

    async def _announce(self, user_id: str, channel_id: str, sentences: Sequence[str]) -> None:
        # Names are used instead of mentions, which would notify people.
        name = (await self.workspace.users.names((user_id,))).get(user_id)
        sentence = texts.settings.settings_changed(escape(name) if name else f"<@{user_id}>", sentences)
        await self.workspace.surfaces.post_in_channel(channel_id, {"text": sentence, "blocks": remark(sentence)})

    async def _open_settings(self, invocation: Invocation, field: str) -> CommandResponse | None:
        if refusal := await channel_refusal(
            self.access_control, self.workspace, invocation.user_id, invocation.channel_id
        ):
            return await self._response(invocation.channel_id, self.access_control.with_admin_mentions(refusal))
        settings = await self.stores.channel_settings.read(self.workspace.me.team_id, invocation.channel_id)
        place = SettingsPlace(invocation.channel_id, invocation.response_url)
        is_admin = invocation.user_id in self.access_control.admins
        defaults = self.defaults if is_admin else replace(self.defaults, mcp_servers=())
        allowed = (
            await self.stores.approvals.allowed_tools(self.workspace.me.team_id, invocation.channel_id)
            if is_admin
            else ()
        )
        tools = [allowed_tool.tool for allowed_tool in allowed]
        # In a direct message, the person's own caps apply.
        with_caps = is_admin and not is_direct_message(invocation.channel_id)
        caps = await self.caps.of(CapOwner(Scope.CHANNEL, invocation.channel_id)) if with_caps else None
        warnings = await self._tool_warnings(settings.mcp_servers) if defaults.mcp_servers else ()
        view = SETTINGS.build(place, settings, defaults, field, tools, caps, warnings)
        await self.workspace.surfaces.open(invocation.trigger_id, view)
        return None

    async def _tool_warnings(self, servers: Sequence[str]) -> Sequence[str]:
        place = await self.list_tools(servers, TOOL_LIST_TIMEOUT_S) if self.list_tools else AvailableTools()
        down = [texts.settings.server_down(name, reason) for name, reason in place.down_reasons.items()]
        too_many = [texts.settings.tools_left_out(place.counts, MAX_TOOLS, place.left_out)] if place.left_out else []
        quota, priced = self.quota, list[str]()
        if place.offered:
            price = price_of_tools(place.offered, quota.models, quota.prices, self.stores.clock.now())
            priced.append(texts.settings.tools_price_note(texts.settings.tools_price(*price)))
        return *priced, *too_many, *map(texts.settings.sign_in_note, place.sign_in_servers), *down

    async def _response(self, channel_id: str, content: str | Help | UsageToDate) -> CommandResponse:
        settings = await self.stores.channel_settings.read(self.workspace.me.team_id, channel_id)
        return CommandResponse(content, settings_line(settings, self.defaults, channel_id))


MAX_BUILDS = 50
MAX_LISTED_APPROVALS = 10
CHANNEL_LIST_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class AppHome:
    """Builds the Home tab. `settings`: the bot's settings, which the tab shows to Typist admins."""

    stores: Stores
    workspace: Workspace
    quota: Quota
    caps: CapSettings
    access_control: AccessControl
    defaults: DefaultSettings
    settings: Mapping[str, str]
    has_accounts: bool = False
    _background: Background = field(default_factory=Background, init=False)
    _building: set[str] = field(default_factory=set, init=False)
    _outdated: set[str] = field(default_factory=set, init=False)
    """People whose Home must be rebuilt because something changed while it was being built."""

    def on_home_opened(self, user_id: str) -> None:
        """Builds a person's Home in the background, so that the acknowledgment doesn't wait for rate-limit budget."""
        if user_id in self._building or len(self._building) >= MAX_BUILDS:
            return
        self._building.add(user_id)

        def built(_: asyncio.Task[None]) -> None:
            self._building.remove(user_id)
            if user_id in self._outdated:
                self._outdated.remove(user_id)
                self.on_home_opened(user_id)

        task = self._background.start(
            self._publish_home(user_id), f"App Home of user {user_id} not updated", TURN_WITHIN_S
        )
        task.add_done_callback(built)

    def on_changed(self, user_id: str) -> None:
        """Rebuilds a person's Home after the person changed something, even if it is currently being built."""
        if user_id in self._building:
            self._outdated.add(user_id)
        self.on_home_opened(user_id)

    async def _publish_home(self, user_id: str) -> None:
        asked = access_question(self.workspace, user_id, direct_message_placeholder(user_id))
        if denial := await self.access_control.denial(asked):
            await self.workspace.surfaces.publish_home(user_id, self.access_control.with_admin_mentions(denial))
            return
        workspace = await self._workspace_usage() if user_id in self.access_control.admins else None
        usage = await self.quota.personal_usage(self.workspace.me.team_id, user_id)
        channels = await self._recent_channels(user_id)
        schedules = await self.stores.schedules.all(self.workspace.me.team_id, user_id=user_id)
        waiting = await self._waiting_approvals(user_id)
        accounts = await self.stores.accounts.by_server(self.workspace.me.team_id, user_id) if self.has_accounts else {}
        view = HomeView(self.defaults, usage, channels, workspace, schedules, waiting, accounts)
        await self.workspace.surfaces.publish_home(user_id, view)

    async def _waiting_approvals(self, user_id: str) -> list[tuple[str, str, float]]:
        waiting = []
        for thread, ts, until in await self.stores.approvals.answers_awaiting(
            self.workspace.me.team_id, user_id, MAX_LISTED_APPROVALS
        ):
            base = await self.workspace.channel_reader.link_base(thread.channel_id, ts)
            waiting.append((thread.channel_id, message_link(base, thread.channel_id, ts, thread.thread_ts), until))
        return waiting

    async def _recent_channels(self, user_id: str) -> list[str]:
        """Returns the channels where a person asked recently and can still ask, or no channels if Slack doesn't list
        them. The person might have left a private channel, or the access rules might have changed."""
        team_id = self.workspace.me.team_id
        first, _ = days_of_last_month(self.stores.clock.now())
        asked_in = [
            channel_id
            for channel_id in await self.stores.usage.channels_of_asker(team_id, user_id, first)
            if not self.access_control.known_denial(access_question(self.workspace, user_id, channel_id))
        ]
        if not asked_in:
            return []
        try:
            async with asyncio.timeout(CHANNEL_LIST_TIMEOUT_S):
                theirs = await self.workspace.surfaces.channels_of(user_id)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("App Home of user %s lists no channels: %s", user_id, error or "Slack doesn't answer")
            return []
        return [channel_id for channel_id in asked_in if channel_id in theirs]

    async def _workspace_usage(self) -> WorkspaceUsage:
        now = self.stores.clock.now()
        last_month, this_month = days_of_last_month(now)
        return WorkspaceUsage(
            await self.stores.usage.usage_by_period(ScopeIds(self.workspace.me.team_id, "", ""), Scope.WORKSPACE),
            await self.stores.usage.month_usage(self.workspace.me.team_id, this_month, this_month + 31),
            await self.stores.usage.month_usage(self.workspace.me.team_id, last_month, this_month),
            Quotas(self.caps.defaults, await self.stores.caps.all_caps(self.workspace.me.team_id), self.caps.unpriced),
            self.settings,
            now,
            await self._channels_with_settings(),
            self.defaults.names,
        )

    async def _channels_with_settings(self) -> ChannelsWithSettings:
        stored = await self.stores.channel_settings.read_all(self.workspace.me.team_id)
        own = {channel_id: change_sentences(ChannelSettings(), of, self.defaults) for channel_id, of in stored.items()}
        # For example, a channel's model might have been removed from BOT_MODELS.
        lines = [(channel_id, sentences) for channel_id, sentences in own.items() if sentences]
        return ChannelsWithSettings(lines[:MAX_LISTED], len(lines[MAX_LISTED:]))
