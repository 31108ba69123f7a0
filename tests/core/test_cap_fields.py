"""The fields in which admins enter caps: what is accepted, and what stands below a field that isn't."""

import pytest

from bot.core import texts
from bot.core.limits.cap_fields import CapField, limits_of, problems, shown_number
from bot.core.limits.caps import Scope

UNPRICED = ("own/model",)


@pytest.mark.parametrize(
    ("field", "text", "limit"),
    [
        (CapField.TOKENS_A_DAY, "200000", 200_000.0),
        (CapField.TOKENS_A_MONTH, "1", 1.0),
        (CapField.DOLLARS_A_MONTH, "20", 20.0),
        (CapField.DOLLARS_A_DAY, "0.5", 0.5),
        (CapField.DOLLARS_A_DAY, "", None),
    ],
)
def test_number_becomes_a_limit_and_an_empty_field_leaves_it_to_the_default(
    field: CapField, text: str, limit: float | None
) -> None:
    assert problems(((field, text),), ()) == {}
    assert limits_of(((field, text),)) == {field: limit}


@pytest.mark.parametrize("text", ["x", "0", "-5", "nan", "inf", "1e400", "9" * 400, "1,000", "1.5e99"])
@pytest.mark.parametrize("field", CapField)
def test_anything_else_is_an_error_at_its_field(field: CapField, text: str) -> None:
    assert problems(((field, text),), ()) == {field: texts.quota_not_a_number(field.in_dollars)}


def test_tokens_are_whole() -> None:
    assert list(problems(((CapField.TOKENS_A_DAY, "1.5"), (CapField.DOLLARS_A_DAY, "1.5")), ())) == ["tokens_a_day"]


def test_dollars_need_prices_and_tokens_do_not() -> None:
    entered = ((CapField.DOLLARS_A_DAY, "5"), (CapField.TOKENS_A_DAY, "5"), (CapField.DOLLARS_A_MONTH, ""))
    assert problems(entered, UNPRICED) == {"dollars_a_day": texts.quota_needs_prices(UNPRICED)}


@pytest.mark.parametrize("field", CapField)
@pytest.mark.parametrize("scope", Scope)
def test_field_and_cap_name_each_other(field: CapField, scope: Scope) -> None:
    assert CapField.of(field.cap(scope, 5)) is field


@pytest.mark.parametrize(("limit", "shown"), [(20.0, "20"), (0.5, "0.5"), (1e12, "1000000000000")])
def test_limit_is_shown_as_it_is_entered(limit: float, shown: str) -> None:
    assert shown_number(limit) == shown
    assert limits_of(((CapField.DOLLARS_A_DAY, shown),)) == {CapField.DOLLARS_A_DAY: limit}
