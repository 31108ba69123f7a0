"""The people in a thread. Raises StoreError."""

from typing import Protocol

from bot.core.conversation import ThreadKey
from bot.core.inbound.triage import Participants


class GroupThreads(Protocol):
    """Records threads in which several people write."""

    async def mark_group(self, thread: ThreadKey, ts: str) -> None:
        """Records that several people write in a thread since the message `ts`."""
        ...


class ThreadParticipants(Protocol):
    """Finds the participants of a thread at the time of a message."""

    async def at_message(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        """Returns who was in the thread when `user_id` wrote the message `ts`.

        If the writer is not the only person in it, the thread is recorded as a group's from that message on.
        """
        ...
