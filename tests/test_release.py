"""`make release-dry`: what keeps a commit from being released. The issue forms are valid."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.release import CHANGELOGS, CHECKS, MIGRATIONS, SUMS, VERSION_FILES, main, versions
from tests.processes import REPOSITORY

FILES = (
    "pyproject.toml",
    "sandbox/pyproject.toml",
    "bot/store/schema.py",
    f"{MIGRATIONS}/r0_1_0.py",
    *VERSION_FILES.values(),
    *CHANGELOGS.values(),
)
NEXT = "0.2.0"


def git(root: Path, *arguments: str) -> None:
    identity = (
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.com",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    )
    subprocess.run(("git", *identity, *arguments), cwd=root, check=True, capture_output=True)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """Returns a repository with the files that the checks read, ready for its first release."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, tmp_path / file)
    for path in CHANGELOGS.values():
        lines = (tmp_path / path).read_text().splitlines(keepends=True)
        first = next(number for number, line in enumerate(lines) if line.startswith("## "))
        lines[first] = "## 0.1.0 (2026-12-01)\n"
        (tmp_path / path).write_text("".join(lines))
    git(tmp_path, "init", "--quiet")
    return tmp_path


def committed(root: Path) -> Path:
    """Commits all changes, and lists the files that `make dist` would build from the commit."""
    (root / ".gitignore").write_text("dist/\n")
    (root / "dist").mkdir(exist_ok=True)
    files = [f"{name.replace('-', '_')}-{version}-py3-none-any.whl" for name, version in versions(root).items()]
    files += [f"typist-{versions(root)['typist']}{ending}" for ending in (".cdx.json", "-image.tar")]
    (root / "dist" / SUMS).write_text("".join(f"{'0' * 64}  {file}\n" for file in files))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")
    return root


@pytest.fixture
def released(ready: Path) -> Path:
    """Returns a repository whose last commit is released, and whose next version is 0.2.0."""
    git(committed(ready), "tag", "v0.1.0")
    replace(ready / VERSION_FILES["typist"], "0.1.0", NEXT)
    replace(ready / CHANGELOGS["typist"], "0.1.0 (", f"{NEXT} (")
    return ready


def reasons(root: Path) -> dict[str, list[str]]:
    found = {name: [*check(root)] for name, check in CHECKS.items()}
    return {name: listed for name, listed in found.items() if listed}


def add_migration(root: Path, revision: str, name: str = "") -> None:
    text = (root / MIGRATIONS / "r0_1_0.py").read_text().replace('"0.1.0"', f'"{revision}"')
    (root / MIGRATIONS / f"r{name or revision.replace('.', '_')}.py").write_text(text)
    replace(root / "bot/store/schema.py", 'REVISION = "', f'REVISION = "{revision}"  # ')
    replace(root / "bot/store/schema.py", f'"{revision}"  # 0.1.0"', f'"{revision}"')


def test_commit_that_is_ready_has_no_reasons(ready: Path) -> None:
    assert reasons(committed(ready)) == {}
    assert main(ready) == 0


def test_next_release_with_one_migration_has_no_reasons(released: Path) -> None:
    add_migration(released, NEXT)
    assert reasons(committed(released)) == {}


FIRST: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an excluded version": (
        lambda root: replace(
            root / VERSION_FILES["slack-markdown"], "dependencies = [", 'dependencies = ["slack-pacing>=7",'
        ),
        "versions",
        "slack-markdown requires slack-pacing>=7, but the version is 0.1.0",
    ),
    "an unreleased section": (
        lambda root: replace(root / CHANGELOGS["typist"], "## 0.1.0 (2026-12-01)", "## Unreleased"),
        "changelogs",
        "CHANGELOG.md begins with “Unreleased”, not with “0.1.0 (date)”",
    ),
    "another migration": (
        lambda root: (root / MIGRATIONS / "r0_1_1.py").write_text('revision = "0.1.1"\n'),
        "migrations",
        "squash 2 migrations into one: r0_1_0.py, r0_1_1.py",
    ),
    "a revision without a migration": (
        lambda root: replace(root / "bot/store/schema.py", 'REVISION = "0.1.0"', 'REVISION = "0.3.0"'),
        "migrations",
        "bot/store/schema.py has revision 0.3.0, which has no migration",
    ),
}


@pytest.mark.parametrize(("change", "name", "reason"), FIRST.values(), ids=FIRST)
def test_first_release_is_refused(ready: Path, change: Callable[[Path], object], name: str, reason: str) -> None:
    change(ready)
    assert reasons(committed(ready)) == {name: [reason]}
    assert main(ready) == 1


LATER: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a changed library": (
        lambda root: (root / "slack_pacing/new.py").write_text("x = 1\n"),
        "versions",
        "slack-pacing has changed since v0.1.0, but its version is still 0.1.0",
    ),
    "a changed migration": (
        lambda root: replace(root / MIGRATIONS / "r0_1_0.py", "The first release", "The first version"),
        "migrations",
        "r0_1_0.py was changed after v0.1.0",
    ),
    "a migration with another revision": (
        lambda root: add_migration(root, "0.1.9"),
        "migrations",
        "r0_1_9.py has another revision than the version, 0.2.0",
    ),
}


@pytest.mark.parametrize(("change", "name", "reason"), LATER.values(), ids=LATER)
def test_later_release_is_refused(released: Path, change: Callable[[Path], object], name: str, reason: str) -> None:
    change(released)
    assert reasons(committed(released)) == {name: [reason]}


def test_files_that_were_not_built_are_reported(ready: Path) -> None:
    sums = committed(ready) / "dist" / SUMS
    sums.write_text(sums.read_text().replace("typist-0.1.0-image.tar", "other.tar"))
    assert reasons(ready) == {"dist": ["dist/ has no typist-0.1.0-image.tar"]}


def test_tag_that_exists_and_files_that_are_not_committed_are_reported(ready: Path) -> None:
    git(committed(ready), "tag", "v0.1.0")
    (ready / "note.txt").write_text("")
    assert reasons(ready) == {
        "work tree": ["not committed: note.txt"],
        "tag": ["v0.1.0 exists, so the version must increase"],
    }


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_issue_forms_are_valid(path: Path) -> None:
    schema = "vendor.github-issue-config" if path.name == "config.yml" else "vendor.github-issue-forms"
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path))
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
