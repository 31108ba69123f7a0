"""Asks a recorded question again, using the same code as for live answers but without showing the answer in Slack.

The prompt has the same parts as the original prompt, if they still exist: the conversation as it is in Slack now, the
recorded answers before the question, and the notes about the question. Memories and channel settings are current,
except for the channel's model. Interrupted answers aren't continued. If requested, the model gets read-only server
tools that need no approval and don't use anyone's own account. Slack is only read, and only audit log entries about the
question and its calls are written to the database.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bot.core.calls import CallResult, CallState, RecordedCall, ToolUse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Note, Question
from bot.core.job import End, Job
from bot.core.prompt import Conversation, with_earlier_questions
from bot.core.usage import AnswerUsage
from bot.errors import CapReached, EndReason, ProviderError
from bot.models.prompt import READ_ONLY_RULE, Effort, OfferedTools
from bot.services.access_control import LONG_LOOKUP_TIMEOUT_S
from bot.services.answer_attempt import AnswerAttempt
from bot.services.answering import Answering
from bot.services.ports import Tools
from bot.services.quota import Quota
from bot.services.slack_conversation import SlackConversation
from bot.services.standalone import CollectedText, InMemory, NoRecords, new_attempt, run_to_end
from bot.services.transcripts import Transcription
from bot.store.replays import Given, RecordedQuestion, Replays

_GENERAL_FAILURES = {EndReason.BAD_KEY, EndReason.UNKNOWN_MODEL, EndReason.OUT_OF_CREDIT}


@dataclass(frozen=True)
class _PastConversation(SlackConversation):
    """A recorded question's conversation as it was when the recorded answer ended. Records nothing."""

    recorded: RecordedQuestion = field(kw_only=True)
    setting_overrides: Mapping[str, Any] = field(kw_only=True)
    """The channel settings that the replay replaces."""

    async def channel(self, question: Question) -> ChannelSettings:
        return replace(await super().channel(question), **self.setting_overrides)

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        question, history = job.question, self.workspace.history
        until_ts = f"{self.recorded.ended_at:.6f}"
        shown = await (history.posts_before(question) if posts_before else history.messages(question, until_ts))
        return await self.with_answers(job, with_earlier_questions(job, shown))

    async def note(self, job: Job, lines: Sequence[str]) -> Note:
        return self.recorded.note or await super().note(job, lines)


@dataclass(frozen=True)
class _ReplayLimit:
    """Asks `begin` about the cost of each request instead of checking caps, and adds each request to the audit log."""

    quota: Quota
    replays: Replays
    begin: Callable[[float], None]
    attempt: AnswerAttempt

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        most_usd = self.quota.max_usage(input_tokens, web_searches, effort).cost_usd
        self.begin(most_usd + (self.attempt.used.usd or 0.0))
        await self.replays.record_question(job, self.quota.models[0])

    def cost_usd(self, end: End) -> float | None:
        return self.quota.cost_usd(end)


@dataclass
class _AuditedCalls(InMemory):
    replays: Replays = field(kw_only=True)

    async def begin_call(self, job: Job, call: RecordedCall) -> bool:
        await self.replays.record_call(job, replace(call, state=CallState.BEGUN))
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


@dataclass(eq=False)
class Replay:
    answering: Answering
    setting_overrides: Mapping[str, Any]
    """The channel settings that the replay replaces."""
    has_tools: bool
    denied_count: int = field(default=0, init=False)
    """The number of questions whose askers no longer have access."""

    @cached_property
    def replays(self) -> Replays:
        return Replays(self.answering.stores.database)

    async def questions(self, job_ids: Iterable[int], since: float = 0.0) -> AsyncIterator[RecordedQuestion]:
        """Yields the recorded questions that can still be asked, with usage and feedback since a time."""
        for job_id in job_ids:
            if (recorded := await self.replays.read(job_id, since)) is None:
                continue
            if await self.answering.access_control.denial(recorded.job.question, within_s=LONG_LOOKUP_TIMEOUT_S):
                self.denied_count += 1
                continue
            yield recorded

    async def ask_again(self, recorded: RecordedQuestion, begin: Callable[[float], None]) -> Given:
        """Answers a recorded question again, and adds its requests and calls to the audit log. Raises CapReached, and
        ProviderError for a general failure without cost.

        `begin`: called before each request with the answer's maximum cost in dollars, including that request. Can raise
        CapReached, which ends the answer.
        """
        answering, replays, job = self.answering, self.replays, recorded.job
        quota, stores, ports = answering.quota, answering.stores, answering.steps.ports
        began = stores.clock.monotonic()
        attempt = new_attempt(job, began)
        records = _AuditedCalls(replays=replays) if self.has_tools else NoRecords()
        of_slack = stores, answering.workspace, Transcription(stores, None, quota)
        ports = replace(
            ports,
            records=records,
            conversation=_PastConversation(*of_slack, recorded=recorded, setting_overrides=self.setting_overrides),
            tools=ReadOnlyTools(ports.tools) if ports.tools and self.has_tools else None,
            spending=_ReplayLimit(quota, replays, begin, attempt),
        )
        steps = replace(answering.steps, ports=ports)
        given = await run_to_end(steps, attempt, steps.ask(attempt, CollectedText()), answering.settings.model_names)
        used, end, seconds = given.used, given.end, stores.clock.monotonic() - began
        tokens = used.usage.input_tokens, used.usage.output_tokens
        about = job.id, "", job.question.thread.channel_id, end.model or quota.models[0], end.reason
        use = AnswerUsage(stores.clock.now(), *about, *tokens, used.usd, end.first_token_s)
        if use.input_tokens:
            await replays.record_usage(job, use)
        if end.reason is EndReason.CAP_REACHED:
            raise CapReached("beyond the limit")
        if not use.input_tokens and (end.reason.is_temporary or end.reason in _GENERAL_FAILURES):
            raise ProviderError(end.reason, quota.models[0])
        tools = tuple(call.tool for step in records.steps for call in step.calls if call.state is CallState.DONE)
        return Given(given.text, end.reason, seconds, [use], tools)
