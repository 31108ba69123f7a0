"""The mission: a job becomes a prompt, the model's deltas grow into its reply, and how it ended is told."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from bot.core import prompt as prompts
from bot.core.completion import Completion, FinishReason
from bot.core.conversation import Job, Message, Prompt, Question
from bot.core.pricing import cost_usd
from bot.core.reply import Ending
from bot.core.tokens import TokenEstimate
from bot.core.triage import Identity, words_of
from bot.errors import ProviderError, RateLimited, Refusal, Refused, TypistError
from bot.ports import Clock, History, LiveReply, Outcome, Provider, Replies, Status, Store

HELP = (
    "Ask me anything: write your question beside my name, or send it to me as a direct message. "
    "I answer in a thread and read what was said in it."
)
AT_LENGTH = "The answer reached its length limit here. Ask me to go on for the rest."
RESTARTED = "I was restarted in the middle of this. Please ask again."
BROKEN = "Something went wrong on my side. Please ask again."
HISTORY_TRIES = 3
HISTORY_LONGEST_WAIT_S = 30.0
HISTORY_WAIT_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How answers are to be: what those who run the bot decide."""

    system_prompt: str
    history_tokens: int


@dataclass
class Progress:
    """What came of one answer so far."""

    started: float
    parts: list[str] = field(default_factory=list)
    first_token_s: float | None = None
    completion: Completion | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True)
class Answering:
    """Answers jobs; holds what that needs of the world."""

    store: Store
    replies: Replies
    history: History
    provider: Provider
    clock: Clock
    me: Identity
    manner: Manner
    estimate: TokenEstimate

    async def answer(self, job: Job) -> None:
        """Ends with the job ended in Slack and in the Store, whatever happened."""
        reply = self.replies.open(job)
        progress = Progress(self.clock.monotonic())
        try:
            ending, outcome = await self._stream(job, reply, progress)
        except TypistError as error:
            ending, outcome = Ending(str(error)), _failed(progress, error)
        except asyncio.CancelledError:
            ending, outcome = Ending(RESTARTED), Outcome(Status.STOPPED, progress.text)
        except Exception:
            log.exception("job %d broke", job.id)
            ending, outcome = Ending(BROKEN), Outcome(Status.FAILED, progress.text)
        await reply.finish(ending)
        await self.store.finish(job, outcome)
        self._log(job, progress, outcome)

    async def _stream(self, job: Job, reply: LiveReply, progress: Progress) -> tuple[Ending, Outcome]:
        if not words_of(job.question.text, self.me.user_id):
            return Ending(HELP), Outcome(Status.DONE, "")
        prompt = await self._prompt(job.question)
        async with aclosing(self.provider.stream(prompt)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    progress.completion = event
                    continue
                if progress.first_token_s is None:
                    progress.first_token_s = self.clock.monotonic() - progress.started
                progress.parts.append(event)
                reply.append(event)
                if reply.gone:
                    return Ending(), Outcome(Status.STOPPED, progress.text)
        return self._whole(prompt, progress)

    def _whole(self, prompt: Prompt, progress: Progress) -> tuple[Ending, Outcome]:
        done = progress.completion
        assert done is not None, "a provider's stream ends with a Completion or an error"
        if done.usage is not None:
            self.estimate.learn(done.model, prompt, done.usage)
        outcome = Outcome(Status.DONE, progress.text, done.model, done.finish_reason, done.usage)
        return Ending(AT_LENGTH if done.finish_reason is FinishReason.LENGTH else ""), outcome

    async def _prompt(self, question: Question) -> Prompt:
        """Raises QuestionTooLong."""
        said = prompts.spoken(
            prompts.Conversation(question, await self._messages(question), await self.store.replies(question.thread)),
            self.me,
        )
        fitting = prompts.fit(said, self.estimate.tokens, self.manner.history_tokens)
        return prompts.prompt_of(self.manner.system_prompt, fitting, await self._names(fitting))

    async def _messages(self, question: Question) -> list[Message]:
        """What Slack does not let us read is left out: the question is answered all the same."""
        for _ in range(HISTORY_TRIES):
            try:
                return await self.history.messages(question)
            except RateLimited as limited:
                log.warning("%s", limited)
                await self.clock.sleep(min(limited.retry_after_s, HISTORY_LONGEST_WAIT_S))
            except Refused as refused:
                log.warning("answering without the conversation's history: %s", refused)
                if refused.reason is not Refusal.TRANSIENT:
                    break
                await self.clock.sleep(HISTORY_WAIT_S)
        return []

    async def _names(self, said: list[prompts.Spoken]) -> Mapping[str, str]:
        people = {each.speaker for each in said if each.speaker}
        if len(people) < 2:
            return {}
        return {person: await self.history.name(person) for person in sorted(people)}

    def _log(self, job: Job, progress: Progress, outcome: Outcome) -> None:
        usage, model = outcome.usage, outcome.model
        cost = cost_usd(model, usage) if model and usage else None
        log.info(
            "job=%d thread=%s status=%s reason=%s model=%s input_tokens=%s output_tokens=%s cost_usd=%s "
            "first_token_s=%s total_s=%.1f",
            job.id,
            job.question.thread,
            outcome.status,
            outcome.finish_reason,
            model,
            usage.input_tokens if usage else None,
            usage.output_tokens if usage else None,
            None if cost is None else f"{cost:.6f}",
            None if progress.first_token_s is None else f"{progress.first_token_s:.2f}",
            self.clock.monotonic() - progress.started,
        )


def _failed(progress: Progress, error: TypistError) -> Outcome:
    if isinstance(error, ProviderError):
        log.warning("%s failed: %s %s", error.model, error.failure, error.detail)
        return Outcome(Status.FAILED, progress.text, error.model, error.failure)
    return Outcome(Status.FAILED, progress.text, finish_reason=type(error).__name__)
