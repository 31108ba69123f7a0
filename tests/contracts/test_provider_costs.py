"""What keeps an answer's price down, and what tells the price: keys for caches, billed searches, the model's name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.models import openai
from bot.models.prices import CustomPrice, ModelPrices, parse_prices
from bot.models.prompt import WebSearch
from bot.models.setup import RequestOptions, VendorSettings
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi, unsupported
from tests.streams import speech, steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

KEYED = replace(PROMPT, cache_key="c0ffee", asker="5afe")
EPHEMERAL = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("m", {"prompt_cache_key": "c0ffee"}),
        ("anthropic/claude-haiku-5.5", {"prompt_cache_key": "c0ffee", "cache_control": EPHEMERAL}),
        ("us.Claude-9", {"prompt_cache_key": "c0ffee", "cache_control": EPHEMERAL}),
    ],
)
async def test_compatible_server_is_offered_what_caches_ask_for(
    vendor: VendorServer, model: str, fields: Mapping[str, Any]
) -> None:
    """Mistral reads prompt_cache_key, and OpenRouter passes cache_control on to Claude."""
    await ask(CHAT, vendor, CHAT.streamed("one"), prompt=KEYED, model=model)
    [request] = vendor.requests
    offered = {"prompt_cache_key", "cache_control", "safety_identifier"}
    assert {name: value for name, value in request.body.items() if name in offered} == fields


REFUSED = {
    "a compatible server without keys": (CHAT, "prompt_cache_key", "Extra inputs are not permitted: prompt_cache_key"),
    "a compatible server without marks": (CHAT, "cache_control", "Unrecognized request argument: cache_control"),
    "a server without identifiers": (RESPONSES, "safety_identifier", "Unknown parameter: 'safety_identifier'."),
    "a place without metadata": (ANTHROPIC, "metadata", "metadata: Extra inputs are not permitted"),
}


@pytest.mark.parametrize(("api", "field", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_strict_server_refuses_a_key_once(vendor: VendorServer, api: VendorApi, field: str, message: str) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        return unsupported(message) if field in request.body else api.streamed("one")

    vendor.script(answer)
    async with connected(api, vendor, "claude") as model:
        received = [await collect(model, KEYED), await collect(model, KEYED)]
    assert [one.text for one in received] == ["one", "one"]
    assert [field in request.body for request in vendor.requests] == [True, False, False]


async def test_vendors_can_tell_askers_apart(vendor: VendorServer) -> None:
    await ask(RESPONSES, vendor, RESPONSES.streamed("one"), prompt=KEYED)
    await ask(ANTHROPIC, vendor, ANTHROPIC.streamed("one"), prompt=KEYED)
    at_openai, at_anthropic = (request.body for request in vendor.requests)
    assert at_openai["safety_identifier"] == "5afe"
    assert at_anthropic["metadata"] == {"user_id": "5afe"}


SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "a", "queries": ["a", "b", "c"], "sources": []},
}


@pytest.mark.parametrize(
    ("tool_usage", "searches"),
    [
        ({"tool_usage": {"web_search": {"num_requests": 3}}}, 3),
        ({"tool_usage": {"web_search": {"num_requests": 0}}}, 0),
        ({"tool_usage": {"web_search": {"num_requests": "many"}}}, 0),
        ({"tool_usage": None}, 1),
        ({}, 1),
    ],
    ids=["three queries", "discounted", "no number", "none", "a server that doesn't say"],
)
@pytest.mark.parametrize("is_whole", [False, True], ids=["streamed", "JSON"])
async def test_searches_are_counted_as_openai_bills_them(
    in_process: InProcessVendor, tool_usage: Mapping[str, Any], searches: int, is_whole: bool
) -> None:
    said = steps.message("It streams.")
    if is_whole:
        answer = VendorResponse([steps.responses_whole(SEARCH, said, **tool_usage)], content_type="application/json")
    else:
        whole = json.loads(steps.responses_whole(SEARCH, said, **tool_usage))
        event = {"type": "response.completed", "response": whole}
        answer = VendorResponse([*steps.responses(SEARCH, said)[:-1], *speech.events(event)])
    received = await ask(RESPONSES, in_process, answer, prompt=replace(PROMPT, web_search=WebSearch()))
    [completion] = received.completions
    assert completion.usage is not None
    assert completion.usage.web_searches == searches


def named(api: VendorApi, model: str) -> VendorResponse:
    chunks = []
    for chunk in api.speak(["one"]):
        event, _, data = chunk.decode().rpartition("data: ")
        if data.startswith("{"):
            body = json.loads(data)
            for place in (body, body.get("response"), body.get("message")):
                if isinstance(place, dict) and (place is not body or api is CHAT):
                    place["model"] = model
            data = f"{json.dumps(body)}\n\n"
        chunks.append(f"{event}data: {data}".encode())
    return VendorResponse(chunks)


OTHERS = {
    ("grok-3", "grok-4-fast"): "grok-4-fast",
    ("grok-3", "llama\n3 of evil"): "…",
    ("grok-3", "http://bad.example"): "…",
    ("grok-3", "evil" * 30): "…",
    ("gpt-6-luna", "gpt-6.1-sol"): "gpt-6.1-sol",
    ("gpt-5", "gpt-5-mini"): "gpt-5-mini",
    ("gpt-6-luna", "gpt-6-luna-2026-10-01"): "",
    ("gpt-5.5", "gpt-5.5-2026-04-23"): "",
    ("openai/gpt-6-luna", "gpt-6-luna"): "",
    ("claude-haiku-5-5", "claude-haiku-5-5-20261007"): "",
    ("claude-opus-5-5", "claude-opus-5-5@20260201"): "",
    ("us.anthropic.claude-haiku-5-5-v1:0", "claude-haiku-5-5"): "",
    ("mistral-large-latest", "mistral-large-2512"): "",
    ("llama3.2", "llama3.2:latest"): "",
    ("m", ""): "",
}
"""By the model that was asked and the one that the response names: the other model, or "" if they are the same."""


@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
@pytest.mark.parametrize(("asked", "answered"), OTHERS)
async def test_answer_names_another_model_than_the_one_asked(
    in_process: InProcessVendor, caplog: pytest.LogCaptureFixture, api: VendorApi, asked: str, answered: str
) -> None:
    in_process.script(named(api, answered))
    async with connected(api, in_process, asked) as model:
        received = [await collect(model), await collect(model)]
    other = OTHERS[asked, answered]
    named_by = {one.completions[0].substitute_model.partition("/")[2] for one in received}
    assert ([one.text for one in received], named_by) == (["one", "one"], {other})
    logged = [record.getMessage() for record in caplog.records if "another model answers" in record.getMessage()]
    assert len(logged) == int(other != "")
    assert "evil" not in caplog.text


@pytest.mark.parametrize(
    ("api", "asked", "answered"),
    [
        (RESPONSES, "gpt-6-luna", "gpt-6.1-sol"),
        (CHAT, "gpt-6-luna", "gpt-6.1-sol"),
        (ANTHROPIC, "claude-haiku-5-5", "claude-opus-5-5"),
    ],
    ids=str,
)
async def test_model_that_answers_is_known_before_its_first_word(
    in_process: InProcessVendor, api: VendorApi, asked: str, answered: str
) -> None:
    """So an answer that is stopped or interrupted costs what that model costs."""
    in_process.script(named(api, answered))
    async with connected(api, in_process, asked) as model:
        received = await collect(model)
    assert received.answering == [received.completions[0].model] == [f"{api.model.partition('/')[0]}/{answered}"]


GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai/"
DECEMBER, JANUARY = (datetime(*day, tzinfo=UTC).timestamp() for day in ((2026, 12, 5), (2027, 1, 5)))
OWN_PRICE = parse_prices('{"openai/gemini-2.5-pro": {"input": 1, "output": 1}}')
BOTH_OWN = parse_prices('{"openai/gemini-*": {"input": 1, "output": 1}}')


@pytest.mark.parametrize(
    ("answered", "own", "charged", "december_usd", "january_usd"),
    [
        ("gemini-2.5-pro", (), "gemini-2.5-pro", 0.0175, 0.0175),
        # From 2026-12-01, "billed at the new model's rates" (Google's deprecations page, by two copies, 2026-11-10).
        ("gemini-3.8-flash", (), "gemini-3.8-flash", 0.009375, 0.01875),
        ("gemini-of-our-own", (), "gemini-2.5-pro", 0.0175, 0.0175),
        ("gemini-3.8-flash", OWN_PRICE, "gemini-2.5-pro", 0.0105, 0.0105),
        ("gemini-3.8-flash", BOTH_OWN, "gemini-3.8-flash", 0.0105, 0.0105),
    ],
    ids=["the model asked", "another one", "without a price", "an own price for the name", "an own price for both"],
)
async def test_answer_costs_what_the_model_that_answered_costs(
    in_process: InProcessVendor,
    answered: str,
    own: Sequence[CustomPrice],
    charged: str,
    december_usd: float,
    january_usd: float,
) -> None:
    prices = ModelPrices(tuple(own), {"openai": GOOGLE})
    whole = steps.chat_whole("stop", content="one")
    body = json.loads(whole) | {"model": answered, "usage": {"prompt_tokens": 10_000, "completion_tokens": 500}}
    in_process.script(VendorResponse([json.dumps(body).encode()], content_type="application/json"))
    vendor = openai.connect("openai", VendorSettings("key", in_process.url), RequestOptions(16_384, prices))
    [completion] = (await collect(vendor.model("gemini-2.5-pro"))).completions
    await vendor.aclose()
    assert completion.usage is not None
    costs = [prices.cost_usd(completion.model, completion.usage, at) for at in (DECEMBER, JANUARY)]
    assert completion.model == f"openai/{charged}"
    assert costs == [pytest.approx(december_usd), pytest.approx(january_usd)]


TERMS = {
    # https://developers.openai.com/api/docs/pricing by genai-prices 0.2.3: priority ×2, flex ×½ (read on 2026-11-30).
    "OpenAI, default": (RESPONSES, "gpt-6-luna", {"service_tier": "default"}, 1.0, ()),
    "OpenAI, priority": (RESPONSES, "gpt-6-luna", {"service_tier": "priority"}, 2.0, ()),
    "OpenAI, flex": (RESPONSES, "gpt-6-luna", {"service_tier": "flex"}, 0.5, ()),
    "OpenAI, a tier without a price": (
        RESPONSES,
        "gpt-6-luna",
        {"service_tier": "ultrafast"},
        1.0,
        ("service_tier=ultrafast",),
    ),
    "OpenAI, Chat, priority": (CHAT, "gpt-6-luna", {"service_tier": "priority"}, 2.0, ()),
    "Groq": (CHAT, "gpt-6-luna", {"service_tier": "on_demand"}, 1.0, ()),
    # https://platform.claude.com/docs/en/about-claude/pricing: fast mode of Opus 5.5 is $8/$40 instead of $4/$20.
    "Claude, fast": (ANTHROPIC, "claude-opus-5-5", {"speed": "fast", "service_tier": "standard"}, 2.0, ()),
    "Claude, anywhere": (ANTHROPIC, "claude-opus-5-5", {"speed": "standard", "inference_geo": "global"}, 1.0, ()),
    # ×1.1 by the same page, which the package doesn't have.
    "Claude, in the US": (ANTHROPIC, "claude-opus-5-5", {"inference_geo": "us"}, 1.0, ("inference_geo=us",)),
    "Claude, a model without a price": (ANTHROPIC, "claude-of-our-own", {"inference_geo": "us"}, None, ()),
    "terms of no known kind": (CHAT, "gpt-6-luna", {"service_tier": {"name": "fast"}, "speed": 3}, 1.0, None),
}


def charged_by(api: VendorApi, terms: Mapping[str, Any]) -> VendorResponse:
    """Returns an answer that reports these terms where the API does: beside the usage, or within it."""
    chunks = []
    for chunk in api.speak(["one"]):
        event, _, data = chunk.decode().rpartition("data: ")
        if data.startswith("{"):
            body = json.loads(data)
            place = body if api is CHAT else body.get("response" if api is RESPONSES else "message")
            if isinstance(place, dict):
                (place["usage"] if api is ANTHROPIC else place).update(terms)
            data = f"{json.dumps(body)}\n\n"
        chunks.append(f"{event}data: {data}".encode())
    return VendorResponse(chunks)


@pytest.mark.parametrize(("api", "model", "terms", "factor", "unlisted"), TERMS.values(), ids=TERMS)
async def test_answer_costs_what_its_terms_cost(
    in_process: InProcessVendor,
    caplog: pytest.LogCaptureFixture,
    api: VendorApi,
    model: str,
    terms: Mapping[str, Any],
    factor: float | None,
    unlisted: Sequence[str] | None,
) -> None:
    received = await ask(api, in_process, charged_by(api, terms), model=model)
    [completion] = received.completions
    assert completion.usage is not None
    prices, plain = ModelPrices(), replace(completion.usage, terms=())
    usd, plain_usd = (prices.cost_usd(completion.model, usage, DECEMBER) for usage in (completion.usage, plain))
    assert usd == (None if factor is None else pytest.approx(factor * (plain_usd or 0.0)))
    if unlisted is not None:
        assert completion.unlisted_terms == unlisted
        assert ("the standard price counts for" in caplog.text) is bool(unlisted)
    assert prices.cost_usd(completion.model, completion.usage + completion.usage, DECEMBER) == (
        None if usd is None else pytest.approx(2 * usd)
    )
    own = ModelPrices(parse_prices('{"*/*": {"input": 1, "output": 1}}'))
    assert own.unlisted_terms(completion.model, completion.usage) == ()
