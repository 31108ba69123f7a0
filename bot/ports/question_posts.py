"""Posts that ask a question about a message. Each method raises RateLimited and Refused."""

from collections.abc import Callable
from typing import Protocol

from bot.core.message_question import MessageQuestion


class QuestionPosts(Protocol):
    """Posts and finds the messages that ask questions about other messages."""

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

        `since` is in seconds since the epoch; older posts aren't read.
        """
        ...
