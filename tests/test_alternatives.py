"""How many alternatives the expressions of bot/ have, by module: a new row needs a behavior that is wrong without it.

Words of servers and people have no end. So a limit here goes down with each row that a rule replaces, and up only with
a test that shows what Typist would do wrong: retry, fall back, wait, leave something out, or tell the wrong people.
"""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.wide

ROOT = Path(__file__).parents[1]
MANY = 20
"""As many alternatives need no entry here."""
LIMITS = {
    "bot/models/failures.py": 331,
    "bot/core/triage.py": 147,
    "bot/models/parameters.py": 99,
    "bot/models/room.py": 82,
    "bot/slack/forms.py": 78,
    "bot/core/closings.py": 70,
    "bot/models/refused_files.py": 63,
    "bot/models/template_marks.py": 68,
    "bot/models/codes.py": 51,
    "bot/models/streams.py": 49,
    "bot/core/files.py": 31,
    "bot/models/waits.py": 23,
    "bot/core/memory.py": 22,
}
_SET_OR_ESCAPE = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)


def alternatives(code: str) -> int:
    """Returns how many `|` separate alternatives in the texts of a module, without its docstrings."""
    tree = ast.parse(code)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    return sum(_SET_OR_ESCAPE.sub("", text).count("|") for text in texts)


def test_alternatives_are_counted_without_sets_escapes_and_docstrings() -> None:
    assert alternatives('"""a|b"""\nONE = r"a|b"\nTWO = rf"(?:{ONE}|c)[|]\\|"\n') == 2


def test_no_module_has_more_alternatives_than_agreed() -> None:
    found = {str(path.relative_to(ROOT)): alternatives(path.read_text()) for path in (ROOT / "bot").rglob("*.py")}
    assert found.keys() >= LIMITS.keys()
    assert {module: many for module, many in found.items() if many > LIMITS.get(module, MANY)} == {}
