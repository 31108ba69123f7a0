"""Runs mutmut with two more mutations: a dropped statement, and a guard that lets everything pass.

A slip is often a line that is missing: a call, a reset, a `return` or `continue` after a check. By itself mutmut
changes statements and drops none.
"""

from collections.abc import Iterator
from typing import Any, cast

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation.mutators import mutation_operators


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


def _is_constant(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value in ("None", "True", "False")


DROPPED = [
    (cst.Expr, dropped_call),
    (cst.Assign, dropped_assignment),
    (cst.AugAssign, dropped_statement),
    (cst.Del, dropped_statement),
    (cst.If, dropped_guard),
]

if __name__ == "__main__":
    cast(list[Any], mutation_operators).extend(DROPPED)
    cli()
