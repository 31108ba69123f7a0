"""One attempt at a job: its progress, what it has used, and why it is canceled."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from bot.core import texts
from bot.core.conversation import FollowUp, Job, TextPart, TurnPart
from bot.core.inbound.files import OpenedFile, unread_notice
from bot.core.job import End, Spent
from bot.core.reply.draft import Draft
from bot.core.reply.state import Shown
from bot.core.step_turns import calls_made, has_expired, searches
from bot.core.stream import Citation, Completion, Opaque, Searching, StreamEvent, Thinking, ToolCall, Usage
from bot.core.tool_steps import Round
from bot.core.trust import UNKNOWN, WEB, Origins, folded, of_item

CHARS_PER_TOKEN = 4.0
"""About right for English. Used only to count attempts without reported usage."""


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
    """Whether a stop may cancel the attempt; services/answering.py says when."""
    cancellation: Cancellation | None = None
    """Why the attempt is being canceled."""
    stop_asked: bool = False
    """A stop came before the model was asked."""
    waits: bool = False
    """The attempt gave the job up until a person decides about its calls."""
    earlier: Shown = field(default_factory=Shown)
    """What an earlier attempt left in Slack."""
    rounds: list[Round] = field(init=False)
    """The steps that asked for tools."""
    follow_ups: list[FollowUp] = field(init=False)
    """The questions that came while tools ran."""
    parts: list[TurnPart] = field(default_factory=list)
    """What the step under way consists of, up to its last text, which ends with the next part or the step."""
    _text_utf8: bytearray = field(default_factory=bytearray)
    """The last text. As a part it would be copied at each delta."""
    calls: list[ToolCall] = field(default_factory=list)
    """The calls that the step under way asks for."""
    searches: int = field(init=False)
    """How often the vendor searched the web, in complete steps."""
    used: Usage = field(default_factory=Usage)
    """The usage of the steps that this attempt recorded."""
    used_usd: list[float | None] = field(default_factory=list)
    """What each of them cost; a price depends on one request's size."""
    opened: Sequence[OpenedFile] = ()
    """Files of the question. A notice below the answer names those that were not read."""
    prompt_version: str | None = None
    origins: Origins = field(init=False)
    """Whose words the model has read for the answer."""

    def __post_init__(self) -> None:
        self.draft = Draft(self.job)
        self.rounds, self.follow_ups = list(self.job.rounds), list(self.job.follow_ups)
        begun = (UNKNOWN,) if self.draft.resumes else ()
        so_far = (self.job.so_far_origins,) if self.job.so_far else ()
        self.origins = folded((*so_far, *(step.origins for step in self.rounds), *begun))
        self.searches = searches([item for step in self.rounds for item in step.items])

    @property
    def text(self) -> str:
        """The draft's text so far."""
        return self.draft.text

    def receive(self, event: StreamEvent, now: float) -> str:
        """Notes an event of the model's stream and returns its text, if it has any. `now` is by the monotonic clock."""
        match event:
            case Completion():
                self._end_text()
                self.completion = event
                if event.usage and event.usage.web_searches:
                    self.searches += event.usage.web_searches
                    self.origins |= WEB
                return ""
            case Searching():
                self.origins |= WEB
            case Thinking(chars=chars):
                self.output_chars += chars
                return ""
            case Citation():
                self.draft.cite(event)
                self.origins |= WEB
            case ToolCall():
                self._end_text()
                self.calls.append(event)
                self.parts.append(event)
            case Opaque():
                self._end_text()
                self.parts.append(event)
                self.origins |= of_item(event.item)
            case str():
                self._text_utf8 += event.encode()
                self.first_token_s = now - self.claimed_at if self.first_token_s is None else self.first_token_s
                self.output_chars += len(event)
                return event
        return ""

    def _end_text(self) -> None:
        """Adds the text since the step's last part as a part."""
        if self._text_utf8:
            self.parts.append(TextPart(self._text_utf8.decode()))
            self._text_utf8.clear()

    def step_began(self, model: str, input_tokens: int, origins: Origins) -> None:
        """Notes that the model is asked for a step. `origins`: those of its prompt."""
        self.model, self.input_tokens, self.output_chars = model, input_tokens, 0
        self.origins |= origins
        self.parts, self.calls, self.completion = [], [], None
        self._text_utf8.clear()

    def step_recorded(self, step: Round, usage: Usage | None, cost_usd: float | None) -> None:
        """Notes that a step is on record with its usage, which no longer counts for the attempt."""
        self.rounds.append(step)
        self.used += usage or Usage()
        self.used_usd.append(cost_usd)
        self.input_tokens = self.output_chars = 0

    def whole_cost_usd(self, last_usd: float | None) -> float | None:
        """Returns what all steps cost together; None if the price of one is unknown."""
        costs = [cost for cost in (*self.used_usd, last_usd) if cost is not None]
        return sum(costs) if len(costs) == len(self.used_usd) + 1 else None

    @property
    def part(self) -> str:
        """The text that stays of an incomplete answer: this attempt's, or an earlier one's if that is longer."""
        return self.earlier.part(self.text)

    @property
    def spent(self) -> Spent:
        """The estimated usage so far, which counts if the attempt is interrupted now."""
        if self.model is None or not (self.input_tokens or self.output_chars):
            return Spent()
        output_tokens = int(self.output_chars / CHARS_PER_TOKEN)
        return Spent(self.input_tokens, output_tokens, self.model, self.job.version, len(self.rounds))

    def close(self, end: End) -> End:
        """Ends the answer; returns the end with all that is recorded of it and shown below the text."""
        if not end.reason.is_answer and self.part != self.text:
            self.origins |= UNKNOWN
            self.draft.replace_text(self.part)
        completion = self.completion
        left_out = completion.left_out if completion else ()
        expired = texts.APPROVAL_EXPIRED if has_expired(self.rounds) else ""
        notices = end.notice, expired, unread_notice(self.opened, left_out)
        end = replace(
            self.counted(end),
            notice=" ".join(filter(None, notices)),
            footer=self._footer,
            sources=self.draft.sources,
            has_previous=self.job.has_previous,
            has_details=calls_made(self.rounds) > 0,
        )
        self.draft.close(end)
        return end

    def counted(self, end: End) -> End:
        """Returns the end with the attempt's model, usage and times. Without reported usage the estimate counts."""
        estimated = Usage(self.spent.input_tokens, self.spent.output_tokens) if self.model else None
        return replace(
            end,
            model=end.model or self.model,
            usage=end.usage or estimated,
            estimated_step=None if end.usage else len(self.rounds),
            first_token_s=self.first_token_s,
            prompt_version=self.prompt_version,
            origins=self.origins,
        )

    @property
    def _footer(self) -> str:
        """The model that wrote the answer, or was asked, how many tools it used, and what it refused."""
        model, refused = self.model or "", ""
        if self.completion is not None:
            model = model if self.completion.model == model else texts.fell_back(self.completion.model)
            refused = texts.without(self.completion.refused)
        return " · ".join(filter(None, (model, texts.work_done(self.searches, calls_made(self.rounds)), refused)))
