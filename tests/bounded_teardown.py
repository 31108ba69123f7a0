import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Ends the process if the teardown hangs, as pyproject.toml has it for tests.

    Pytest and pytest-timeout drop their limits as soon as a test fails, so that a debugger has time. A test that failed
    often leaves a loop that its teardown waits for.
    """
    if limit_s := float(item.config.getini("faulthandler_timeout")):
        faulthandler.dump_traceback_later(limit_s, file=item.config.stash[fault_handler_stderr_fd_key], exit=True)
