"""The report counts each attempt by its own end reason, whatever its job's later attempts did."""

import pytest

from bot.core.limits.usage import AnswerUsage, GroupBy, UsageReport
from bot.errors import EndReason


def attempt(reason: EndReason, tokens: int | None = 10) -> AnswerUsage:
    model = None if tokens is None else "openai/test"
    return AnswerUsage(1_800_000_000.0, "U1", "C1", model, reason, tokens, tokens, None, None)


COUNTS = {
    "whole": (attempt(EndReason.WHOLE), (1, 0)),
    "at its length limit": (attempt(EndReason.LENGTH_LIMIT), (1, 0)),
    "failed": (attempt(EndReason.CUT), (0, 1)),
    "not asked, because the provider was overloaded": (attempt(EndReason.OVERLOADED), (0, 1)),
    "not shown": (attempt(EndReason.NOT_SHOWN), (0, 1)),
    "a fault of ours": (attempt(EndReason.INTERNAL_ERROR), (0, 1)),
    "stopped": (attempt(EndReason.STOPPED), (0, 0)),
    "deleted by its reader": (attempt(EndReason.REPLY_GONE), (0, 0)),
    "interrupted, and continued": (attempt(EndReason.INTERRUPTED), (0, 0)),
    "interrupted too often": (attempt(EndReason.INTERRUPTED_TOO_OFTEN, None), (0, 1)),
    "read back whole": (attempt(EndReason.WHOLE, None), (1, 0)),
    "read back in part": (attempt(EndReason.CUT, None), (0, 1)),
}


@pytest.mark.parametrize(("use", "counted"), COUNTS.values(), ids=COUNTS.keys())
def test_attempt_counts_as_answer_failure_or_neither(use: AnswerUsage, counted: tuple[int, int]) -> None:
    report = UsageReport(GroupBy.USER)
    report.add([use])
    line = report.lines["U1"]
    assert (line.answers, line.failures) == counted
    assert line.input_tokens == (use.input_tokens or 0)


@pytest.mark.parametrize("reason", [EndReason.BATCHED, EndReason.CAP_REACHED, EndReason.NOTHING_ASKED])
def test_attempt_without_a_model_has_no_line(reason: EndReason) -> None:
    report = UsageReport(GroupBy.MODEL)
    report.add([attempt(reason, None)])
    assert report.lines == {}
