"""The seam between the edit scheduler and the ways to show a reply in Slack.

The edit scheduler decides when a reply's next call goes out. A transport knows what the call is in Slack's terms, sends
it, and finds out what became of calls whose answers were lost. One transport exists (recovery.py): messages
that are posted and edited, or grow as native streams.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from bot.core.conversation import Job, Question
from bot.core.reply.edits import Post, PostStopButton, Update
from bot.core.reply.messages import Call, Delete, Shown, Upload
from bot.core.reply.reply import Reply
from bot.core.reply.streams import AppendStream, StartStream, StopStream
from bot.errors import Refused

METHODS: Mapping[type[Call], str] = {
    Post: "chat.postMessage",
    PostStopButton: "chat.postMessage",
    Update: "chat.update",
    Upload: "files.completeUploadExternal",
    Delete: "chat.delete",
    StartStream: "chat.startStream",
    AppendStream: "chat.appendStream",
    StopStream: "chat.stopStream",
}
"""The Slack method whose budget a call uses."""


class ReplyDelivery(Protocol):
    """Sends one reply's calls, one at a time, and records in the reply what Slack did."""

    async def send(self, call: Call, may_send: Callable[[], bool]) -> None:
        """Sends a call and everything that belongs to it, and confirms it to the reply.

        The call's own budget is already taken; any other method waits for its own. `may_send` is asked again right
        before the request leaves. Raises RateLimited and Refused.
        """
        ...

    def refused(self, call: Call, error: Refused) -> None:
        """Records in the reply that Slack refused a call, and notes messages or files to search for."""
        ...

    async def clean_up(self) -> bool:
        """Deletes unrecorded messages of the reply, whose posts arrived late; returns False if another try may help.

        Never raises.
        """
        ...


class ReplyTransport(Protocol):
    """One way to show replies in Slack."""

    async def recover(self, job: Job, *, has_stop: bool = False) -> Shown:
        """Returns what Slack shows of a job's reply, or what is on record if Slack doesn't answer. Never raises."""
        ...

    def may_stream(self, question: Question) -> bool:
        """Returns whether Slack may start a native stream for a question's asker, as far as is known."""
        ...

    def delivery(self, reply: Reply) -> ReplyDelivery:
        """Returns the delivery for a reply."""
        ...
