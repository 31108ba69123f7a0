"""The mark `slack(**options)`: a test or its module names the options of its sandbox."""

from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slack(**options): options of the sandbox")


def marked(request: pytest.FixtureRequest, **defaults: Any) -> dict[str, Any]:
    """Returns these options, changed by the marks of the module and then of the test, and by an indirect parameter."""
    options = defaults
    for mark in reversed(list(request.node.iter_markers("slack"))):
        options |= mark.kwargs
    return options | getattr(request, "param", {})
