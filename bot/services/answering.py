"""Answering: one attempt at a job, from its claim to an end that Slack shows and the database has.

`Answering.answer` is the whole way, on one screen:

1. Access control. A denied asker gets no reply; the job ends.
2. The reply is opened: a placeholder, or what an earlier attempt left in Slack. If the end is already on record or
   shown, nothing is asked again; only the missing half is done.
3. The prompt is built, tokens are reserved from the quota, and the model is asked. Its deltas are appended to the
   reply, which the edit scheduler shows at its own pace.
4. The reply is finished: it returns when Slack shows the whole text, or never will.
5. The end is recorded, however long the database is away. The outbox does what Slack did not accept.

How an attempt ends
-------------------
Every end is a pair: an `Ending`, which readers see, and an `Outcome`, which is recorded. `_outcome` turns whatever
happens in step 3 into such a pair: a completion, an error of the model, a used-up cap, a deleted reply, a stop.

An attempt that is canceled for another reason than a stop ends nothing. It leaves Slack as it is. If the process ends
or the question was edited, it releases the job with the text so far; if another process has taken the job over, it
writes nothing (`Cancellation`). If Slack refuses the bot token and the model has not been asked, the attempt cancels
itself and releases the job, which is claimed again when the token works.

`streaming` is true during step 3 only. A stop cancels the attempt then. Earlier, `stop_asked` ends it before the model
is asked. Later the answer is complete and its end is being shown, so the stop has no effect: a cancellation at that
moment would leave a job that nobody ends.

An error that nobody expected ends the job as INTERNAL_ERROR, and the outbox shows that. It is never left running.

Usage
-----
A vendor reports usage with the completion. An attempt without one is estimated, from the moment at which the
model is asked. A model that failed before its first word is not counted, unless such failures are charged
(CHARGED_WITHOUT_TEXT).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
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
"""Failures that cost tokens even before the first word. After any other failure before it, nothing is counted."""
MOST_INTERRUPTIONS = 3
RECORD_RETRIES_S = (0.5, 1.0, 2.0, 5.0)
"""Pauses between tries to record an end; the last one repeats."""
CHARS_PER_TOKEN = 4.0
"""About right for English. Used only to count attempts without reported usage."""

_REASONS: Mapping[type[TypistError], EndReason] = {
    CapReached: EndReason.CAP_REACHED,
    NotShown: EndReason.NOT_SHOWN,
}

log = logging.getLogger(__name__)


class _TokenRefused(Exception):
    """Slack refuses the bot token, and the model has not been asked."""


class Cancellation(Enum):
    """Why an attempt is canceled."""

    LOST = auto()
    """Another process has taken over the job."""
    HANDOVER = auto()
    """This process ends, and another one continues the answer."""
    RESTART = auto()
    """The question was edited: the answer starts over."""
    STOPPED = auto()
    """A person pressed Stop, or deleted the question."""
    TOKEN_REFUSED = auto()
    """Slack refuses the bot token, and the model has not been asked."""


@dataclass(eq=False)
class AnswerAttempt:
    """One attempt at a job, and its progress."""

    job: Job
    claimed_at: float
    """By the monotonic clock."""
    draft: Draft = field(init=False)
    first_token_s: float | None = None
    completion: Completion | None = None
    model: str | None = None
    """The model that was asked; None if none was, or if it charges nothing."""
    input_tokens: int = 0
    output_chars: int = 0
    """Text and thinking of the model."""
    streaming: bool = False
    """Whether a stop may cancel the attempt; the module's docstring says when."""
    cancellation: Cancellation | None = None
    """Why the attempt is being canceled."""
    stop_asked: bool = False
    """A stop came before the model was asked."""
    earlier: Shown = field(default_factory=Shown)
    """What an earlier attempt left in Slack."""
    opened: Sequence[OpenedFile] = ()
    """Files of the question. A notice below the answer names those that were not read."""
    prompt_version: str | None = None

    def __post_init__(self) -> None:
        self.draft = Draft(self.job)

    @property
    def text(self) -> str:
        """The draft's text so far."""
        return self.draft.text

    def receive(self, event: StreamEvent, now: float) -> str:
        """Notes an event of the model's stream and returns its text, if it has any. `now` is by the monotonic clock."""
        match event:
            case Completion():
                self.completion = event
                return ""
            case Thinking(chars=chars):
                self.output_chars += chars
                return ""
        self.first_token_s = now - self.claimed_at if self.first_token_s is None else self.first_token_s
        self.output_chars += len(event)
        return event

    @property
    def part(self) -> str:
        """The text that stays of an incomplete answer: this attempt's, or an earlier one's if that is longer."""
        return self.earlier.part(self.text)

    @property
    def spent(self) -> Spent:
        """The estimated usage so far, which counts if the attempt is interrupted now."""
        return Spent(self.input_tokens, int(self.output_chars / CHARS_PER_TOKEN), self.model) if self.model else Spent()

    def counted(self, outcome: Outcome) -> Outcome:
        """Returns the outcome with the attempt's model, usage and times. Without reported usage the estimate counts."""
        estimated = Usage(self.spent.input_tokens, self.spent.output_tokens) if self.model else None
        model, usage = outcome.model or self.model, outcome.usage or estimated
        return replace(
            outcome, model=model, usage=usage, first_token_s=self.first_token_s, prompt_version=self.prompt_version
        )


@dataclass(frozen=True)
class Answering:
    """Answers jobs. One instance serves a process; an attempt's state is in its AnswerAttempt."""

    jobs: ClaimedJobs
    replies: Replies
    prompt_builder: PromptBuilder
    models: Models
    clock: Clock
    me: Identity
    estimate: TokenEstimate
    metrics: Metrics
    access_control: AccessControl
    token_refused: Callable[[], bool]
    """Returns whether Slack refuses our bot token now."""
    quota: Quota
    pane: AssistantPane
    done_ping_s: int
    """Askers are mentioned when the answer is complete if it took longer than this; 0: never."""

    async def answer(self, attempt: AnswerAttempt) -> None:
        """Runs an attempt. Then the job has ended in Slack and on record, or another attempt can continue it."""
        reply = None
        try:
            if await self._denied(attempt):
                return
            status_shown = await self.pane.begin(attempt.job.question)
            reply = await self.replies.open(attempt.draft, status_shown=status_shown)
            attempt.earlier = reply.shown
            if (closing := attempt.job.checkpoint.closing) or reply.shown.ended:
                await self._complete_end(attempt, reply, closing)
                return
            ending, outcome = await self._outcome(attempt, reply)
            ending, outcome = _with_notices(ending, attempt), attempt.counted(outcome)
            attempt.draft.close(outcome.answer, _closing(ending, outcome))
            await reply.finish(ending)
            await self._record_shown_end(attempt, reply, outcome)
        except asyncio.CancelledError:
            await self._leave(attempt, reply)
        except _TokenRefused:
            log.warning("job %d: queued again, because Slack refuses the bot token", attempt.job.id)
            attempt.cancellation = Cancellation.TOKEN_REFUSED
            await self._leave(attempt, reply)
        except Exception as error:
            log.error("job %d: unexpected error, ending it: %s", attempt.job.id, trace_of(error))
            await self._end_with_internal_error(attempt, reply)
        finally:
            self.pane.end(attempt.job.question)

    async def _denied(self, attempt: AnswerAttempt) -> bool:
        """Ends the job if its asker has no access; returns whether it did. Raises _TokenRefused.

        A job that has messages in Slack passed this check in an earlier attempt.
        """
        question = attempt.job.question
        denial = None if attempt.job.page_ts else await self.access_control.denial(question)
        if denial is None:
            return False
        if self.token_refused():
            # Slack may only have refused to say who the asker is.
            raise _TokenRefused
        self.access_control.tell(question, denial)
        await self._record(attempt, (), Outcome(EndReason.DENIED, ""))
        return True

    async def _complete_end(self, attempt: AnswerAttempt, reply: LiveReply, closing: Closing | None) -> None:
        """Shows or records the end that an earlier attempt reached, whichever is missing."""
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
        await self._record_shown_end(attempt, reply, outcome)

    async def _outcome(self, attempt: AnswerAttempt, reply: LiveReply) -> tuple[Ending, Outcome]:
        """Asks the model if nothing forbids it; returns the ending for readers and the outcome to record.

        Raises _TokenRefused.
        """
        if attempt.stop_asked:
            return _stopped(attempt)
        if attempt.job.interruptions >= MOST_INTERRUPTIONS:
            return _end(texts.INTERRUPTED, Outcome(EndReason.INTERRUPTED_TOO_OFTEN, attempt.part))
        if not (attempt.job.question.text or attempt.job.question.files):
            # The question was deleted, and its job was released before the stop reached it.
            return _stopped(attempt)
        try:
            return await self._stream(attempt, reply)
        except _TokenRefused:
            raise
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
        """Builds the prompt and asks the model."""
        attempt.streaming = True
        questions = (attempt.job.question, *attempt.job.earlier)
        if not any(question.files or without_address(question.text, self.me.user_id) for question in questions):
            return _end(texts.HELP, Outcome(EndReason.NOTHING_ASKED, ""))
        async with AsyncExitStack() as memory:
            built = await self.prompt_builder.build(attempt.draft, memory)
            attempt.opened, attempt.prompt_version = built.opened, built.prompt_version
            provider = self.models.led_by(built.model, built.prompt)
            return await self._ask_model(attempt, built.prompt, provider, reply)

    async def _ask_model(
        self, attempt: AnswerAttempt, prompt: Prompt, provider: Provider, reply: LiveReply
    ) -> tuple[Ending, Outcome]:
        """Reserves the quota and appends the model's text to the reply. Raises _TokenRefused."""
        if self.token_refused():
            raise _TokenRefused
        texts_tokens = sum(self.estimate.tokens(text) for text in prompt_texts(prompt))
        input_tokens = texts_tokens + media_tokens(prompt)
        await self.quota.reserve(attempt.job, input_tokens)
        attempt.model, attempt.input_tokens = provider.model, input_tokens
        seam = Seam(attempt.draft.start)
        try:
            async with aclosing(provider.stream(prompt)) as events:
                async for event in events:
                    if text := seam.join(attempt.receive(event, self.clock.monotonic())):
                        reply.append(text)
                    if reply.gone:
                        return _end("", Outcome(EndReason.REPLY_GONE, attempt.text))
                    if reply.unshown:
                        raise NotShown
        except ProviderError as error:
            if error.failure is not Failure.EMPTY or not attempt.draft.resumes:
                raise
            # The model had nothing to add: the text on record is complete.
            attempt.completion = Completion(error.model, FinishReason.STOP, None)
        if text := seam.rest():
            reply.append(text)
        return self._completed(prompt, attempt)

    def _completed(self, prompt: Prompt, attempt: AnswerAttempt) -> tuple[Ending, Outcome]:
        """Returns the end of an answer that the model completed, and corrects the estimate by its usage."""
        completion = attempt.completion
        assert completion is not None, "a provider's stream ends with a Completion or an error"
        if completion.usage is not None:
            self.estimate.learn(completion.model, prompt, completion.usage)
        outcome = Outcome(reason_of(completion.finish_reason), attempt.text, completion.model, completion.usage)
        return _end(texts.LENGTH_LIMIT if outcome.end_reason is EndReason.LENGTH_LIMIT else "", outcome)

    async def _record_shown_end(self, attempt: AnswerAttempt, reply: LiveReply, outcome: Outcome) -> None:
        """Records an end that Slack shows, reports its metrics, and warns the asker about a quota that runs out."""
        if await self._record(attempt, reply.page_ts, outcome, reply.leftover):
            total_s = self.clock.monotonic() - attempt.claimed_at
            waited_s = max(0.0, self.clock.now() - total_s - float(attempt.job.question.ts))
            times = Times(waited_s, total_s, attempt.first_token_s)
            self.metrics(JobLife.of(attempt.job, outcome, times, reply.edits))
            if outcome.usage is not None:
                await self.quota.warn(attempt.job.question)

    async def _end_with_internal_error(self, attempt: AnswerAttempt, reply: LiveReply | None) -> None:
        """Ends the job on record after an unexpected error, and has the outbox show that."""
        outcome = attempt.counted(Outcome(EndReason.INTERNAL_ERROR, attempt.part))
        ending = _with_notices(Ending(texts.INTERNAL_ERROR, outcome.end_reason), attempt)
        attempt.draft.close(outcome.answer, _closing(ending, outcome))
        page_ts = attempt.job.page_ts
        if reply is not None:
            await reply.leave()
            page_ts = reply.page_ts
        await self._record(attempt, page_ts, outcome, OutboxKind.SHOW_END)

    async def _record(
        self, attempt: AnswerAttempt, page_ts: tuple[str, ...], outcome: Outcome, leftover: OutboxKind | None = None
    ) -> bool:
        """Records the end, however long the database is away; returns False if the job is no longer ours."""
        job = attempt.job
        unshown = Leftover(leftover, attempt.draft.piece()) if leftover else None
        for delay_s in chain(RECORD_RETRIES_S, repeat(RECORD_RETRIES_S[-1])):
            try:
                if page_ts:
                    await self.jobs.record_pages(job.id, page_ts)
                waited_s = self.clock.now() - job.asked_at
                ping = outcome.end_reason.is_answer and 0 < self.done_ping_s < waited_s
                return await self.jobs.finish(job, outcome, ping=ping, leftover=unshown)
            except StoreError as error:
                log.error("job %d: end not recorded, retrying: %s", job.id, error)
            except Exception as error:
                log.error("job %d: end not recorded, retrying: %s", job.id, trace_of(error))
            await self.clock.sleep(delay_s)
        raise AssertionError("the delays never end")

    async def _leave(self, attempt: AnswerAttempt, reply: LiveReply | None) -> None:
        """Leaves Slack as it is, and releases the job with the text so far unless another process has it."""
        if reply is not None:
            await reply.leave()
        match attempt.cancellation:
            case Cancellation.HANDOVER:
                try:
                    await self.jobs.release(attempt.job, attempt.draft.piece())
                except StoreError as error:
                    log.error("job %d: not released, another process takes it over later: %s", attempt.job.id, error)
            case Cancellation.RESTART | Cancellation.TOKEN_REFUSED:
                await self._release(attempt)

    async def _release(self, attempt: AnswerAttempt) -> None:
        """Releases the job, however long the database is away: nobody takes it over while this process runs."""
        for delay_s in chain(RECORD_RETRIES_S, repeat(RECORD_RETRIES_S[-1])):
            try:
                await self.jobs.release(attempt.job, attempt.draft.piece())
                return
            except StoreError as error:
                log.error("job %d: not released, retrying: %s", attempt.job.id, error)
            await self.clock.sleep(delay_s)


def _with_notices(ending: Ending, attempt: AnswerAttempt) -> Ending:
    """Returns the ending with what every end shows: files that were not read, and the model in the footer."""
    completion = attempt.completion
    left_out = completion.left_out if completion else ()
    notice = " ".join(filter(None, (ending.notice, unread_notice(attempt.opened, left_out))))
    return replace(ending, notice=notice, footer=_footer(attempt), previous=_has_previous(attempt.job))


def _has_previous(job: Job) -> bool:
    return job.version > 0 and not job.so_far


def ending_of(job: Job, closing: Closing) -> Ending:
    """Returns how readers see an end that is on record."""
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


def _footer(attempt: AnswerAttempt) -> str:
    """Returns the model that wrote the answer; without a completion, the one that was asked."""
    completion = attempt.completion
    if completion is None or completion.model == attempt.model:
        return attempt.model or ""
    return texts.fell_back(completion.model)


def _stopped(attempt: AnswerAttempt) -> tuple[Ending, Outcome]:
    """Returns the end of a stopped answer. The footer says so below its text; a reply without text needs a sentence."""
    return _end("" if attempt.part else texts.STOPPED, Outcome(EndReason.STOPPED, attempt.part))


def _end(notice: str, outcome: Outcome) -> tuple[Ending, Outcome]:
    """Returns an outcome, and how readers see it."""
    return Ending(notice, outcome.end_reason), outcome


def _failed(attempt: AnswerAttempt, error: TypistError) -> Outcome:
    if isinstance(error, ProviderError):
        log.warning("model %s failed: %s %s", error.model, error.failure, error.detail)
        if not attempt.output_chars and error.failure not in CHARGED_WITHOUT_TEXT:
            attempt.model = None
        return Outcome(reason_of(error.failure), attempt.part, error.model)
    return Outcome(_REASONS.get(type(error), EndReason.INTERNAL_ERROR), attempt.part)
