"""The metrics of an attempt: one record with fields, without text of the question or the answer."""

import logging
from dataclasses import replace

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, sentence_notice
from bot.errors import EndReason
from bot.models.events import Usage
from bot.reply.answer import Freshness
from bot.services.answer_attempt import AttemptReport, report_attempt, waited_s
from bot.telemetry import OFF

QUESTION = Question(ThreadKey("T1", "C1", "1.000100"), "2.000200", "U1", "a private question")
JOB = Job(7, QUESTION, attempts=2)
DONE = End(
    EndReason.WHOLE,
    sentence_notice("a private notice"),
    model="openai/gpt-6-luna",
    usage=Usage(1_000, 200, 400),
    first_token_s=0.789,
)

FRESHNESS = Freshness()
FRESHNESS.on_written(5, 10.0)
FRESHNESS.ended_at = 10.6
FRESHNESS.on_shown(5, 10.8)
FRESHNESS.on_end_shown(10.8)


REPORT = AttemptReport(JOB, DONE, 0.031, 12.345, 0.000164, 9, FRESHNESS)


def fields_of(report: AttemptReport, caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "bot.services.answer_attempt"):
        report_attempt(OFF, report)
    [record] = caplog.records
    assert record.getMessage() == "attempt ended"
    return dict(getattr(record, "fields", {}))


def test_ended_attempt_is_one_record_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    assert fields_of(REPORT, caplog) == {
        "thread": "T1/C1/1.000100",
        "question": "2.000200",
        "attempt": 2,
        "end": "whole",
        "model": "openai/gpt-6-luna",
        "waited_s": 0.03,
        "first_token_s": 0.79,
        "first_word_delay_s": 0.8,
        "staleness_s": 0.4,
        "final_lag_s": 0.2,
        "total_s": 12.35,
        "input_tokens": 1000,
        "output_tokens": 200,
        "cached_input_tokens": 400,
        "cost_usd": 0.000164,
        "calls": 9,
    }


@pytest.mark.parametrize(
    ("attempts", "version", "waited"),
    [(1, 0, 118.0), (2, 0, 20.0), (1, 1, 20.0)],
    ids=["first attempt", "after an approval", "after an edit or Regenerate"],
)
def test_wait_is_that_of_the_attempt_and_not_the_questions_age(attempts: int, version: int, waited: float) -> None:
    job = replace(JOB, attempts=attempts, version=version, asked_at=100.0)
    assert waited_s(job, claimed_at=120.0002) == pytest.approx(waited, abs=0.01)


def test_unknown_values_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    fields = fields_of(AttemptReport(JOB, End(EndReason.CUT), 0, 1, None, 9, Freshness()), caplog)
    assert set(fields) == {"thread", "question", "attempt", "end", "waited_s", "total_s", "calls"}


def test_metrics_contain_no_text_and_no_asker(caplog: pytest.LogCaptureFixture) -> None:
    fields = repr(fields_of(REPORT, caplog))
    assert "private" not in fields
    assert "U1" not in fields
