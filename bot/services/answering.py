"""The mission: a job becomes a prompt, the model's deltas grow into its reply, and how it ended is told."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain, repeat

from bot.core import texts
from bot.core.conversation import Job, Prompt
from bot.core.inbound.files import OpenedFile, unread_notice
from bot.core.inbound.mentions import without_address
from bot.core.inbound.tokens import TokenEstimate, media_tokens, prompt_texts
from bot.core.inbound.triage import Identity
from bot.core.job import Closing, EndReason, Outcome, Spent, reason_of
from bot.core.outbox import Leftover, OutboxKind
from bot.core.reply.draft import Draft
from bot.core.reply.resuming import Seam
from bot.core.reply.state import Ending, Shown
from bot.core.stream import Completion, FinishReason, StreamEvent, Thinking, Usage
from bot.errors import CapReached, Failure, NotShown, ProviderError, StoreError, TypistError, trace_of
from bot.ports.clock import Clock
from bot.ports.models import Models, Provider
from bot.ports.queue import ClaimedJobs
from bot.ports.replies import LiveReply, Replies
from bot.services.access_control import AccessControl
from bot.services.assistant_pane import AssistantPane
from bot.services.metrics import JobLife, Metrics, Times
from bot.services.prompt_builder import PromptBuilder
from bot.services.quota import Quota

CHARGED_WITHOUT_TEXT = {Failure.STALLED, Failure.CUT, Failure.EMPTY, Failure.REFUSED}
"""A model that fails in another way before its first word has not begun."""
MOST_INTERRUPTIONS = 3
RECORD_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
"""How long to wait for a database that is away; the last one again and again."""
CHARS_PER_TOKEN = 4.0
"""Of English text, about; only for what an attempt that broke off is counted with."""

_REASONS: Mapping[type[TypistError], EndReason] = {
    CapReached: EndReason.CAP_REACHED,
    NotShown: EndReason.NOT_SHOWN,
}

log = logging.getLogger(__name__)


class Cancellation(Enum):
    """Why an attempt is cancelled."""

    LOST = auto()
    """Another process has taken the job over."""
    HANDOVER = auto()
    """This process ends, and another one is to go on."""
    RESTART = auto()
    """Its question was edited: it is answered from the beginning."""
    STOPPED = auto()
    """Somebody asked for it."""


@dataclass(eq=False)
class AnswerAttempt:
    """One job in this process's hands, and what came of it so far."""

    job: Job
    claimed: float
    """By the monotonic clock."""
    draft: Draft = field(init=False)
    first_token_s: float | None = None
    completion: Completion | None = None
    model: str | None = None
    """Which was asked; None where none was, or it charges nothing."""
    input_tokens: int = 0
    said_chars: int = 0
    streaming: bool = False
    cancellation: Cancellation | None = None
    """Set before it is cancelled."""
    stop_asked: bool = False
    """Somebody asked for it before there was anything to cancel."""
    before: Shown = field(default_factory=Shown)
    """What an earlier attempt left in Slack."""
    opened: Sequence[OpenedFile] = ()
    """The files that the answer has to account for."""
    prompt_version: str | None = None

    def __post_init__(self) -> None:
        self.draft = Draft(self.job)

    @property
    def text(self) -> str:
        return self.draft.text

    def heard(self, event: StreamEvent, now: float) -> str:
        """What of the model's stream is text; `now` is by the monotonic clock."""
        match event:
            case Completion():
                self.completion = event
                return ""
            case Thinking(chars=chars):
                self.said_chars += chars
                return ""
        self.first_token_s = now - self.claimed if self.first_token_s is None else self.first_token_s
        self.said_chars += len(event)
        return event

    @property
    def part(self) -> str:
        """What stays of an answer that did not become whole: this attempt's text, or an earlier one's if it is more."""
        return self.before.part(self.text)

    @property
    def spent(self) -> Spent:
        """What counts if it breaks off now, by estimate."""
        return Spent(self.input_tokens, int(self.said_chars / CHARS_PER_TOKEN), self.model) if self.model else Spent()

    def counted(self, outcome: Outcome) -> Outcome:
        """With what the attempt took; where the vendor reported no usage, by estimate."""
        estimated = Usage(self.spent.input_tokens, self.spent.output_tokens) if self.model else None
        model, usage = outcome.model or self.model, outcome.usage or estimated
        return replace(
            outcome, model=model, usage=usage, first_token_s=self.first_token_s, prompt_version=self.prompt_version
        )


@dataclass(frozen=True)
class Answering:
    """Answers jobs; holds what that needs of the world."""

    jobs: ClaimedJobs
    replies: Replies
    prompt_builder: PromptBuilder
    models: Models
    clock: Clock
    me: Identity
    estimate: TokenEstimate
    metrics: Metrics
    access_control: AccessControl
    quota: Quota
    pane: AssistantPane
    done_ping_s: int
    """An asker who waited longer is told once the answer is whole; 0: never."""

    async def answer(self, attempt: AnswerAttempt) -> None:
        """Ends with the job ended in Slack and on record, or left for another process to go on with."""
        reply = None
        try:
            if await self._turned_away(attempt):
                return
            status_shown = await self.pane.begin(attempt.job.question)
            reply = await self.replies.open(attempt.draft, status_shown=status_shown)
            attempt.before = reply.shown
            if (closing := attempt.job.checkpoint.closing) or reply.shown.ended:
                await self._end_again(attempt, reply, closing)
                return
            ending, outcome = await self._outcome(attempt, reply)
            ending, outcome = _told(ending, attempt), attempt.counted(outcome)
            attempt.draft.close(outcome.answer, _closing(ending, outcome))
            await reply.finish(ending)
            await self._ended(attempt, reply, outcome)
        except asyncio.CancelledError:
            await self._break_off(attempt, reply)
        except Exception as error:
            log.error("job %d: unexpected error, ending it: %s", attempt.job.id, trace_of(error))
            await self._broken(attempt, reply)
        finally:
            self.pane.end(attempt.job.question)

    async def _turned_away(self, attempt: AnswerAttempt) -> bool:
        """Whose question was admitted once has messages for it, and is not asked about again."""
        question = attempt.job.question
        denial = None if attempt.job.page_ts else await self.access_control.denial(question)
        if denial is None:
            return False
        self.access_control.tell(question, denial)
        await self._recorded(attempt, (), Outcome(EndReason.DENIED, ""))
        return True

    async def _end_again(self, attempt: AnswerAttempt, reply: LiveReply, closing: Closing | None) -> None:
        """An earlier attempt came to the end, and broke off before that was shown, or on record."""
        shown = reply.shown
        if closing is None:
            assert shown.ended is not None
            outcome = Outcome(shown.ended, shown.text)
        else:
            outcome = Outcome(closing.end_reason, attempt.text, closing.model)
            outcome = replace(outcome, first_token_s=closing.first_token_s, prompt_version=closing.prompt_version)
        if closing is None or shown.ended:
            await reply.leave()
        else:
            await reply.finish(ending_of(attempt.job, closing))
        await self._ended(attempt, reply, outcome)

    async def _outcome(self, attempt: AnswerAttempt, reply: LiveReply) -> tuple[Ending, Outcome]:
        """How the reply ends, and what is kept of it."""
        if attempt.stop_asked:
            return _stopped(attempt)
        if attempt.job.interruptions >= MOST_INTERRUPTIONS:
            return _end(texts.INTERRUPTED, Outcome(EndReason.INTERRUPTED_TOO_OFTEN, attempt.part))
        if not (attempt.job.question.text or attempt.job.question.files):
            # Deleted, and handed over before it was stopped.
            return _stopped(attempt)
        try:
            return await self._stream(attempt, reply)
        except TypistError as error:
            return _end(texts.for_error(error), _failed(attempt, error))
        except asyncio.CancelledError:
            if attempt.cancellation is not Cancellation.STOPPED:
                raise
            return _stopped(attempt)
        except Exception as error:
            log.error("job %d: unexpected error, ending it: %s", attempt.job.id, trace_of(error))
            return _end(texts.INTERNAL_ERROR, Outcome(EndReason.INTERNAL_ERROR, attempt.part))
        finally:
            attempt.streaming = False

    async def _stream(self, attempt: AnswerAttempt, reply: LiveReply) -> tuple[Ending, Outcome]:
        attempt.streaming = True
        asked = (attempt.job.question, *attempt.job.earlier)
        if not any(each.files or without_address(each.text, self.me.user_id) for each in asked):
            return _end(texts.HELP, Outcome(EndReason.NOTHING_ASKED, ""))
        async with AsyncExitStack() as held:
            brief = await self.prompt_builder.brief(attempt.draft, held)
            attempt.opened, attempt.prompt_version = brief.opened, brief.prompt_version
            return await self._hear(attempt, brief.prompt, self.models.led_by(brief.model), reply)

    async def _hear(
        self, attempt: AnswerAttempt, prompt: Prompt, provider: Provider, reply: LiveReply
    ) -> tuple[Ending, Outcome]:
        texts_tokens = sum(self.estimate.tokens(text) for text in prompt_texts(prompt))
        input_tokens = texts_tokens + media_tokens(prompt)
        await self.quota.reserve(attempt.job, input_tokens)
        attempt.model, attempt.input_tokens = provider.model, input_tokens
        seam = Seam(attempt.draft.start)
        try:
            async with aclosing(provider.stream(prompt)) as events:
                async for event in events:
                    if text := seam.join(attempt.heard(event, self.clock.monotonic())):
                        reply.append(text)
                    if reply.gone:
                        return _end("", Outcome(EndReason.REPLY_GONE, attempt.text))
                    if reply.unshown:
                        raise NotShown
        except ProviderError as error:
            if error.failure is not Failure.EMPTY or not attempt.draft.resumes:
                raise
            # What was on record lacked nothing, and there is nothing to say.
            attempt.completion = Completion(error.model, FinishReason.STOP, None)
        if text := seam.rest():
            reply.append(text)
        return self._whole(prompt, attempt)

    def _whole(self, prompt: Prompt, attempt: AnswerAttempt) -> tuple[Ending, Outcome]:
        done = attempt.completion
        assert done is not None, "a provider's stream ends with a Completion or an error"
        if done.usage is not None:
            self.estimate.learn(done.model, prompt, done.usage)
        outcome = Outcome(reason_of(done.finish_reason), attempt.text, done.model, done.usage)
        return _end(texts.LENGTH_LIMIT if outcome.end_reason is EndReason.LENGTH_LIMIT else "", outcome)

    async def _ended(self, attempt: AnswerAttempt, reply: LiveReply, outcome: Outcome) -> None:
        """Slack shows the end, and it goes on record."""
        if await self._recorded(attempt, reply.page_ts, outcome, reply.leftover):
            total_s = self.clock.monotonic() - attempt.claimed
            waited_s = max(0.0, self.clock.now() - total_s - float(attempt.job.question.ts))
            times = Times(waited_s, total_s, attempt.first_token_s)
            self.metrics(JobLife.of(attempt.job, outcome, times, reply.edits))
            if outcome.usage is not None:
                await self.quota.warn(attempt.job.question)

    async def _broken(self, attempt: AnswerAttempt, reply: LiveReply | None) -> None:
        """A fault that nobody foresaw: the job ends on record, and the outbox shows that."""
        outcome = attempt.counted(Outcome(EndReason.INTERNAL_ERROR, attempt.part))
        ending = _told(Ending(texts.INTERNAL_ERROR, outcome.end_reason), attempt)
        attempt.draft.close(outcome.answer, _closing(ending, outcome))
        page_ts = attempt.job.page_ts
        if reply is not None:
            await reply.leave()
            page_ts = reply.page_ts
        await self._recorded(attempt, page_ts, outcome, OutboxKind.SHOW_END)

    async def _recorded(
        self, attempt: AnswerAttempt, page_ts: tuple[str, ...], outcome: Outcome, leftover: OutboxKind | None = None
    ) -> bool:
        """Waits for a database that is away; False where the job is no longer ours."""
        job = attempt.job
        left = Leftover(leftover, attempt.draft.piece()) if leftover else None
        for delay_s in chain(RECORD_AGAIN_S, repeat(RECORD_AGAIN_S[-1])):
            try:
                if page_ts:
                    await self.jobs.record_pages(job.id, page_ts)
                waited_s = self.clock.now() - job.asked_at
                ping = outcome.end_reason.is_answer and 0 < self.done_ping_s < waited_s
                return await self.jobs.finish(job, outcome, ping=ping, leftover=left)
            except StoreError as error:
                log.error("job %d: end not recorded, retrying: %s", job.id, error)
            except Exception as error:
                log.error("job %d: end not recorded, retrying: %s", job.id, trace_of(error))
            await self.clock.sleep(delay_s)
        raise AssertionError("the delays never end")

    async def _break_off(self, attempt: AnswerAttempt, reply: LiveReply | None) -> None:
        """Leaves Slack as it is: who goes on with the job goes on from there."""
        if reply is not None:
            await reply.leave()
        if attempt.cancellation in (Cancellation.HANDOVER, Cancellation.RESTART):
            try:
                await self.jobs.release(attempt.job, attempt.draft.piece())
            except StoreError as error:
                log.error("job %d: not released, another process takes it over later: %s", attempt.job.id, error)


def _told(ending: Ending, attempt: AnswerAttempt) -> Ending:
    """With what is told however it ended: what of the files was not read, and who wrote the answer."""
    done = attempt.completion
    notice = " ".join(filter(None, (ending.notice, unread_notice(attempt.opened, done.left_out if done else ()))))
    return replace(ending, notice=notice, footer=_writer(attempt), previous=_has_previous(attempt.job))


def _has_previous(job: Job) -> bool:
    return job.version > 0 and not job.so_far


def ending_of(job: Job, closing: Closing) -> Ending:
    """Returns what the reader is told of an end that is on record."""
    return Ending(closing.notice, closing.end_reason, closing.footer, _has_previous(job))


def _closing(ending: Ending, outcome: Outcome) -> Closing:
    return Closing(
        outcome.end_reason,
        ending.notice,
        ending.footer,
        outcome.model,
        outcome.first_token_s,
        outcome.prompt_version,
    )


def _writer(attempt: AnswerAttempt) -> str:
    """The model, as its Completion says; which one was asked is all that is known without."""
    done = attempt.completion
    if done is None or done.model == attempt.model:
        return attempt.model or ""
    return texts.fell_back(done.model)


def _stopped(attempt: AnswerAttempt) -> tuple[Ending, Outcome]:
    """The footer says so below what came; without a word of it a sentence must."""
    return _end("" if attempt.part else texts.STOPPED, Outcome(EndReason.STOPPED, attempt.part))


def _end(notice: str, outcome: Outcome) -> tuple[Ending, Outcome]:
    """Returns how the reader is told of an outcome, and the outcome."""
    return Ending(notice, outcome.end_reason), outcome


def _failed(attempt: AnswerAttempt, error: TypistError) -> Outcome:
    if isinstance(error, ProviderError):
        log.warning("model %s failed: %s %s", error.model, error.failure, error.detail)
        if not attempt.said_chars and error.failure not in CHARGED_WITHOUT_TEXT:
            attempt.model = None
        return Outcome(reason_of(error.failure), attempt.part, error.model)
    return Outcome(_REASONS.get(type(error), EndReason.INTERNAL_ERROR), attempt.part)
