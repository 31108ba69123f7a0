"""Slash commands: answers them and saves channel settings."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.conversation import Question, ThreadKey, is_direct
from bot.core.inbound import channel_settings
from bot.core.inbound.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    SettingsField,
    SettingsPlace,
    effective_settings,
    settings_line,
    with_changes,
)
from bot.core.inbound.triage import Identity
from bot.core.limits.access import Denial
from bot.core.limits.cap_fields import Entered
from bot.core.limits.caps import CapOwner, Scope, UsageToDate
from bot.core.slash_command import HELP, SETTINGS_FIELDS, USAGE, CommandResponse, Help, TypedCommand
from bot.errors import RateLimited, Refused
from bot.services.access_control import AccessControl
from bot.services.cap_settings import CapSettings
from bot.services.quota import Quota
from bot.slack.surfaces import Surfaces
from bot.store.approvals import Approvals
from bot.store.channel_settings import ChannelSettingsStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invocation:
    """The person and place of a command or shortcut, and its trigger and response_url."""

    user_id: str
    channel_id: str
    trigger_id: str
    response_url: str


@dataclass(frozen=True)
class SlashCommands:
    """Answers commands. Each method but `tell` raises RateLimited, Refused and StoreError."""

    channel_settings: ChannelSettingsStore
    approvals: Approvals
    surfaces: Surfaces
    access_control: AccessControl
    quota: Quota
    caps: CapSettings
    me: Identity
    defaults: DefaultSettings
    admins: frozenset[str]

    async def command(self, invocation: Invocation, typed: TypedCommand) -> CommandResponse | None:
        """Returns the answer to a slash command, None if a modal is the answer."""
        if denial := await self._denial(invocation.user_id, invocation.channel_id):
            return CommandResponse(self.access_control.naming_admins(denial))
        subcommand = typed.subcommand
        if field := SETTINGS_FIELDS.get(subcommand):
            return await self._open_settings(invocation, field)
        if subcommand == USAGE:
            usage = await self.quota.personal_use(self.me.team_id, invocation.user_id, invocation.channel_id)
            return await self._response(invocation.channel_id, usage)
        return await self._response(invocation.channel_id, Help(typed.name, "" if subcommand == HELP else subcommand))

    async def save(
        self,
        user_id: str,
        place: SettingsPlace,
        submitted: ChannelSettings,
        shown: ChannelSettings,
        revoked: Sequence[str],
        caps: Entered,
    ) -> dict[str, str]:
        """Saves what a person changed of a channel's settings and caps, or returns a sentence for each bad field.

        The modal may have been open for hours, so access and the right to change the channel are checked again.
        `revoked`: always allowed tools whose calls ask again from now on. `caps` is empty where the modal showed none.
        The fields are those of SettingsField and CapField.
        """
        problems = channel_settings.problems(submitted, self.defaults.models) | self.caps.problems(user_id, caps)
        if problems:
            return problems
        if denial := await self._denial(user_id, place.channel_id):
            return {SettingsField.MODEL: denial}
        if refusal := await self._refusal(user_id, place.channel_id):
            return {SettingsField.MODEL: refusal}
        before = await self.channel_settings.read(self.me.team_id, place.channel_id)
        settings = with_changes(before, shown, submitted)
        if user_id not in self.admins:
            # A server acts with the bot's credentials, so only an admin hands it to a channel.
            settings = replace(settings, mcp_servers=before.mcp_servers)
        elif revoked:
            await self.approvals.revoke(revoked, user_id, self.me.team_id, place.channel_id)
        # The audit has an entry of each write.
        if settings != before:
            await self.channel_settings.write(self.me.team_id, place.channel_id, settings, user_id)
        await self.caps.save(user_id, CapOwner(Scope.CHANNEL, place.channel_id), caps)
        log.info("user %s changed the settings of channel %s", user_id, place.channel_id)
        await self.tell(place.response_url, await self._response(place.channel_id, texts.SETTINGS_SAVED))
        return {}

    async def tell(self, response_url: str, response: CommandResponse) -> None:
        """Tells a person the outcome of their action. A refusal by Slack is only logged."""
        try:
            await self.surfaces.respond_to_command(response_url, response)
        except (RateLimited, Refused) as error:
            log.warning("response to a command not sent: %s", error)

    async def _open_settings(self, invocation: Invocation, field: SettingsField) -> CommandResponse | None:
        if refusal := await self._refusal(invocation.user_id, invocation.channel_id):
            return await self._response(invocation.channel_id, self.access_control.naming_admins(refusal))
        settings = await self.channel_settings.read(self.me.team_id, invocation.channel_id)
        place = SettingsPlace(invocation.channel_id, invocation.response_url)
        is_admin = invocation.user_id in self.admins
        defaults = self.defaults if is_admin else replace(self.defaults, mcp_servers=())
        allowed = await self.approvals.allowed(self.me.team_id, invocation.channel_id) if is_admin else ()
        tools = [allowed_tool.tool for allowed_tool in allowed]
        # In a direct message, the person's own caps hold.
        with_caps = is_admin and not is_direct(invocation.channel_id)
        caps = await self.caps.of(CapOwner(Scope.CHANNEL, invocation.channel_id)) if with_caps else None
        await self.surfaces.open_settings_modal(invocation.trigger_id, place, settings, defaults, field, tools, caps)
        return None

    async def _refusal(self, user_id: str, channel_id: str) -> str:
        """Returns why a person may not change a channel's settings; "" if they may, as always in a direct message."""
        if user_id in self.admins or is_direct(channel_id):
            return ""
        creator = await self.surfaces.creator(channel_id)
        if creator == user_id:
            return ""
        return f"{texts.NOT_YOUR_CHANNEL} {texts.INVITE_ME_FIRST}" if creator is None else texts.NOT_YOUR_CHANNEL

    async def _denial(self, user_id: str, channel_id: str) -> Denial | None:
        thread = ThreadKey(self.me.team_id, channel_id, None)
        return await self.access_control.denial(Question(thread, "", user_id, ""))

    async def _response(self, channel_id: str, content: str | Help | UsageToDate) -> CommandResponse:
        """Returns a response that ends with the channel's settings."""
        settings = await self.channel_settings.read(self.me.team_id, channel_id)
        return CommandResponse(content, settings_line(effective_settings(settings, self.defaults), channel_id))
