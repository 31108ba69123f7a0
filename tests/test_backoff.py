"""Back-off: each further failure in a row doubles the wait, up to a bound."""

import pytest

from bot.errors import Backoff


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(0, 0.0), (1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 10.0), (1_000_000, 10.0)]
)
def test_wait_doubles_with_each_failure_up_to_its_bound(failures: int, wait_s: float) -> None:
    assert Backoff(0.5, 10.0).wait_s(failures) == wait_s
