"""Adds up the usage of answers for `typist usage` and the weekly report. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from bot.core.caps import day_of, format_day
from bot.errors import EndReason, StoredEnum

NO_MODEL = "(none)"

GroupBy = Literal["user", "channel", "model", "day", "week"]
WEEK_DAYS = 7
UNANSWERED = (EndReason.DENIED, EndReason.CAP_REACHED, EndReason.OFFERED, EndReason.SHUT_OUT)
"""End reasons of unanswered questions, except for those that a person stopped or a model failed to answer."""
ANSWERED = (EndReason.WHOLE, EndReason.LENGTH_LIMIT, EndReason.STEP_LIMIT)
FAILURES = tuple(reason for reason in EndReason if reason.is_failure and reason is not EndReason.CAP_REACHED)
"""End reasons of failed attempts. Reaching a cap isn't a failure."""


@dataclass(frozen=True, slots=True)
class AnswerUsage:
    at: float
    job_id: int
    user_id: str
    channel_id: str
    model: str | None
    end_reason: EndReason
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    first_token_s: float | None
    web_searches: int | None = None

    @property
    def is_answer(self) -> bool:
        return self.end_reason in ANSWERED

    @property
    def is_failure(self) -> bool:
        return self.end_reason in FAILURES

    @property
    def is_counted(self) -> bool:
        """Whether the report includes the attempt: its question ended, or it used tokens or money."""
        return not self.end_reason.is_midway or bool(self.input_tokens or self.output_tokens or self.cost_usd)


class DownReason(StoredEnum, unknown="not_meant"):
    WRONG = "wrong"
    TOO_LONG = "too_long"
    NOT_MEANT = "not_meant"


@dataclass(frozen=True, slots=True)
class Thumb:
    at: float
    user_id: str
    """The asker's ID, not that of the person who gave the feedback."""
    channel_id: str
    model: str | None
    value: int
    reason: DownReason | None = None


@dataclass(slots=True)
class UsageLine:
    """A line of the report. Questions and people are counted once, but answers, stops and failures once per attempt."""

    questions: dict[int, EndReason] = field(default_factory=dict)
    """The last end reason of each question, by job ID."""
    people: set[str] = field(default_factory=set)
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0
    """Tokens of models without a price. `cost_usd` excludes them."""
    stopped: int = 0
    failed: Counter[EndReason] = field(default_factory=Counter)
    thumbs_up: int = 0
    thumbs_down: int = 0
    down_reasons: Counter[DownReason] = field(default_factory=Counter)
    first_tokens_s: list[float] = field(default_factory=list)
    replay_usd: float = 0.0
    """The cost of `typist replay`. `cost_usd` excludes it."""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def failures(self) -> int:
        return self.failed.total()

    @property
    def unanswered(self) -> int:
        return sum(reason in UNANSWERED for reason in self.questions.values())

    @property
    def median_first_token_s(self) -> float | None:
        return median(self.first_tokens_s) if self.first_tokens_s else None

    @property
    def slowest_first_token_s(self) -> float | None:
        return max(self.first_tokens_s, default=None)

    def add_attempt(self, use: AnswerUsage) -> None:
        """Adds an attempt. Earlier attempts must be added first."""
        if not use.end_reason.is_midway:
            self.questions[use.job_id] = use.end_reason
            self.people |= {use.user_id}
        self.answers += use.is_answer
        self.stopped += use.end_reason.is_stop
        if use.is_failure:
            self.failed[use.end_reason] += 1
        input_tokens = use.input_tokens or 0
        output_tokens = use.output_tokens or 0
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.web_searches += use.web_searches or 0
        if use.cost_usd is None:
            self.unpriced_tokens += input_tokens + output_tokens
        self.cost_usd += use.cost_usd or 0.0
        if use.first_token_s is not None:
            self.first_tokens_s.append(use.first_token_s)

    def add_thumb(self, thumb: Thumb) -> None:
        if thumb.value > 0:
            self.thumbs_up += 1
        else:
            self.thumbs_down += 1
        if thumb.reason is not None:
            self.down_reasons[thumb.reason] += 1


@dataclass(slots=True)
class UsageReport:
    group_by: GroupBy
    first_day: int = 0
    """The first day of a week, in days since 1970-01-01."""
    lines: dict[str, UsageLine] = field(default_factory=dict)
    total: UsageLine = field(default_factory=UsageLine)

    def add_replays(self, uses: Iterable[AnswerUsage]) -> None:
        for use in uses:
            for line in (self._line_for(use), self.total):
                line.replay_usd += use.cost_usd or 0.0

    def add_attempts(self, uses: Iterable[AnswerUsage], thumbs: Iterable[Thumb] = ()) -> None:
        for use in filter(lambda use: use.is_counted, uses):
            for line in (self._line_for(use), self.total):
                line.add_attempt(use)
        for thumb in thumbs:
            for line in (self._line_for(thumb), self.total):
                line.add_thumb(thumb)

    def sorted_lines(self) -> Mapping[str, UsageLine]:
        """Returns the lines in order. Days and weeks are sorted by date, and other lines by cost and then by tokens,
        highest first."""
        if self.group_by in ("day", "week"):
            return dict(sorted(self.lines.items()))
        by_usage = sorted(self.lines.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens, item[0]))
        return dict(by_usage)

    def _line_for(self, record: AnswerUsage | Thumb) -> UsageLine:
        day = day_of(record.at)
        key = {
            "user": record.user_id,
            "channel": record.channel_id,
            "model": record.model or NO_MODEL,
            "day": format_day(day),
            "week": format_day(day - (day - self.first_day) % WEEK_DAYS),
        }[self.group_by]
        return self.lines.setdefault(key, UsageLine())
