"""Asks a recorded question again, by the code that answers questions, and shows the answer to nobody.

The prompt has what the first one had, as far as that is still there: the conversation as Slack has it now, the recorded
answers before the question, what was noted about the question; but today's memories and channel settings, without the
channel's model. An answer that breaks off isn't continued. Of tools, those of servers are offered if that is wanted,
as far as they only read, need no approval and act in nobody's own account. Their calls are on no record but the audit.

Slack is only read: nothing runs that would send what a reply should show. The database gets an entry in the audit.
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import cast

from bot.core.calls import CallState, RecordedCall, Step
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Message, Note, Question
from bot.core.job import End, Job
from bot.core.usage import AnswerUsage
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prompt import READS_ONLY, Effort, Offered
from bot.reply.answer import Answer
from bot.services.answer_attempt import AnswerAttempt, GivenUp, added
from bot.services.answering import Answering
from bot.services.prompt_builder import PromptBuilder
from bot.services.quota import Quota
from bot.services.steps import GO_ON_AFTER_S
from bot.services.tool_calls import Offer, ToolCalls
from bot.store.calls import RecordedCalls
from bot.store.replays import Given, RecordedQuestion

Spend = Callable[[Job, float], Awaitable[None]]
"""Called right before a request, with the most dollars that the answer may cost with it. Raises CapReached."""
Calling = Callable[[Job, RecordedCall], Awaitable[None]]
"""Called right before a call of a tool."""


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
    attempt: AnswerAttempt = field(kw_only=True)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        most_usd = self._most(input_tokens, web_searches, effort).cost_usd
        await self.spend(job, most_usd + (self.attempt.used.usd or 0.0))


@dataclass(frozen=True)
class _Unrecorded:
    """Keeps the calls of one answer in memory, in the place of RecordedCalls."""

    calling: Calling
    kept: dict[tuple[int, int], RecordedCall] = field(default_factory=dict)

    async def record(self, _job: Job, step: Step, *_: object) -> bool:
        self.kept.update({call.key: call for call in step.calls})
        return True

    async def calls(self, _job: Job, step_no: int) -> tuple[RecordedCall, ...]:
        return tuple(call for call in self.kept.values() if call.step_no == step_no)

    async def begin(self, job: Job, call: RecordedCall) -> bool:
        await self.calling(job, replace(call, state=CallState.BEGUN))
        return True

    async def end(self, _job: Job, call: RecordedCall) -> bool:
        self.kept[call.key] = call
        return True

    async def take_follow_ups(self, *_: object) -> tuple[()]:
        return ()

    async def replied_to(self, _job: Job) -> tuple[()]:
        return ()

    async def always_allowed(self, _thread: object) -> Mapping[str, str]:
        return {}

    async def allowed_in_thread(self, _question: Question) -> frozenset[str]:
        return frozenset()


class _Reading(ToolCalls):
    """Offers only tools whose calls nobody needs to agree to."""

    async def offer(self, job: Job) -> Offer:
        offer = await super().offer(job)
        tools = {name: tool for name, tool in offer.by_name.items() if tool.rule == READS_ONLY and not tool.own_account}
        return replace(offer, by_name=tools)


async def ask_again(
    answering: Answering, then: RecordedQuestion, spend: Spend, calling: Calling | None, *, has_prompt: bool
) -> Given:
    """Returns the answer to a recorded question. If `spend` raises CapReached, the answer ends with that.

    `calling`: None without tools.
    """
    quota, builder, clock = answering.quota, answering.steps.prompt_builder, answering.stores.clock
    models, prices, began = quota.models, quota.prices, clock.monotonic()
    attempt = AnswerAttempt(Answer(replace(then.job, interruptions=len(GO_ON_AFTER_S))), began)
    tokens = quota.max_output_tokens
    limit = _Limit(quota.stores, quota.workspace, (), models, tokens, prices, spend=spend, attempt=attempt)
    prompts = _PromptThen(**vars(builder), then=then, has_prompt=has_prompt)
    steps = replace(answering.steps, prompt_builder=prompts, quota=limit)
    if calling is not None:
        stores = copy(answering.stores)
        stores.recorded_calls = cast("RecordedCalls", _Unrecorded(calling))
        steps = replace(steps, stores=stores, tool_calls=_Reading(stores, steps.workspace, steps.tool_calls.tools))
    answering = replace(answering, steps=steps)
    try:
        end = await answering.ask(attempt, answering.workspace.scheduler.unshown(attempt.answer))
    except GivenUp:
        # The model wants a tool that it doesn't have. Words alone are an answer.
        end = End(EndReason.STEP_LIMIT if attempt.answer.text.strip() else EndReason.EMPTY)
    end = attempt.finish(end, clock.now())
    last, model, channel_id = end.usage or Usage(), end.model or models[0], then.job.question.thread.channel_id
    usd, used = quota.cost_usd(replace(end, model=model, usage=last)), attempt.used.usage + last
    of_all = used.input_tokens, used.output_tokens, added(attempt.used.usd, usd)
    use = AnswerUsage(clock.now(), then.job.id, "", channel_id, model, end.reason, *of_all, end.first_token_s)
    return Given(attempt.answer.text, end.reason, clock.monotonic() - began, [use])
