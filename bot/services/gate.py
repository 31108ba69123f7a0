"""The gate: a small model decides about doubtful messages, in channels that chose that.

A doubtful message is acknowledged as one that isn't answered, and becomes a question only if the model is sure. Nothing
shows before that. Whatever goes wrong, a cap that is used up or a crash included, the message stays unanswered. What
the decision used counts in the caps, also if it came too late.

A message that is no question yet has no record that its deletion could change. So Slack is asked whether it is still
there, before and after the decision.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bot.core.conversation import Question
from bot.core.inbound.doubt import NEEDED_PROBABILITY, USD_PER_TOKEN, statement, transcript
from bot.core.inbound.tokens import TokenEstimate
from bot.core.inbound.triage import Identity
from bot.errors import TypistError, trace_of
from bot.services.quota import Quota
from bot.slack.history import History

if TYPE_CHECKING:
    from bot.providers.decisions import Decider

DECIDED_WITHIN_S = 2.0
READ_WITHIN_S = 5.0
MAX_AT_ONCE = 10
"""More doubtful messages at once stay unanswered."""

log = logging.getLogger(__name__)


class Gate:
    """Decides in the background: no acknowledgment waits for a model."""

    def __init__(
        self, decider: "Decider", history: History, quota: Quota, estimate: TokenEstimate, me: Identity
    ) -> None:
        self._decider = decider
        self._history = history
        self._quota = quota
        self._estimate = estimate
        self._me = me
        self._deciding: set[asyncio.Task[None]] = set()

    def decide(
        self, question: Question, may_ask: Callable[[], Awaitable[bool]], enqueue: Callable[[], Awaitable[None]]
    ) -> None:
        """Has the question enqueued if its writer may ask, and the model takes its message for one."""
        if len(self._deciding) >= MAX_AT_ONCE:
            log.warning("doubtful message %s ignored: too many at once", question.ts)
            return
        task = asyncio.create_task(self._decide(question, may_ask, enqueue))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)

    async def _decide(
        self, question: Question, may_ask: Callable[[], Awaitable[bool]], enqueue: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            if await may_ask() and await self._is_for_us(question):
                await enqueue()
        except (TypistError, TimeoutError) as error:
            log.warning("doubtful message %s ignored: %s", question.ts, str(error) or "the decision took too long")
        except Exception as error:
            log.error("doubtful message %s ignored: %s", question.ts, trace_of(error))

    async def _is_for_us(self, question: Question) -> bool:
        if not await self._quota.has_room(question):
            log.info("doubtful message %s ignored: a cap is used up", question.ts)
            return False
        async with asyncio.timeout(READ_WITHIN_S):
            messages = await self._history.messages(question)
        if all(message.ts != question.ts for message in messages):
            log.info("doubtful message %s ignored: Slack doesn't have it", question.ts)
            return False
        text = transcript(messages, question.ts, self._me)
        asked = statement(self._me)
        try:
            async with asyncio.timeout(DECIDED_WITHIN_S):
                decision = await self._decider.decide(text, asked)
        except TimeoutError:
            # It is billed all the same.
            await self._count(question, self._estimate.tokens(text + asked))
            raise
        await self._count(question, decision.input_tokens)
        log.info("doubtful message %s: probability %.2f", question.ts, decision.probability)
        return decision.probability >= NEEDED_PROBABILITY and await self._is_there(question)

    async def _is_there(self, question: Question) -> bool:
        """Returns whether the message wasn't deleted meanwhile."""
        async with asyncio.timeout(READ_WITHIN_S):
            message = await self._history.message(question.thread.team_id, question.thread.channel_id, question.ts)
        if message is None:
            log.info("doubtful message %s ignored: it was deleted meanwhile", question.ts)
        return message is not None

    async def _count(self, question: Question, tokens: int) -> None:
        await self._quota.count(question, tokens, tokens * USD_PER_TOKEN)
