"""Welcomes a channel that the bot joins and a person's first direct message, and handles clicks on suggested prompts.

A welcome is recorded before it is posted, so a process that dies in between posts no welcome rather than two. Nothing
is posted if the access rules deny the person who invited the bot, or in a channel with settings, because people there
already know the bot. Apps with an assistant pane post no welcome in direct messages, because Slack itself shows the
suggested prompts.

Clicking a suggested prompt asks on behalf of the person, like the message shortcut: from a channel in the welcome's
thread, and from App Home in the direct message. A button from an earlier version might have a prompt that no longer
exists.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field

from bot.clock import Background
from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question, ThreadKey, is_direct_message
from bot.core.unposted import QuotedMessage, direct_message_placeholder, suggestion_view_id
from bot.errors import RateLimited, Refused, StoreError
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl, access_question
from bot.services.shortcut import MessageShortcut
from bot.slack.notices import welcome
from bot.slack.views.modal import sentence_modal
from bot.store import Stores

WELCOME_PAUSE_S = 1.0
"""The pause after each welcome, so that joining many channels leaves most of each minute's posts for answers."""
MAX_POSTING = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SuggestionPress:
    user_id: str
    channel_id: str
    """The clicked message's channel, or "" in App Home."""
    message_ts: str
    label: str
    clicked_ts: str
    """The time of the click, as a ts."""
    trigger_id: str
    response_url: str


@dataclass(frozen=True)
class Welcome:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    shortcut: MessageShortcut
    is_on: bool
    reads_channel: bool
    _background: Background = field(default_factory=Background, init=False)
    _posting_lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def on_joined(self, user_id: str, channel_id: str, inviter_id: str) -> None:
        """Welcomes a channel if the bot itself joined it. `inviter_id` can be "". Raises StoreError. Also retries
        outbox entries that Slack rejected while the bot wasn't in the channel."""
        if user_id != self.workspace.me.user_id:
            return
        await self.stores.outbox.wake(self.workspace.me.team_id, channel_id)
        if not self.is_on:
            return
        invitation = access_question(self.workspace, inviter_id, channel_id)
        if self.access_control.known_denial(invitation):
            log.info("channel %s not welcomed: access is denied there", channel_id)
            return
        if await self.stores.channel_settings.read(self.workspace.me.team_id, channel_id) != ChannelSettings():
            return
        if await self.stores.notifications.claim(self.workspace.me.team_id, "", f"welcome {channel_id}"):
            self._start_posting(self._welcome_channel(invitation))

    def on_direct_message_opened(self, user_id: str, channel_id: str) -> None:
        if self.is_on and not self.workspace.me.has_pane:
            self._start_posting(self._welcome_person(access_question(self.workspace, user_id, channel_id)))

    async def on_press(self, press: SuggestionPress) -> None:
        try:
            sentence = await self._ask_prompt(press)
        except StoreError as error:
            log.error("suggested prompt not asked: %s", error)
            sentence = texts.shortcut.QUESTION_NOT_SAVED
        if sentence and press.channel_id:
            thread = ThreadKey(self.workspace.me.team_id, press.channel_id, None)
            response = ActionResponse(sentence)
            await self.workspace.surfaces.respond_to_action(thread, press.user_id, press.response_url, response)
        elif sentence:
            try:
                view = sentence_modal(sentence, texts.welcome.SUGGESTION_TITLE)
                await self.workspace.surfaces.open(press.trigger_id, view)
            except (RateLimited, Refused) as error:
                log.warning("outcome of a click not shown: %s", error)

    async def _ask_prompt(self, press: SuggestionPress) -> str:
        """Asks the suggested prompt. Returns an error message for the person, or "" if there is none."""
        if press.label not in texts.welcome.PANE_SUGGESTIONS:
            return texts.welcome.SUGGESTION_GONE
        number = list(texts.welcome.PANE_SUGGESTIONS).index(press.label)
        at_home = direct_message_placeholder(press.user_id)
        place = press.channel_id or at_home
        asked = access_question(self.workspace, press.user_id, place)
        if denial := await self.access_control.denial(asked, is_press=True):
            return self.access_control.with_admin_mentions(denial)
        # A question in a direct message needs no thread, and is posted like a question from App Home.
        ts, channel_id = ("", at_home) if is_direct_message(place) else (press.message_ts, place)
        about = QuotedMessage(channel_id, ts, ts, "", "")
        asked_as = suggestion_view_id(f"{place}:{press.message_ts}", press.user_id, number, press.clicked_ts)
        if not await self.shortcut.ask_once(
            press.user_id, asked_as, about, texts.welcome.PANE_SUGGESTIONS[press.label]
        ):
            return texts.welcome.SUGGESTION_ASKED
        return "" if press.channel_id else texts.welcome.ASKED_FROM_HOME

    async def _welcome_channel(self, invitation: Question) -> None:
        if invitation.user_id and await self.access_control.denial(invitation):
            log.info("channel %s not welcomed: access is denied", invitation.thread.channel_id)
            return
        greeting = texts.welcome.welcome_in_channel(f"<@{self.workspace.me.user_id}>")
        async with self._posting_lock:
            message = welcome(greeting, texts.welcome.SEEN_IN_CHANNEL[self.reads_channel])
            await self.workspace.surfaces.post_in_channel(invitation.thread.channel_id, message)
            await self.stores.clock.sleep(WELCOME_PAUSE_S)

    async def _welcome_person(self, opening: Question) -> None:
        key = self.workspace.me.team_id, opening.user_id, "welcome"
        if await self.stores.notifications.is_known(*key) or await self.access_control.denial(opening):
            return
        surfaces, channel_id = self.workspace.surfaces, opening.thread.channel_id
        async with self._posting_lock:
            is_new = not await surfaces.has_messages(channel_id)
            if not (await self.stores.notifications.claim(*key) and is_new):
                return
            message = welcome(texts.welcome.WELCOME_IN_DIRECT_MESSAGE, texts.welcome.SEEN_IN_DIRECT_MESSAGE)
            ts = await surfaces.post_in_channel(channel_id, message)
            await self._delete_if_below_question(channel_id, ts)
            await self.stores.clock.sleep(WELCOME_PAUSE_S)

    async def _delete_if_below_question(self, channel_id: str, ts: str) -> None:
        """Deletes a welcome below a question that was written while the welcome was being posted."""
        surfaces = self.workspace.surfaces
        try:
            if await surfaces.has_messages(channel_id, before_ts=ts):
                await surfaces.delete_post(channel_id, ts)
        except (RateLimited, Refused) as error:
            log.warning("welcome might be below a question: %s", error)

    def _start_posting(self, posting: Coroutine[None, None, None]) -> None:
        if len(self._background) >= MAX_POSTING:
            log.warning("welcome left out: too many at once")
            posting.close()
            return
        self._background.start(posting, "welcome not posted")
