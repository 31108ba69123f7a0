"""Prices of models, from the operator's file or the genai-prices package.

The package includes the prices as data. It can download newer prices with UpdatePrices, which Typist doesn't use:
prices change only when the package or the operator's file changes. The cost of a model without a price is unknown,
which is a startup error if a dollar cap is set.

The file at BOT_PRICES contains negotiated prices, and prices of self-hosted models. The file contains a JSON object.
Each key is a model, named as in BOT_MODELS, or a pattern with * for any characters. The first matching key applies.
Prices are in USD per million tokens, except that `web_search` is in USD per 1,000 searches:

    {
      "openai/llama-4-*": {"input": 0.2, "output": 0.6},
      "anthropic/claude-haiku-5-5*": {
        "input": 0.08, "cached_input": 0.008, "cache_write": 0.1, "output": 0.4, "web_search": 8,
        "tiers": [{"above": 100000, "input": 0.4, "cached_input": 0.04, "cache_write": 0.5, "output": 2}]
      }
    }

`input` and `output` are required. By default, cached tokens and cache writes cost as much as input. A tier replaces
prices for requests whose total input exceeds `above` tokens.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from bot.models.events import Usage
from bot.models.prompt import TokenEstimate, ToolDefinition
from bot.text import RepeatedKey, unique_members

if TYPE_CHECKING:
    import genai_prices
    from genai_prices.types import ModelInfo, ModelPrice, Provider

log = logging.getLogger(__name__)

_TOKEN_PRICES = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}
WEB_SEARCH_USD = Decimal(10)
"""OpenAI's and Anthropic's price for 1,000 searches."""

_MAX_PRICE = 1_000_000_000
_FORM_HINT = "company.md in Typist's docs shows the form"


@dataclass(frozen=True, slots=True)
class PriceTier:
    above: int
    usd: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class CustomPrice:
    """Prices of models that match a pattern, in USD per million tokens, keyed by the names in _TOKEN_PRICES."""

    pattern: str
    usd: Mapping[str, Decimal]
    tiers: tuple[PriceTier, ...] = ()
    web_search: Decimal = WEB_SEARCH_USD

    def __str__(self) -> str:
        return self.pattern


def parse_prices(text: str) -> tuple[CustomPrice, ...]:
    """Parses a price file, keeping its order. Raises ValueError with a description of the problem."""
    try:
        models = json.loads(text, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=unique_members)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} isn't JSON: {error.msg}") from None
    except RepeatedKey as repeated:
        raise ValueError(f"{str(repeated)!r} is there twice") from None
    except RecursionError:
        raise ValueError(f"objects are nested too deeply; {_FORM_HINT}") from None
    if not isinstance(models, dict) or not models:
        raise ValueError(f"there must be a JSON object of models and their prices; {_FORM_HINT}")
    return tuple(_parse_custom_price(pattern, values) for pattern, values in models.items())


def _parse_custom_price(pattern: str, values: Any) -> CustomPrice:
    if not all(pattern.partition("/")):
        raise ValueError(f"models must be named vendor/model, as in BOT_MODELS; {pattern!r} isn't one")
    usd = _parse_usd(pattern, values, {"web_search", "tiers"})
    if missing := [name for name in ("input", "output") if name not in usd]:
        raise ValueError(f"{pattern!r} needs a price for {' and '.join(missing)}, in USD per million tokens")
    web_search = usd.pop("web_search", WEB_SEARCH_USD)
    return CustomPrice(pattern, usd, _parse_tiers(pattern, values.get("tiers", [])), web_search)


def _parse_tiers(pattern: str, tiers: Any) -> tuple[PriceTier, ...]:
    if not isinstance(tiers, list):
        raise ValueError(f"tiers of {pattern!r} must be a list; {_FORM_HINT}")
    parsed = [_parse_tier(pattern, values) for values in tiers]
    if len({tier.above for tier in parsed}) < len(parsed):
        raise ValueError(f"two tiers of {pattern!r} begin above the same number of tokens")
    return tuple(sorted(parsed, key=lambda tier: tier.above))


def _parse_tier(pattern: str, values: Any) -> PriceTier:
    usd = _parse_usd(f"a tier of {pattern}", values, {"above"})
    above = usd.pop("above", None)
    if above is None or above != int(above) or not usd:
        raise ValueError(f"each tier of {pattern!r} needs a whole number of tokens as above, and a price")
    return PriceTier(int(above), usd)


def _parse_usd(subject: str, values: Any, other_fields: set[str]) -> dict[str, Decimal]:
    if not isinstance(values, dict):
        raise ValueError(f"{subject!r} must have an object with prices; {_FORM_HINT}")
    if unknown := sorted(values.keys() - {*_TOKEN_PRICES, *other_fields}):
        names = ", ".join((*_TOKEN_PRICES, *sorted(other_fields)))
        raise ValueError(f"{subject!r} has {unknown[0]!r}, which isn't one of {names}")
    usd = {name: value for name, value in values.items() if name != "tiers"}
    for name, value in usd.items():
        if not isinstance(value, Decimal) or not 0 <= value <= _MAX_PRICE:
            raise ValueError(f"{name} of {subject!r} must be a number from 0 to {_MAX_PRICE:,}")
    return usd


_VERSION = re.compile(r"[-@:.](?:\d{4}-?\d\d-?\d\d|\d{3,4}|latest|preview|v\d+(?::\d+)?)$")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class ModelPrices:
    """Prices of models. The package is imported when a price is first needed, because not every command needs one."""

    custom_prices: tuple[CustomPrice, ...] = ()
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """Base URLs by vendor, for vendors that aren't used at their default URL."""

    def cost_usd(self, model: str, usage: Usage, time: float) -> float | None:
        """Returns the cost at a time (in seconds since the epoch), or None if the cost is unknown. Never fails."""
        # Prices can depend on a request's input, so each request in the usage is priced separately.
        try:
            return float(sum(self._request_usd(model, request, time) for request in usage.single_requests))
        except LookupError:
            return None
        except ValueError as error:
            log.error("model %s: price not usable, cost unknown: %s", model, error)
            return None

    def charged_model(self, asked_model: str, answering_model: str) -> str:
        """Returns the model whose price is charged: the answering model if its price is known, or else the requested
        model. An operator's price for a name in BOT_MODELS applies to any model that answers under it."""
        is_custom = self._custom_price(asked_model) is not None and self._custom_price(answering_model) is None
        return asked_model if is_custom or self.cost_usd(answering_model, Usage(), 0.0) is None else answering_model

    def is_same_model(self, model: str, other: str) -> bool:
        """Returns whether two names refer to the same model, because their prices match or they differ only in a prefix
        or version."""
        stems = [_NOT_IN_NAMES.sub("", _without_versions(name.partition("/")[2].casefold())) for name in (model, other)]
        if stems[0].endswith(stems[1]) or stems[1].endswith(stems[0]):
            return True
        try:
            return self._listed_model(model) == self._listed_model(other)
        except LookupError:
            return False

    def price_tier_tokens(self, model: str, time: float) -> int | None:
        """Returns the number of input tokens above which a request's input price rises, or None if it never rises."""
        from genai_prices.types import TieredPrices

        when = datetime.fromtimestamp(time, UTC)
        try:
            custom = self._custom_price(model)
            price = _custom_model_price(custom) if custom else self._listed_model(model)[1].get_prices(when)
        except LookupError:
            return None
        tiered = price.input_mtok
        if not isinstance(tiered, TieredPrices):
            return None
        return min((tier.start for tier in tiered.tiers if tier.price > tiered.base), default=None)

    def _custom_price(self, model: str) -> CustomPrice | None:
        return next((price for price in self.custom_prices if fnmatchcase(model, price.pattern)), None)

    def unlisted_terms(self, model: str, usage: Usage) -> tuple[str, ...]:
        """Returns the usage's terms that don't have a published price, such as speed=fast. An operator's price covers
        all terms."""
        if self._custom_price(model):
            return ()
        try:
            variants = self._listed_model(model)[1].price_variants or ()
        except LookupError:
            return ()
        listed = {term for variant in variants for term in variant.when.items()}
        return tuple(f"{name}={term}" for name, term in usage.terms if (name, term) not in listed)

    def _request_usd(self, model: str, usage: Usage, time: float) -> Decimal:
        if custom := self._custom_price(model):
            return _custom_model_price(custom).calc_price(_genai_usage(usage))["total_price"]
        provider, listed = self._listed_model(model)
        when, terms = datetime.fromtimestamp(time, UTC), dict(usage.terms)
        priced = listed.calc_price(_genai_usage(usage), provider, genai_request_timestamp=when, price_context=terms)
        return priced.total_price

    def window_tokens(self, model: str) -> int | None:
        """Returns a model's context window, or None if the package doesn't list it."""
        with suppress(LookupError):
            return self._listed_model(model)[1].context_window
        return None

    def _listed_model(self, model: str) -> "tuple[Provider, ModelInfo]":
        from genai_prices import data_snapshot

        find, (vendor, _, name) = data_snapshot.get_snapshot().find_provider_model, model.partition("/")
        if base_url := self.base_urls.get(vendor):
            # An unknown URL might be a gateway, whose models keep their vendor's names.
            with suppress(LookupError):
                return find(name, None, None, base_url)
        return find(name, None, vendor, None)


def price_of_tools(
    tools: Sequence[ToolDefinition], models: Sequence[str], prices: ModelPrices, time: float, text: str = ""
) -> tuple[int, float | None]:
    """Returns how many tokens tools and text add to each question, and what these tokens cost in USD per 1,000
    questions, or None if the price is unknown."""
    # Both are for the first model, which is asked first.
    estimate = TokenEstimate(tuple(models[:1]))
    tokens = estimate.definitions_tokens(tools) + (estimate.tokens(text) if text else 0) if models else 0
    usd = prices.cost_usd(models[0], Usage(tokens), time) if models else None
    return tokens, None if usd is None else 1_000 * usd


def _without_versions(name: str) -> str:
    while found := _VERSION.search(name):
        name = name[: found.start()]
    return name


def is_vendors_server(url: str) -> bool:
    """Returns whether a URL belongs to a model vendor, according to the package, rather than to a private gateway."""
    from genai_prices import data_snapshot

    try:
        return bool(data_snapshot.get_snapshot().find_provider(None, None, url))
    except LookupError:
        return False


def vendor_of_model(name: str) -> str:
    """Returns the vendor that makes the model with this name, or "" if the package doesn't list the model."""
    from genai_prices import data_snapshot

    try:
        return data_snapshot.get_snapshot().find_provider(name, None, None).id
    except LookupError:
        return ""


def _genai_usage(usage: Usage) -> "genai_prices.Usage":
    """Converts usage to the package's format, which rejects more cached tokens than input tokens."""
    # A compatible server that reports such numbers didn't include cached tokens in its input.
    from genai_prices import Usage as GenaiUsage

    cached, written = max(0, usage.cached_input_tokens), max(0, usage.cache_write_tokens)
    return GenaiUsage(
        input_tokens=max(usage.input_tokens, cached + written),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=max(0, usage.output_tokens),
        web_searches=max(0, usage.web_searches),
        **({"audio_seconds": usage.audio_s} if usage.audio_s > 0 else {}),
    )


def _custom_model_price(custom: CustomPrice) -> "ModelPrice":
    from genai_prices.types import ModelPrice, Tier, TieredPrices

    levels = [custom.usd]
    for tier in custom.tiers:
        levels.append({**levels[-1], **tier.usd})
    prices: dict[str, Decimal | TieredPrices] = {"web_searches_kcount": custom.web_search}
    for name, key in _TOKEN_PRICES.items():
        base, *others = (usd.get(name, usd["input"]) for usd in levels)
        tiers = [Tier(tier.above, price) for tier, price in zip(custom.tiers, others, strict=True)]
        prices[key] = TieredPrices(base, tiers) if tiers else base
    return ModelPrice(**prices)
