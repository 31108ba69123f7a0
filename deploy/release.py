"""Checks whether this commit can be released: `make release-dry`. RELEASING.md lists all steps.

It changes nothing, and reads dist/, which `make dist` builds.

Each check yields the reasons against a release.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
VERSION_FILES: Mapping[str, str] = {
    "typist": "bot/__init__.py",
    "slack-sandbox": "sandbox/slack_sandbox/__init__.py",
    "slack-markdown": "slack_markdown/pyproject.toml",
    "slack-pacing": "slack_pacing/pyproject.toml",
    "files-to-markdown": "files_to_markdown/pyproject.toml",
}
"""The file with each package's version. Except for Typist's, it is in the package's folder."""
SUMS = "SHA256SUMS"
CHANGELOGS: Mapping[str, str] = {"typist": "CHANGELOG.md", "slack-sandbox": "sandbox/CHANGELOG.md"}
MIGRATIONS = "bot/store/migrations/versions"
VERSION = re.compile(r"^(?:__version__|version|revision|REVISION) = \"(.+)\"$", re.MULTILINE)


def versions(root: Path) -> dict[str, str]:
    """Returns the packages' versions by their names."""
    return {name: _version((root / path).read_text()) for name, path in VERSION_FILES.items()}


def check_versions(root: Path) -> Iterator[str]:
    """Yields versions that another package excludes, or that are the same as before although the package changed."""
    current = versions(root)
    for name, path in VERSION_FILES.items():
        folder = "." if name == "typist" else path.partition("/")[0]
        project = tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]
        extras = project.get("optional-dependencies", {}).values()
        for text in (*project.get("dependencies", ()), *(text for extra in extras for text in extra)):
            required = Requirement(text)
            if required.name in current and current[required.name] not in required.specifier:
                yield f"{name} requires {text}, but the version is {current[required.name]}"
        for tag in _tags(root)[:1] if folder != "." else ():
            changed = _git(root, "diff", "--name-only", tag, "--", folder)
            if changed and _version(_git(root, "show", f"{tag}:{path}")) == current[name]:
                yield f"{name} has changed since {tag}, but its version is still {current[name]}"


def check_changelogs(root: Path) -> Iterator[str]:
    for name, path in CHANGELOGS.items():
        version = versions(root)[name]
        newest = re.findall(r"^## (.+)$", (root / path).read_text(), re.MULTILINE)[0]
        if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest):
            yield f"{path} begins with “{newest}”, not with “{version} (date)”"


def check_dist(root: Path) -> Iterator[str]:
    """Yields files to be published that `make dist` didn't build."""
    path = root / "dist" / SUMS
    built = {line.partition("  ")[2] for line in path.read_text().splitlines()} if path.exists() else set()
    found = versions(root)
    wheels = {f"{name.replace('-', '_')}-{version}-py3-none-any.whl" for name, version in found.items()}
    others = {f"typist-{found['typist']}{ending}" for ending in (".cdx.json", "-image.tar")}
    yield from (f"dist/ has no {name}" for name in sorted((wheels | others) - built))


def check_work_tree(root: Path) -> Iterator[str]:
    yield from (f"not committed: {line[3:]}" for line in _git(root, "status", "--porcelain").splitlines())


def check_tag(root: Path) -> Iterator[str]:
    tag = f"v{versions(root)['typist']}"
    if tag in _tags(root):
        yield f"{tag} exists, so the version must increase"


def check_migrations(root: Path) -> Iterator[str]:
    """Yields changed, missing and unsquashed migrations. A release has at most one, whose revision is its version."""
    files = {path.name: path.read_text() for path in (root / MIGRATIONS).glob("r*.py")}
    newest = _version((root / "bot/store/schema.py").read_text())
    if newest not in map(_version, files.values()):
        yield f"bot/store/schema.py has revision {newest}, which has no migration"
    released: dict[str, str] = {}
    for tag in _tags(root)[:1]:
        paths = [path for path in _git(root, "ls-tree", "--name-only", tag, f"{MIGRATIONS}/").split() if "/r" in path]
        released = {Path(path).name: _git(root, "show", f"{tag}:{path}") for path in paths}
        yield from (f"{name} was changed after {tag}" for name, text in released.items() if files.get(name) != text)
    unreleased = sorted(files.keys() - released.keys())
    if len(unreleased) > 1:
        yield f"squash {len(unreleased)} migrations into one: {', '.join(unreleased)}"
    elif unreleased and _version(files[unreleased[0]]) != versions(root)["typist"]:
        yield f"{unreleased[0]} has another revision than the version, {versions(root)['typist']}"


def _version(text: str) -> str:
    """Returns the first version or revision in a file's text."""
    return str(VERSION.findall(text)[0])


def _tags(root: Path) -> list[str]:
    """Returns the tags of releases, newest first."""
    return _git(root, "tag", "--list", "v*", "--sort=-version:refname").splitlines()


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(("git", *arguments), cwd=root, capture_output=True, text=True, check=True).stdout


CHECKS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "versions": check_versions,
    "changelogs": check_changelogs,
    "dist": check_dist,
    "work tree": check_work_tree,
    "tag": check_tag,
    "migrations": check_migrations,
}


def main(root: Path = ROOT) -> int:
    """Prints the checks, and returns how many failed."""
    found = {name: [*check(root)] for name, check in CHECKS.items()}
    for name, reasons in found.items():
        print("✘" if reasons else "✔", name, *(f"\n    {reason}" for reason in reasons), sep=" ")
    print("  ".join(f"{name} {version}" for name, version in versions(root).items()))
    return sum(map(bool, found.values()))


if __name__ == "__main__":
    sys.exit(main())
