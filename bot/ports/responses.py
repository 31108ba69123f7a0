"""Responses to commands and presses, which one person sees. Each method raises RateLimited and Refused."""

from typing import Protocol

from bot.core.conversation import ThreadKey
from bot.core.reply.actions import ActionResponse
from bot.core.slash_command import CommandResponse


class CommandResponses(Protocol):
    """Answers the person who used a command, a shortcut or a modal; nobody else sees the response."""

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        """Sends the response; Slack takes five to a response_url, within half an hour of the command."""
        ...


class ActionResponses(Protocol):
    """Answers the person who pressed a button; nobody else sees the response."""

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        """Shows the response in the thread."""
        ...

    async def delete_ephemeral(self, response_url: str) -> None:
        """Deletes the ephemeral message whose button was pressed."""
        ...
