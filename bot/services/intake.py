"""Takes messages in: each is triaged, and a question is on record before Slack's envelope is acknowledged."""

import logging
from dataclasses import replace
from typing import Protocol

from bot.core.conversation import Job, Message, Question, ThreadKey
from bot.core.inbound.triage import ANSWERED_SUBTYPES, Answer, Identity, Participants, TriageRules, by_person, triage
from bot.ports.channel_settings import ChannelSettingsReader
from bot.ports.participants import ThreadParticipants
from bot.ports.queue import QuestionQueue
from bot.services.access_control import AccessControl

log = logging.getLogger(__name__)


class WakeableWorker(Protocol):
    """What intake needs of the worker."""

    @property
    def full(self) -> bool:
        """A question that comes now has to wait."""
        ...

    def wake(self) -> None:
        """There may be a job to claim."""
        ...

    def post_placeholder(self, job: Job) -> None:
        """A job has to wait; its asker is to see so."""
        ...


class Intake:
    """From a message to a job."""

    def __init__(
        self,
        queue: QuestionQueue,
        participants: ThreadParticipants,
        channel_settings: ChannelSettingsReader,
        worker: WakeableWorker,
        access_control: AccessControl,
        me: Identity,
        hearing: TriageRules,
    ) -> None:
        self._queue = queue
        self._participants = participants
        self._channel_settings = channel_settings
        self._worker = worker
        self._access_control = access_control
        self._me = me
        self._hearing = hearing

    async def take(self, event_id: str, message: Message) -> None:
        """Returns once the message's question, if it is one, is durable; raises what the Store raises."""
        company = await self._company(message)
        verdict = triage(message, self._me, company, await self._hearing_in(message, company))
        if not isinstance(verdict, Answer):
            log.debug("message %s ignored: %s", message.ts, verdict.reason)
        elif denial := self._access_control.denial_at_once(verdict.question):
            self._access_control.tell(verdict.question, denial)
        elif await self._access_control.too_many(verdict.question):
            log.warning("message %s ignored: bot %s asks too often", message.ts, verdict.question.user_id)
        else:
            await self.enqueue(event_id, verdict.question)

    async def enqueue(self, event_id: str, question: Question) -> None:
        """Has a question answered whose asker may ask; raises what the Store raises."""
        enqueued = await self._queue.enqueue(event_id, question, full=self._worker.full)
        if enqueued is None:
            log.debug("message %s ignored: already a question", question.ts)
        elif enqueued.waiting:
            self._worker.post_placeholder(Job(enqueued.job_id, question, attempts=0))
        else:
            self._worker.wake()

    async def _company(self, message: Message) -> Participants:
        """Whoever else writes where we take part is on record before Slack is told that we have the message."""
        if message.thread_ts is None or message.channel_type == "im":
            return Participants()
        if message.subtype not in ANSWERED_SUBTYPES or not by_person(message, self._me):
            return Participants()
        thread = ThreadKey(message.team_id, message.channel_id, message.thread_ts)
        return await self._participants.at_message(thread, message.user_id or "", message.ts)

    async def _hearing_in(self, message: Message, company: Participants) -> TriageRules:
        """Whether a mention is needed is the channel's to say, where a message may be for us without one."""
        if not company.takes_part:
            return self._hearing
        channel = await self._channel_settings.read(message.team_id, message.channel_id)
        if channel.mention_only is None:
            return self._hearing
        return replace(self._hearing, mention_only=channel.mention_only)
