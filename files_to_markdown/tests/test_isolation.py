"""Hostile code in the process that reads documents can't access other processes, their memory, or files.

The attacks are real. With root's capabilities they would all succeed, so everything here runs without any.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from files_to_markdown import isolation
from files_to_markdown.document import Format
from files_to_markdown.isolation import TRUNCATE_ABI

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the protection is Linux's")

ROOT = Path(isolation.__file__).parents[1]
SECRET = ("xoxb-secret", "-of-the-test")
TOKEN = "".join(SECRET)
WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
SIGNALS_ABI = 6

VICTIM = """
import ctypes, os, sys, time
from files_to_markdown import isolation
if sys.argv[1] == "hidden":
    isolation.hide_memory()
buffer = ctypes.create_string_buffer(sys.argv[2].encode() + sys.argv[3].encode())
print(os.getpid(), ctypes.addressof(buffer), flush=True)
sys.stdin.read()
"""

READER = """
import os, sys
from files_to_markdown import isolation
from files_to_markdown.document import Document
from files_to_markdown import child, formats
from files_to_markdown.tests import attacks

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
    """Starts a process with a secret in its memory, and yields its PID and the secret's address."""
    command = [*WITHOUT_CAPABILITIES, sys.executable, "-c", VICTIM, mode, *SECRET]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().split()
        process.communicate()


@pytest.mark.parametrize(("mode", "kernel"), [("hidden", ""), ("plain", ""), ("hidden", "without Landlock")])
def test_code_in_the_document_reader_reaches_no_memory_no_file_and_no_process(
    mode: str, kernel: str, tmp_path: Path
) -> None:
    """If a process doesn't hide its memory, as MCP servers don't, Landlock protects it. A kernel without Landlock is
    simulated by making a system call that doesn't exist."""
    file = tmp_path / "typist.db"
    file.write_bytes(b"rows")
    with victim(mode) as (pid, address):
        command = [sys.executable, "-c", READER, Format.CSV, kernel, str(file), pid, address, str(len(TOKEN))]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
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
    """Returns the attacks that a kernel with this Landlock version doesn't prevent: none since Linux 6.12."""
    if not abi:
        on_memory = {"memory", "attach"} if mode == "plain" else set()
        return {"signal", "truncate", "rename", "remove", "link", *on_memory}
    return ({"truncate"} if abi < TRUNCATE_ABI else set()) | ({"signal"} if abi < SIGNALS_ABI else set())
