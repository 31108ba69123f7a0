"""Private notices: sentences of ours that one person sees, each at most once in a period, over all processes."""

import asyncio
import logging
import math

from bot.core.conversation import Question
from bot.errors import StoreError
from bot.slack.ephemeral_messages import EphemeralMessages
from bot.slack.format.blockkit import Json
from bot.store.notices import Notices

log = logging.getLogger(__name__)


class PrivateNotices:
    """Sends notices in the background: no acknowledgment waits for Slack."""

    def __init__(self, ephemeral: EphemeralMessages, notices: Notices) -> None:
        self._ephemeral = ephemeral
        self._notices = notices
        self._sending: set[asyncio.Task[None]] = set()

    def send(
        self, question: Question, sentence: str, name: str, every_s: float = math.inf, blocks: list[Json] | None = None
    ) -> None:
        """Shows the question's writer a sentence, or `blocks` for it, unless they got this notice within `every_s`."""
        task = asyncio.create_task(self._send(question, sentence, name, every_s, blocks))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(
        self, question: Question, sentence: str, name: str, every_s: float, blocks: list[Json] | None
    ) -> None:
        try:
            due = await self._notices.claim(question.thread.team_id, question.user_id, name, every_s)
        except StoreError as error:
            log.error("notice not sent: user=%s notice=%s: %s", question.user_id, name, error)
            return
        if due:
            await self._ephemeral.tell(question, sentence, blocks)
