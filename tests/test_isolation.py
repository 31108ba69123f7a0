"""Programs that run as Typist's user can't read its secrets.

The attacks are real. Root's capabilities would let them all succeed, so everything here runs without any.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from files_to_markdown import isolation
from files_to_markdown.tests import attacks
from slack_sandbox.testing.processes import inherited_environment, wait_for_line
from tests.forked import forked_bot
from tests.processes import REPOSITORY

pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif(sys.platform != "linux", reason="the protection is Linux's"),
]

SECRET = ("xoxb-secret", "-of-the-test")
TOKEN = "".join(SECRET)
WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
"""Where it isn't 0, the kernel itself keeps programs from attaching to what they didn't start."""


def run(*command: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**inherited_environment(), "PYTHONPATH": str(REPOSITORY), **env}
    return subprocess.run(
        [*WITHOUT_CAPABILITIES, *command], env=env, cwd=folder, capture_output=True, timeout=60, check=False
    )


def attacker(report: Path) -> list[str]:
    """Returns the command that attacks its parent process."""
    return [sys.executable, str(Path(attacks.__file__)), str(report), *SECRET]


def test_mcp_server_on_stdio_can_read_neither_environment_nor_memory_of_the_bot(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command, *arguments = attacker(report)
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"hostile": {"command": command, "args": arguments}}}))
    env = {"BOT_MCP_CONFIG": str(config), "SLACK_BOT_TOKEN": TOKEN, "DATABASE_URL": f"sqlite:///{tmp_path}/typist.db"}
    ran = run(sys.executable, "-m", "bot", "mcp", env=env, folder=tmp_path)
    assert report.exists(), ran.stderr.decode()
    assert json.loads(report.read_text()) == {"succeeded": [], "core limit": "0"}


def test_attacks_succeed_on_a_process_that_does_nothing_against_them(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    starts = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
    ran = run(sys.executable, "-c", starts, *attacker(report), env={"SLACK_BOT_TOKEN": TOKEN}, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr.decode()
    is_restricted = YAMA.exists() and YAMA.read_text().strip() != "0"
    in_all = ["in_environment"] if is_restricted else ["in_environment", "in_memory", "attached"]
    assert json.loads(report.read_text())["succeeded"] == in_all


def without_landlock() -> None:
    """Has a bot process ask the kernel for a call that it doesn't have."""
    isolation.LANDLOCK_CREATE_RULESET = 99_999


async def test_log_says_at_the_start_what_this_machine_does_not_protect(tmp_path: Path) -> None:
    file, database = tmp_path / ".env", tmp_path / "typist.db"
    for path in (file, database):
        path.touch(0o644)
    nowhere = "http://127.0.0.1:9/"
    env = {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "BOT_SLACK_API_URL": nowhere,
        "OPENAI_BASE_URL": nowhere,
        "BOT_MODELS": "openai/any",
        "DATABASE_URL": f"sqlite:///{database}",
    }
    async with forked_bot(tmp_path, "run", env=env, before=without_landlock) as bot:
        readable = "Every user on this machine can read"
        await wait_for_line(bot.stderr, "setup: isolation: The kernel doesn't support Landlock")
        exposed = f"setup: files: {readable} .env. {readable} typist.db. chmod 600 .env; chmod 600 typist.db*"
        await wait_for_line(bot.stderr, exposed)
