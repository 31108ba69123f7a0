"""The report of `typist usage`: the usage of answers, added up. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Literal

from bot.core.caps import day_of, format_day
from bot.errors import EndReason

NO_MODEL = "(none)"

GroupBy = Literal["user", "channel", "model", "day"]
"""What each line of the report adds up."""


@dataclass(frozen=True, slots=True)
class AnswerUsage:
    """The usage of one attempt at an answer."""

    at: float
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
    def answered(self) -> bool:
        """Whether a model answered in this attempt, whatever became of its job since."""
        return self.end_reason in (EndReason.WHOLE, EndReason.LENGTH_LIMIT)

    @property
    def failed(self) -> bool:
        """Whether the attempt failed. A question that reached a cap didn't: the cap did its work."""
        return self.end_reason.is_failure and self.end_reason is not EndReason.CAP_REACHED

    @property
    def counts(self) -> bool:
        """Whether the report counts the attempt: it ended with an answer or a failure, or used something."""
        return self.answered or self.failed or bool(self.input_tokens or self.output_tokens or self.cost_usd)


class DownReason(StrEnum):
    """Why an answer didn't help."""

    WRONG = "wrong"
    TOO_LONG = "too_long"
    NOT_MEANT = "not_meant"


@dataclass(frozen=True, slots=True)
class Thumb:
    """Feedback on an answer; `value` is 1 or -1."""

    at: float
    user_id: str
    """The asker, not the person who gave the feedback."""
    channel_id: str
    model: str | None
    value: int
    reason: DownReason | None = None
    """Why the answer didn't help, if the person said so."""


@dataclass(slots=True)
class UsageLine:
    """One line of the report: the sums of its attempts and thumbs."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0
    """Tokens of models without a price, which `cost_usd` leaves out."""
    failures: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    down_reasons: Counter[DownReason] = field(default_factory=Counter)
    first_tokens_s: list[float] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def median_first_token_s(self) -> float | None:
        return median(self.first_tokens_s) if self.first_tokens_s else None

    def add(self, use: AnswerUsage) -> None:
        if use.answered:
            self.answers += 1
        if use.failed:
            self.failures += 1
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
    """The lines of the report by user, channel, model or day, and their total."""

    by: GroupBy
    lines: dict[str, UsageLine] = field(default_factory=dict)
    total: UsageLine = field(default_factory=UsageLine)

    def add(self, uses: Iterable[AnswerUsage], thumbs: Iterable[Thumb] = ()) -> None:
        for use in filter(lambda use: use.counts, uses):
            for line in (self._line(use), self.total):
                line.add(use)
        for thumb in thumbs:
            for line in (self._line(thumb), self.total):
                line.add_thumb(thumb)

    def sorted(self) -> Mapping[str, UsageLine]:
        """Returns the lines: days in order, others by cost and then tokens, highest first."""
        if self.by == "day":
            return dict(sorted(self.lines.items()))
        by_usage = sorted(self.lines.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens, item[0]))
        return dict(by_usage)

    def _line(self, of: AnswerUsage | Thumb) -> UsageLine:
        key = {
            "user": of.user_id,
            "channel": of.channel_id,
            "model": of.model or NO_MODEL,
            "day": format_day(day_of(of.at)),
        }[self.by]
        return self.lines.setdefault(key, UsageLine())
