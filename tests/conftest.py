"""Configuration of all tests: their order, and what they share."""

import gc
from collections.abc import Generator

import pytest

from bot.store import database
from tests.dealing import dealt

# Other work on the machine may hold up a test's database for longer than people wait for an answer.
database._POOL_TIMEOUT_S = 30.0

GC_THRESHOLD = 5_000
"""Young objects at which garbage is collected. With Python's 700, that takes an eighth of the store's tests' time."""

pytest_plugins = [
    "slack_sandbox.testing.gate",
    "tests.rows",
    "tests.touched",
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
