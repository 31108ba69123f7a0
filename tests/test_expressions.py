"""No text from outside makes a regular expression take more than linear time (benchmarks/expressions.py)."""

import re

import pytest

from benchmarks.expressions import Expression, expressions, slow_texts

pytestmark = pytest.mark.wide

SPACES_IN_2_TO_THE_N_WAYS = (
    r"[ \t]*((?:[^\s()<>]|[ \t]+(?![\"'(]|\))|[ \t]*\([^()\n]*\))+?)([ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'))?[ \t]*(?=\))"
)


@pytest.mark.parametrize(
    "pattern",
    [
        SPACES_IN_2_TO_THE_N_WAYS,
        r"(?:a|a)*b",
        r"(?:a|b|ab)*c",
        r"a*a*b",
        r"<!--.*?-->",
        r"(?:ab)+c",
        r"<\w+\s+\w*\s*/?\Z",
        rb"[\x80-\xff]*\W*b",
    ],
)
@pytest.mark.long(after_row=2)
def test_expression_that_takes_more_than_linear_time_is_found(pattern: str | bytes) -> None:
    assert next(slow_texts(Expression("of this test", re.compile(pattern), only_at_start=False)), None)


@pytest.mark.parametrize("pattern", [r"(?<![ \t])[ \t]++x", r"(?<!a)a++b", r"<[^<>]{0,20}>"])
def test_linear_expression_is_not_found(pattern: str) -> None:
    assert not list(slow_texts(Expression("of this test", re.compile(pattern), only_at_start=False)))


@pytest.mark.parametrize(
    ("pattern", "is_wrong"),
    [
        (r"(?:ab?c)*+", True),
        (r"(?:ab?c)?+d", True),
        (r"(?>ab?c)", True),
        (r"x(?:y|(?:ab?c)++)z", True),
        (r"a*+[bc]++[^d]?+.{2}+", False),
        (r"(?:ab?c)*", False),
        (rb"(?:ab?c)*+", True),
    ],
)
def test_possessive_group_is_found(pattern: str | bytes, is_wrong: bool) -> None:
    assert Expression("of this test", re.compile(pattern), only_at_start=False).can_match_wrongly == is_wrong


def test_no_expression_of_re_repeats_a_group_possessively() -> None:
    found = expressions(
        "bot", "handlers", "slack_markdown", "files_to_markdown", "slack_pacing", "slack_probe", "demo", "slack_sandbox"
    )
    assert not [expression.name for expression in found if expression.can_match_wrongly]


def test_no_expression_takes_more_than_linear_time() -> None:
    packages = ("bot", "handlers", "slack_markdown", "files_to_markdown", "slack_pacing", "slack_probe")
    found = [next(slow_texts(expression), None) for expression in expressions(*packages)]
    assert len(found) > 350
    assert not [str(slow) for slow in found if slow]
