"""Marks what `.ci/run` leaves out: dear tests, and rows of tables, that show a rule again.

`make test-touched` runs them where a change comes near, and `make test-long` each night. The rule itself stays in the
gate: in the table's first rows, one layer below, or in simulated time.
"""

from collections import Counter

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "first_rows(count): a gate needs these rows of a table; the others are `near`")
    config.addinivalue_line("markers", "each_row(step): a gate needs one row in so many; the others are `near`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the rows that a gate doesn't need as near. Rows that are left to the night anyway don't count."""
    rows: Counter[str] = Counter()
    for item in items:
        first, each = item.get_closest_marker("first_rows"), item.get_closest_marker("each_row")
        if not (first or each) or item.get_closest_marker("long"):
            continue
        table = item.nodeid.partition("[")[0]
        row = rows[table]
        rows[table] += 1
        if (first and row >= first.args[0]) or (each and row % each.args[0]):
            item.add_marker(pytest.mark.near)
