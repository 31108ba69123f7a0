"""What a report counts: each attempt by its own end, whatever became of its job since."""

import pytest

from bot.core.limits.usage import AnswerUsage, By, Report


def attempt(status: str, reason: str | None, tokens: int | None = 10) -> AnswerUsage:
    model = None if tokens is None else "openai/test"
    return AnswerUsage(1_800_000_000.0, "U1", "C1", model, status, reason, tokens, tokens, None, None)


COUNTS = {
    "whole": (attempt("done", "stop"), (1, 0)),
    "at its length limit": (attempt("done", "length"), (1, 0)),
    "whole, and stopped when it was answered again": (attempt("stopped", "stop"), (1, 0)),
    "whole, and failed when it was answered again": (attempt("failed", "stop"), (1, 0)),
    "whole, and being answered again": (attempt("doing", "stop"), (1, 0)),
    "failed, and whole when it was answered again": (attempt("done", "overloaded"), (0, 1)),
    "failed": (attempt("failed", "cut"), (0, 1)),
    "stopped": (attempt("stopped", None), (0, 0)),
    "broken off, and gone on with": (attempt("done", "interrupted"), (0, 0)),
    "broken off for the last time": (attempt("failed", "interrupted", None), (0, 1)),
    "read back whole": (attempt("done", "recovered", None), (1, 0)),
    "read back in part": (attempt("failed", "recovered", None), (0, 1)),
}


@pytest.mark.parametrize(("use", "counted"), COUNTS.values(), ids=COUNTS.keys())
def test_an_attempt_is_an_answer_a_failure_or_neither(use: AnswerUsage, counted: tuple[int, int]) -> None:
    report = Report(By.USER)
    report.add([use])
    line = report.lines["U1"]
    assert (line.answers, line.failures) == counted
    assert line.input_tokens == (use.input_tokens or 0)


@pytest.mark.parametrize("reason", ["together", "CapReached", None])
def test_what_asked_no_model_has_no_line(reason: str | None) -> None:
    report = Report(By.MODEL)
    report.add([attempt("done" if reason != "CapReached" else "failed", reason, None)])
    assert report.lines == {}
