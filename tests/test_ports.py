"""Each port is small, and each of its methods has a docstring that stands alone."""

import ast
from pathlib import Path

import pytest

PORTS = sorted((Path(__file__).parents[1] / "bot/ports").glob("*.py"))
MOST_MEMBERS = 9


def protocols(path: Path) -> list[ast.ClassDef]:
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return [one for one in classes if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in one.bases)]


def methods(protocol: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in protocol.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", PORTS, ids=lambda path: path.stem)
def test_no_port_has_more_members_than_one_service_needs(path: Path) -> None:
    assert {one.name: len(methods(one)) for one in protocols(path) if len(methods(one)) > MOST_MEMBERS} == {}


@pytest.mark.parametrize("path", PORTS, ids=lambda path: path.stem)
def test_first_line_of_each_docstring_stands_alone(path: Path) -> None:
    documented = [(one.name, node) for one in protocols(path) for node in (one, *methods(one))]
    first_lines = {
        f"{owner}.{node.name}": (ast.get_docstring(node) or "").partition("\n")[0] for owner, node in documented
    }
    assert {name: line for name, line in first_lines.items() if not line.endswith((".", ";"))} == {}
