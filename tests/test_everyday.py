import re
from pathlib import Path

import pytest

from tests.scenarios.everyday import EVERYDAY

SCENARIOS = Path(__file__).parent / "scenarios"


@pytest.mark.parametrize("module", EVERYDAY)
def test_everyday_scenarios_exist(module: str) -> None:
    assert {*EVERYDAY[module]} <= {*re.findall(r"^(?:async )?def (test_\w+)", (SCENARIOS / module).read_text(), re.M)}
