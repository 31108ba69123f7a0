"""Own prices: the file that BOT_PRICES names, for negotiated prices and for models on one's own servers. Pure.

The file is a JSON object. Each key is a model as in BOT_MODELS, or a pattern with * for any characters; the first key
that matches counts. Prices are USD per million tokens; `web_search` is USD per 1,000 searches:

    {
      "openai/llama-4-*": {"input": 0.2, "output": 0.6},
      "anthropic/claude-haiku-5-5*": {
        "input": 0.08, "cached_input": 0.008, "cache_write": 0.1, "output": 0.4, "web_search": 8,
        "tiers": [{"above": 100000, "input": 0.4, "cached_input": 0.04, "cache_write": 0.5, "output": 2}]
      }
    }

`input` and `output` are required. Without a price of their own, cached tokens and cache writes cost as much as input.
A tier replaces prices for requests whose whole input is above that many tokens.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

TOKEN_PRICES = ("input", "cached_input", "cache_write", "output")
REQUIRED = ("input", "output")
WEB_SEARCH_USD = Decimal(10)
"""What OpenAI and Anthropic charge for 1,000 searches."""

_MOST = 1_000_000_000
_FORM = "docs/deploy.md shows the form"


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Other prices for requests with more than `above` tokens of input."""

    above: int
    usd: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """The price of the models that match a pattern, in USD per million tokens, by the names in TOKEN_PRICES."""

    pattern: str
    usd: Mapping[str, Decimal]
    tiers: tuple[PriceTier, ...] = ()
    """Sorted by `above`."""
    web_search: Decimal = WEB_SEARCH_USD
    """USD per 1,000 searches."""

    def matches(self, model: str) -> bool:
        return fnmatchcase(model, self.pattern)

    def __str__(self) -> str:
        """Names the models, for people who read the settings in force."""
        return self.pattern


def own_price(prices: Iterable[OwnPrice], model: str) -> OwnPrice | None:
    """Returns the first price whose pattern matches a model (vendor/name)."""
    return next((price for price in prices if price.matches(model)), None)


def parse_prices(text: str) -> tuple[OwnPrice, ...]:
    """Parses a file of own prices, in its order. Raises ValueError that says what is wrong with it."""
    try:
        models = json.loads(text, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} isn't JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"objects are nested too deeply; {_FORM}") from None
    if not isinstance(models, dict) or not models:
        raise ValueError(f"there must be a JSON object of models and their prices; {_FORM}")
    return tuple(_own_price(pattern, values) for pattern, values in models.items())


def _own_price(pattern: str, values: Any) -> OwnPrice:
    if not all(pattern.partition("/")):
        raise ValueError(f"models must be named vendor/model, as in BOT_MODELS; {pattern!r} isn't one")
    usd = _prices(pattern, values, {"web_search", "tiers"})
    if missing := [name for name in REQUIRED if name not in usd]:
        raise ValueError(f"{pattern!r} needs a price for {' and '.join(missing)}, in USD per million tokens")
    web_search = usd.pop("web_search", WEB_SEARCH_USD)
    return OwnPrice(pattern, usd, _tiers(pattern, values.get("tiers", [])), web_search)


def _tiers(pattern: str, tiers: Any) -> tuple[PriceTier, ...]:
    if not isinstance(tiers, list):
        raise ValueError(f"tiers of {pattern!r} must be a list; {_FORM}")
    parsed = [_tier(pattern, values) for values in tiers]
    if len({tier.above for tier in parsed}) < len(parsed):
        raise ValueError(f"two tiers of {pattern!r} begin above the same number of tokens")
    return tuple(sorted(parsed, key=lambda tier: tier.above))


def _tier(pattern: str, values: Any) -> PriceTier:
    usd = _prices(f"a tier of {pattern}", values, {"above"})
    above = usd.pop("above", None)
    if above is None or above != int(above) or not usd:
        raise ValueError(f"each tier of {pattern!r} needs a whole number of tokens as above, and a price")
    return PriceTier(int(above), usd)


def _prices(what: str, values: Any, others: set[str]) -> dict[str, Decimal]:
    """Returns the numbers among the values."""
    if not isinstance(values, dict):
        raise ValueError(f"{what!r} must have an object with prices; {_FORM}")
    if unknown := sorted(values.keys() - {*TOKEN_PRICES, *others}):
        names = ", ".join((*TOKEN_PRICES, *sorted(others)))
        raise ValueError(f"{what!r} has {unknown[0]!r}, which isn't one of {names}")
    usd = {name: value for name, value in values.items() if name != "tiers"}
    for name, value in usd.items():
        if not isinstance(value, Decimal) or not 0 <= value <= _MOST:
            raise ValueError(f"{name} of {what!r} must be a number from 0 to {_MOST:,}")
    return usd


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values
