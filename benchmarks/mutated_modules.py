"""Chooses the modules that `make mutants` measures, and the tests that should detect a change in each of them.

Each module has its turn once in WEEKS weeks. Its tests are those named like it, those that show its package's
behaviors, and those nearest to it by their imports: the test modules that import it and, if these are few, those that
import its importers, and so on. If they are many, the ones count that import little else. Of these tests, mutmut runs
only those that enter the changed function.
"""

import zlib
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from tests.touched import LIBRARIES, Tree

WEEKS = 13
MEASURED = ("bot", *LIBRARIES)
FEW, MANY = 4, 12
"""With fewer test modules we look farther away; more are not taken."""
OF_PACKAGES = {"store": Path("tests/contracts/test_store_paths.py")}
"""Tests that show the behaviors of a whole package, by its name."""
NOT_MEASURED = (
    *("__main__.py", "files_to_markdown/child.py", "bot/store/migrations/*", "bot/store/migrations/versions/*"),
    *(f"{library}/{folder}/*" for library in LIBRARIES for folder in ("tests", "benchmarks")),
)
"""Processes of their own, code that runs once in a database's life, and what the libraries' wheels don't have."""


class MeasuredTree(Tree):
    """A tree of this project's files, and the modules among them that are measured."""

    @cached_property
    def modules(self) -> list[Path]:
        """The modules of bot/ and of the libraries that have functions."""
        found = sorted(file for file in self.code if file.parts[0] in MEASURED and "def " in self.code[file])
        return [file for file in found if not any(map(file.match, NOT_MEASURED))]

    def in_turn(self, week: int) -> list[Path]:
        """Returns the modules whose turn it is in a week, counted from any. Other modules don't change a turn."""
        return [module for module in self.modules if zlib.crc32(str(module).encode()) % WEEKS == week % WEEKS]

    def named(self, name: str) -> list[Path]:
        """Returns the module of this name (models/wrappers, bot.models.wrappers), or all modules of this package."""
        path = Path(name.removesuffix(".py").replace(".", "/"))
        wanted = path if path.parts[0] in MEASURED else "bot" / path
        return [module for module in self.modules if wanted in (module.with_suffix(""), *module.parents)]

    def tests_of(self, module: Path) -> list[Path]:
        """Returns the test modules of a module, the most specific first."""
        found = sorted(test for test in filter(_is_test, self.code) if _is_named_like(test, module))
        of_packages = (OF_PACKAGES.get(package) for package in module.parts[1:-1])
        found += [test for test in of_packages if test in self.code and test not in found]
        # The first ring would be the module itself.
        for ring in islice(self.tests_reaching([module]), 1, None):
            new = set(filter(_is_test, ring)).difference(found)
            found += sorted(new, key=lambda test: (len(self.imports[test]), test))
            if len(found) >= FEW:
                break
        return found[:MANY]


def chosen(tree: MeasuredTree, names: Sequence[str], revision: str | None, week: int) -> list[Path]:
    """Returns the modules of these names and those that changed since a revision; without both, the week's.

    Raises SystemExit for a name of none.
    """
    changed = tree.changed_since(revision) if revision else []
    modules = [module for module in tree.modules if module in changed]
    for name in names:
        if not (found := tree.named(name)):
            raise SystemExit(f"{name} is neither a module nor a package of {', '.join(MEASURED)} with functions.")
        modules += found
    return list(dict.fromkeys(modules)) if names or revision else tree.in_turn(week)


def _is_test(file: Path) -> bool:
    """Returns whether a file has tests that need no browser."""
    return file.name.startswith("test_") and not f"{file.stem}_".startswith("test_page_")


def _is_named_like(test: Path, module: Path) -> bool:
    """Returns whether a test is named like a module or its inner package: test_store_queue.py for queue.py."""
    return any(f"_{name}_" in f"{test.stem}_" for name in (module.stem, *module.parts[2:-1]))
