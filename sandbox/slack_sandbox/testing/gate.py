"""Configures pytest for this project's checks. Limits random examples, and forbids skipped tests and randomness in CI.

If a rare example fails, the change that CI checks isn't the cause. `make test-long` searches at random.

A conftest.py lists it in `pytest_plugins`. Tests of other people's bots don't list it, because they have their own
checks.
"""

import os
import random
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

ON_CI = bool(os.environ.get("CI"))

# Everyday runs use few examples, always the same. `make test-long` runs more, at random. "soak" is for one module at a
# time. There is no deadline, because an example's time depends on the machine's load.
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
    """Returns `few` in everyday runs and `many` in `make test-long`. Call it during test collection or later."""
    return few if settings.get_current_profile_name() == "daily" else many


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Makes `random` draw the same values in each CI run."""
    if ON_CI:
        random.seed(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run on CI if any test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ON_CI and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Tests were skipped, and CI is to skip none.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
