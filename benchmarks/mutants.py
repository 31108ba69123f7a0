"""Measures which small changes to a module its tests detect: mutation testing with mutmut, in a copy of the tree.

mutmut changes expressions; slips.py adds the slips that people make. The tree itself is never changed. Survivors are
printed as diffs, and in the end the shares by package.

    make mutants                          the modules whose turn it is this week: each of bot/ once in WEEKS weeks
    make mutants SINCE=v1.4.0             the modules that changed since then
    make mutants MODULE=models/wrappers   one module, or all of a package

Of each module, `--sample` mutants are measured, chosen at random by `--seed`. mutated_modules.py finds the module's
tests. Long ones, those on PostgreSQL and those that count steps don't run: mutmut's own steps would count. Constants
and statements that log are left as they are.
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
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from mutmut.stats import status_by_exit_code

from benchmarks.mutated_modules import MEASURED, MeasuredTree, chosen
from benchmarks.slips import undecorated

ROOT = Path(__file__).parent.parent
MINUTES = 15
"""The time limit for one module."""
SAMPLE = 20
NOTICED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")
CHILDREN = "2"
"""Mutants that are measured at a time."""
NO_MUTANT = "none"
"""No mutant has this name. Asked for it, mutmut makes all mutants, runs the tests once and ends."""
MUTMUT = (sys.executable, "-m", "benchmarks.slips")
LAST_LINES = 40
"""How many lines of mutmut's output to print if it gave no results."""


@dataclass(frozen=True)
class Effort:
    """How much of a module is measured, and how."""

    minutes: float
    """The time limit for each module."""
    sample: int
    """How many mutants are measured; 0 means all."""
    seed: int


@dataclass(frozen=True)
class Share:
    """How many of a module's mutants its tests noticed."""

    module: Path
    noticed: int
    checked: int
    """0 if the module has no mutants, or its tests didn't pass."""

    @property
    def package(self) -> str:
        folder, *inner = self.module.parent.parts
        return "/".join(inner) or folder


def measure(module: Path, tests: Sequence[Path], effort: Effort) -> Share:
    """Prints the survivors of one module, and returns its share."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory)
        copy_tree(copy)
        (copy / module).write_text(undecorated((copy / module).read_text("utf-8")), "utf-8")
        _configure(copy / "pyproject.toml", module, tests)
        began_s = time.monotonic()
        output = _run(copy, effort, _sampled(copy, effort))
        statuses = _statuses(copy)
        counts = Counter(statuses.values())
        checked = counts.total() - counts["not checked"]
        if statuses and not checked:
            print(f"{module}: mutmut checked nothing:", *output.splitlines()[-LAST_LINES:], sep="\n")
        for mutant, status in statuses.items():
            if status not in (*NOTICED, "not checked"):
                diff = subprocess.run([*MUTMUT, "show", mutant], cwd=copy, stdout=subprocess.PIPE)
                print(f"# {status}", diff.stdout.decode(errors="replace"), sep="\n", flush=True)
        noticed = sum(counts[status] for status in NOTICED)
        print(
            f"{module}: {noticed} of {checked} mutants noticed, {counts['no tests']} not entered by any test, "
            f"{counts['not checked']} not checked, {(time.monotonic() - began_s) / 60:.1f} minutes; "
            f"tests: {', '.join(map(str, tests))}",
            flush=True,
        )
        return Share(module, noticed, checked)


def table(shares: Iterable[Share]) -> str:
    """Returns the shares by package as a table in Markdown."""
    packages: dict[str, list[Share]] = {}
    for share in shares:
        packages.setdefault(share.package, []).append(share)
    packages["all"] = [share for package in packages.values() for share in package]
    lines = ["| package | modules | noticed | share |", "|---|---|---|---|"]
    for package, of_package in packages.items():
        measured = [share for share in of_package if share.checked]
        noticed, checked = (sum(getattr(share, name) for share in measured) for name in ("noticed", "checked"))
        percentage = f"{noticed / checked:.0%}" if checked else "–"
        lines.append(f"| {package} | {len(measured)} of {len(of_package)} | {noticed} of {checked} | {percentage} |")
    return "\n".join(lines)


def copy_tree(target: Path) -> None:
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listing = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _configure(pyproject: Path, module: Path, tests: Iterable[Path]) -> None:
    header = "[tool.mutmut]\n"
    arguments = ["-m", "not long", "-k", "not postgresql and not few_steps and not linear_steps", *map(str, tests)]
    settings = f"only_mutate = {json.dumps([str(module)])}\n"
    settings += f"pytest_add_cli_args_test_selection = {json.dumps(arguments)}\n"
    # All that tests may read.
    settings += f"also_copy = {json.dumps(sorted({path.name for path in pyproject.parent.iterdir()} - {*MEASURED}))}\n"
    pyproject.write_text(pyproject.read_text().replace(header, header + settings, 1))


def _sampled(copy: Path, effort: Effort) -> list[str]:
    """Returns the names of the mutants to measure; none means all."""
    if not effort.sample:
        return []
    output = _run(copy, effort, [NO_MUTANT])
    if not (mutants := list(_statuses(copy))):
        print("mutmut made no mutants:", *output.splitlines()[-LAST_LINES:], sep="\n")
    return random.Random(effort.seed).sample(mutants, min(effort.sample, len(mutants)))


def _run(copy: Path, effort: Effort, mutants: list[str]) -> str:
    """Returns mutmut's output. After the time allowed, mutmut and its tests are killed."""
    process = subprocess.Popen(
        [*MUTMUT, "run", "--max-children", CHILDREN, *mutants],
        cwd=copy,
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


def _statuses(copy: Path) -> dict[str, str]:
    metas = [
        json.loads(meta.read_text())
        for folder in MEASURED
        for meta in sorted((copy / "mutants" / folder).rglob("*.meta"))
    ]
    return {
        mutant: status_by_exit_code[exit_code]
        for meta in metas
        for mutant, exit_code in meta["exit_code_by_key"].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures which small changes to a module its tests notice.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as models/wrappers or models")
    parser.add_argument("--since", metavar="REVISION", help="the modules that changed since then")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each module (default: %(default)s)")
    parser.add_argument(
        "--sample", type=int, default=SAMPLE, metavar="N", help="mutants of each module (default: %(default)s; 0: all)"
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (default: %(default)s)")
    arguments = parser.parse_args()
    effort = Effort(arguments.minutes, arguments.sample, arguments.seed)
    # The copy's own modules are imported, not this tree's.
    os.environ.pop("PYTHONPATH", None)
    tree, this_week = MeasuredTree(ROOT), (datetime.now(UTC).date() - date(2024, 1, 1)).days // 7
    modules = chosen(tree, arguments.modules, arguments.since, this_week)
    print(table([measure(module, tree.tests_of(module), effort) for module in modules]))


if __name__ == "__main__":
    main()
