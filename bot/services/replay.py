"""Asks a recorded question again, using the same code as for live answers but without showing the answer in Slack.

The prompt has the same parts as the original prompt, if they still exist: the conversation as it is in Slack now, the
recorded answers before the question, and the notes about the question. Memories and channel settings are current,
except for the channel's model. Interrupted answers aren't continued. If requested, the model gets read-only server
tools that need no approval and don't use anyone's own account. Slack is only read, and only audit log entries about the
question and its calls are written to the database.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.calls import CallResult, CallState, RecordedCall, ToolUse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Note, Question
from bot.core.job import End, Job
from bot.core.prompt import Conversation, with_earlier_questions
from bot.core.usage import AnswerUsage
from bot.errors import CapReached, EndReason, ProviderError
from bot.models.prompt import READ_ONLY_RULE, Effort, OfferedTools
from bot.services.answer_attempt import AnswerAttempt
from bot.services.answering import Answering
from bot.services.ports import Tools
from bot.services.quota import Quota
from bot.services.slack_conversation import SlackConversation
from bot.services.standalone import CollectedText, InMemory, NoRecords, attempt_at, run_to_end
from bot.services.transcripts import Transcription
from bot.store.replays import Given, RecordedQuestion, Replays

Spend = Callable[[Job, float], Awaitable[None]]
"""Called before each request with the answer's maximum cost in dollars, including that request. Raises CapReached."""
OnCall = Callable[[Job, RecordedCall], Awaitable[None]]
_FAILS_ALL = {EndReason.BAD_KEY, EndReason.UNKNOWN_MODEL, EndReason.OUT_OF_CREDIT}


@dataclass(frozen=True)
class _PastConversation(SlackConversation):
    """A recorded question's conversation as it was when the recorded answer ended. Records nothing."""

    recorded: RecordedQuestion = field(kw_only=True)
    replaced: Mapping[str, Any] = field(kw_only=True)
    """The channel settings that the replay replaces."""

    async def channel(self, question: Question) -> ChannelSettings:
        return replace(await super().channel(question), **self.replaced)

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        question, history = job.question, self.workspace.history
        until_ts = f"{self.recorded.ended_at:.6f}"
        shown = await (history.posts_before(question) if posts_before else history.messages(question, until_ts))
        return await self.with_answers(job, with_earlier_questions(job, shown))

    async def note(self, job: Job, lines: Sequence[str]) -> Note:
        return self.recorded.note or await super().note(job, lines)


@dataclass(frozen=True)
class _ReplayLimit:
    """Asks `spend` about the cost of each request instead of checking caps."""

    quota: Quota
    spend: Spend
    attempt: AnswerAttempt

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        most_usd = self.quota.max_usage(input_tokens, web_searches, effort).cost_usd
        await self.spend(job, most_usd + (self.attempt.used.usd or 0.0))

    def cost_usd(self, end: End) -> float | None:
        return self.quota.cost_usd(end)


@dataclass
class _AuditedCalls(InMemory):
    on_call: OnCall = field(kw_only=True)

    async def begin_call(self, job: Job, call: RecordedCall) -> bool:
        await self.on_call(job, replace(call, state=CallState.BEGUN))
        return await super().begin_call(job, call)


@dataclass(frozen=True)
class ReadOnlyTools:
    tools: Tools

    async def definitions(self, question: Question) -> OfferedTools:
        offered = await self.tools.definitions(question)
        reads = (tool for tool in offered.definitions if tool.rule == READ_ONLY_RULE and not tool.uses_own_account)
        return replace(offered, definitions=tuple(reads))

    async def call(self, use: ToolUse) -> CallResult:
        return await self.tools.call(use)


async def ask_again(
    answering: Answering,
    recorded: RecordedQuestion,
    begin: Callable[[float], None],
    replaced: Mapping[str, Any],
    *,
    has_tools: bool,
) -> Given:
    """Answers a recorded question again, and adds its requests and calls to the audit log. Raises CapReached, and
    ProviderError for a general failure without cost.

    `begin`: called before each request with the answer's maximum cost in dollars, including that request. Can raise
    CapReached. `replaced`: the channel settings that the replay replaces.
    """
    replays, model = Replays(answering.stores.database), answering.quota.models[0]

    async def spend(job: Job, most_usd: float) -> None:
        begin(most_usd)
        await replays.record_question(job, model)

    given = await _answered(answering, recorded, spend, replays.record_call if has_tools else None, replaced)
    [use] = given.uses
    if use.input_tokens:
        await replays.record_usage(recorded.job, use)
    if given.end is EndReason.CAP_REACHED:
        raise CapReached("beyond the limit")
    if not use.input_tokens and (given.end.is_temporary or given.end in _FAILS_ALL):
        raise ProviderError(given.end, model)
    return given


async def _answered(
    answering: Answering,
    recorded: RecordedQuestion,
    spend: Spend,
    on_call: OnCall | None,
    replaced: Mapping[str, Any],
) -> Given:
    """Answers a recorded question again. CapReached from `spend` ends the answer. `on_call`: called with each tool
    call, or None if the model gets no tools."""
    quota, clock, ports = answering.quota, answering.stores.clock, answering.steps.ports
    began, job = clock.monotonic(), recorded.job
    attempt = attempt_at(job, began)
    records = _AuditedCalls(on_call=on_call) if on_call else NoRecords()
    of_slack = answering.stores, answering.workspace, Transcription(answering.stores, None, quota)
    ports = replace(
        ports,
        records=records,
        conversation=_PastConversation(*of_slack, recorded=recorded, replaced=replaced),
        tools=ReadOnlyTools(ports.tools) if ports.tools and on_call else None,
        spending=_ReplayLimit(quota, spend, attempt),
    )
    steps = replace(answering.steps, ports=ports)
    given = await run_to_end(steps, attempt, steps.ask(attempt, CollectedText()), answering.settings.model_names)
    used, end = given.used, given.end
    tokens = used.usage.input_tokens, used.usage.output_tokens
    model = end.model or quota.models[0]
    about = job.id, "", job.question.thread.channel_id, model, end.reason
    use = AnswerUsage(clock.now(), *about, *tokens, used.usd, end.first_token_s)
    tools = tuple(call.tool for step in records.steps for call in step.calls if call.state is CallState.DONE)
    return Given(given.text, end.reason, clock.monotonic() - began, [use], tools)
