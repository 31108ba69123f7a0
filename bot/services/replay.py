"""Asks a recorded question again, by the code that answers questions, and shows the answer to nobody.

The prompt has what the first one had, as far as that is still there: the conversation as Slack has it now, the recorded
answers before the question, what was noted about the question; but today's memories and channel settings, without the
channel's model. No tool is offered, and an answer that breaks off isn't continued.

Slack is only read: nothing runs that would send what a reply should show. The database gets an entry in the audit.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Message, Note, Question
from bot.core.job import End, Job
from bot.core.usage import AnswerUsage
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prompt import Effort, Offered
from bot.reply.answer import Answer
from bot.services.answer_attempt import AnswerAttempt, GivenUp
from bot.services.answering import Answering
from bot.services.prompt_builder import PromptBuilder
from bot.services.quota import Quota
from bot.services.steps import GO_ON_AFTER_S
from bot.store.replays import Given, RecordedQuestion

Spend = Callable[[Job, float], Awaitable[None]]
"""Called right before a request, with the most dollars that it may cost. Raises CapReached."""


@dataclass(frozen=True)
class _PromptThen(PromptBuilder):
    """Builds the prompt of one question as it was then."""

    then: RecordedQuestion = field(kw_only=True)
    has_prompt: bool = field(kw_only=True)
    """Whether the replay has a system prompt, which replaces the channel's, too."""

    async def _history(self, question: Question, *, reads_posts: bool) -> list[Message]:
        if reads_posts:
            return await super()._history(question, reads_posts=True)
        return await self.workspace.history.messages(question, f"{self.then.ended_at:.6f}")

    async def _channel(self, question: Question) -> ChannelSettings:
        channel = replace(await super()._channel(question), model=None)
        return replace(channel, system_prompt="") if self.has_prompt else channel

    async def _note(self, job: Job, tools: Offered, *, reads_posts: bool) -> Note:
        return self.then.note or await super()._note(job, tools, reads_posts=reads_posts)

    async def _record_participants(self, question: Question, messages: object) -> None:
        """Nothing is recorded."""


@dataclass(frozen=True)
class _Limit(Quota):
    """Stands for all caps."""

    spend: Spend = field(kw_only=True)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        await self.spend(job, self._most(input_tokens, web_searches, effort).cost_usd)


async def ask_again(answering: Answering, then: RecordedQuestion, spend: Spend, *, has_prompt: bool) -> Given:
    """Returns the answer to a recorded question. If `spend` raises CapReached, the answer ends with that."""
    quota, builder, clock = answering.quota, answering.steps.prompt_builder, answering.stores.clock
    models, prices, began = quota.models, quota.prices, clock.monotonic()
    limit = _Limit(quota.stores, quota.workspace, (), models, quota.max_output_tokens, prices, spend=spend)
    prompts = _PromptThen(**vars(builder), then=then, has_prompt=has_prompt)
    answering = replace(answering, steps=replace(answering.steps, prompt_builder=prompts, quota=limit))
    attempt = AnswerAttempt(Answer(replace(then.job, interruptions=len(GO_ON_AFTER_S))), began)
    try:
        end = await answering.ask(attempt, answering.workspace.scheduler.unshown(attempt.answer))
    except GivenUp:
        # The model wants a tool that it doesn't have.
        end = End(EndReason.STEP_LIMIT)
    end = attempt.finish(end, clock.now())
    used, model, channel_id = end.usage or Usage(), end.model or models[0], then.job.question.thread.channel_id
    tokens, usd = (used.input_tokens, used.output_tokens), quota.cost_usd(replace(end, model=model, usage=used))
    use = AnswerUsage(clock.now(), then.job.id, "", channel_id, model, end.reason, *tokens, usd, end.first_token_s)
    return Given(attempt.answer.text, end.reason, clock.monotonic() - began, [use])
