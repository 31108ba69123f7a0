"""The report counts each attempt by its own end reason, whatever its job's later attempts did."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bot.core.usage import AnswerUsage, DownReason, GroupBy, Thumb, UsageLine, UsageReport
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
    report = UsageReport("user")
    report.add([use])
    line = report.lines["U1"]
    assert (line.answers, line.failures) == counted
    assert line.input_tokens == (use.input_tokens or 0)


@pytest.mark.parametrize("reason", [EndReason.BATCHED, EndReason.CAP_REACHED, EndReason.NOTHING_ASKED])
def test_attempt_without_a_model_has_no_line(reason: EndReason) -> None:
    report = UsageReport("model")
    report.add([attempt(reason, None)])
    assert report.lines == {}


@pytest.mark.parametrize("used", [{"input_tokens": 5}, {"output_tokens": 5}, {"cost_usd": 0.5}], ids=str)
def test_attempt_that_only_used_something_counts(used: dict[str, Any]) -> None:
    unused = replace(attempt(EndReason.STOPPED), input_tokens=0, output_tokens=0, cost_usd=0.0)
    report = UsageReport("user")
    report.add([unused])
    assert report.lines == {}
    report.add([replace(unused, **used)])
    assert list(report.lines) == ["U1"]


FIRST = AnswerUsage(180_000.0, "U1", "C1", "a", EndReason.WHOLE, 100, 10, 0.5, 1.0, web_searches=2)
SECOND = AnswerUsage(90_000.0, "U2", "C1", "b", EndReason.WHOLE, 200, 20, None, 4.0, web_searches=1)
THIRD = AnswerUsage(90_001.0, "U1", "C2", "b", EndReason.CUT, 400, 40, 0.25, 3.0)
FOURTH = AnswerUsage(0.0, "U3", "C2", None, EndReason.CUT, None, None, 0.0, None)
THUMBS = [Thumb(0.0, "U1", "C1", "a", 1), Thumb(1.0, "U1", "C1", "a", 1)]
THUMBS += [Thumb(90_000.0, "U2", "C1", "b", value) for value in (-1, 1)]
THUMBS += [Thumb(90_000.0, "U2", "C1", "b", -1, DownReason.TOO_LONG)]


TOO_LONG = Counter([DownReason.TOO_LONG])


def report_by(by: GroupBy) -> UsageReport:
    report = UsageReport(by)
    report.add([FOURTH, SECOND, FIRST, THIRD], THUMBS)
    return report


def test_lines_and_total_add_up_attempts_and_thumbs() -> None:
    report = report_by("user")
    assert report.lines["U1"] == UsageLine(1, 500, 50, 2, 0.75, 0, 1, 2, 0, Counter(), [1.0, 3.0])
    assert report.lines["U2"] == UsageLine(1, 200, 20, 1, 0.0, 220, 0, 1, 2, TOO_LONG, [4.0])
    assert report.total == UsageLine(2, 700, 70, 3, 0.75, 220, 2, 3, 2, TOO_LONG, [4.0, 1.0, 3.0])
    assert report.total.median_first_token_s == 3.0
    assert report.lines["U3"].median_first_token_s is None


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("user", ["U1", "U2", "U3"]),
        ("channel", ["C1", "C2"]),
        ("model", ["a", "b", "(none)"]),
        ("day", ["1970-01-01", "1970-01-02", "1970-01-03"]),
    ],
)
def test_days_are_in_order_and_others_by_cost_and_tokens(by: GroupBy, keys: list[str]) -> None:
    assert list(report_by(by).sorted()) == keys


def test_of_lines_with_the_same_cost_the_one_with_more_tokens_comes_first() -> None:
    report = UsageReport("user")
    report.add([replace(SECOND, user_id="U1"), replace(SECOND, output_tokens=21)])
    assert list(report.sorted()) == ["U2", "U1"]
