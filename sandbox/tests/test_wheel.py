"""The wheel in a separate environment: the command starts, the page has its files, and pytest finds the fixture.

That environment uses this one's other packages through a path, because tests don't load anything from the network.
"""

import asyncio
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import aiohttp
import pytest

from slack_sandbox.server import find_port
from slack_sandbox.testing.processes import inherited_environment, running_process, wait_for_line

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

TEST = """
from pathlib import Path

import slack_sandbox
from slack_sandbox.testing.payloads import __file__ as payloads


def test_bot_is_called(slack):
    assert "env" in slack_sandbox.__file__
    assert slack.say("ada", "general", "<@BOT> hi")
    assert list(Path(payloads).parent.glob("events/*.json"))
"""


def run(folder: Path, *command: str) -> str:
    """Runs a command in a folder and returns its output. Fails if the command fails."""
    ended = subprocess.run(
        command, cwd=folder, env=inherited_environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the Python interpreter of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(Path(__file__).parents[1], sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    [wheel] = folder.glob("slack_sandbox-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    install = ("-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(wheel))
    run(folder, sys.executable, *install)
    [packages] = (folder / "env" / "lib").glob("python3*/site-packages")
    # That directory's .pth files aren't read, so the clone that is installed there stays hidden.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python


async def test_installed_command_serves_the_page(python: Path, tmp_path: Path) -> None:
    port = find_port(25_000 + os.getpid() % 1_000 * 10)
    command = (str(python.with_name("slack-sandbox")), "--port", str(port))
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    async with running_process(*command, cwd=tmp_path, env=inherited_environment(), **pipes) as process:
        await wait_for_line(process.stdout, "SLACK_API_URL=")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for path in ("/", "/static/app.js", "/static/style.css"):
                async with session.get(path) as response:
                    assert response.status == 200, path


def test_pytest_finds_the_fixture(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_bot.py").write_text(TEST)
    assert "1 passed" in run(tmp_path, str(python), "-m", "pytest", "-p", "no:cacheprovider", "test_bot.py")
