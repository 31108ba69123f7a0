"""Runs mutmut with additional mutations, such as the mistakes that people make.

A slip is often a line that is missing: a call, a reset, a `return` or `continue` after a check. By itself mutmut
changes statements and drops none. Others are two things in the wrong order: the operands of `or`, two arguments, what
is sorted; or one of several things is forgotten. mutmut leaves decorated functions alone, hence `undecorated`, and it
names tests on pytest's command line, which fails for some parameters, hence `run_tests`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import libcst as cst
import pytest
from mutmut.__main__ import cli
from mutmut.mutation.mutators import mutation_operators
from mutmut.runners.harness import PytestRunner
from mutmut.utils.file_utils import change_cwd


def dropped_call(node: cst.Expr) -> Iterator[cst.Pass]:
    """Drops a call whose result nobody uses. Docstrings and `yield` stay."""
    if isinstance(node.value, cst.Call | cst.Await):
        yield cst.Pass()


def dropped_assignment(node: cst.Assign) -> Iterator[cst.Pass]:
    """Drops an assignment to an attribute or an item, and the reset of a name to a literal."""
    is_name = isinstance(node.targets[0].target, cst.Name | cst.Tuple)
    if not is_name or isinstance(node.value, cst.BaseNumber | cst.BaseString) or _is_constant(node.value):
        yield cst.Pass()


def dropped_statement(node: cst.AugAssign | cst.Del) -> Iterator[cst.Pass]:
    """Drops what adds or removes."""
    yield cst.Pass()


def dropped_guard(node: cst.If) -> Iterator[cst.If]:
    """Drops what leaves the block at the end of an `if` without `else`."""
    *before, last = node.body.body
    if node.orelse or not isinstance(last, cst.SimpleStatementLine):
        return
    if isinstance(last.body[-1], cst.Return | cst.Continue | cst.Break | cst.Raise):
        passing = last.with_changes(body=[*last.body[:-1], cst.Pass()])
        yield node.with_changes(body=node.body.with_changes(body=[*before, passing]))


def turned_or(node: cst.BooleanOperation) -> Iterator[cst.BooleanOperation]:
    """Takes the second of two values where the first one is there. Conditions read alike in either order."""
    values = cst.Name, cst.Attribute, cst.Call, cst.Subscript
    if isinstance(node.operator, cst.Or) and isinstance(node.left, values) and isinstance(node.right, values):
        yield node.with_changes(left=node.right, right=node.left)


def shorter_tuple(node: cst.Tuple) -> Iterator[cst.Tuple]:
    """Forgets the last of several things. Tuples without parentheses are often targets."""
    if node.lpar and len(node.elements) > 1:
        elements = node.elements[:-1]
        yield node.with_changes(elements=[*elements[:-1], elements[-1].with_changes(comma=cst.Comma())])


def turned_order(node: cst.Call) -> Iterator[cst.Call]:
    """Sorts the other way, or takes the last in place of the first."""
    match node.func:
        case cst.Name("sorted") if not any(arg.keyword and arg.keyword.value == "reverse" for arg in node.args):
            yield node.with_changes(args=[*node.args, cst.Arg(cst.Name("True"), keyword=cst.Name("reverse"))])
        case cst.Name("min" | "max" as name):
            yield node.with_changes(func=cst.Name("max" if name == "min" else "min"))
        case cst.Attribute(attr=cst.Name("asc" | "desc" as name)) if not node.args:
            yield node.with_deep_changes(node.func.attr, value="asc" if name == "desc" else "desc")


def swapped_arguments(node: cst.Call) -> Iterator[cst.Call]:
    """Swaps the first two arguments, if both are names or both are attributes. The type check catches some of these."""
    if isinstance(node.func, cst.Name) and node.func.value in ("min", "max"):
        return
    match node.args:
        case [cst.Arg(value=first, keyword=None, star=""), cst.Arg(value=second, keyword=None, star=""), *_]:
            if type(first) is type(second) and isinstance(first, cst.Name | cst.Attribute):
                swapped = node.args[0].with_changes(value=second), node.args[1].with_changes(value=first)
                yield node.with_changes(args=[*swapped, *node.args[2:]])


class _Undecorated(cst.CSTTransformer):  # type: ignore[misc, unused-ignore]
    def leave_FunctionDef(  # noqa: N802 - libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        decorators = [decorator.decorator for decorator in updated_node.decorators]
        if not decorators or any(_needs_its_place(decorator, updated_node.name.value) for decorator in decorators):
            return updated_node
        decorated: cst.BaseExpression = updated_node.name
        for decorator in reversed(decorators):
            decorated = cst.Call(decorator, [cst.Arg(decorated)])
        assignment = cst.Assign([cst.AssignTarget(updated_node.name)], decorated)
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), cst.SimpleStatementLine([assignment])])


def undecorated(code: str) -> str:
    """Returns the same module with `f = decorator(f)` below its functions instead of decorators, for mutmut's sake."""
    return str(cst.parse_module(code).visit(_Undecorated()).code)


def _needs_its_place(decorator: cst.BaseExpression, function: str) -> bool:
    """Returns whether mutmut takes a decorator as it is, or it refers to what the function's name meant before."""
    if isinstance(decorator, cst.Attribute):
        return isinstance(decorator.value, cst.Name) and decorator.value.value == function
    return isinstance(decorator, cst.Name) and decorator.value in ("staticmethod", "classmethod", "overload")


class _Only:
    """A plugin of pytest that keeps only the tests of these ids."""

    def __init__(self, tests: Iterable[str]) -> None:
        self._tests = frozenset(tests)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._tests] if self._tests else items


def run_tests(runner: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
    """Runs tests by their ids, or all that are configured, until one fails; returns pytest's exit code."""
    ids = list(tests)
    files = sorted({test.partition("::")[0] for test in ids})
    with change_cwd("mutants"):
        try:
            return int(runner.execute_pytest(runner._pytest_args_regular_run(files), plugins=[_Only(ids)]))
        except pytest.PytestUnraisableExceptionWarning:
            # What fails while a database is being opened leaves its connection to the garbage collector.
            return int(pytest.ExitCode.TESTS_FAILED)


def _is_constant(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value in ("None", "True", "False")


SLIPS = [
    (cst.Expr, dropped_call),
    (cst.Assign, dropped_assignment),
    (cst.AugAssign, dropped_statement),
    (cst.Del, dropped_statement),
    (cst.If, dropped_guard),
    (cst.BooleanOperation, turned_or),
    (cst.Tuple, shorter_tuple),
    (cst.Call, turned_order),
    (cst.Call, swapped_arguments),
]

if __name__ == "__main__":
    cast(list[Any], mutation_operators).extend(SLIPS)
    cast(Any, PytestRunner).run_tests = run_tests
    cli()
