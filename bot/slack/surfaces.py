"""Modals, App Home, responses to commands and buttons, and questions that the bot posts for people."""

import logging
from collections.abc import Callable, Sequence

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.approvals import ApprovalPlace, Ask
from bot.core.caps import OwnerCaps
from bot.core.channel_settings import ChannelSettings, DefaultSettings, SettingsField, SettingsPlace
from bot.core.conversation import ThreadKey
from bot.core.message_question import MessageQuestion, QuotedMessage
from bot.core.surfaces import CommandResponse, HomeView
from bot.core.triage import SLACKS_OWN
from bot.errors import RateLimited, Refusal, Refused
from bot.slack.client import PacedClient, SlackClient, only_while
from bot.slack.format import modals
from bot.slack.format.blockkit import Json
from bot.slack.format.command_responses import action_message, action_text, command_message
from bot.slack.format.home import denied_view, home_view
from bot.slack.format.message_text import messages_in
from bot.slack.format.modals import caps_modal, sentence_modal
from bot.slack.format.payload import json_object, string
from bot.slack.format.shortcut_question import posted_question, view_of
from bot.slack.history import LOOK_BACK_MESSAGES
from bot.slack.posting import EphemeralMessages, ThreadPoster
from bot.slack.retry import NOTICE, Retrying

log = logging.getLogger(__name__)


class Surfaces:
    """Modals, App Home, responses, channels and posted questions. Each method raises RateLimited and Refused.

    Slack opens a modal only within three seconds of the action that created its trigger.
    """

    def __init__(
        self,
        client: SlackClient,
        paced: PacedClient,
        threads: ThreadPoster,
        ephemeral: EphemeralMessages,
        bot_user_id: str,
    ) -> None:
        self._client = client
        self._paced = paced
        self._threads = threads
        self._ephemeral = ephemeral
        self._bot_user_id = bot_user_id

    async def open_settings_modal(
        self,
        trigger_id: str,
        place: SettingsPlace,
        settings: ChannelSettings,
        defaults: DefaultSettings,
        focus: SettingsField,
        allowed_tools: Sequence[str],
        caps: OwnerCaps | None,
    ) -> None:
        """Shows a channel's settings, with the cursor in `focus`.

        An admin sees the always allowed tools, which may be revoked, and the channel's caps.
        """
        view = modals.settings_modal(place, settings, defaults, focus, allowed_tools, caps)
        await self._open_modal(trigger_id, view)

    async def open_caps_modal(self, trigger_id: str, caps: OwnerCaps) -> None:
        """Shows the caps of the workspace, a channel or a person."""
        await self._open_modal(trigger_id, caps_modal(caps))

    async def open_sentence(self, trigger_id: str, sentence: str, title: str = texts.QUOTAS_TITLE) -> None:
        """Tells a person something in a modal: a press in App Home has no channel and no response_url."""
        await self._open_modal(trigger_id, sentence_modal(sentence, title))

    async def open_question_modal(self, trigger_id: str, about: QuotedMessage, writer_id: str | None) -> str:
        """Asks a person what they want to know about a message, which `writer_id` wrote. Returns the modal's id."""
        answer = await self._open_modal(trigger_id, modals.question_modal(about, writer_id))
        return string(json_object(answer, "view"), "id")

    async def open_arguments_modal(
        self, trigger_id: str, ask: Ask, place: ApprovalPlace | None, *, as_json: bool
    ) -> None:
        """Shows all arguments of a call. With a place, the person may approve the call there."""
        await self._open_modal(trigger_id, modals.arguments_modal(ask, place, as_json=as_json))

    async def _open_modal(self, trigger_id: str, view: Json) -> Json:
        """Opens a modal without waiting for a budget: its trigger expires after three seconds."""
        return await self._client.call("views.open", trigger_id=trigger_id, view=view)

    async def publish_home(self, user_id: str, content: HomeView | str) -> None:
        """Shows App Home to one person, or why they have no access."""
        view = denied_view(content) if isinstance(content, str) else home_view(content)
        await self._paced.call("views.publish", user_id=user_id, view=view)

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        """Sends the response; Slack takes five to a response_url, within half an hour of the command."""
        await self._client.respond(response_url, command_message(response))

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        """Shows the response in the thread, as an ephemeral message: a response_url takes plain text only.

        If the ephemeral message is refused, its text goes to the response_url. Slack's own Stop has no response_url.
        """
        if not response_url:
            await self._ephemeral.post(thread, user_id, text=action_text(response))
            return
        if response.markdown:
            try:
                await self._ephemeral.post(thread, user_id, **action_message(response))
                return
            except (RateLimited, Refused) as error:
                log.warning("action response sent as plain text: %s", error)
        message = {
            "text": action_text(response),
            "response_type": "ephemeral",
            "replace_original": False,
            "thread_ts": thread.thread_ts,
        }
        await self._client.respond(response_url, message)

    async def delete_ephemeral(self, response_url: str) -> None:
        """Deletes the ephemeral message whose button was pressed."""
        await self._client.respond(response_url, {"delete_original": True})

    async def creator(self, channel_id: str) -> str | None:
        """Returns who created a channel, "" if Slack doesn't say, None if it doesn't show us the channel.

        Needs the scopes channels:read, groups:read and mpim:read.
        """
        try:
            answer = await self._paced.call("conversations.info", channel=channel_id)
        except Refused as error:
            if error.reason.may_pass:
                raise
            return None if error.reason is Refusal.CHANNEL_GONE else ""
        return string(json_object(answer, "channel"), "creator")

    async def has_messages(self, channel_id: str) -> bool:
        """Returns whether anybody but the bot and Slack itself has written lately in a direct message."""
        answer = await self._paced.call("conversations.history", channel=channel_id, limit=LOOK_BACK_MESSAGES)
        not_people = {*SLACKS_OWN, self._bot_user_id}
        return any(string(message, "user") not in not_people for message in messages_in(answer))

    async def tell_channel(self, channel_id: str, message: Json) -> None:
        """Posts a message of the bot's own, at most once."""
        retrying = Retrying(NOTICE, self._paced.clock, f"channel {channel_id} is not told yet")
        await retrying.call(lambda: self._threads.post(channel_id, None, **message))

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        """Posts the question in the message's thread, or `elsewhere`, in the asker's direct message.

        Returns the channel's id and the post's ts. `still` is asked just before the post leaves: if it returns False,
        nothing is sent and Refused is raised.
        """
        about = question.about
        channel_id, thread_ts = (question.user_id, None) if elsewhere else (about.channel_id, about.thread_ts or None)
        message = posted_question(question, elsewhere=elsewhere)
        with only_while(still):
            return await self._threads.post(channel_id, thread_ts, **message)

    async def find_question(self, question: MessageQuestion, since: float) -> str | None:
        """Returns the ts of the question's post in the message's thread, None if there is none.

        `since` is in seconds since the epoch; older posts aren't read.
        """
        thread = {"ts": question.about.thread_ts} if question.about.thread_ts else {}
        answer = await self._paced.call(
            "conversations.replies" if thread else "conversations.history",
            channel=question.about.channel_id,
            oldest=f"{since:.6f}",
            limit=LOOK_BACK_MESSAGES,
            **thread,
        )
        # Another app could give its message the same block_id.
        messages = [message for message in messages_in(answer) if message.get("user") == self._bot_user_id]
        return next((str(message["ts"]) for message in messages if view_of(message) == question.view_id), None)
