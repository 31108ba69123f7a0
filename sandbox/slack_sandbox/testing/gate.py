"""What a gate of ours asks of pytest: how much it searches, and that CI skips and draws nothing.

A rare example that fails says nothing of the change that CI judges. `make test-long` searches at random.

A conftest.py names it in `pytest_plugins`. The tests of other people's bots don't: their gates are theirs.
"""

import os
import random
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

ON_CI = bool(os.environ.get("CI"))

# Gates run few examples, always the same. `make test-long` runs more, at random. "soak" is for one module at a time. An
# example's time depends on the machine's load, so there is no deadline.
for profile, examples in {"daily": 25, "long": 500, "soak": 10_000}.items():
    settings.register_profile(
        profile,
        max_examples=examples,
        derandomize=profile == "daily",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("daily")


def rounds(few: T, many: T) -> T:
    """Returns what a test that repeats itself repeats: few rounds in a gate, many where `make test-long` searches.

    Call it where tests are collected, or later: pytest has its options then.
    """
    return few if settings.get_current_profile_name() == "daily" else many


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draws the same of `random` on each run of CI."""
    if ON_CI:
        random.seed(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run on CI if any test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ON_CI and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Tests were skipped, and CI is to skip none.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
