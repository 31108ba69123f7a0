"""One attempt at a job: its progress, usage and end.

When an attempt ends, its IDs, times and counts are logged and sent to telemetry (`AttemptReport`), but never its text.
"""

import logging
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from bot.core import texts
from bot.core.beginnings import BuiltPrompt
from bot.core.calls import (
    NO_SUCH_TOOL,
    READ_CHANNEL,
    REMEMBER,
    SCHEDULE,
    CallState,
    Decision,
    Step,
    accepted_proposals,
    card_types,
    count_made_calls,
    made_calls_by_tool,
)
from bot.core.conversation import NO_NOTE
from bot.core.files import unread_notice
from bot.core.job import End, Job, Notice, NoticeKind, StepEstimate, sentence_notice
from bot.core.read_pages import count_messages_read
from bot.core.steps import count_web_searches
from bot.core.unseen import escape_unseen
from bot.errors import CapReached, EndReason, NothingAsked, NotShown, ProviderError, Stuck, TypistError, trace_of
from bot.logs import fields
from bot.models.events import Completion, StreamEvent, Usage
from bot.models.prompt import Effort
from bot.reply.answer import Answer, CurrentStep, Freshness
from bot.telemetry import Telemetry

if TYPE_CHECKING:
    from bot.reply.scheduler import ScheduledReply

T = TypeVar("T")

log = logging.getLogger(__name__)

_NOTICES_OF_CREATED = {REMEMBER: NoticeKind.REMEMBERED, SCHEDULE: NoticeKind.SCHEDULED}
"""Notice kinds for objects created by a tool call, by tool."""


_REASONS: Mapping[type[TypistError], EndReason] = {
    CapReached: EndReason.CAP_REACHED,
    NotShown: EndReason.NOT_SHOWN,
    NothingAsked: EndReason.NOTHING_ASKED,
    Stuck: EndReason.STUCK,
}
_KINDS_WITHOUT_UNDO = {NoticeKind.REMEMBERED: NoticeKind.SENTENCE}
"""Notice kinds for jobs with several messages. These notices have no Undo button, because Undo can reverse only one
message's command."""


class Phase(Enum):
    """The phase of an attempt, which determines what Stop does. In STOPPED and all later phases, the attempt is
    over."""

    OPENING = auto()
    STOP_ASKED = auto()
    """Someone clicked Stop before the claim or during OPENING, so no model is called."""
    STREAMING = auto()
    """The model is working on the answer. Clicking Stop cancels the attempt."""
    ENDING = auto()
    """The end is being shown, so clicking Stop has no effect."""

    STOPPED = auto()
    LOST = auto()
    HANDOVER = auto()
    """This process is shutting down, and another one continues the answer."""
    RESTART = auto()
    """The question was edited, so the answer restarts."""
    INTERRUPTED = auto()
    """The model failed after its first word. Another attempt continues after the text so far."""
    WORKED = auto()
    """A held question's work is done or needs a decision. The next attempt shows the outcome (core/silence.py)."""
    TOKEN_REFUSED = auto()
    """Slack rejects the bot token, and the model hasn't been asked yet."""
    AWAITING_APPROVAL = auto()
    """A person must decide on tool calls. The next attempt continues after the decision."""

    @property
    def is_given_up(self) -> bool:
        return self not in (Phase.OPENING, Phase.STOP_ASKED, Phase.STREAMING, Phase.ENDING)


class GivenUp(Exception):
    """Raised to end an attempt before its answer is complete. `phase` is the reason."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase)
        self.phase = phase


@dataclass(frozen=True, slots=True)
class CommandResult:
    notices: tuple[Notice, ...]
    listing: str = ""
    """A Markdown list, or "" if no message requested one."""

    @classmethod
    def combine(cls, done: Sequence["CommandResult"]) -> "CommandResult":
        notices = [notice for one in done for notice in one.notices]
        if len(done) > 1:
            notices = [replace(one, kind=_KINDS_WITHOUT_UNDO.get(one.kind, one.kind)) for one in notices]
        return cls(tuple(dict.fromkeys(notices)), next((one.listing for one in reversed(done) if one.listing), ""))


def total_usd(usd: float | None, more_usd: float | None) -> float | None:
    """Returns the sum of two costs, or None if either is unknown. Costs are summed per request, because prices depend
    on a request's size."""
    return None if usd is None or more_usd is None else usd + more_usd


@dataclass(frozen=True, slots=True)
class UsageTotal:
    usage: Usage = field(default_factory=Usage)
    usd: float | None = 0.0
    """None if the price of a step is unknown."""

    def plus(self, usage: Usage | None, usd: float | None) -> "UsageTotal":
        return UsageTotal(self.usage + (usage or Usage()), total_usd(self.usd, usd))


@dataclass(eq=False)
class AnswerAttempt:
    answer: Answer
    claimed_at: float
    """On the monotonic clock."""
    job: Job = field(init=False)
    live: "ScheduledReply | None" = None
    step: CurrentStep | None = None
    """The last model request, or None if there was none or the vendor doesn't charge for it."""
    first_token_s: float | None = None
    phase: Phase = Phase.OPENING
    used: UsageTotal = UsageTotal()
    built: BuiltPrompt | None = None
    error: Exception | None = None
    tools_notice: str = ""
    """The notice about servers whose tools were left out, or ""."""
    silent_step: int | None = None
    """The step in which the model wrote nothing about tool results and was asked to continue, at most once per answer.
    """

    def __post_init__(self) -> None:
        self.job = self.answer.job
        if self.job.stop_requested:
            self.phase = Phase.STOP_ASKED

    @property
    def effort(self) -> Effort:
        return self.built.prompt.effort if self.built else Effort.NORMAL

    @property
    def searches(self) -> int:
        reported = self.completion.usage if self.completion else None
        on_record = count_web_searches([item for step in self.answer.steps for item in step.items])
        return on_record + (reported.web_searches if reported else 0)

    @property
    def completion(self) -> Completion | None:
        return self.step.completion if self.step else None

    def receive(self, event: StreamEvent, now: float) -> str:
        assert self.step is not None, "a model was asked"
        self.answer.on_event(event)
        if isinstance(event, str) and self.first_token_s is None:
            self.first_token_s = now - self.claimed_at
        return self.step.receive(event, now)

    def count_thinking_until(self, now: float) -> None:
        """Counts hidden thinking up to `now` (on the monotonic clock). Call this when nothing more is expected from the
        model."""
        if self.step is not None:
            self.step.count_thinking_until(now)

    def on_step_recorded(self, recorded: Step, usage: Usage | None, cost_usd: float | None) -> None:
        self.answer.steps.append(recorded)
        self.used = self.used.plus(usage, cost_usd)
        if self.step is not None:
            self.step.clear_request_usage()
            self.step.failed_usage = Usage()
            self.step.completion = self.step.completion and replace(self.step.completion, usage=None)

    @property
    def spent(self) -> StepEstimate:
        step, end = self.step, self.answer.end
        if end is not None and end.usage is not None:
            return StepEstimate(end.usage.input_tokens, end.usage.output_tokens, end.model, len(self.answer.steps))
        if step is None or step.usage == Usage():
            return StepEstimate(step_no=len(self.answer.steps))
        used = step.usage
        return StepEstimate(
            used.input_tokens, used.output_tokens, step.answering_model or step.model, len(self.answer.steps)
        )

    def finish(
        self,
        end: End,
        now: float,
        usd: float | None = None,
        names: texts.models.ModelNames = texts.models.OWN_NAMES,
    ) -> End:
        """Ends the answer unless it has already ended, and returns `end` with usage, notices, footer and sources.
        `now`: the time in seconds since the epoch. `usd`: the cost of a thorough answer."""
        answer, done = self.answer, self.completion
        effort = Effort.THOROUGH if done and not done.can_think_longer else self.effort
        end = replace(
            self.with_usage(end),
            notices=(*end.notices, *self._notices()),
            footer=self._footer(now, usd, names),
            sources=answer.sources,
            effort="" if effort is Effort.NORMAL else effort,
            note=self.built.note if self.built else NO_NOTE,
        )
        return answer.finish(end) if answer.end is None else end

    def _notices(self) -> Iterator[Notice]:
        done, calls = self.completion, self.answer.calls
        for call in accepted_proposals(calls) if calls else ():
            kind = _NOTICES_OF_CREATED.get(call.tool, NoticeKind.SENTENCE) if call.item_no else NoticeKind.SENTENCE
            is_said = call.state in (CallState.DONE, CallState.FAILED) and call.result != NO_SUCH_TOOL
            sentence = call.result if is_said else texts.answers.NOT_CARRIED_OUT
            yield Notice(kind, sentence, call.item_no if kind is NoticeKind.SCHEDULED else 0)
        if done and (unparsed := texts.answers.UNPARSED[done.unparsed]):
            yield Notice(NoticeKind.UNPARSED, unparsed)
        if calls and (late := card_types(calls, Decision.EXPIRED)):
            yield Notice(NoticeKind.EXPIRED, texts.approvals.expired_text(late))
        opened = self.built.new_files if self.built else ()
        left_out, refused = (done.left_out, done.refused_files) if done else ((), {})
        left_out = (*left_out, *(self.built.pdfs_as_text if self.built else ()))
        if opened and (unread := unread_notice(opened, left_out, refused)):
            yield Notice(NoticeKind.UNREAD, unread)
        if self.tools_notice and self.has_text:
            yield Notice(NoticeKind.UNREAD, self.tools_notice)

    def end_after_error(self, error: Exception, names: texts.models.ModelNames) -> End:
        self.error = error
        if not isinstance(error, TypistError):
            log.error("unexpected error, ending the job: %s", trace_of(error))
            return End(EndReason.INTERNAL_ERROR, sentence_notice(texts.answers.INTERNAL_ERROR))
        sentence = texts.models.error_text(error, names, goes_on=self.has_text)
        if not isinstance(error, ProviderError):
            return End(_REASONS.get(type(error), EndReason.INTERNAL_ERROR), sentence_notice(sentence))
        log.warning("model %s failed: %s %s", error.model, error.reason, error.detail)
        step = self.step
        if step and not (step.output_chars or error.is_charged(has_output=step.has_thought)):
            step.clear_request_usage()
            self.step = step if step.failed_usage != Usage() else None
        if error.reason is EndReason.EMPTY and count_made_calls(self.answer.calls):
            sentence = texts.models.silent_after_tools(names.label(error.model))
        if error.reason is EndReason.MISALIGNED:
            explanation = escape_unseen(" ".join(error.explanation.split()))
            calls = made_calls_by_tool(self.answer.calls)
            sentence = texts.models.actions_stopped_text(names.label(error.model), calls, explanation)
        return End(
            error.reason, sentence_notice(sentence), model=(self.step and self.step.answering_model) or error.model
        )

    @property
    def has_text(self) -> bool:
        return bool(self.answer.text_to_keep.strip())

    def with_usage(self, end: End) -> End:
        """Returns the end with the attempt's model, times and usage, which is estimated if the vendor didn't report
        it."""
        usage, is_reported = end.usage, end.usage is not None and end.usage.has_tokens
        if self.step is not None:
            reported, estimated = usage or Usage(), self.step.estimated_usage
            if not is_reported:
                reported = replace(
                    reported,
                    input_tokens=reported.input_tokens or estimated.input_tokens,
                    output_tokens=reported.output_tokens or estimated.output_tokens,
                    requests=(),
                )
            usage = self.step.failed_usage + reported
        return replace(
            end,
            model=end.model or ((self.step.answering_model or self.step.model) if self.step else None),
            usage=usage,
            estimated_step=None if is_reported else len(self.answer.steps),
            first_token_s=self.first_token_s,
            prompt_version=self.built.prompt_version if self.built else None,
            origins=self.answer.origins,
        )

    def _footer(self, now: float, usd: float | None, names: texts.models.ModelNames) -> str:
        effort = self._effort_text(usd)
        model = names.label(self.step.answering_model or self.step.model) if self.step else ""
        refused = ""
        if self.completion is not None:
            done = self.completion
            if done.model == done.substitute_model:
                model = texts.models.answered_by(names.label(done.model))
            elif self.step is not None and done.model != self.step.model:
                model = texts.models.fell_back(names.label(done.model))
            refused = texts.models.refused_features(self.completion.refused) if self.completion.refused else ""
        used = self.searches, count_made_calls(self.answer.calls)
        work = texts.answers.work_summary(*used) if any(used) else ""
        pages = [call.result for step in self.answer.steps for call in step.calls if call.tool == READ_CHANNEL]
        read = count_messages_read(pages, float(self.job.question.ts), now) if pages else None
        messages = texts.answers.messages_read(*read) if read else ""
        memories = (
            texts.answers.memories_sent(self.built.memory_count) if self.built and self.built.memory_count else ""
        )
        return " · ".join(filter(None, (model, effort, work, messages, memories, refused)))

    def _effort_text(self, usd: float | None) -> str:
        """Returns a thorough answer's effort and cost, or "" for other answers and models without effort levels."""
        if self.effort is not Effort.THOROUGH or (self.completion and not self.completion.effort):
            return ""
        is_estimate = not (self.completion and self.completion.usage and self.completion.usage.has_tokens)
        # The cost of an earlier part of the answer, which might have had another effort, isn't included.
        usd = None if self.job.continued_text else usd
        return texts.answers.thought_longer_text(
            self.completion.effort if self.completion else "",
            usd,
            is_estimate=is_estimate,
            is_standard=bool(self.completion and self.completion.unlisted_terms),
        )


async def result_or_end(attempt: AnswerAttempt, asking: Awaitable[T], names: texts.models.ModelNames) -> T | End:
    """Returns the result of `asking`, or the `End` for the error that it raises. Raises GivenUp."""
    try:
        return await asking
    except GivenUp:
        raise
    except Exception as error:
        return attempt.end_after_error(error, names)


@dataclass(frozen=True, slots=True)
class AttemptReport:
    job: Job
    end: End
    """The attempt's end, with the usage of all its requests."""
    waited_s: float
    """Seconds from the attempt's cause (the question, its last edit, a click or the asker's decision) to the claim."""
    total_s: float
    """Seconds from the claim to the end."""
    cost_usd: float | None
    calls: int
    """The number of Slack calls that showed the attempt: posts, edits, and calls that start, append to or stop a
    stream."""
    freshness: Freshness


def waited_s(job: Job, claimed_at: float) -> float:
    """Returns how long a claimed job waited, in seconds. A first attempt's wait starts when the question is sent, by
    Slack's clock; a later attempt's wait starts with the asker's decision, edit or click. After a takeover, the wait
    includes earlier attempts."""
    is_first = job.attempts <= 1 and not job.version
    return max(0.0, claimed_at - (float(job.question.ts) if is_first else job.asked_at))


def report_attempt(telemetry: Telemetry, report: AttemptReport) -> None:
    """Logs a finished attempt and records it in telemetry, except for its costs, which are recorded for each step. Runs
    on the event loop, so it must not block."""
    job, end, freshness, usage = report.job, report.end, report.freshness, report.end.usage
    # None means unknown.
    values = {
        "thread": str(job.question.thread),
        "question": job.question.ts,
        "attempt": job.attempts,
        "end": end.reason.value,
        "model": end.model,
        "waited_s": round(report.waited_s, 2),
        "first_token_s": _rounded(end.first_token_s, 2),
        "first_word_delay_s": _rounded(freshness.first_word_delay_s, 2),
        "staleness_s": _rounded(freshness.staleness_s, 2),
        "final_lag_s": _rounded(freshness.final_lag_s, 2),
        "total_s": round(report.total_s, 2),
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cached_input_tokens": usage and usage.cached_input_tokens,
        "web_searches": (usage and usage.web_searches) or None,
        "cost_usd": _rounded(report.cost_usd, 6),
        "calls": report.calls,
    }
    log.info("attempt ended", extra=fields(values))
    telemetry.record_answer_end(
        end.reason,
        report.calls,
        first_word_delay_s=freshness.first_word_delay_s,
        staleness_s=freshness.staleness_s,
        final_lag_s=freshness.final_lag_s,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
