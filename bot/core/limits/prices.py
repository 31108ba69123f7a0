"""Prices: what the vendors charge for an answer.

USD per million tokens, standard tier, as published on 2026-11-05:
https://developers.openai.com/api/docs/pricing and https://platform.claude.com/docs/en/about-claude/pricing
"""

import re
from dataclasses import dataclass

from bot.core.stream import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. With both vendors, writing to a cache costs 1.25 times the input."""

    input: float
    cached_input: float
    output: float

    @property
    def cache_write(self) -> float:
        return 1.25 * self.input


@dataclass(frozen=True, slots=True)
class Rate:
    """A model's price, and its price for requests with more than `long_tokens` tokens of input."""

    price: Price
    long_tokens: int | None = None
    long_price: Price | None = None

    def at(self, input_tokens: int) -> Price:
        if self.long_tokens is not None and self.long_price is not None and input_tokens > self.long_tokens:
            return self.long_price
        return self.price


def _openai(input_usd: float, cached_input_usd: float, output_usd: float) -> Rate:
    # Over 272,000 input tokens: twice the input and the cache, one and a half times the output.
    long_price = Price(2 * input_usd, 2 * cached_input_usd, 1.5 * output_usd)
    return Rate(Price(input_usd, cached_input_usd, output_usd), 272_000, long_price)


_RATES = {
    "openai/gpt-6-luna": _openai(0.10, 0.01, 0.50),
    "openai/gpt-6.1-terra": _openai(1, 0.05, 5),
    "openai/gpt-6.1-sol": _openai(2, 0.10, 10),
    "openai/gpt-6-astra": _openai(10, 1, 50),
    "anthropic/claude-haiku-5-5": Rate(Price(0.10, 0.01, 0.50), 100_000, Price(0.50, 0.05, 2.50)),
    "anthropic/claude-sonnet-5-5": Rate(Price(2, 0.10, 10)),
    "anthropic/claude-opus-5-5": Rate(Price(4, 0.20, 20)),
}
# A dated snapshot costs what its model costs: gpt-6-luna-2026-09-22, claude-haiku-5-5-20261007.
_SNAPSHOT = re.compile(r"-20\d\d-?\d\d-?\d\d$")


def cost_usd(model: str, usage: Usage) -> float | None:
    """Returns the vendor's charge in USD; None for a model without a price here, such as your own server's."""
    rate = _RATES.get(_SNAPSHOT.sub("", model))
    if rate is None:
        return None
    price = rate.at(usage.input_tokens)
    plain_tokens = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    millionths = (
        plain_tokens * price.input
        + usage.cached_input_tokens * price.cached_input
        + usage.cache_write_tokens * price.cache_write
        + usage.output_tokens * price.output
    )
    return millionths / 1_000_000
