"""The cost of an answer, by the vendors' published prices."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.limits.prices import cost_usd
from bot.core.stream import Usage

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("openai/gpt-6-luna", Usage(100_000, 10_000), 0.01 + 0.005),
        ("openai/gpt-6-luna", Usage(100_000, 0, cached_input_tokens=100_000), 0.001),
        ("openai/gpt-6-luna", Usage(100_000, 0, cache_write_tokens=100_000), 0.0125),
        ("openai/gpt-6.1-terra", Usage(100_000, 100_000), 0.6),
        ("openai/gpt-6.1-sol", Usage(100_000, 100_000), 1.2),
        ("openai/gpt-6-astra", Usage(100_000, 100_000), 6.0),
        ("openai/gpt-6-luna", Usage(272_000, 1_000), 0.0272 + 0.0005),
        ("openai/gpt-6-luna", Usage(272_001, 1_000), 0.0544002 + 0.00075),
        ("openai/gpt-6-luna", Usage(MILLION, 0, cached_input_tokens=MILLION), 0.02),
        ("anthropic/claude-haiku-5-5", Usage(100_000, 1_000), 0.01 + 0.0005),
        ("anthropic/claude-haiku-5-5", Usage(100_001, 1_000), 0.0500005 + 0.0025),
        ("anthropic/claude-sonnet-5-5", Usage(MILLION, 100_000), 2.0 + 1.0),
        ("anthropic/claude-opus-5-5", Usage(MILLION, 0, cached_input_tokens=500_000), 2.0 + 0.1),
    ],
)
def test_cost_follows_the_published_prices(model: str, usage: Usage, usd: float) -> None:
    assert cost_usd(model, usage) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("snapshot", "model"),
    [
        ("openai/gpt-6-luna-2026-09-22", "openai/gpt-6-luna"),
        ("anthropic/claude-haiku-5-5-20261007", "anthropic/claude-haiku-5-5"),
    ],
)
def test_snapshot_costs_the_same_as_its_model(snapshot: str, model: str) -> None:
    assert cost_usd(snapshot, Usage(1_000, 1_000)) == cost_usd(model, Usage(1_000, 1_000))


@pytest.mark.parametrize("model", ["openai/smollm2", "scripted/demo", "openai/gpt-6-luna-mini", "gpt-6-luna"])
def test_model_without_a_price_has_no_known_cost(model: str) -> None:
    assert cost_usd(model, Usage(1_000, 1_000)) is None


@settings(max_examples=100, deadline=None)
@given(
    plain=st.integers(0, 400_000),
    cached=st.integers(0, 400_000),
    output=st.integers(0, 100_000),
    model=st.sampled_from(["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]),
)
def test_cached_input_never_costs_more(plain: int, cached: int, output: int, model: str) -> None:
    with_cache = cost_usd(model, Usage(plain + cached, output, cached_input_tokens=cached))
    without = cost_usd(model, Usage(plain + cached, output))
    assert with_cache is not None
    assert without is not None
    assert 0 <= with_cache <= without + 1e-12
