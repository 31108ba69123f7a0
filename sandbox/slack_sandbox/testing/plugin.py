"""The fixture `slack`, and the mark `slack(**options)`. pytest finds both in any environment with this package.

Both are for tests without an event loop. An asynchronous test opens `Sandbox` itself: `async with Sandbox() as
sandbox`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from slack_sandbox.testing.in_thread import SandboxInThread


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slack(**options): options of the test's Sandbox")


def marked_options(request: pytest.FixtureRequest, **defaults: Any) -> dict[str, Any]:
    """Returns the default options, overridden by the marks of the module and the test, and by an indirect parameter."""
    options = defaults
    for mark in reversed(list(request.node.iter_markers("slack"))):
        options |= mark.kwargs
    return options | getattr(request, "param", {})


@pytest.fixture
def slack(request: pytest.FixtureRequest) -> "Iterator[SandboxInThread]":
    """Yields a Slack that a bot can connect to. The mark `slack(**options)` sets options of `Sandbox`."""
    # Imported late, because pytest imports this module at each start, even if no test needs a sandbox.
    from slack_sandbox.testing.in_thread import SandboxInThread

    with SandboxInThread(**marked_options(request)) as slack:
        yield slack
