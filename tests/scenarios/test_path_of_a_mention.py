"""A mention passes the functions that docs/contributors/architecture.md lists, and not many others."""

import pytest

from benchmarks.path_of_a_mention import MAIN, mentioned

MAX_FUNCTIONS = 800
"""All functions of a mention, the libraries' included. Lower it when the path gets shorter."""


@pytest.mark.wide
async def test_mention_passes_the_main_functions_in_order_and_few_others() -> None:
    functions = (await mentioned()).functions
    assert [function for function in functions if function in MAIN] == list(MAIN)
    assert len(functions) <= MAX_FUNCTIONS
