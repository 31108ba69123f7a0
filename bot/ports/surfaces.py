"""Ports to what people see of Typist beside replies: modals, the app home, responses, and the assistant pane.

Each method raises RateLimited and Refused.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from bot.core.app_home import HomeView
from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings, DefaultSettings, SettingsField, SettingsPlace
from bot.core.message_question import MessageQuestion, QuotedMessage
from bot.core.reply.actions import ActionResponse
from bot.core.slash_command import CommandResponse


class Modals(Protocol):
    """Opens modals, within three seconds of the action that the trigger is for."""

    async def open_settings_modal(
        self,
        trigger_id: str,
        place: SettingsPlace,
        settings: ChannelSettings,
        defaults: DefaultSettings,
        focus: SettingsField,
    ) -> None:
        """Shows a channel's settings, with the cursor in `focus`."""
        ...

    async def open_question_modal(self, trigger_id: str, about: QuotedMessage, writer_id: str | None) -> None:
        """Asks a person what they want to know about a message, which `writer_id` wrote."""
        ...


class AppHomeTab(Protocol):
    """The app home."""

    async def publish_home(self, user_id: str, view: HomeView) -> None:
        """Shows the app home to one person."""
        ...


class CommandResponses(Protocol):
    """Tells one person what became of a command, a shortcut or a modal."""

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        """Slack takes five of them, within half an hour of the command."""
        ...


class Channels(Protocol):
    """What Slack knows about channels."""

    async def creator(self, channel_id: str) -> str | None:
        """Returns who created a channel, None if Slack does not say."""
        ...


class ActionResponses(Protocol):
    """Answers the person who pressed a button, and nobody else."""

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        """Shows the response in the thread."""
        ...

    async def delete_ephemeral(self, response_url: str) -> None:
        """Deletes the ephemeral message whose button was pressed."""
        ...


class QuestionPosts(Protocol):
    """Posts questions about messages, for the people who asked them."""

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        """Posts the question in the message's thread, or `elsewhere`, in the asker's direct message.

        Returns the channel's id and the post's ts. `still` is asked just before the post leaves: if it returns False,
        nothing is sent and Refused is raised.
        """
        ...

    async def find_question(self, question: MessageQuestion, since: float) -> str | None:
        """Returns the ts of the question's post in the message's thread, None if there is none.

        `since` is in seconds since the epoch; older posts are not looked at.
        """
        ...


class Pane(Protocol):
    """What the pane's threads show beside messages. Each raises RateLimited and Refused."""

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        """Shows suggested prompts in a thread, or without `thread_ts` in the whole direct message."""
        ...

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Shows a status until the bot posts, for two minutes at most; "" removes it."""
        ...

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """Names the thread in the pane's list."""
        ...

    async def set_working(self, thread: ThreadKey, working: bool) -> None:
        """Shows or hides Slack's own Stop in an agent's thread; does nothing in other apps."""
        ...
