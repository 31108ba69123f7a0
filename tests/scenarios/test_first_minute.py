"""The whole way from a clone to the first answer, in real processes, but for the installation."""

import sys
from pathlib import Path

import pytest

from benchmarks.first_minute import INSTALL, MAX_S, Recording, record
from tests.newcomer import ANSWER, KEY
from tests.processes import REPOSITORY

IS_CLONE, IS_VENV = (REPOSITORY / ".git").exists(), sys.prefix != sys.base_prefix
pytestmark = [
    pytest.mark.skipif(not (IS_CLONE and IS_VENV), reason="needs a clone with an environment that `make` made"),
]


def with_this_environment(clone: Path) -> None:
    """Gives the clone the packages of this process, as if `make` had just installed them."""
    ours, theirs = Path(sys.prefix), clone / ".venv"
    theirs.mkdir()
    for path in ours.iterdir():
        if path.name in ("bin", "lib", "lib64", "pyvenv.cfg"):
            (theirs / path.name).symlink_to(path)
    (theirs / "run").touch()


async def test_a_newcomer_gets_an_answer_by_the_commands_of_the_readme(tmp_path: Path) -> None:
    recording = Recording()
    await record(tmp_path, recording, with_this_environment)
    readme = (REPOSITORY / "README.md").read_text()
    for command in ("git clone", "make init", "make run"):
        assert command in readme
        assert any(step.startswith(command) for step in recording.steps)
    assert recording.steps[INSTALL] < MAX_S
    assert recording.own_s < MAX_S
    transcript = recording.transcript
    assert "I sent Ada a message in Slack" in transcript
    assert "is connected to Slack" in transcript
    assert f"Typist: {ANSWER}" in transcript
    assert KEY not in transcript
    assert not [secret for secret in recording.secrets if secret in transcript]
    assert f"OPENAI_API_KEY={KEY}" in (tmp_path / "typist" / ".env").read_text()
