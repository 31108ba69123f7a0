"""The caps of one owner as fields of a form: what a field means, and what may be entered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.core import texts
from bot.core.limits.caps import Amount, Cap, CapOwner, CapWindow, Period, Scope

MAX_LIMIT = 1e12
MIN_DOLLARS = 0.01
MIN_TOKENS = 1


class CapField(StrEnum):
    """A cap's period and unit. Its value is the field's name."""

    DOLLARS_A_MONTH = "dollars_a_month"
    DOLLARS_A_DAY = "dollars_a_day"
    TOKENS_A_MONTH = "tokens_a_month"
    TOKENS_A_DAY = "tokens_a_day"

    @property
    def in_dollars(self) -> bool:
        return self in (CapField.DOLLARS_A_MONTH, CapField.DOLLARS_A_DAY)

    @property
    def period(self) -> Period:
        return Period.MONTH if self in (CapField.DOLLARS_A_MONTH, CapField.TOKENS_A_MONTH) else Period.DAY

    @classmethod
    def of(cls, cap: Cap) -> "CapField":
        return next(field for field in cls if (field.period, field.in_dollars) == (cap.window.period, cap.in_dollars))

    def cap(self, scope: Scope, limit: float) -> Cap:
        return Cap(CapWindow(scope, self.period), limit, self.in_dollars)


Entered = tuple[tuple[CapField, str], ...]
"""What a person entered in the fields that they changed; "" leaves the cap to BOT_CAPS."""
Limits = Mapping[CapField, float | None]
"""An owner's own caps by field; None leaves one to BOT_CAPS."""


@dataclass(frozen=True, slots=True)
class OwnerCaps:
    """The caps of one owner, as a form shows them."""

    owner: CapOwner
    own: Mapping[CapField, Cap]
    defaults: Mapping[CapField, Cap]
    spent: Mapping[Period, Amount]


def by_field(caps: Sequence[Cap], scope: Scope) -> Mapping[CapField, Cap]:
    """Returns the caps of a scope by field."""
    return {CapField.of(cap): cap for cap in caps if cap.window.scope is scope}


def limits_of(entered: Entered) -> Limits:
    """Returns the limits that were entered. Call it where `problems` finds none."""
    return {field: _number(field, text) if text else None for field, text in entered}


def problems(entered: Entered, unpriced: Sequence[str]) -> dict[str, str]:
    """Returns a sentence for each field that can't be saved. `unpriced`: the models in use that have no price."""
    found: dict[str, str] = {}
    for field, text in entered:
        if text and _number(field, text) is None:
            found[field] = texts.quota_not_a_number(field.in_dollars)
        elif text and field.in_dollars and unpriced:
            found[field] = texts.quota_needs_prices(unpriced)
    return found


def shown_number(limit: float) -> str:
    """Returns a limit as a field shows it, such as "20" or "0.5"."""
    return f"{limit:.0f}" if limit == int(limit) else str(limit)


def _number(field: CapField, text: str) -> float | None:
    """Returns the number that a field holds, None if it is none or outside of the limits."""
    try:
        number = float(text) if field.in_dollars else int(text)
    except ValueError:
        return None
    # A NaN fails the comparison, too.
    least = MIN_DOLLARS if field.in_dollars else MIN_TOKENS
    return float(number) if least <= number <= MAX_LIMIT else None
