"""Answers questions without Slack or a database: `answer` runs the whole loop in memory.

The caller provides the conversation and people's decisions on calls. To resume an interrupted answer, pass a Job with
the answer's text and steps (core/job.py).
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from bot.clock import SystemClock
from bot.core.beginnings import BuiltPrompt
from bot.core.calls import UNFINISHED_STATES, CallState, Decision, RecordedCall, Step
from bot.core.channel_settings import ChannelSettings
from bot.core.channels import Channel
from bot.core.conversation import File, Message, Note, Question, RecordedReply, ThreadKey
from bot.core.files import OpenedFile
from bot.core.job import End, FollowUp, Job, Piece
from bot.core.memory import NO_MEMORIES, SentMemories
from bot.core.prompt import (
    DEFAULT_SYSTEM_PROMPT,
    Conversation,
    CountTokens,
    PromptMarks,
    PromptMessage,
    with_earlier_questions,
)
from bot.core.texts.models import OWN_NAMES, ModelNames
from bot.core.triage import Identity
from bot.errors import EndReason
from bot.models.events import Completion
from bot.models.model import Models
from bot.models.prices import ModelPrices
from bot.models.prompt import Effort, Prompt, TokenEstimate
from bot.reply.answer import Answer
from bot.services.answer_attempt import AnswerAttempt, GivenUp, Phase, UsageTotal, result_or_end
from bot.services.ports import Activity, ConversationSource, Output, People, Ports, Records, Spending, Tools
from bot.services.prompt_builder import PromptSettings
from bot.services.steps import CONTINUE_AFTER_S, Steps
from bot.services.tool_calls import Offer

HISTORY_TOKENS = 100_000
ME = Identity("T", "UTYPIST", "BTYPIST", "Typist")


@dataclass(frozen=True)
class InMemoryConversation:
    messages: Sequence[Message] = ()
    """Messages before the question, oldest first."""
    replies: Mapping[str, RecordedReply] = field(default_factory=dict)
    """The bot's answers among `messages`, by ts."""
    names: Mapping[str, str] = field(default_factory=dict)
    opened: Mapping[str, OpenedFile] = field(default_factory=dict)
    facts: Sequence[str] = ()
    """Sentences that the prompt includes only for this question."""
    settings: ChannelSettings = field(default_factory=ChannelSettings)
    place: Channel | None = None
    me: Identity = ME

    async def channel(self, question: Question) -> ChannelSettings:
        return self.settings

    async def is_member(self, question: Question, *, now_within_s: float | None = None) -> bool:
        return True

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        batch_ts = [question.ts for question in job.earlier_questions]
        return Conversation(job.question, with_earlier_questions(job, self.messages), self.replies, batch_ts)

    async def people(self, question: Question, ids: Sequence[str]) -> People:
        return People(self.names, {}, self.place)

    async def memories(
        self, question: Question, marks: PromptMarks, count_tokens: CountTokens, limit_tokens: int
    ) -> SentMemories:
        return NO_MEMORIES

    async def note(self, job: Job, lines: Sequence[str]) -> Note:
        return Note("\n".join((*self.facts, *lines)))

    async def files(
        self, job: Job, messages: Sequence[PromptMessage], memory: AsyncExitStack, show: Callable[[Activity], None]
    ) -> Mapping[str, OpenedFile]:
        return {file.id: self.opened[file.id] for message in messages for file in message.files}

    async def keep_transcripts(self, job: Job, files: Sequence[File]) -> None:
        """Does nothing, because the caller already has the transcripts."""


@dataclass
class InMemory:
    _steps: list[Step] = field(default_factory=list)
    _calls: dict[tuple[int, int], RecordedCall] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps with the current state of their calls. The answer can be resumed from these steps."""
        return tuple(replace(step, calls=self._calls_of(step.step_no)) for step in self._steps)

    def decide(self, decision: Decision, user_id: str) -> None:
        state = CallState.READY if decision is Decision.APPROVED else CallState.DENIED
        for key, call in self._calls.items():
            if call.state is CallState.ASKED:
                self._calls[key] = replace(call, state=state, decision=decision, decided_by=user_id)

    def _calls_of(self, step_no: int) -> tuple[RecordedCall, ...]:
        return tuple(call for call in self._calls.values() if call.step_no == step_no)

    async def record_step(self, job: Job, step: Step, end: End, piece: Piece) -> bool:
        # Items make a round trip through JSON, as they would with a database.
        self._steps.append(replace(step, items=tuple(json.loads(json.dumps(step.items)))))
        self._calls |= {call.key: call for call in step.calls}
        return True

    async def calls(self, job: Job, step_no: int) -> tuple[RecordedCall, ...]:
        return self._calls_of(step_no)

    async def begin_call(self, job: Job, call: RecordedCall) -> bool:
        now = self._calls[call.key]
        if now.state not in now.startable_states:
            return False
        self._calls[call.key] = replace(now, state=CallState.BEGUN)
        return True

    async def end_call(self, job: Job, call: RecordedCall) -> bool:
        if self._calls[call.key].state not in UNFINISHED_STATES:
            return False
        self._calls[call.key] = call
        return True

    async def take_follow_ups(self, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        return ()

    async def earlier_calls(self, job: Job) -> tuple[RecordedCall, ...]:
        return ()

    async def calls_denied_by_reply(self, job: Job) -> tuple[RecordedCall, ...]:
        return ()

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        return {}

    async def servers_allowed_in_thread(self, question: Question) -> frozenset[str]:
        return frozenset()


class NoRecords(InMemory):
    async def record_step(self, job: Job, step: Step, end: End, piece: Piece) -> bool:
        return False


@dataclass
class CollectedText:
    """Collects the text without showing it. A call that needs a person's approval ends the attempt, because only a
    visible reply has buttons."""

    answer: Answer | None = field(default=None, init=False)

    async def begin(self, answer: Answer) -> None:
        self.answer = answer

    def append(self, text: str) -> None:
        assert self.answer is not None, "the answer has begun"
        self.answer.append(text)

    def show(self, activity: Activity) -> None:
        """Shows nothing."""

    async def ask(self, calls: Sequence[RecordedCall]) -> None:
        raise GivenUp(Phase.WORKED)

    def unseen_end(self) -> End | None:
        return None


@dataclass(frozen=True)
class UnlimitedSpending:
    prices: ModelPrices = field(default_factory=ModelPrices)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        """Allows every request."""

    def cost_usd(self, end: End) -> float | None:
        return self.prices.cost_usd(end.model, end.usage, time.time()) if end.model and end.usage else None


@dataclass(frozen=True, slots=True)
class StandaloneAnswer:
    text: str
    end: End
    used: UsageTotal
    """The usage of all requests, estimated if the vendor doesn't report it."""
    completion: Completion | None
    error: Exception | None

    def raise_for_error(self) -> None:
        if self.error is not None:
            raise self.error


async def answer(
    asked: Question | Job,
    conversation: ConversationSource,
    models: Models,
    tools: Tools | None = None,
    *,
    records: Records | None = None,
    shown: Output | None = None,
    spending: Spending | None = None,
    settings: PromptSettings | None = None,
    prompt: Prompt | None = None,
) -> StandaloneAnswer:
    """Answers a question and returns the text and the end, even after an error. `asked`: a question, or a job to
    resume. `prompt`: replaces the prompt built from the conversation."""
    ports = Ports(records or InMemory(), conversation, tools, spending or UnlimitedSpending(), SystemClock())
    settings = settings or PromptSettings(DEFAULT_SYSTEM_PROMPT, HISTORY_TOKENS)
    steps = Steps(ports, models, settings, TokenEstimate(models.names), has_buttons=False)
    attempt = new_attempt(asked if isinstance(asked, Job) else Job(1, asked, 1), ports.clock.monotonic())
    shown = shown or CollectedText()
    given = prompt and steps.ask_with_prompt(attempt, BuiltPrompt(prompt, None), Offer(), shown)
    return await run_to_end(steps, attempt, given or steps.ask(attempt, shown))


def new_attempt(job: Job, now: float) -> AnswerAttempt:
    """Returns an attempt that no other attempt continues if its model fails. `now`: the time on the monotonic clock."""
    return AnswerAttempt(Answer(replace(job, interruptions=len(CONTINUE_AFTER_S))), now)


async def run_to_end(
    steps: Steps, attempt: AnswerAttempt, asking: Awaitable[End], names: ModelNames = OWN_NAMES
) -> StandaloneAnswer:
    """Awaits `asking`, ends the attempt, and returns the answer. An attempt that is given up keeps its text."""
    try:
        end = await result_or_end(attempt, asking, names)
    except GivenUp as given_up:
        # The model called a tool that nobody approved or that doesn't exist. The text so far is the answer.
        attempt.phase = given_up.phase
        end = End(EndReason.STEP_LIMIT if attempt.answer.text.strip() else EndReason.EMPTY)
    end = attempt.finish(end, steps.ports.clock.now(), names=names)
    used = attempt.used.plus(end.usage, steps.ports.spending.cost_usd(end)) if end.usage else attempt.used
    return StandaloneAnswer(attempt.answer.text, end, used, attempt.completion, attempt.error)
