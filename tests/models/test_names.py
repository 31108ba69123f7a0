"""A model is called VENDOR/NAME, whatever slashes its name has: its vendor stands before the first one."""

import pytest

from bot.core.texts.models import OWN_NAMES
from bot.models.failures import RequestAttempt
from bot.settings import parse_models
from tests.ugly import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_vendor_of_a_model_stands_before_the_first_slash(name: str) -> None:
    model = f"openai/{name}"
    assert parse_models(model) == (model,)
    assert OWN_NAMES.label(model) == name
    assert RequestAttempt(model, "").vendor == "openai"
