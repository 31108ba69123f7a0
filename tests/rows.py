"""Leaves rows of a table to `make test-long`, if they show the table's rule again.

`@pytest.mark.long(after_row=2)` does so with all rows after the second, `long(but_every=5)` with all but every fifth.
"""

from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Takes the mark from the rows that stay in the other gates. Rows that are marked `long` themselves don't count."""
    rows: Counter[str] = Counter()
    for item in items:
        marks = list(item.iter_markers("long"))
        table = next((mark for mark in marks if mark.kwargs), None)
        if table is None or any(not mark.kwargs for mark in marks):
            continue
        name = item.nodeid.partition("[")[0]
        row = rows[name]
        rows[name] += 1
        if row < table.kwargs.get("after_row", 0) or row % table.kwargs.get("but_every", row + 1) == 0:
            item.own_markers.remove(table)
