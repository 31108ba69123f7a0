"""Prints the test modules that a change can touch, by the graph of imports (grimp, which import-linter brings).

    make test-touched                   # what isn't on main yet
    make test-touched SINCE=HEAD~1

A test module imports its folder's conftest.py, although no statement says so, and a process what `python -m` or a
dotted name in its source starts. The conftest.py of all tests is left out: by it, each test would reach the store. A
file that is no module (a page of the docs, a lock, a table of outcomes) touches the modules that name it. The tests at
the root of `tests/` read the repository itself, so they belong to each change.

It is a shorter look while one works: `make test` decides. Modules reached by a name that only a program puts together,
as `import_module(f"handlers.{name}")`, aren't seen.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "handlers", "slack_markdown", "files_to_markdown", "demo", "benchmarks", "tests", "slack_sandbox")
_STARTED = re.compile(r'"-m",\s+"([\w.]+)"|"((?:' + "|".join(PACKAGES) + r')(?:\.\w+)+)"')


def changed_files(since: str) -> list[str]:
    """Returns the paths that differ from where `since` was left, with those that git doesn't know yet."""
    base = _git("merge-base", "HEAD", since)[0]
    return _git("diff", "--name-only", base) + _git("ls-files", "--others", "--exclude-standard")


def touched(paths: Iterable[str]) -> list[str]:
    """Returns the paths of the test modules that changed files can touch, in order."""
    graph = _graph()
    found = {path for path in _test_modules() if Path(path).parent == Path("tests")}
    for path in paths:
        if (module := _name(path)) in graph.modules:
            reached = {module, *graph.find_downstream_modules(module)}
        else:
            named = [name for name, source in _sources() if f'{Path(path).name}"' in source and name in graph.modules]
            reached = {later for name in named for later in (name, *graph.find_downstream_modules(name))}
        found |= {test for test in _test_modules() if _name(test) in reached}
    return sorted(found)


def _graph() -> grimp.ImportGraph:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    for name, source in _sources():
        started = {found[1] or found[2] for found in _STARTED.finditer(source)}
        for imported in [*started, *(f"{module}.__main__" for module in started), *_shared_by_pytest(name)]:
            if name in graph.modules and imported in graph.modules and imported != name:
                graph.add_import(importer=name, imported=imported)
    return graph


def _shared_by_pytest(module: str) -> Iterator[str]:
    parts = module.split(".")
    if parts[-1].startswith("test_"):
        yield from (".".join([*parts[:depth], "conftest"]) for depth in range(2, len(parts)))


def _sources() -> Iterator[tuple[str, str]]:
    for path in _git("ls-files", "--cached", "--others", "--exclude-standard", "*.py"):
        if (ROOT / path).exists():
            yield _name(path), (ROOT / path).read_text()


def _test_modules() -> list[str]:
    return _git("ls-files", "--cached", "--others", "--exclude-standard", "tests/test_*.py", "tests/**/test_*.py")


def _name(path: str) -> str:
    parts = Path(path).relative_to("sandbox" if path.startswith("sandbox/") else "").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _git(*arguments: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    sys.stdout.write("\n".join(touched(changed_files(*sys.argv[1:2] or ["main"]))))
