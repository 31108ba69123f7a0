"""What a vendor's description of a model says of its end, whatever the vendor calls it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest
from openai.types import Model

from bot.models.lookups import Lookup, LookupOutcome

DAY, TODAY = date(2026, 12, 31), date(2026, 11, 28)
ENDS: Mapping[str, tuple[Mapping[str, object], str]] = {
    "OpenAI": ({"shutdown_date": "2026-12-31"}, ""),
    "Anthropic": ({"retires_at": "2026-12-31T00:00:00Z", "deprecated_at": "2026-01-01T00:00:00Z"}, ""),
    "OpenRouter": ({"expiration_date": "2026-12-31", "pricing": {"prompt": "0.1"}}, ""),
    "Mistral": (
        {"deprecation": "2026-12-31T12:00:00Z", "deprecation_replacement_model": "mistral-medium-3-5"},
        "mistral-medium-3-5",
    ),
    "Bedrock": ({"modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2026-12-31T00:00:00Z"}}, ""),
    "a day that the SDK has read": ({"end_of_support": datetime(2026, 12, 31, 23, tzinfo=UTC)}, ""),
    "the first of two": ({"expires": "2027-06-01", "sunset_date": "2026-12-31"}, ""),
    "a name with markup": ({"shutdown_date": "2026-12-31", "replacement": "<!channel> x"}, ""),
}
NO_ENDS: Mapping[str, Mapping[str, object]] = {
    "none announced": {"shutdown_date": None, "deprecation": None, "deprecation_replacement_model": None},
    "only deprecated": {"deprecated_at": "2026-12-31T00:00:00Z", "deprecated": True},
    "already retired": {"retired_at": "2026-12-31"},
    "no day": {"expires": "soon", "retirement": 7},
    "a replacement without a day": {"deprecation_replacement_model": "next"},
}


def described(fields: Mapping[str, object]) -> Lookup:
    return Lookup.from_model(
        Model.model_validate({"id": "m", "object": "model", "created": 1, "owned_by": "x", **fields}), TODAY
    )


@pytest.mark.parametrize(("fields", "replacement"), ENDS.values(), ids=ENDS.keys())
def test_field_that_names_an_end_tells_it(fields: Mapping[str, object], replacement: str) -> None:
    assert described(fields) == Lookup(LookupOutcome.MODEL, retirement_date=DAY, replacement=replacement)


@pytest.mark.parametrize("fields", NO_ENDS.values(), ids=NO_ENDS.keys())
def test_other_fields_tell_no_end(fields: Mapping[str, object]) -> None:
    assert described(fields) == Lookup(LookupOutcome.MODEL)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"shutdown_date": "2026-11-28"}, LookupOutcome.RETIRED),
        ({"shutdown_date": "2026-11-29"}, LookupOutcome.MODEL),
        ({"lifecycle": "retired"}, LookupOutcome.RETIRED),
        # It may still answer.
        ({"lifecycle": "deprecated", "retires_at": "2026-11-27T00:00:00Z"}, LookupOutcome.MODEL),
    ],
)
def test_model_is_retired_from_the_day_of_its_shutdown_on(fields: Mapping[str, object], outcome: LookupOutcome) -> None:
    assert described(fields).outcome is outcome
