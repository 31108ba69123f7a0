"""Measures which tests detect a small change: how many imports away they are, and which gate runs them.

    python -m benchmarks.distances --seed 67 --sample 20

Each change is one of the mutants that `make mutants` makes, in a random module of bot/, and is applied to a copy of the
tree. Tests run from near to far. At each distance, the tests in `make test` run before those that only `.ci/run` runs,
until one test of each gate has failed. The benchmark needs Chromium, and mutmut, which `make mutants` installs. A
mutant that no test detects takes as long as `.ci/run`.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations, deep_replace
from mutmut.mutation.mutators import mutation_operators

from benchmarks.mutants import ROOT, copy_tree
from benchmarks.mutated_modules import MeasuredTree
from benchmarks.slips import SLIPS

RINGS = ("one import away", "two imports away", "three imports away")
GATES = ("make test", ".ci/run")
NOTICING = {"not (long or wide)": GATES, "wide and not long": GATES[1:]}
"""The gates that notice what tests with these marks notice."""
MINUTES = 30
"""The time limit for the tests of one distance. Tests that hang have noticed a mutant."""
NO_TESTS = 5
"""Pytest's exit code if the marks leave no test."""


@dataclass(frozen=True)
class Mutant:
    """A module with a small change."""

    module: Path
    line: int
    code: str


def drawn(tree: MeasuredTree, seed: int) -> Iterator[Mutant]:
    """Yields mutants at random: of a module as often as its length has it. Lines that log are left as they are."""
    chance = random.Random(seed)
    modules = [module for module in tree.modules if module.parts[0] == "bot"]
    lengths = [len(tree.code[module]) for module in modules]
    while True:
        (module,) = chance.choices(modules, lengths)
        original = tree.code[module]
        parsed, mutations, _, _ = create_mutations(str(module), original)
        if not mutations:
            continue
        mutation = chance.choice(mutations)
        code = cast(cst.Module, deep_replace(parsed, mutation.original_node, mutation.mutated_node)).code
        lines, changed = original.splitlines(), code.splitlines()
        line = next((at for at, (old, new) in enumerate(zip(lines, changed, strict=False)) if old != new), None)
        if line is not None and "log." not in lines[line]:
            yield Mutant(module, line + 1, code)


def noticed_by(copy: Path, tree: MeasuredTree, module: Path) -> dict[str, str]:
    """Returns which tests of the copy fail: for the nearest distance with one, and for each gate that notices."""
    # Before the first ring stands the module itself.
    _, *rings = tree.tests_reaching([module])
    distances: list[tuple[tuple[str, ...], set[Path]]] = [
        ((name,), ring) for name, ring in zip(RINGS, rings, strict=False)
    ]
    tests_of_gates = {file for file in tree.code if file.parts[0] == "tests" and file.name.startswith("test_")}
    distances.append(((), tests_of_gates.difference(*(ring for _, ring in distances))))
    failures: dict[str, str] = {}
    for ring, tests in distances:
        for marks, gates in NOTICING.items():
            nearer = () if failures.keys() & RINGS else ring
            if (unknown := {*nearer, *gates} - failures.keys()) and (test := failing(copy, marks, sorted(tests))):
                failures |= dict.fromkeys(unknown, test)
    return failures


def failing(copy: Path, marks: str, tests: Sequence[Path]) -> str:
    """Returns a test of the copy that fails among those with these marks; none: an empty string."""
    if not tests:
        return ""
    pytest = (sys.executable, "-m", "pytest", "-n", "3", "--dist", "worksteal", "-x", "-p", "no:cacheprovider")
    command = [*pytest, "-m", marks, *map(str, tests)]
    try:
        run = subprocess.run(command, cwd=copy, timeout=MINUTES * 60, stdout=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        return "time limit"
    if run.returncode in (0, NO_TESTS):
        return ""
    return next(iter(re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)), f"exit code {run.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures how far away the tests are that notice a small change.")
    parser.add_argument("--sample", type=int, default=20, help="mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (default: %(default)s)")
    arguments = parser.parse_args()
    cast(list[Any], mutation_operators).extend(SLIPS)
    # The copy's own modules are imported, not this tree's.
    os.environ.pop("PYTHONPATH", None)
    tree, found = MeasuredTree(ROOT), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="distances-") as directory:
        copy = Path(directory)
        copy_tree(copy)
        for _, mutant in zip(range(arguments.sample), drawn(tree, arguments.seed), strict=False):
            (copy / mutant.module).write_text(mutant.code, "utf-8")
            failures = noticed_by(copy, tree, mutant.module)
            (copy / mutant.module).write_text(tree.code[mutant.module], "utf-8")
            found.update(failures.keys())
            print(f"{mutant.module}:{mutant.line}: {failures or 'nobody'}", flush=True)
    noticed = 0
    for distance in RINGS:
        noticed += found[distance]
        print(f"at most {distance}: {noticed} of {arguments.sample}")
    for gate in GATES:
        print(f"{gate}: {found[gate]} of {arguments.sample}")


if __name__ == "__main__":
    main()
