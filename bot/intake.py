"""Takes messages in: each is triaged, and a question is on record before Slack's envelope is acknowledged."""

import logging
from typing import Protocol

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.triage import Answer, Identity, triage
from bot.ports import Store

log = logging.getLogger(__name__)


class Waking(Protocol):
    """What intake needs of the worker."""

    @property
    def full(self) -> bool:
        """A question that comes now has to wait."""
        ...

    def wake(self) -> None:
        """There may be a job to claim."""
        ...

    def announce(self, job_id: int, question: Question) -> None:
        """A job has to wait; its asker is to see so."""
        ...


class Intake:
    """From a message to a job."""

    def __init__(self, store: Store, worker: Waking, me: Identity) -> None:
        self._store = store
        self._worker = worker
        self._me = me

    async def take(self, event_id: str, message: Message) -> None:
        """Returns once the message's question, if it is one, is durable; raises what the Store raises."""
        verdict = triage(message, self._me, await self._takes_part(message))
        if not isinstance(verdict, Answer):
            log.debug("ignored %s: %s", message.ts, verdict.reason)
            return
        enqueued = await self._store.enqueue(event_id, verdict.question, full=self._worker.full)
        if enqueued is None:
            log.debug("seen before: %s", message.ts)
        elif enqueued.waiting:
            self._worker.announce(enqueued.job_id, verdict.question)
        else:
            self._worker.wake()

    async def _takes_part(self, message: Message) -> bool:
        if message.thread_ts is None:
            return False
        return await self._store.takes_part(ThreadKey(message.team_id, message.channel_id, message.thread_ts))
