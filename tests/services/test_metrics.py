"""The metrics of an attempt: one machine-readable line without text of the question or the answer."""

import json
import logging
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.job import End
from bot.core.stream import Usage
from bot.errors import EndReason
from bot.services.metrics import JobLife, Times, line, logged, waited_s

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)(?: |$)')
QUESTION = Question(ThreadKey("T1", "C1", "1.000100"), "2.000200", "U1", "a private question")
JOB = Job(7, QUESTION, attempts=2)
DONE = End(EndReason.WHOLE, "a private notice", model="openai/gpt-6-luna", usage=Usage(1_000, 200, 400))
TIMES = Times(waited_s=0.031, total_s=12.345, first_token_s=0.789)


def life(end: End = DONE, times: Times = TIMES, cost_usd: float | None = 0.000164) -> JobLife:
    return JobLife.of(JOB, end, times, cost_usd, calls=9)


def pairs_of(logfmt: str) -> dict[str, str]:
    """Returns the line's pairs, which must make up the whole line."""
    pairs = list(PAIR.finditer(logfmt))
    assert "".join(pair.group() for pair in pairs) == logfmt
    return {pair[1]: json.loads(pair[2]) if pair[2].startswith('"') else pair[2] for pair in pairs}


def test_metrics_are_one_line_of_pairs() -> None:
    assert line(life()) == (
        "job=7 thread=T1/C1/1.000100 question=2.000200 attempt=2 end=whole model=openai/gpt-6-luna "
        "waited_s=0.03 first_token_s=0.79 total_s=12.35 "
        "input_tokens=1000 output_tokens=200 cached_input_tokens=400 cost_usd=0.000164 calls=9"
    )


@pytest.mark.parametrize(
    ("attempts", "version", "waited"),
    [(1, 0, 118.0), (2, 0, 20.0), (1, 1, 20.0)],
    ids=["first attempt", "after an approval", "after an edit or Regenerate"],
)
def test_wait_is_that_of_the_attempt_and_not_the_questions_age(attempts: int, version: int, waited: float) -> None:
    job = replace(JOB, attempts=attempts, version=version, asked_at=100.0)
    assert waited_s(job, claimed_at=120.0002) == pytest.approx(waited, abs=0.01)


def test_unknown_values_have_no_key() -> None:
    pairs = pairs_of(line(life(End(EndReason.CUT), Times(waited_s=0, total_s=1), None)))
    assert set(pairs) == {"job", "thread", "question", "attempt", "end", "waited_s", "total_s", "calls"}


def test_metrics_contain_no_text_and_no_asker() -> None:
    assert "private" not in repr(life())
    assert "U1" not in repr(life())


@given(model=st.text(min_size=1), reason=st.sampled_from(EndReason))
def test_any_model_name_is_parsed_back_from_one_line(model: str, reason: EndReason) -> None:
    written = line(life(End(reason, model=model)))
    assert len(written.splitlines()) == 1
    assert (pairs_of(written)["model"], pairs_of(written)["end"]) == (model, reason)


def test_default_metrics_write_the_line_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "bot.services.metrics"):
        logged(life())
    assert caplog.messages == [line(life())]
