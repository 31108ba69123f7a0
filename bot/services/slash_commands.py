"""What people ask of Typist beside messages: /typist, a channel's settings, and questions about any message."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound import channel_settings
from bot.core.inbound.channel_settings import Usual
from bot.core.inbound.mentions import with_names
from bot.core.inbound.triage import Identity
from bot.core.limits.access import Denial
from bot.core.message_question import AskAbout
from bot.errors import Refused
from bot.ports.channel_settings import ChannelSettingsStore
from bot.ports.surfaces import Surfaces
from bot.services.access_control import AccessControl
from bot.services.quota import Quota
from bot.slack.format import command_answers, modals
from bot.slack.format.modals import SettingsFor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who uses a command or a shortcut, and where; what Slack lets us answer by."""

    user_id: str
    channel_id: str
    trigger_id: str
    response_url: str


@dataclass(frozen=True)
class SlashCommands:
    """Answers visits; holds what that needs of the world. Raises RateLimited, Refused and StoreError."""

    channel_settings: ChannelSettingsStore
    surfaces: Surfaces
    admission: AccessControl
    allowance: Quota
    me: Identity
    usual: Usual
    admins: frozenset[str]

    async def command(self, visit: Visit, text: str) -> Mapping[str, Any] | None:
        """What /typist answers to one person; None where a modal is the answer."""
        if denial := await self._denial(visit):
            return command_answers.said(denial)
        word = command_answers.subcommand(text)
        if field := command_answers.SETTINGS_OF.get(word):
            return await self._open_settings(visit, field)
        if word == command_answers.USAGE:
            use = await self.allowance.personal_use(self.me.team_id, visit.user_id)
            return await self._said(visit.channel_id, command_answers.use_text(use.spent, use.caps))
        return await self._said(visit.channel_id, command_answers.help_text(word))

    async def save(self, user_id: str, view: Mapping[str, Any]) -> dict[str, str]:
        """Keeps a channel's settings; what can't be kept, by the field's name, each with a sentence."""
        place, settings = modals.settings_of(view)
        if wrong := channel_settings.problems(settings, self.usual.models):
            return wrong
        if not await self._may_set(user_id, place.channel_id):
            return {modals.MODEL: texts.NOT_YOUR_CHANNEL}
        await self.channel_settings.write(self.me.team_id, place.channel_id, settings)
        log.info("%s changed the settings of %s", user_id, place.channel_id)
        await self._tell(place.response_url, await self._said(place.channel_id, texts.SETTINGS_SAVED))
        return {}

    async def about(self, visit: Visit, message: Message) -> None:
        """Asks somebody what they want to know about a message."""
        if denial := await self._denial(visit):
            await self.surfaces.respond(visit.response_url, command_answers.said(denial))
            return
        quote = modals.quoted(with_names(message.whole, {}))
        thread_ts = message.thread_ts or message.ts
        place = AskAbout(message.channel_id, message.ts, thread_ts, quote, visit.response_url)
        writer = f"<@{message.user_id}>" if message.user_id else ""
        await self.surfaces.open_modal(visit.trigger_id, modals.ask_modal(place, writer))

    async def _open_settings(self, visit: Visit, field: str) -> Mapping[str, Any] | None:
        if not await self._may_set(visit.user_id, visit.channel_id):
            return await self._said(visit.channel_id, texts.NOT_YOUR_CHANNEL)
        settings = await self.channel_settings.read(self.me.team_id, visit.channel_id)
        place = SettingsFor(visit.channel_id, visit.response_url)
        await self.surfaces.open_modal(visit.trigger_id, modals.settings_modal(place, settings, self.usual, field))
        return None

    async def _may_set(self, user_id: str, channel_id: str) -> bool:
        """A direct message is its person's own."""
        if user_id in self.admins or channel_settings.is_direct(channel_id):
            return True
        return await self.surfaces.creator(channel_id) == user_id

    async def _denial(self, visit: Visit) -> Denial | None:
        thread = ThreadKey(self.me.team_id, visit.channel_id, None)
        return await self.admission.denial(Question(thread, "", visit.user_id, ""))

    async def _said(self, channel_id: str, text: str) -> Mapping[str, Any]:
        """With what is in force there."""
        settings = await self.channel_settings.read(self.me.team_id, channel_id)
        return command_answers.said(
            text, channel_settings.told(channel_settings.in_force(settings, self.usual), channel_id)
        )

    async def _tell(self, response_url: str, message: Mapping[str, Any]) -> None:
        """What is done is done, whether or not its person hears of it."""
        try:
            await self.surfaces.respond(response_url, message)
        except Refused as refused:
            log.warning("somebody is not told of what they did: %s", refused)
