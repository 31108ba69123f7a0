"""Programs that run as Typist's user can't read its secrets, and hostile code in the document reader reaches no file.

The attacks are real. Root's capabilities would let them all succeed, so everything here runs without any.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import isolation
from bot.documents.document import Format
from bot.isolation import TRUNCATE_ABI
from slack_sandbox.testing.processes import inherited, wait_for_line
from tests import attacks
from tests.forked import forked_bot
from tests.processes import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the protection is Linux's")

SECRET = ("xoxb-secret", "-of-the-test")
TOKEN = "".join(SECRET)
WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
"""Where it isn't 0, the kernel itself keeps programs from attaching to what they didn't start."""
SIGNALS_ABI = 6


def run(*command: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**inherited(), "PYTHONPATH": str(REPOSITORY), **env}
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


VICTIM = """
import ctypes, os, sys, time
from bot import isolation
if sys.argv[1] == "hidden":
    isolation.hide_memory()
buffer = ctypes.create_string_buffer(sys.argv[2].encode() + sys.argv[3].encode())
print(os.getpid(), ctypes.addressof(buffer), flush=True)
sys.stdin.read()
"""

READER = """
import os, sys
from bot import isolation
from bot.documents.document import Document
from bot.documents import __main__ as child, formats
from tests import attacks

kind, kernel, file, pid, address, size = sys.argv[1:]
if kernel == "without Landlock":
    isolation.LANDLOCK_CREATE_RULESET = 99_999
pid, address, size = int(pid), int(address), int(size)
ATTACKS = {
    "memory": lambda: attacks.copied(pid, address, size),
    "attach": lambda: attacks.attach(pid),
    "signal": lambda: os.kill(pid, 0),
    "truncate": lambda: os.truncate(file, 0),
    "rename": lambda: os.rename(file, file + "-renamed"),
    "remove": lambda: os.unlink(file),
    "link": lambda: os.link(file, file + "-linked"),
    "list": lambda: os.listdir("/"),
}

def done(action):
    try:
        action()
    except OSError:
        return False
    return True

formats.read = lambda kind, content: Document(" ".join(name for name, action in ATTACKS.items() if done(action)))
child.main()
"""


@contextmanager
def victim(mode: str) -> Iterator[list[str]]:
    """Starts a process with a secret in its memory, and yields its pid, and the secret's address."""
    command = [*WITHOUT_CAPABILITIES, sys.executable, "-c", VICTIM, mode, *SECRET]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().split()
        process.communicate()


@pytest.mark.parametrize(("mode", "kernel"), [("hidden", ""), ("plain", ""), ("hidden", "without Landlock")])
def test_code_in_the_document_reader_reaches_no_memory_no_file_and_no_process(
    mode: str, kernel: str, tmp_path: Path
) -> None:
    """Of a process that hides nothing, as MCP servers are, Landlock protects the memory.

    The kernel without it is this one, asked for a call that it doesn't have.
    """
    file = tmp_path / "typist.db"
    file.write_bytes(b"rows")
    with victim(mode) as (pid, address):
        command = [sys.executable, "-c", READER, Format.CSV, kernel, str(file), pid, address, str(len(TOKEN))]
        env = {**inherited(), "PYTHONPATH": str(REPOSITORY)}
        ran = subprocess.run(
            [*WITHOUT_CAPABILITIES, *command], input=b"a,b", env=env, capture_output=True, timeout=60, check=True
        )
    abi = 0 if kernel else isolation.landlock_abi()
    reached = set(json.loads(ran.stdout)["text"].split())
    assert reached <= out_of_the_kernels_reach(abi, mode), reached
    if abi >= TRUNCATE_ABI:
        assert [path.name for path in tmp_path.iterdir()] == ["typist.db"]
        assert file.read_bytes() == b"rows"


def out_of_the_kernels_reach(abi: int, mode: str) -> set[str]:
    """Returns what a kernel with this version of Landlock leaves to the reader: nothing since Linux 6.12."""
    if not abi:
        on_memory = {"memory", "attach"} if mode == "plain" else set()
        return {"signal", "truncate", "rename", "remove", "link", *on_memory}
    return ({"truncate"} if abi < TRUNCATE_ABI else set()) | ({"signal"} if abi < SIGNALS_ABI else set())


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
        await wait_for_line(bot.stderr, "documents are read without full isolation: landlock=0")
        await wait_for_line(bot.stderr, f"every user of this machine can read {file}")
        await wait_for_line(bot.stderr, f"every user of this machine can read {database}")
