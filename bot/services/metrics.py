"""Metrics: ids, times and counts of each attempt that ended, for the log and telemetry. They never contain text."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from bot.core.conversation import ThreadKey
from bot.core.job import End, Job
from bot.errors import EndReason
from bot.logs import fields
from bot.models.events import Usage
from bot.reply.answer import Freshness
from bot.telemetry import Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Times:
    """When things happened to an attempt, in seconds."""

    waited_s: float
    """To the claim, from the question, its last edit or press of a button, or the asker's decision about a call."""
    total_s: float
    """From the claim to the end."""
    first_token_s: float | None = None
    """From the claim; None if no token came."""


@dataclass(frozen=True, slots=True)
class JobLife:
    """One attempt at a job, from its claim to its end."""

    job_id: int
    thread: ThreadKey
    question_ts: str
    attempt: int
    end_reason: EndReason
    model: str | None
    usage: Usage | None
    times: Times
    cost_usd: float | None
    """The vendor's charge; None if the tokens or the model's price are unknown."""
    calls: int
    """Calls to Slack that showed the attempt: posts, edits, and starts, appends and stops of streams."""
    freshness: Freshness

    @classmethod
    def of(
        cls, job: Job, end: End, times: Times, cost_usd: float | None, calls: int, freshness: Freshness
    ) -> "JobLife":
        """Returns the life of an attempt that ended its job."""
        return cls(
            job_id=job.id,
            thread=job.question.thread,
            question_ts=job.question.ts,
            attempt=job.attempts,
            end_reason=end.reason,
            model=end.model,
            usage=end.usage,
            times=times,
            cost_usd=cost_usd,
            calls=calls,
            freshness=freshness,
        )


def waited_s(job: Job, claimed_at: float) -> float:
    """Returns how long a claimed job waited, in seconds.

    Its first attempt waits since the question, by Slack's clock, a later one since somebody asked for it: the asker who
    decided about a call, edited the question or pressed a button. An attempt that takes over includes those before it.
    """
    is_first = job.attempts <= 1 and not job.version
    return max(0.0, claimed_at - (float(job.question.ts) if is_first else job.asked_at))


Metrics = Callable[[JobLife], None]
"""Called with each attempt that ended, on the event loop: it must not block."""


def report(telemetry: Telemetry, life: JobLife) -> None:
    """Writes one line to the log, and records the end in telemetry. Charges are counted by step (answering.py)."""
    usage, times, freshness = life.usage, life.times, life.freshness
    # None: not known.
    values = {
        "thread": str(life.thread),
        "question": life.question_ts,
        "attempt": life.attempt,
        "end": life.end_reason.value,
        "model": life.model,
        "waited_s": round(times.waited_s, 2),
        "first_token_s": _rounded(times.first_token_s, 2),
        "first_word_delay_s": _rounded(freshness.first_word_delay_s, 2),
        "staleness_s": _rounded(freshness.staleness_s, 2),
        "final_lag_s": _rounded(freshness.final_lag_s, 2),
        "total_s": round(times.total_s, 2),
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cached_input_tokens": usage and usage.cached_input_tokens,
        "web_searches": (usage and usage.web_searches) or None,
        "cost_usd": _rounded(life.cost_usd, 6),
        "calls": life.calls,
    }
    log.info("attempt ended", extra=fields(values))
    telemetry.answer_ended(
        life.end_reason,
        life.calls,
        first_word_delay_s=freshness.first_word_delay_s,
        staleness_s=freshness.staleness_s,
        final_lag_s=freshness.final_lag_s,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
