"""Chooses the tests that a change is likely to break, by the graph of imports, and prints them for pytest.

    make test-touched                   # what isn't on main yet
    make test-touched SINCE=HEAD~1

It takes the test modules that import what changed, and those that import the importers (`RINGS`). If those are more
than `MAX_MODULES`, as after a change of settings or sentences, only the former. Of tests marked `wide`, it takes those
in modules that changed or are named after a changed module: test_store_usage.py after usage.py.

A test module imports its folder's conftest.py, although no statement says so, and a process what `python -m` or a
dotted name in its source starts. The conftest.py of all tests is left out: by it, each test would reach the store. A
file that is no module (a page of the docs, a lock, a table of outcomes) is reached by the modules that name it. Tests
of the repository itself and of all sentences (`OF_EACH_CHANGE`) belong to each change.

It is a quick look while you work: `make test` comes before a commit, and `.ci/run` decides. Modules reached by a name
that only a program puts together, as `import_module(f"handlers.{name}")`, aren't seen.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import chain, islice, repeat
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARIES = ("files_to_markdown", "slack_markdown", "slack_pacing")
FOLDERS = ("bot", "handlers", *LIBRARIES, "demo", "benchmarks", "tests", "sandbox/slack_sandbox")
RINGS = 2
"""How many imports away from a change the tests of `make test-touched` can be."""
MAX_MODULES = 175
"""With more test modules, they are at most one import away. 175 take some 100 s of CPU time."""
OF_EACH_CHANGE = ("tests/test_", "tests/core/test_texts.py")
"""How the paths of tests begin that a change anywhere can break: docs, settings, layers, sentences."""
_STARTED = re.compile(r'"-m",\s+"([\w.]+)"|"(\w+(?:\.\w+)+)"')


class Tree:
    """A tree of this project's files. All paths are relative to its root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def changed_since(self, revision: str) -> list[Path]:
        """Returns the files that differ from where a revision of Git was left, with those that Git doesn't know yet."""
        base = self._git("merge-base", "--end-of-options", "HEAD", revision)[0]
        changed = self._git("diff", "--name-only", base) + self._git("ls-files", "--others", "--exclude-standard")
        return [Path(path) for path in changed]

    def tests_reaching(self, files: Iterable[Path]) -> Iterator[set[Path]]:
        """Yields the test modules among files, then those that import the files, then those that import importers, …"""
        ring = {start for file in files for start in ([file] if file in self.code else self._naming(file))}
        seen = set(ring)
        while ring:
            yield {file for file in ring if file.name.startswith("test_")}
            ring = {file for file, imported in self.imports.items() if not imported.isdisjoint(ring)} - seen
            seen |= ring

    @cached_property
    def code(self) -> dict[Path, str]:
        files = (file for folder in FOLDERS for file in (self._root / folder).rglob("*.py"))
        return {file.relative_to(self._root): file.read_text("utf-8") for file in files}

    @cached_property
    def imports(self) -> dict[Path, set[Path]]:
        """For each module, which of the others it imports or starts."""
        by_name = {_name(file): file for file in self.code}
        return {
            file: {by_name[name] for name in (*_imported(code), *_shared_by_pytest(file)) if name in by_name} - {file}
            for file, code in self.code.items()
        }

    def _naming(self, file: Path) -> list[Path]:
        return [module for module, code in self.code.items() if f'{file.name}"' in code]

    def _git(self, *arguments: str) -> list[str]:
        listing = subprocess.run(["git", *arguments], cwd=self._root, check=True, capture_output=True, text=True)
        return listing.stdout.splitlines()


def touched(tree: Tree, files: Collection[Path]) -> set[Path]:
    """Returns the test modules of the bot and the libraries that are near to changed files."""
    changed, nearest, *farther = islice(chain(tree.tests_reaching(files), repeat(set[Path]())), RINGS + 1)
    chosen = {file for file in tree.code if str(file).startswith(OF_EACH_CHANGE)} | changed | nearest
    for ring in farther:
        if len(chosen | ring) <= MAX_MODULES:
            chosen |= ring
    return chosen


def named_after(files: Collection[Path], modules: Iterable[Path]) -> set[Path]:
    """Returns the test modules that are among changed files, or are named after one."""
    endings = tuple(f"_{_name(file).rpartition('.')[2]}" for file in files if file.suffix == ".py")
    return {module for module in modules if module in files or module.stem.endswith(endings)}


def _imported(code: str) -> Iterator[str]:
    """Yields the names of modules that code imports or starts, and what it imports from them, maybe modules, too."""
    for node in _statements(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for found in _STARTED.finditer(code):
        yield from (found[1] or found[2], f"{found[1] or found[2]}.__main__")


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields all statements: no expression imports anything, and a tree has twenty times as many of them."""
    found: list[ast.AST] = [tree]
    for node in found:
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            found += getattr(node, part, ())
    yield from found


def _shared_by_pytest(file: Path) -> Iterator[str]:
    if file.name.startswith("test_"):
        yield from (".".join([*file.parts[:depth], "conftest"]) for depth in range(2, len(file.parts)))


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removeprefix("sandbox.").removesuffix(".__init__")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wide-in", help="modules, divided by commas: tests marked `wide` are left out elsewhere")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    modules = config.getoption("--wide-in")
    if modules is not None:
        wide_in = {ROOT / module for module in modules.split(",")}
        items[:] = [item for item in items if item.path in wide_in or not item.get_closest_marker("wide")]


def _main() -> None:
    tree = Tree(ROOT)
    changed = tree.changed_since(*sys.argv[1:2] or ["main"])
    modules = sorted(touched(tree, changed))
    wide_in = ",".join(map(str, sorted(named_after(changed, modules))))
    sys.stdout.write("\n".join([f"--wide-in={wide_in}", *map(str, modules)]))


if __name__ == "__main__":
    _main()
