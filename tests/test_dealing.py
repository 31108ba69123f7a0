"""The order of the tests: each folder's modules all over the run, and the long ones at the beginning of a third."""

from collections import Counter
from pathlib import Path

from tests.dealing import FIRST, dealt

ROOT = Path(__file__).parent.parent


def test_each_third_of_a_run_has_a_third_of_each_folder() -> None:
    modules = [f"tests/{folder}/test_{number:03}.py" for folder in ("core", "scenarios") for number in range(30)]
    order = dealt(modules)
    assert sorted(order) == sorted(modules)
    for third in range(3):
        part = order[20 * third : 20 * (third + 1)]
        assert set(Counter(module.split("/")[1] for module in part).values()) == {10}


def test_modules_count_by_their_tests() -> None:
    large, small = ["tests/core/test_large.py"] * 8, ["tests/core/test_small.py"] * 2
    others = [f"tests/slack/test_{number}.py" for number in range(10)]
    order = dealt([*large, *small, *others])
    assert order.index("tests/core/test_small.py") == 10, "a small one of a folder is near the end"


def test_modules_of_long_tests_begin_a_third() -> None:
    order = dealt([*(f"tests/core/test_{number:03}.py" for number in range(100)), *FIRST])
    assert order[0] == "tests/scenarios/test_chaos.py"
    assert 34 <= order.index("tests/scenarios/test_durability.py") <= 38


def test_modules_of_long_tests_exist() -> None:
    assert [module for module in FIRST if not (ROOT / module).is_file()] == []
