"""What a gate of ours asks of pytest: how many examples Hypothesis tries, and that CI skips no test.

A conftest.py names it in `pytest_plugins`. The tests of other people's bots don't: their gates are theirs.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

# `make test` runs few examples, the same each time, and `make test-long` more, at random; "soak" is for one module at a
# time. The time of an example depends on the machine's load, so there is no deadline.
for profile, examples in {"daily": 25, "long": 500, "soak": 10_000}.items():
    settings.register_profile(
        profile,
        max_examples=examples,
        derandomize=profile == "daily",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("daily")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run on CI if any test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Tests were skipped, and CI is to skip none.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
