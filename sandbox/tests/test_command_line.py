"""`slack-sandbox` as a process: it rejects invalid arguments in one line that tells what to do, with exit code 2."""

import asyncio
import sys
from pathlib import Path

import pytest

from slack_sandbox.testing.processes import inherited_environment, output, running_process


async def refused(folder: Path, *arguments: str) -> str:
    """Returns the line with which the command rejects its arguments."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    command = (sys.executable, "-m", "slack_sandbox", *arguments)
    async with running_process(*command, cwd=folder, env=inherited_environment(), **pipes) as process:
        out, err = await output(process)
    assert (process.returncode, out) == (2, "")
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bot-token", "of-my-own"], "--bot-token must be xoxb- followed by at least 8"),
        (["--app-token", "xapp-1\n"], "--app-token must be xapp- followed by at least 8"),
        (["--manifest", "missing.json"], "missing.json: No such file or directory."),
        (["--manifest", "."], ".: Is a directory."),
        (["--port", "65536"], "--port: must be a whole number from 1 to 65,535, not 65536"),
    ],
)
async def test_arguments_that_cannot_be_used_are_named(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in await refused(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            b"display_information:\n  name: Greeter\n",
            "is not JSON (line 1: Expecting value). Slack's app settings can also show",
        ),
        (b'{"settings": {},}', "is not JSON (line 1: "),
        (b"\xff\xfe", "is not UTF-8 text."),
        (b"[]", "/ must be an object."),
        (b'{"display_information": {"name": "A"}, "features": {"bots": 1}}', "/features/bots is not a known property."),
        (b'{"display_information": {"name": ""}}', "/display_information/name must be a"),
    ],
)
async def test_manifest_that_cannot_be_used_is_named(tmp_path: Path, text: bytes, sentence: str) -> None:
    (tmp_path / "app.json").write_bytes(text)
    line = await refused(tmp_path, "--manifest", "app.json")
    assert line.startswith("slack-sandbox: app.json")
    assert sentence in line
