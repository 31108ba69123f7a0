"""Ports to what people see of us beside messages: modals, Home, the pane."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey


class Surfaces(Protocol):
    """What people see of us beside messages. Each raises RateLimited and Refused."""

    async def open_modal(self, trigger_id: str, view: Mapping[str, Any]) -> None:
        """Within three seconds of what the trigger is for."""
        ...

    async def publish_home(self, user_id: str, view: Mapping[str, Any]) -> None:
        """The app's Home as one person sees it."""
        ...

    async def respond(self, response_url: str, message: Mapping[str, Any]) -> None:
        """Tells the one person who used a command or a shortcut; good for half an hour and five times."""
        ...

    async def post_ephemeral(self, thread: ThreadKey, user_id: str, message: Mapping[str, Any]) -> None:
        """Posts what one person alone sees, in the thread; Slack refuses it for people who aren't in the channel."""
        ...

    async def creator(self, channel_id: str) -> str | None:
        """Who made a channel; None where Slack does not tell us."""
        ...

    async def post(
        self, channel_id: str, thread_ts: str | None, message: Mapping[str, Any], still: Callable[[], bool]
    ) -> tuple[str, str]:
        """Writes for everybody there, or to one person by their id; the channel's id and the message's ts.

        `still`: asked just before the message leaves; where it returns False, nothing is sent and Refused is raised.
        """
        ...

    async def find(self, channel_id: str, thread_ts: str, block_id: str, since: float) -> str | None:
        """The message of ours in a thread that has a block with this id, written since then (seconds of the epoch)."""
        ...


class Pane(Protocol):
    """What the pane's threads show beside messages. Each raises RateLimited and Refused."""

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        """Prompts to begin with, of one thread or of the whole direct message."""
        ...

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Goes away when we post, or after two minutes; "" takes it away."""
        ...

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """How the thread is called."""
        ...

    async def set_working(self, thread: ThreadKey, working: bool) -> None:
        """While we work, an agent's thread has Slack's own Stop; nothing in other apps."""
        ...
