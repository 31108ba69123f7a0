"""A mention passes the functions that docs/contributors/architecture.md lists, and not many others."""

import pytest

from benchmarks.path_of_a_mention import ACTIONS, MAIN, approved, mentioned, returns

MAX_FUNCTIONS = 800
"""All functions of a mention, the libraries' included. Lower it when the path gets shorter."""
MAX_OF_AN_APPROVAL = 850
"""All functions of a pressed approval."""


@pytest.mark.wide
async def test_mention_passes_the_main_functions_in_order_and_few_others() -> None:
    functions = (await mentioned()).functions
    assert [function for function in functions if function in MAIN] == list(MAIN)
    assert len(functions) <= MAX_FUNCTIONS


@pytest.mark.wide
async def test_pressed_approval_passes_few_functions_and_returns_to_its_actions_at_most_once() -> None:
    functions = list((await approved()).functions)
    assert len(functions) <= MAX_OF_AN_APPROVAL
    assert returns(functions, ACTIONS) <= 1
