"""What a request costs: by published prices, and by the operator's own."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.texts.settings import tools_price
from bot.models.events import Usage
from bot.models.prices import ModelPrices, parse_prices, price_of_tools
from bot.models.prompt import ToolDefinition
from bot.models.registry import VENDORS, VendorEntry
from tests.processes import REPOSITORY

MILLION = 1_000_000
NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
PUBLISHED = ModelPrices()


def cost(model: str, usage: Usage) -> float:
    usd = PUBLISHED.cost_usd(model, usage, NOW)
    assert usd is not None
    return usd


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("openai/gpt-6-luna", Usage(100_000, 10_000), 0.01 + 0.005),
        ("openai/gpt-6-luna", Usage(100_000, 0, cached_input_tokens=100_000), 0.001),
        ("openai/gpt-6-luna", Usage(100_000, 0, cache_write_tokens=100_000), 0.0125),
        ("openai/gpt-6-luna", Usage(1_000, 0, 400, 500), 0.00001 + 0.000004 + 0.0000625),
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
        ("openai/gpt-6-luna", Usage(web_searches=3), 0.03),
        ("anthropic/claude-haiku-5-5", Usage(1_000, 0, web_searches=1), 0.0001 + 0.01),
        ("openai/gpt-6-luna", Usage(), 0.0),
    ],
)
def test_cost_follows_published_prices(model: str, usage: Usage, usd: float) -> None:
    assert PUBLISHED.cost_usd(model, usage, NOW) == pytest.approx(usd)


TIERED = ModelPrices(
    parse_prices('{"anthropic/*": {"input": 1, "output": 1, "tiers": [{"above": 100000, "input": 9}]}}'),
)


@pytest.mark.parametrize(
    ("prices", "request_usd"),
    [(PUBLISHED, 0.008 + 0.01), (TIERED, 0.08 + 0.01)],
    ids=["published prices", "own prices"],
)
def test_requests_of_one_answer_are_priced_one_by_one(prices: ModelPrices, request_usd: float) -> None:
    request = Usage(80_000, 0, web_searches=1)
    answer = request + request + request
    assert (answer.input_tokens, answer.web_searches) == (240_000, 3)
    assert prices.cost_usd("anthropic/claude-haiku-5-5", answer, NOW) == pytest.approx(3 * request_usd)


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS.values() if vendor.default_model])
def test_default_models_have_a_price(vendor: VendorEntry) -> None:
    assert PUBLISHED.cost_usd(vendor.default_model, Usage(1_000, 1_000), NOW)


@pytest.mark.parametrize(
    ("snapshot", "model"),
    [
        ("openai/gpt-6-luna-2026-09-22", "openai/gpt-6-luna"),
        ("anthropic/claude-haiku-5-5-20261007", "anthropic/claude-haiku-5-5"),
    ],
)
def test_snapshot_costs_the_same_as_its_model(snapshot: str, model: str) -> None:
    assert cost(snapshot, Usage(1_000, 1_000)) == cost(model, Usage(1_000, 1_000))


@pytest.mark.parametrize(
    "model",
    [
        "openai/smollm2",
        "openai/scripted",
        "openai/gpt-6-luna-mini",
        "gpt-6-luna",
        "openai/anthropic/claude-haiku-5-5",
        "anthropic/gpt-6-luna",
        "openai/",
        "/",
        "",
    ],
)
def test_model_without_a_price_has_no_known_cost(model: str) -> None:
    assert PUBLISHED.cost_usd(model, Usage(1_000, 1_000), NOW) is None


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (Usage(100, 10, cached_input_tokens=300), Usage(300, 10, cached_input_tokens=300)),
        (Usage(100, 10, 300, 200), Usage(500, 10, 300, 200)),
        (Usage(-1, -1, -1, -1, -1), Usage()),
        (Usage(100, -1), Usage(100, 0)),
    ],
    ids=["more cached than input", "more cached and written than input", "negative", "negative output"],
)
def test_impossible_usage_still_has_a_cost(reported: Usage, counted: Usage) -> None:
    assert cost("openai/gpt-6-luna", reported) == cost("openai/gpt-6-luna", counted)


@given(
    plain=st.integers(0, 400_000),
    cached=st.integers(0, 400_000),
    output=st.integers(0, 100_000),
    model=st.sampled_from(["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]),
)
def test_cached_input_never_costs_more(plain: int, cached: int, output: int, model: str) -> None:
    with_cache = cost(model, Usage(plain + cached, output, cached_input_tokens=cached))
    without = cost(model, Usage(plain + cached, output))
    assert 0 <= with_cache <= without + 1e-12


@pytest.mark.parametrize(
    ("base_url", "model", "usd"),
    [
        ("https://openrouter.ai/api/v1", "openai/anthropic/claude-haiku-4.5", 1.0),
        ("https://gateway.example.com/v1", "openai/gpt-6-luna", 0.2),
        ("http://127.0.0.1:11434/v1", "openai/smollm2", None),
    ],
    ids=["a known service", "a gateway with the vendor's names", "a server of one's own"],
)
def test_address_of_the_api_tells_whose_prices_count(base_url: str, model: str, usd: float | None) -> None:
    prices = ModelPrices(base_urls={"openai": base_url})
    assert prices.cost_usd(model, Usage(MILLION), NOW) == (None if usd is None else pytest.approx(usd))


OWN = {
    "openai/local-*": {"input": 0, "output": 0},
    "openai/*-large": {"input": 2, "cached_input": 0.5, "cache_write": 2.5, "output": 6, "web_search": 8},
    "openai/*": {"input": 1, "output": 3},
    "anthropic/claude-haiku-5-5": {
        "input": 1,
        "output": 2,
        "tiers": [
            {"above": 200_000, "output": 6},
            {"above": 100_000, "input": 2, "cached_input": 0.5, "output": 4},
        ],
    },
}


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("openai/local-large", Usage(MILLION, MILLION), 0.0),
        ("openai/my-large", Usage(MILLION, MILLION), 8.0),
        ("openai/my-large", Usage(MILLION, 0, 400_000, 200_000), 0.8 + 0.2 + 0.5),
        ("openai/my-large", Usage(web_searches=500), 4.0),
        ("openai/gpt-6-luna", Usage(MILLION, MILLION), 4.0),
        ("openai/gpt-6-luna", Usage(MILLION, 0, 400_000, 200_000), 1.0),
        ("openai/gpt-6-luna", Usage(web_searches=500), 5.0),
        ("anthropic/claude-haiku-5-5", Usage(100_000, MILLION), 0.1 + 2.0),
        ("anthropic/claude-haiku-5-5", Usage(100_001, MILLION), 0.200002 + 4.0),
        ("anthropic/claude-haiku-5-5", Usage(200_000, 0, 200_000), 0.1),
        ("anthropic/claude-haiku-5-5", Usage(100_000, 0, 100_000), 0.1),
        ("anthropic/claude-haiku-5-5", Usage(200_001, MILLION), 0.400002 + 6.0),
        ("anthropic/claude-haiku-5-5-20261007", Usage(MILLION), 0.5),
    ],
)
def test_own_prices_come_first(model: str, usage: Usage, usd: float) -> None:
    prices = ModelPrices(parse_prices(json.dumps(OWN)))
    assert prices.cost_usd(model, usage, NOW) == pytest.approx(usd)


def test_names_with_the_same_published_price_mean_the_same_model() -> None:
    prices = ModelPrices(base_urls={"openai": "https://generativelanguage.googleapis.com/v1beta/openai/"})
    assert prices.is_same_model("openai/gemini-flash-latest", "openai/gemini-3.8-flash")
    assert not prices.is_same_model("openai/gemini-2.5-pro", "openai/gemini-3.8-flash")


OFFLINE = """
import sys, threading
def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(f"the network is used: {event}")
from bot import settings
assert "genai_prices" not in sys.modules, "every command would pay for the import"
from bot.models.events import Usage
sys.addaudithook(refuse)
prices = settings.model_prices(settings.read({}))
assert prices.cost_usd("openai/gpt-6-luna", Usage(1_000_000), 1_795_219_200.0) == 0.2
assert threading.active_count() == 1
"""


@pytest.mark.long
def test_prices_need_no_network_and_are_loaded_late() -> None:
    subprocess.run([sys.executable, "-c", OFFLINE], cwd=REPOSITORY, check=True, timeout=60)


def test_definitions_have_a_price_before_anybody_asks() -> None:
    """As the first model reads them: by its estimate of tokens, and without a cache."""
    tools = [
        ToolDefinition(f"github__tool_{number}", "Does something. " * 40, {"type": "object"}) for number in range(37)
    ]
    tokens, usd = price_of_tools(tools, ("anthropic/claude-haiku-5-5", "openai/gpt-6-luna"), PUBLISHED, NOW)
    assert 13_000 < tokens < 14_000
    assert usd == pytest.approx(tokens * 0.10 / 1_000)
    assert price_of_tools(tools, ("openai/llama",), PUBLISHED, NOW)[1] is None
    assert price_of_tools(tools, (), PUBLISHED, NOW) == (0, None)
    prompt = price_of_tools((), ("openai/gpt-6-luna",), PUBLISHED, NOW, "word " * 24_000)
    assert tools_price(*prompt) == "about 40,000 tokens with each question, $4.00 a thousand questions"
    free = ModelPrices(parse_prices('{"openai/llama": {"input": 0, "output": 7}}'))
    assert price_of_tools(tools, ("openai/llama",), free, NOW)[1] == 0
    assert tools_price(27_318, 2.7318) == "about 27,000 tokens with each question, $2.73 a thousand questions"
    assert tools_price(312, None) == "about 310 tokens with each question"


@pytest.mark.parametrize(
    ("model", "step"),
    [
        ("anthropic/claude-haiku-5-5", 100_000),
        ("openai/gpt-6-luna", 272_000),
        ("anthropic/claude-opus-5-5", None),
        ("openai/no-such-model", None),
        ("openai/own", 5_000),
        ("openai/own-cheaper", None),
    ],
)
def test_step_is_where_input_costs_more(model: str, step: int | None) -> None:
    tiers = [{"above": 1_000, "output": 9}, {"above": 5_000, "input": 3}, {"above": 9_000, "input": 4}]
    own = {"input": 2, "output": 2, "tiers": tiers}
    text = json.dumps({"openai/own": own, "openai/own-cheaper": own | {"tiers": [{"above": 5, "input": 1}]}})
    assert ModelPrices(parse_prices(text)).price_tier_tokens(model, NOW) == step
