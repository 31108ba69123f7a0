"""The command that prints a file's text."""

import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "files"


def run(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "files_to_markdown", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("name", "content", "code", "printed", "said"),
    [
        ("notes.md", b"# All is well\n", 0, "# All is well", ""),
        ("table.csv", b"a;b\n1;2\n", 0, "| a | b |", ""),
        ("latin.txt", "Größe, Maße, Straße: üblich.\n".encode("cp1252") * 9, 0, "Größe", "which is a guess"),
        ("report.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 1, "", "it is damaged"),
        ("program", b"\x7fELF" + bytes(range(256)) * 9, 1, "", "nothing here reads its format"),
    ],
)
def test_prints_the_text_and_says_why_there_is_none(
    tmp_path: Path, name: str, content: bytes, code: int, printed: str, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    found, out, err = run(str(tmp_path / name))
    assert (found, printed in out, said in err) == (code, True, True), (found, out, err)


def test_says_what_the_text_leaves_out() -> None:
    assert run(str(FILES / "field-2.docx")) == (0, "Delivery\n", "Left out: field without a saved result × 1\n")


@pytest.mark.parametrize(("arguments", "said"), [((), "Usage: "), (("/nowhere",), "No such file or directory")])
def test_says_what_it_needs(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(*arguments)
    assert (code, said in err) == (1, True)
