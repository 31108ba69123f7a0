"""The report counts each attempt by its own end reason, whatever its job's later attempts did."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bot.core.usage import AnswerUsage, DownReason, GroupBy, Thumb, UsageLine, UsageReport
from bot.errors import EndReason


def attempt(reason: EndReason, tokens: int | None = 10, *, job_id: int = 1, user_id: str = "U1") -> AnswerUsage:
    model = None if tokens is None else "openai/test"
    return AnswerUsage(1_800_000_000.0, job_id, user_id, "C1", model, reason, tokens, tokens, None, None)


COUNTS = {
    "whole": (attempt(EndReason.WHOLE), (1, 0)),
    "at its length limit": (attempt(EndReason.LENGTH_LIMIT), (1, 0)),
    "at its step limit": (attempt(EndReason.STEP_LIMIT), (1, 0)),
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
    report.add_attempts([use])
    line = report.lines["U1"]
    assert (line.answers, line.failures) == counted
    assert line.input_tokens == (use.input_tokens or 0)


@pytest.mark.parametrize("reason", [EndReason.BATCHED, EndReason.CAP_REACHED, EndReason.NOTHING_ASKED])
def test_question_that_no_model_read_is_a_question_and_nothing_else(reason: EndReason) -> None:
    report = UsageReport("model")
    report.add_attempts([attempt(reason, None)])
    assert report.lines == {"(none)": UsageLine(questions={1: reason}, people={"U1"})}


QUESTIONS = {
    "answered": ([EndReason.WHOLE], (1, 0, 0)),
    "interrupted, and not over yet": ([EndReason.INTERRUPTED], (0, 0, 0)),
    "after a step, and not over yet": ([EndReason.STEPPED], (0, 0, 0)),
    "answered twice": ([EndReason.WHOLE, EndReason.WHOLE], (1, 0, 0)),
    "stopped, and answered then": ([EndReason.STOPPED, EndReason.WHOLE], (1, 1, 0)),
    "deleted before its first attempt": ([EndReason.QUESTION_DELETED], (1, 1, 0)),
    "failed": ([EndReason.OVERLOADED], (1, 0, 0)),
    "over a quota": ([EndReason.CAP_REACHED], (1, 0, 1)),
    "without access": ([EndReason.DENIED], (1, 0, 1)),
    "in a channel that was archived": ([EndReason.SHUT_OUT], (1, 0, 1)),
    "offered an answer late": ([EndReason.OFFERED], (1, 0, 1)),
    "offered an answer, which was wanted": ([EndReason.OFFERED, EndReason.WHOLE], (1, 0, 0)),
}


@pytest.mark.parametrize(("reasons", "counted"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_question_counts_once_and_by_its_last_end(reasons: list[EndReason], counted: tuple[int, int, int]) -> None:
    report = UsageReport("user")
    report.add_attempts(map(attempt, reasons))
    assert (len(report.total.questions), report.total.stopped, report.total.unanswered) == counted


def test_person_counts_once_in_each_line() -> None:
    report = UsageReport("day")
    uses = [attempt(EndReason.WHOLE, job_id=number, user_id=f"U{number % 2}") for number in range(5)]
    report.add_attempts([*uses, replace(uses[0], at=uses[0].at + 86_400, job_id=9)])
    assert [sorted(line.people) for line in report.lines.values()] == [["U0", "U1"], ["U0"]]
    assert report.total.people == {"U0", "U1"}


def test_failures_are_counted_by_their_causes() -> None:
    report = UsageReport("user")
    report.add_attempts(map(attempt, [EndReason.CUT, EndReason.OVERLOADED, EndReason.CUT, EndReason.WHOLE]))
    assert report.total.failed == {EndReason.CUT: 2, EndReason.OVERLOADED: 1}


@pytest.mark.parametrize("used", [{"input_tokens": 5}, {"output_tokens": 5}, {"cost_usd": 0.5}], ids=str)
def test_attempt_that_only_used_something_counts(used: dict[str, Any]) -> None:
    unused = replace(attempt(EndReason.INTERRUPTED), input_tokens=0, output_tokens=0, cost_usd=0.0)
    report = UsageReport("user")
    report.add_attempts([unused])
    assert report.lines == {}
    report.add_attempts([replace(unused, **used)])
    assert list(report.lines) == ["U1"]


FIRST = AnswerUsage(180_000.0, 1, "U1", "C1", "a", EndReason.WHOLE, 100, 10, 0.5, 1.0, web_searches=2)
SECOND = AnswerUsage(90_000.0, 2, "U2", "C1", "b", EndReason.WHOLE, 200, 20, None, 4.0, web_searches=1)
THIRD = AnswerUsage(90_001.0, 3, "U1", "C2", "b", EndReason.CUT, 400, 40, 0.25, 3.0)
FOURTH = AnswerUsage(0.0, 4, "U3", "C2", None, EndReason.CUT, None, None, 0.0, None)
THUMBS = [Thumb(0.0, "U1", "C1", "a", 1), Thumb(1.0, "U1", "C1", "a", 1)]
THUMBS += [Thumb(90_000.0, "U2", "C1", "b", value) for value in (-1, 1)]
THUMBS += [Thumb(90_000.0, "U2", "C1", "b", -1, DownReason.TOO_LONG)]


TOO_LONG = Counter([DownReason.TOO_LONG])


def report_by(by: GroupBy) -> UsageReport:
    report = UsageReport(by)
    report.add_attempts([FOURTH, SECOND, FIRST, THIRD], THUMBS)
    return report


def test_lines_and_total_add_up_attempts_and_thumbs() -> None:
    report = report_by("user")
    cut, first, second = EndReason.CUT, {1: EndReason.WHOLE}, {2: EndReason.WHOLE}
    ones, all_of_them = first | {3: cut}, first | second | {3: cut, 4: cut}
    one, two = Counter([cut]), Counter([cut, cut])
    assert report.lines["U1"] == UsageLine(ones, {"U1"}, 1, 500, 50, 2, 0.75, 0, 0, one, 2, 0, Counter(), [1.0, 3.0])
    assert report.lines["U2"] == UsageLine(second, {"U2"}, 1, 200, 20, 1, 0.0, 220, 0, Counter(), 1, 2, TOO_LONG, [4.0])
    assert report.total == UsageLine(
        all_of_them, {"U1", "U2", "U3"}, 2, 700, 70, 3, 0.75, 220, 0, two, 3, 2, TOO_LONG, [4.0, 1.0, 3.0]
    )
    assert (report.total.failures, report.total.median_first_token_s, report.total.slowest_first_token_s) == (2, 3.0, 4)
    assert report.lines["U3"].median_first_token_s is None


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("user", ["U1", "U2", "U3"]),
        ("channel", ["C1", "C2"]),
        ("model", ["a", "b", "(none)"]),
        ("day", ["1970-01-01", "1970-01-02", "1970-01-03"]),
        ("week", ["1970-01-01"]),
    ],
)
def test_days_are_in_order_and_others_by_cost_and_tokens(by: GroupBy, keys: list[str]) -> None:
    assert list(report_by(by).sorted_lines()) == keys


def test_of_lines_with_the_same_cost_the_one_with_more_tokens_comes_first() -> None:
    report = UsageReport("user")
    report.add_attempts([replace(SECOND, user_id="U1"), replace(SECOND, output_tokens=21)])
    assert list(report.sorted_lines()) == ["U2", "U1"]


@pytest.mark.parametrize(
    ("first_day", "weeks"),
    [(0, ["1970-01-01", "1970-01-08"]), (3, ["1970-01-04"]), (10, ["1970-01-04"]), (5, ["1969-12-30", "1970-01-06"])],
)
def test_week_begins_with_the_weekday_of_the_first_day(first_day: int, weeks: list[str]) -> None:
    report = UsageReport("week", first_day)
    # The last week is the first that is counted, and the one that costs most.
    report.add_attempts([replace(FIRST, at=day * 86_400.0) for day in (9, 9, 9, 4, 3)])
    assert list(report.sorted_lines()) == weeks


def test_replays_have_a_cost_of_their_own() -> None:
    report = report_by("model")
    report.add_replays([FIRST, SECOND, replace(FIRST, cost_usd=0.25)])
    by_model = [(name, line.replay_usd) for name, line in report.sorted_lines().items()]
    assert by_model == [("a", 0.75), ("b", 0.0), ("(none)", 0.0)]
    assert (report.total.replay_usd, report.total.cost_usd, report.total.tokens) == (0.75, 0.75, 770)
