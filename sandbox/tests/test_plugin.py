"""The pytest plugin: it costs other projects no imports, and `run_bot` starts and stops a bot's command."""

import subprocess
import sys

import pytest

from slack_sandbox.testing.in_thread import SandboxInThread
from slack_sandbox.testing.processes import inherited_environment

NEW_MODULES = """
import sys
import pytest
before = set(sys.modules)
import slack_sandbox.testing.plugin
print(*sorted(set(sys.modules) - before))
"""
CONNECTS = """
import os
from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
web = WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
SocketModeClient(os.environ["SLACK_APP_TOKEN"], web_client=web).connect()
web.chat_postMessage(channel="C0GENERAL", text=os.environ["GREETING"])
"""


def test_plugin_imports_nothing_until_a_test_uses_the_fixture() -> None:
    command = (sys.executable, "-c", NEW_MODULES)
    loaded = subprocess.run(
        command, env=inherited_environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == ["slack_sandbox", "slack_sandbox.testing", "slack_sandbox.testing.plugin"]


def test_bot_is_connected_in_the_block_and_has_ended_after_it(slack: SandboxInThread) -> None:
    with slack.run_bot(sys.executable, "-c", f"{CONNECTS}\nimport time\ntime.sleep(600)", GREETING="Hello!") as bot:
        assert slack.sandbox.sockets.connections
        slack.wait_for(lambda: any(message.text == "Hello!" for message in slack.sandbox.messages("general")))
        assert bot.poll() is None
    assert bot.returncode is not None


def test_bot_ends_although_its_test_fails(slack: SandboxInThread) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        slack.run_bot(sys.executable, "-c", f"{CONNECTS}\nimport time\ntime.sleep(600)", GREETING="Hi") as bot,
    ):
        1 / 0  # noqa: B018
    assert bot.returncode is not None


def test_bot_that_exits_before_it_connects_is_reported_at_once(slack: SandboxInThread) -> None:
    with (
        pytest.raises(RuntimeError, match="exited with 3 before it connected"),
        slack.run_bot(sys.executable, "-c", "raise SystemExit(3)"),
    ):
        pass


def test_wait_within_a_predicate_is_an_error_instead_of_a_deadlock(slack: SandboxInThread) -> None:
    with pytest.raises(RuntimeError, match="can't wait"):
        slack.wait_for(lambda: slack.replies("general", "1.0"))
