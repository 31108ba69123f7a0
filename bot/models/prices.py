"""Prices: the operator's own, else those that the package genai-prices publishes.

The package holds its prices as data. It would load newer ones only through its UpdatePrices, which Typist doesn't use:
prices change with an update of the package, and in the operator's own file. A model without a price has an unknown
cost, so a dollar cap then is an error at startup.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from bot.models.own_prices import OwnPrice, own_price
from bot.models.stream import Usage

if TYPE_CHECKING:
    import genai_prices
    from genai_prices.types import ModelPrice

_NAMES = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelPrices:
    """Knows what models charge. The package is imported with the first price, because not every command needs one."""

    own: tuple[OwnPrice, ...] = ()
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """The addresses at which vendors' APIs are served, by vendor, where they aren't the vendor's own."""

    def cost_usd(self, model: str, usage: Usage, at: float) -> float | None:
        """Returns the charge for a usage at that time (seconds since the epoch), None if it is unknown. Never fails.

        Prices may depend on one request's input, so the requests that the usage sums up are priced one by one.
        """
        try:
            return float(sum(self._request_usd(model, _usage(request), at) for request in usage.each))
        except LookupError:
            return None
        except ValueError as error:
            log.error("model %s: price not usable, cost unknown: %s", model, error)
            return None

    def _request_usd(self, model: str, usage: "genai_prices.Usage", at: float) -> Decimal:
        """Returns the charge for one request. Raises LookupError, ValueError."""
        if own := own_price(self.own, model):
            return _own_model_price(own).calc_price(usage)["total_price"]
        return self._published(model, usage, datetime.fromtimestamp(at, UTC))

    def _published(self, model: str, usage: "genai_prices.Usage", at: datetime) -> Decimal:
        """Returns the charge by published prices. Raises LookupError, ValueError."""
        from genai_prices import calc_price

        vendor, _, name = model.partition("/")
        if base_url := self.base_urls.get(vendor):
            # An address that the package doesn't know may be a gateway, whose models keep their vendor's names.
            with suppress(LookupError):
                return calc_price(usage, name, provider_api_url=base_url, genai_request_timestamp=at).total_price
        return calc_price(usage, name, provider_id=vendor, genai_request_timestamp=at).total_price


def _usage(usage: Usage) -> "genai_prices.Usage":
    """Returns the usage in the package's form, which rejects more cached tokens than input.

    A compatible server that reports such numbers has left cached tokens out of its input.
    """
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


def _own_model_price(own: OwnPrice) -> "ModelPrice":
    """Returns an own price in the package's form, in which a price has its tiers."""
    from genai_prices.types import ModelPrice, Tier, TieredPrices

    levels = [own.usd]
    for tier in own.tiers:
        levels.append({**levels[-1], **tier.usd})
    prices: dict[str, Decimal | TieredPrices] = {"web_searches_kcount": own.web_search}
    for name, key in _NAMES.items():
        base, *others = (usd.get(name, usd["input"]) for usd in levels)
        tiers = [Tier(tier.above, price) for tier, price in zip(own.tiers, others, strict=True)]
        prices[key] = TieredPrices(base, tiers) if tiers else base
    return ModelPrice(**prices)
