"""Configuration of all tests: their order, and if CI is set, a skipped test fails the run."""

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from bot.store import database
from tests.dealing import dealt

# `make test` runs few examples and `make test-long` more; "soak" is for one module at a time. The time of an example
# depends on the machine's load, so there is no deadline.
for profile, examples in {"daily": 25, "long": 500, "soak": 10_000}.items():
    settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("daily")

# Other work on the machine may hold up a test's database for longer than people wait for an answer.
database._POOL_TIMEOUT_S = 30.0

GC_THRESHOLD = 5_000
"""Young objects at which garbage is collected. With Python's 700, that takes an eighth of the store's tests' time."""

pytest_plugins = [
    "tests.migrated",
    "tests.contracts.databases",
    "tests.fast",
    "tests.bounded_teardown",
]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects with garbage collection off: it would only scan a million objects that all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deals the modules of the tests that are left over the run (tests/dealing.py)."""
    place = {module: number for number, module in enumerate(dealt(map(_module, items)))}
    items.sort(key=lambda item: place[_module(item)])


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run on CI if any test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Tests were skipped, and CI is to skip none.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
