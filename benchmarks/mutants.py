"""Measures which small changes to a module its tests notice: mutation testing with mutmut, in a copy of the tree.

Statements are changed by mutmut, and dropped by dropped_statements.py.

Run: make mutants MODULE=providers/retry, or python -m benchmarks.mutants [--minutes N] [MODULE ...]. Without a module,
all of [tool.typist.mutants] in pyproject.toml are measured; that table names each module's tests. The tree itself is
never changed. Survivors are printed as diffs. Statements that log are left as they are, and so are decorated functions,
which mutmut does not change.

Modules whose tests use real databases take hours. `--sample 60 -k memory` measures 60 of a row's mutants, chosen at
random by `--seed`, with the tests on SQLite in memory.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parent.parent
MINUTES = 30
"""The time limit for one row of the table."""
NOTICED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")
NO_MUTANT = "none"
"""No mutant has this name. Asked for it, mutmut makes all mutants, runs the tests once and ends."""
MUTMUT = (sys.executable, "-m", "benchmarks.dropped_statements")
LAST_LINES = 40
"""How many lines of mutmut's output to print if it gave no results."""


@dataclass(frozen=True)
class MutantsRow:
    """A row of [tool.typist.mutants]: modules that are measured together, and their tests."""

    sources: str
    """A glob below the root."""
    tests: tuple[str, ...]
    """Globs below the root."""

    @property
    def name(self) -> str:
        return self.sources.removeprefix("bot/").removesuffix(".py").removesuffix("/*")

    def test_modules(self) -> list[str]:
        return sorted(str(path.relative_to(ROOT)) for pattern in self.tests for path in ROOT.glob(pattern))


@dataclass(frozen=True)
class Effort:
    """How much of a row is measured, and how."""

    minutes: float
    """The time limit for each row."""
    children: int
    """Processes at a time."""
    keyword: str
    """Pytest's -k: which tests run."""
    sample: int | None
    """How many mutants are measured; None means all."""
    seed: int


def rows() -> list[MutantsRow]:
    """Returns the rows of [tool.typist.mutants]."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["typist"]["mutants"]
    return [MutantsRow(sources, tuple(tests)) for sources, tests in table.items()]


def chosen(names: list[str]) -> list[MutantsRow]:
    """Returns the rows with these names (providers/retry, bot.providers.retry, bot/providers/retry.py), or all rows."""
    by_name = {row.name: row for row in rows()}
    wanted = [name.removesuffix(".py").replace(".", "/").removeprefix("bot/") for name in names]
    if unknown := [name for name in wanted if name not in by_name]:
        raise SystemExit(f"unknown module: {', '.join(unknown)}. Known modules: {', '.join(by_name)}.")
    return [by_name[name] for name in wanted] if wanted else list(by_name.values())


def measure(row: MutantsRow, effort: Effort) -> Counter[str]:
    """Prints the survivors of one row. Returns how many mutants had each result; those without one ran out of time."""
    if not row.test_modules():
        print(f"{row.name}: no test matches {', '.join(row.tests)}")
        return Counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory)
        _copy(copy)
        _configure(copy / "pyproject.toml", row, effort.keyword)
        began_s = time.monotonic()
        output = _run(copy, effort, _sampled(copy, effort))
        statuses = _statuses(copy)
        if all(status == "not checked" for status in statuses.values()):
            print(f"{row.name}: mutmut checked nothing:", *output.splitlines()[-LAST_LINES:], sep="\n")
        for mutant, status in statuses.items():
            if status not in (*NOTICED, "not checked"):
                print(_shown(copy, mutant), flush=True)
        counts = Counter(statuses.values())
        checked = counts.total() - counts["not checked"]
        noticed = sum(counts[status] for status in NOTICED)
        print(
            f"{row.name}: {noticed} of {checked} mutants noticed ({noticed / max(1, checked):.0%}), "
            f"{counts['not checked']} not checked, {(time.monotonic() - began_s) / 60:.1f} minutes",
            flush=True,
        )
        return counts


def _copy(target: Path) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _configure(pyproject: Path, row: MutantsRow, keyword: str) -> None:
    header = "[tool.mutmut]\n"
    settings = f"only_mutate = {json.dumps([row.sources])}\n"
    settings += f"pytest_add_cli_args_test_selection = {json.dumps(['-k', keyword, *row.test_modules()])}\n"
    pyproject.write_text(pyproject.read_text().replace(header, header + settings, 1))


def _sampled(copy: Path, effort: Effort) -> list[str]:
    """Returns the names of the mutants to measure; none means all."""
    if effort.sample is None:
        return []
    output = _run(copy, effort, [NO_MUTANT])
    if not (mutants := list(_statuses(copy))):
        print("mutmut made no mutants:", *output.splitlines()[-LAST_LINES:], sep="\n")
    return random.Random(effort.seed).sample(mutants, min(effort.sample, len(mutants)))


def _run(copy: Path, effort: Effort, mutants: list[str]) -> str:
    """Returns mutmut's output. After the time allowed, mutmut and its tests are killed."""
    process = subprocess.Popen(
        [*MUTMUT, "run", "--max-children", str(effort.children), *mutants],
        cwd=copy,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=effort.minutes * 60)
    except subprocess.TimeoutExpired:
        print(f"stopped after {effort.minutes:g} minutes", flush=True)
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    finally:
        # A killed test can leave servers behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return output.decode(errors="replace")


def _environment() -> Mapping[str, str]:
    """Returns the environment without PYTHONPATH, so that the copy's own modules are imported."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _statuses(copy: Path) -> dict[str, str]:
    statuses = {}
    for meta in sorted((copy / "mutants" / "bot").rglob("*.meta")):
        for mutant, exit_code in json.loads(meta.read_text())["exit_code_by_key"].items():
            statuses[mutant] = status_by_exit_code[exit_code]
    return statuses


def _shown(copy: Path, mutant: str) -> str:
    diff = subprocess.run([*MUTMUT, "show", mutant], cwd=copy, env=_environment(), capture_output=True, check=False)
    return diff.stdout.decode(errors="replace")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures which small changes to a module its tests notice.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(row.name for row in rows()))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each module (default: %(default)s)")
    parser.add_argument("--children", type=int, default=2, help="processes at a time (default: %(default)s)")
    parser.add_argument(
        "-k", dest="keyword", default="", metavar="EXPRESSION", help="run only these tests (see pytest)"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="measure N mutants of each module (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (default: %(default)s)")
    arguments = parser.parse_args()
    effort = Effort(arguments.minutes, arguments.children, arguments.keyword, arguments.sample, arguments.seed)
    total: Counter[str] = Counter()
    for row in chosen(arguments.modules):
        total += measure(row, effort)
    checked = total.total() - total["not checked"]
    print(f"all: {sum(total[status] for status in NOTICED)} of {checked} mutants noticed")


if __name__ == "__main__":
    main()
