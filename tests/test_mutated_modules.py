"""Which modules `make mutants` measures, and with which tests."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.mutated_modules import WEEKS, MeasuredTree, chosen

TREE = MeasuredTree(Path(__file__).parent.parent)

pytestmark = pytest.mark.wide


def tree_of(root: Path, files: dict[str, str]) -> MeasuredTree:
    for name, code in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(code)
    return MeasuredTree(root)


def git(root: Path, *arguments: str) -> None:
    author = ("-c", "user.name=U", "-c", "user.email=u@example.com")
    subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)


@pytest.mark.long
def test_each_module_has_one_turn_and_tests() -> None:
    turns = Counter(module for week in range(WEEKS) for module in TREE.in_turn(week))
    assert turns == Counter(TREE.modules)
    assert len(turns) > 100
    assert [module for module in TREE.modules if not TREE.tests_of(module)] == []


@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("files_to_markdown/formats.py", "files_to_markdown/tests/test_formats.py"),
        ("bot/store/rate_ledger.py", "tests/contracts/test_store_rate_ledger.py"),
        ("bot/store/outbox_entries.py", "tests/contracts/test_store_paths.py"),
        ("bot/store/queue.py", "tests/contracts/test_store_queue.py"),
    ],
)
def test_module_has_the_tests_named_like_it_and_those_nearest_by_import(module: str, test: str) -> None:
    assert Path(test) in TREE.tests_of(Path(module))


def test_tests_that_import_little_else_come_first_and_far_ones_only_if_near_ones_are_few(tmp_path: Path) -> None:
    near = {f"tests/test_near{number}.py": "import bot.a\nimport bot.b\n" for number in range(4)}
    own = {"tests/test_own.py": "from bot import a\n"}
    far = {"bot/b.py": "from bot.a import f\n", "tests/test_far.py": "import bot.b\n", "bot/a.py": "def f(): ...\n"}
    page = {"tests/test_page_of_a.py": "import bot.a\n"}
    near_only = tree_of(tmp_path / "many", {**near, **own, **far, **page}).tests_of(Path("bot/a.py"))
    assert near_only == [Path("tests/test_own.py"), *map(Path, near)]
    assert tree_of(tmp_path / "few", {**own, **far}).tests_of(Path("bot/a.py")) == [
        Path("tests/test_own.py"),
        Path("tests/test_far.py"),
    ]


def test_modules_are_chosen_by_name_by_package_by_change_or_by_week(tmp_path: Path) -> None:
    code = "def f(): ...\n"
    names = ["bot/slack/users.py", "bot/slack/files.py", "bot/errors.py"]
    tree = tree_of(tmp_path, {**dict.fromkeys(names, code), "bot/slack/__init__.py": ""})
    users, files, errors = map(Path, names)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "First")
    (tmp_path / errors).write_text(code * 2)
    assert chosen(tree, ["slack/users"], None, 0) == [users]
    assert chosen(tree, ["bot.slack.users", "slack"], None, 0) == [users, files]
    assert chosen(tree, [], "HEAD", 0) == [errors]
    assert chosen(tree, ["slack/files"], "HEAD", 0) == [errors, files]
    assert sorted(module for week in range(WEEKS) for module in chosen(tree, [], None, week)) == [errors, files, users]
    with pytest.raises(SystemExit, match="slack/user is neither a module nor a package"):
        chosen(tree, ["slack/user"], None, 0)
