"""The record of a replay: what was spent, and what may be asked yet."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.cli.replay import Folder
from bot.errors import CapReached, SettingsError
from tests.forked import forked_command

OF = {"model": "openai/other", "system_prompt": "", "since": 20_000}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path, OF, 1.0)
    yield folder
    folder._record.close()


def answer(usd: float, text: str = "Because.") -> dict[str, Any]:
    return {"usd": usd, "text": text}


def test_record_tells_what_was_asked_and_judged_and_what_all_of_it_has_cost(folder: Folder) -> None:
    folder.add(1, then=answer(8.0), now=answer(0.25))
    folder.add(2, then=answer(8.0), now=answer(0.125), judge={"usd": 0.0625})
    folder.add(3, then=answer(8.0), now=answer(0.0, " \n"))
    folder.add(4, at_most_usd=0.5)
    folder.add(5, at_most_usd=0.0)
    assert folder.spent_usd == 0.25 + 0.125 + 0.0625 + 0.5
    assert [number for number in range(1, 7) if folder.has_answer(number)] == [1, 2, 3, 4]
    assert [number for number in range(1, 7) if folder.needs_verdict(number)] == [1]


def test_requests_may_reach_the_limit_together_and_none_may_pass_it(folder: Folder) -> None:
    folder.begin(1, 0.25)
    folder.begin(2, 0.25)
    # With its second request.
    folder.begin(2, 0.75)
    with pytest.raises(CapReached):
        folder.begin(3, 0.0625)
    assert (folder.spent_usd, folder.has_answer(3)) == (1.0, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--folder", "file/results"],
            "Can't write to file/results: Not a directory. Use another folder with --folder.",
        ),
        (["--folder", "/proc/results"], "Can't write to /proc/results: No such file or directory. Use another folder"),
        (["--system-prompt", "none.txt"], "--system-prompt: none.txt: No such file or directory."),
    ],
)
async def test_file_that_can_not_be_used_is_reported_with_a_remedy(
    options: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "prices.json").write_text('{"openai/other": {"input": 1, "output": 2}}')
    env = {"SLACK_BOT_TOKEN": "xoxb-1", "OPENAI_API_KEY": "k", "BOT_PRICES": "prices.json"}
    code, _, err = await forked_command(tmp_path, "replay", "--model", "openai/other", *options, env=env)
    assert code == 2
    assert said in " ".join(err.split())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_folder_in_which_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    with pytest.raises(SettingsError, match="Other users can write to"):
        Folder(tmp_path / "shared", OF, 10.0)
    assert not list((tmp_path / "shared").iterdir())


def test_files_of_a_replay_are_private_and_never_written_through_a_link(folder: Folder, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "report.html").symlink_to(other)
    (tmp_path / "second").mkdir(0o755)
    (tmp_path / "second" / "results.jsonl").symlink_to(other)
    with pytest.raises(OSError, match="report"):
        folder.open("report.html", os.O_WRONLY | os.O_TRUNC)
    with pytest.raises(OSError, match="results"):
        Folder(tmp_path / "second", OF, 10.0)
    assert other.read_text() == "kept"
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").touch(0o644)
    os.close(folder.open("report.html", os.O_WRONLY))
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("report.html", "results.jsonl")} == {0o600}
