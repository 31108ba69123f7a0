"""Measures how far away the tests are that notice a small change: one, two or three imports, or a gate.

    python -m benchmarks.distances --seed 67 --sample 20

Each mutant is one of those that `make mutants` makes, in a module of bot/ drawn at random, and stands in a copy of the
tree. Tests run from near to far, up to the first that fails. It needs `make mutants` once, which installs mutmut, and
Chromium. A mutant that no near test notices takes as long as `.ci/run`.
"""

import argparse
import os
import random
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

RINGS = ("one ring", "two rings", "three rings")
SHORT = "not long"
GATES = {"make test": "not (long or wide or near)", ".ci/run": "wide and not (long or near)"}
"""What runs behind the rings, as pytest's expressions for marks."""
NOBODY = "nobody"
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


def nearest(copy: Path, tree: MeasuredTree, module: Path) -> str:
    """Returns the nearest distance at which a test of the copy fails."""
    # Before the first ring stands the module itself.
    _, *rings = tree.tests_reaching([module])
    for name, ring in zip(RINGS, rings, strict=False):
        if ring and _fails(copy, SHORT, sorted(ring)):
            return name
    return next((gate for gate, marks in GATES.items() if _fails(copy, marks, [Path("tests")])), NOBODY)


def _fails(copy: Path, marks: str, tests: Sequence[Path]) -> bool:
    pytest = (sys.executable, "-m", "pytest", "-n", "3", "--dist", "worksteal", "-x", "-p", "no:cacheprovider")
    command = [*pytest, "-m", marks, *map(str, tests)]
    try:
        run = subprocess.run(command, cwd=copy, timeout=MINUTES * 60, stdout=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return True
    return run.returncode not in (0, NO_TESTS)


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
            distance = nearest(copy, tree, mutant.module)
            (copy / mutant.module).write_text(tree.code[mutant.module], "utf-8")
            found[distance] += 1
            print(f"{mutant.module}:{mutant.line}: {distance}", flush=True)
    noticed = 0
    for distance in (*RINGS, *GATES):
        noticed += found[distance]
        print(f"up to {distance}: {noticed} of {found.total()}")


if __name__ == "__main__":
    main()
