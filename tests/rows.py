"""Rows and tests that `.ci/run` leaves to those who come near: to `make test-touched`, and to the night.

They are dear, and repeat for another fault, method or place what a test that stays shows: their table's first rows, one
layer below, or the same in simulated time.
"""

from collections import Counter

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "first_rows(count): a gate needs these rows of a table; the others are `near`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the rows behind the first ones as near. Rows that are left to the night anyway don't count."""
    rows: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("first_rows")
        if mark is None or item.get_closest_marker("long"):
            continue
        table = item.nodeid.partition("[")[0]
        rows[table] += 1
        if rows[table] > mark.args[0]:
            item.add_marker(pytest.mark.near)
