"""The wheel in an environment of its own: `typist check`, `run` and `audit` work without the repository.

The environment reads the other packages of this one by a path, because tests load nothing from the network.
"""

import asyncio
import json
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from demo.scripted_model import ScriptedModel
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import output, wait_for_line
from tests.processes import REPOSITORY, bot_process
from tests.scenarios.conftest import Stage, connected, says
from tests.streams.server import VendorServer

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Installed:
    """The command that the wheel installs, with a folder and settings to run it in."""

    python: Path
    folder: Path
    env: Mapping[str, str]

    def process(self, *arguments: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        env = {**self.env, "PYTHONPATH": ""}
        script = str(self.python.with_name("typist"))
        return bot_process(self.folder, *arguments, env=env, python=str(self.python), program=("-P", script))

    async def output(self, *arguments: str) -> tuple[str, str]:
        """Returns what the command writes to stdout and stderr, if it succeeds."""
        async with self.process(*arguments) as process:
            out, err = await output(process)
            assert process.returncode == 0, out + err
            return out, err


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the interpreter of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(REPOSITORY, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    [wheel] = folder.glob("typist-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    install = ("-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(wheel))
    _run(folder, sys.executable, *install)
    [packages] = (folder / "env" / "lib").glob("python3*/site-packages")
    # That directory's own .pth files aren't read, so the clone that is installed there stays hidden.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    for package in ("bot", "handlers", "demo", "slack_probe", "files_to_markdown", "slack_markdown"):
        found = _run(folder, str(python), "-c", f"import {package}; print({package}.__file__)").strip()
        assert Path(found).is_relative_to(packages)
    assert not list(packages.glob("*_markdown/tests"))
    return python


def _run(folder: Path, *command: str) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.long
async def test_installed_wheel_checks_answers_and_exports_its_audit(
    python: Path, sandbox: Sandbox, vendor: VendorServer, tmp_path: Path
) -> None:
    stage = Stage(sandbox, vendor)
    env = {**connected(sandbox, vendor), "DATABASE_URL": f"sqlite:///{tmp_path}/typist.db"}
    typist = Installed(python, tmp_path, env)
    async with ScriptedModel(()) as model:
        of_model = {"OPENAI_BASE_URL": model.base_url, "BOT_MODELS": "openai/scripted"}
        checked, _ = await replace(typist, env={**env, **of_model}).output("check")
    assert checked.endswith("\nEverything is set up. 2 checks were skipped (–).\n")
    vendor.script(says("Because."))
    async with typist.process("run") as process:
        await wait_for_line(process.stderr, "started")
        asked = await stage.mention()
        assert await stage.answers("general", asked) == ["Because."]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    exported, _ = await typist.output("audit", "--json")
    entries = [json.loads(line) for line in exported.splitlines()]
    assert [(entry["kind"], entry["ts"], entry.get("end")) for entry in entries] == [
        ("question", asked, None),
        ("answer", asked, "whole"),
    ]
