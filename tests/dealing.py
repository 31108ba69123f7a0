"""The order of the tests of a run: such that several workers stay busy to its end.

`make test` runs three workers with xdist's worksteal scheduler; to collect all tests takes each 7 s of CPU time. Each
gets a third of the tests in their order. One that has run out takes half of what the longest queue has left, from its
end. In the order of the files, all scenarios, which mostly wait, would come in one third, and the longest tests of a
run would begin last.

So the modules of each folder are dealt evenly over the run, and each third begins with modules of long tests. The
tests of a module stay together, because they share fixtures.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

FIRST = {
    "tests/scenarios/test_chaos.py": 0.0,
    "tests/scenarios/test_model_failures.py": 0.0,
    "tests/reply/test_pages_in_slack.py": 0.0,
    "tests/scenarios/test_durability.py": 0.34,
    "tests/test_expressions.py": 0.34,
    "tests/contracts/test_store_states.py": 0.34,
    "tests/scenarios/test_memory_probes.py": 0.67,
    "tests/scenarios/test_catching_up.py": 0.67,
    "tests/contracts/test_accounts.py": 0.67,
}
"""Modules with long tests, and how far into the run they begin: just behind the end of another worker's third."""


def dealt(modules: Iterable[str]) -> list[str]:
    """Returns the modules in the order in which they run. `modules`: the path of each test's module."""
    tests = Counter(modules)
    folders: Counter[str] = Counter()
    for module, count in tests.items():
        folders[_folder(module)] += count
    begun: Counter[str] = Counter()
    begins_at: dict[str, float] = {}
    for module, count in tests.items():
        folder = _folder(module)
        # The middle of the module's part of its folder: a folder of one module is in the middle of the run.
        begins_at[module] = FIRST.get(module, (begun[folder] + count / 2) / folders[folder])
        begun[folder] += count
    return sorted(tests, key=begins_at.__getitem__)


def _folder(module: str) -> str:
    return str(PurePath(module).parent)
