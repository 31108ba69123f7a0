"""What answers took, added up for a report. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from bot.core.job import EndReason
from bot.core.limits.caps import day_of, format_day

NO_MODEL = "(none)"


class By(StrEnum):
    """What a line of the report stands for."""

    USER = "user"
    CHANNEL = "channel"
    MODEL = "model"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class AnswerUsage:
    """One attempt at an answer, as it is on record."""

    at: float
    user_id: str
    channel_id: str
    model: str | None
    end_reason: EndReason
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    first_token_s: float | None

    @property
    def answered(self) -> bool:
        """Whether a model answered in this attempt, whatever became of its job since."""
        return self.end_reason in (EndReason.WHOLE, EndReason.LENGTH_LIMIT)

    @property
    def failed(self) -> bool:
        """Whether the attempt failed; a cap that is reached is no failure, it does what it is for."""
        return self.end_reason.is_failure and self.end_reason is not EndReason.CAP_REACHED

    @property
    def counts(self) -> bool:
        return self.answered or self.failed or bool(self.input_tokens or self.output_tokens)


@dataclass(frozen=True, slots=True)
class Thumb:
    """What somebody thought of an answer; value is 1 or -1."""

    at: float
    user_id: str
    """Whose question it was."""
    channel_id: str
    model: str | None
    value: int


@dataclass(slots=True)
class UsageLine:
    """A sum."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0
    """Of models without a price: they are not in the dollars."""
    failures: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    first_tokens_s: list[float] = field(default_factory=list)

    @property
    def median_first_token_s(self) -> float | None:
        return median(self.first_tokens_s) if self.first_tokens_s else None

    def add(self, use: AnswerUsage) -> None:
        self.answers += use.answered
        self.failures += use.failed
        tokens = (use.input_tokens or 0, use.output_tokens or 0)
        self.input_tokens += tokens[0]
        self.output_tokens += tokens[1]
        if use.cost_usd is None:
            self.unpriced_tokens += sum(tokens)
        self.cost_usd += use.cost_usd or 0.0
        if use.first_token_s is not None:
            self.first_tokens_s.append(use.first_token_s)

    def add_thumb(self, thumb: Thumb) -> None:
        if thumb.value > 0:
            self.thumbs_up += 1
        else:
            self.thumbs_down += 1


@dataclass(slots=True)
class Report:
    """Lines by what they stand for, and their sum."""

    by: By
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
        """Days in their order; else who took most goes first."""
        if self.by is By.DAY:
            return dict(sorted(self.lines.items()))
        most = sorted(self.lines.items(), key=lambda item: (-item[1].cost_usd, -_tokens(item[1]), item[0]))
        return dict(most)

    def _line(self, of: AnswerUsage | Thumb) -> UsageLine:
        key = {
            By.USER: of.user_id,
            By.CHANNEL: of.channel_id,
            By.MODEL: of.model or NO_MODEL,
            By.DAY: format_day(day_of(of.at)),
        }[self.by]
        return self.lines.setdefault(key, UsageLine())


def _tokens(line: UsageLine) -> int:
    return line.input_tokens + line.output_tokens
