"""Which modules of bot/ and the libraries `make mutants` measures, and which tests should notice a change in one.

Each module has its turn once in WEEKS weeks. Its tests are those named like it, those that show its package's
behaviors, and those nearest to it by their imports: the test modules that import it and, if these are few, those that
import its importers, and so on. If they are many, the ones count that import little else. Of these tests, mutmut runs
only those that enter the changed function.
"""

import ast
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

WEEKS = 13
LIBRARIES = ("files_to_markdown", "slack_markdown")
MEASURED = ("bot", *LIBRARIES)
FOLDERS = (*MEASURED, "handlers", "sandbox", "benchmarks", "tests")
FEW, MANY = 4, 12
"""With fewer test modules we look farther away; more are not taken."""
OF_PACKAGES = {"store": Path("tests/contracts/test_store_paths.py")}
"""Tests that show the behaviors of a whole package, by its name."""
NOT_MEASURED = (
    *("__main__.py", "files_to_markdown/child.py", "bot/store/migrations/*", "bot/store/migrations/versions/*"),
    *(f"{library}/{folder}/*" for library in LIBRARIES for folder in ("tests", "benchmarks")),
)
"""Processes of their own, code that runs once in a database's life, and what the libraries' wheels don't have."""


class Tree:
    """A tree of this project's files. All paths are relative to its root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def modules(self) -> list[Path]:
        """The modules of bot/ and of the libraries that have functions."""
        found = sorted(file for file in self._code if file.parts[0] in MEASURED and "def " in self._code[file])
        return [file for file in found if not any(map(file.match, NOT_MEASURED))]

    def in_turn(self, week: int) -> list[Path]:
        """Returns the modules whose turn it is in a week, counted from any. Other modules don't change a turn."""
        return [module for module in self.modules if zlib.crc32(str(module).encode()) % WEEKS == week % WEEKS]

    def named(self, name: str) -> list[Path]:
        """Returns the module of this name (models/wrappers, bot.models.wrappers), or all modules of this package."""
        path = Path(name.removesuffix(".py").replace(".", "/"))
        wanted = path if path.parts[0] in MEASURED else "bot" / path
        return [module for module in self.modules if wanted in (module.with_suffix(""), *module.parents)]

    def changed_since(self, revision: str) -> list[Path]:
        """Returns the modules that differ from a revision of Git."""
        command = ["git", "diff", "--name-only", "--end-of-options", revision, "--", *MEASURED]
        listing = subprocess.run(command, cwd=self._root, check=True, capture_output=True, text=True)
        return [module for module in self.modules if str(module) in listing.stdout.splitlines()]

    def tests_of(self, module: Path) -> list[Path]:
        """Returns the test modules of a module, the most specific first."""
        found = sorted(test for test in filter(_is_test, self._code) if _is_named_like(test, module))
        of_packages = (OF_PACKAGES.get(package) for package in module.parts[1:-1])
        found += [test for test in of_packages if test in self._code and test not in found]
        for ring in self._rings(module):
            found += sorted(set(ring) - set(found), key=lambda test: (len(self._imports[test]), test))
            if len(found) >= FEW:
                break
        return found[:MANY]

    @cached_property
    def _code(self) -> dict[Path, str]:
        files = (file for folder in FOLDERS for file in (self._root / folder).rglob("*.py"))
        own = ((file.relative_to(self._root), file) for file in files)
        # A hidden folder is an environment.
        return {path: file.read_text("utf-8") for path, file in own if not any(part[0] == "." for part in path.parts)}

    @cached_property
    def _imports(self) -> dict[Path, set[Path]]:
        """For each file, what it imports of the others."""
        by_name = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): file for file in self._code}
        return {
            file: {by_name[name] for name in _imported(code) if name in by_name} for file, code in self._code.items()
        }

    @cached_property
    def _importers(self) -> dict[Path, set[Path]]:
        importers: dict[Path, set[Path]] = {file: set() for file in self._code}
        for file, imported in self._imports.items():
            for other in imported:
                importers[other].add(file)
        return importers

    def _rings(self, module: Path) -> Iterator[Iterable[Path]]:
        """Yields the tests that import a module, then those that import its importers, and so on."""
        seen, ring = {module}, {module}
        while ring:
            ring = {importer for file in ring for importer in self._importers[file]} - seen
            seen |= ring
            yield filter(_is_test, ring)
            ring = {file for file in ring if not _is_test(file)}


def chosen(tree: Tree, names: Sequence[str], revision: str | None, week: int) -> list[Path]:
    """Returns the modules of these names and those that changed since a revision; without both, the week's.

    Raises SystemExit for a name of none.
    """
    modules = tree.changed_since(revision) if revision else []
    for name in names:
        if not (found := tree.named(name)):
            raise SystemExit(f"{name} is neither a module nor a package of {', '.join(MEASURED)} with functions.")
        modules += found
    return list(dict.fromkeys(modules)) if names or revision else tree.in_turn(week)


def _imported(code: str) -> Iterator[str]:
    """Yields the names of modules that code imports, and what it imports from them, which may be modules, too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_test(file: Path) -> bool:
    """Returns whether a file has tests that need no browser."""
    return file.name.startswith("test_") and not f"{file.stem}_".startswith("test_page_")


def _is_named_like(test: Path, module: Path) -> bool:
    """Returns whether a test is named like a module or its inner package: test_store_queue.py for queue.py."""
    return any(f"_{name}_" in f"{test.stem}_" for name in (module.stem, *module.parts[2:-1]))
