"""The registry of checks: each is documented, and builds only on others that are made with it."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bot.checks.registry import CHECKS, Occasion

ROOT = Path(__file__).parents[2]
COMMAND = Occasion.COMMAND | Occasion.PROBE | Occasion.PROBE_MODELS


def test_page_of_checks_has_a_row_for_each_one_of_the_command_and_no_other() -> None:
    rows = re.findall(r"^\| `(\S+)` \|", (ROOT / "docs/admins/check.md").read_text(), re.MULTILINE)
    shown = {"model.{}": "model.MODEL", "model.{}.tools": "model.MODEL.tools", "mcp.{}": "mcp.SERVER"}
    assert sorted(rows) == sorted(shown.get(check.id, check.id) for check in CHECKS if check.on & COMMAND)


def test_each_check_has_an_id_and_a_name_of_its_own() -> None:
    for name in ("id", "name"):
        values = [getattr(check, name) for check in CHECKS]
        assert len(set(values)) == len(values)


def test_checks_build_on_each_other_without_a_circle() -> None:
    builds_on = {check.id: {*check.needs, *check.after} for check in CHECKS}
    assert set().union(*builds_on.values()) <= builds_on.keys()
    assert [*TopologicalSorter(builds_on).static_order()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_check_of_the_command_needs_no_check_that_is_made_elsewhere(check: object) -> None:
    made = {one.id for one in CHECKS if one.on & COMMAND}
    assert isinstance(check, type(CHECKS[0]))
    if check.id in made:
        assert {*check.needs, *check.after} <= made
