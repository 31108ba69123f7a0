"""The libraries beside the bot: what their READMEs show, what their wheels have, and what they depend on."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.processes import REPOSITORY

pytestmark = pytest.mark.wide

LIBRARIES = {
    "files_to_markdown": (["files_to_markdown/README.md"], "", "# files-to-markdown\n"),
    "slack_markdown": (
        [],
        "**Hi** <!channel>, see [bank.com](https://evil.example)",
        "{'text': 'Hi @\\u2060channel, see bank.com', 'blocks': [{'type': 'markdown', "
        "'text': '**Hi** @channel, see bank.com (https://evil.example)'}]}\n",
    ),
    "slack_pacing": ([], "", "1: Hello…"),
}
"""By library: arguments and input of the program in its README, and how what it prints begins."""


def project_of(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


@pytest.mark.parametrize("library", LIBRARIES)
def test_program_in_the_readme_does_what_it_says(library: str) -> None:
    arguments, given, begins = LIBRARIES[library]
    program = re.search(r"^```python\n(.*?)^```$", (REPOSITORY / library / "README.md").read_text(), re.M | re.S)
    assert program is not None
    ran = subprocess.run(
        [sys.executable, "-c", program[1], *arguments],
        cwd=REPOSITORY,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(begins)


@pytest.mark.parametrize("library", LIBRARIES)
def test_wheel_has_all_modules_and_no_tests(library: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY / library, capture_output=True, check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    folder = REPOSITORY / library
    assert found == {f"{library}/{file.name}" for file in (*folder.glob("*.py"), *folder.glob("py.typed"))}


@pytest.mark.parametrize("library", LIBRARIES)
def test_bot_is_installed_with_what_a_library_needs_in_the_same_range(library: str) -> None:
    needed = project_of(REPOSITORY / library)["dependencies"]
    bot = project_of(REPOSITORY)
    assert set(needed) <= {*bot["dependencies"], *bot["optional-dependencies"]["files"]}


@pytest.mark.long
@pytest.mark.parametrize("library", LIBRARIES)
def test_tests_of_a_library_alone_can_be_collected_where_the_bots_are(library: str) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", f"{library}/tests"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
