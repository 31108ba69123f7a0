"""`typist smoke` at vendors that keep what they document, and at vendors that have changed one thing.

The vendors' rules stand in tests/contracts/vendor_rules.py and cache_rules.py. Requests are real HTTP.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.cli.smoke import LIMIT_USD, all_passed, as_json
from bot.cli.smoke_conversations import CODE, CONVERSATIONS, FIRST, NOTE_NUMBER, NUMBERS, SmokeResult, run_smoke
from bot.core.prompt import DEFAULT_SYSTEM_PROMPT, GO_ON_REQUEST
from bot.models.prices import ModelPrices, parse_prices
from bot.models.setup import ModelSetup, RequestOptions, VendorSettings
from tests.contracts.cache_rules import AnthropicRule, CacheRule, tokens
from tests.contracts.vendor_rules import (
    BOUND_THINKING,
    DEEPSEEK,
    ENCRYPTED_REASONING,
    HISTORIES,
    NAMESPACES,
    Body,
    Rule,
    Vendor,
    invalid,
)
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi
from tests.forked import forked_command
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = pytest.mark.wide

PRICES = ModelPrices(parse_prices('{"*/m": {"input": 0.5, "cached_input": 0.05, "output": 0.5}}'))
LIST = "\n".join(f"{number}: {number * number}" for number in range(1, NUMBERS + 1))
Said = Sequence[steps.Item] | VendorResponse


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server


def says(api: VendorApi, text: str) -> Said:
    if api is CHAT:
        return [{"content": text}]
    return [steps.text(text) if api is ANTHROPIC else steps.message(text)]


def calls(api: VendorApi) -> Sequence[steps.Item]:
    name, arguments = "smoke__note", {"text": "buy milk"}
    if api is ANTHROPIC:
        return [steps.tool_use("c1", name, arguments)]
    if api is RESPONSES:
        return [steps.function_call("c1", name, json.dumps(arguments))]
    return [steps.chat_call(json.dumps(arguments), 0, id="c1", name=name)]


def going_on(said: str) -> str:
    """Returns the lines after the last one that a model sees it has written."""
    last = max(int(number) for number in re.findall(r"(\d+): \d+", said))
    return "\n".join(LIST.split("\n")[last:])


def colleague(api: VendorApi) -> Callable[[VendorRequest], Said]:
    """Returns a model that does what it is asked."""

    def model(request: VendorRequest) -> Said:
        turns = request.body.get("messages") or request.body["input"]
        whole, last = json.dumps(turns), json.dumps(turns[-1])
        if GO_ON_REQUEST[:40] in last:
            return says(api, going_on(json.dumps(turns[-2])))
        if shelf := re.findall(r"stands on shelf (\d+)\?", last):
            return says(api, str(7 * int(shelf[-1]) + 3))
        if "square.png" in whole:
            return says(api, f"Red, and {CODE}.")
        if "Note down" in whole and request.body.get("tools"):
            return says(api, f"It is note {NOTE_NUMBER}.") if f"note {NOTE_NUMBER}" in whole else calls(api)
        return says(api, LIST if "one a line" in whole else "42")

    return model


@dataclass(frozen=True)
class Change:
    """What a vendor has changed, and what `typist smoke` says of it."""

    conversations: str
    """Those that fail, separated by spaces."""
    says: str
    api: VendorApi = ANTHROPIC
    cache: CacheRule | None = None
    answers: Callable[[Body], VendorResponse | None] = lambda body: None
    model: Callable[[VendorRequest], Said | None] = lambda request: None
    """Returns None where the model does what it is asked."""


@dataclass
class NoCache:
    def read(self, body: Body) -> int:
        return 0


@dataclass
class EarlierCache:
    """A cache in which only a thread's first question is found, as an earlier run asked it."""

    def read(self, body: Body) -> int:
        return tokens(str(body["messages"])) if len(body["messages"]) == 1 else 0


@dataclass
class SlowCache(AnthropicRule):
    """A cache that finds nothing for the first two questions of a thread."""

    asked: int = 0

    def read(self, body: Body) -> int:
        found = super().read(body)
        self.asked += "shelf" in str(body)
        return found if self.asked > 2 else 0


def refusing(words: str, part: str) -> Callable[[Body], VendorResponse | None]:
    """Returns a rule that refuses requests that have a part."""
    return lambda body: invalid(words) if part in json.dumps(body) else None


def again(request: VendorRequest) -> Said | None:
    """Writes a cut list from its beginning, after a remark."""
    is_cut = GO_ON_REQUEST[:40] in json.dumps(request.body)
    return says(ANTHROPIC, f"Sure, here is the whole list:\n\n{LIST}") if is_cut else None


CHANGES: Mapping[str, Change] = {
    "a cache that finds nothing": Change("thread", "read 0% of the first one's prompt", cache=NoCache()),
    "a cache that finds nothing but an earlier run's question": Change(
        "thread", "read 0% of the first one's prompt", cache=EarlierCache()
    ),
    "thinking that is bound to a process": Change(
        "tool",
        "rejected what the model had sent before: Invalid `signature` in `thinking` block",
        answers=refusing("Invalid `signature` in `thinking` block", '"type": "thinking"'),
    ),
    "reasoning that can't be verified": Change(
        "tool",
        "encrypted content could",
        api=RESPONSES,
        answers=lambda body: (
            invalid("The encrypted content could not be verified.", code="invalid_encrypted_content")
            if any("encrypted_content" in item for item in body["input"])
            else None
        ),
    ),
    "a model that calls no tool": Change(
        "tool search",
        "didn't call the requested tool",
        model=lambda request: says(ANTHROPIC, "Noted as 1.") if request.body.get("tools") else None,
    ),
    "tools that are refused": Change(
        "tool search",
        "Its server refused the request",
        answers=lambda body: invalid("tools: not supported", param="tools") if body.get("tools") else None,
    ),
    "a result that is overlooked": Change(
        "tool search",
        "The answer doesn't have the tool's result",
        model=lambda request: says(ANTHROPIC, "Done.") if "tool_result" in str(request.body) else None,
    ),
    "PDFs that are refused": Change(
        "files",
        "I read only the text of code.pdf, not its images or layout. The vendor said: ",
        answers=refusing("PDF documents are not supported.", '"type": "document"'),
    ),
    "pictures that are refused": Change(
        "files",
        "square.png",
        answers=refusing("This model does not support images.", '"type": "image"'),
    ),
    "a cut answer that is repeated": Change("cut", f"of {NUMBERS} lines, {NUMBERS} of them distinct", model=again),
    "a wrong answer": Change(
        "words", "isn't 42", model=lambda request: says(ANTHROPIC, "43") if "17 plus 25" in str(request.body) else None
    ),
}


async def smoke(
    server: VendorServer,
    stand_in: Vendor,
    api: VendorApi,
    limit_usd: float = 0.1,
    prices: ModelPrices = PRICES,
    url: str = "",
) -> dict[str, SmokeResult]:
    """Returns what became of the conversations, by their names."""
    server.script(stand_in)
    vendor = api.model.partition("/")[0]
    url = url or (server.url if api is ANTHROPIC else f"{server.url}/v1")
    settings = VendorSettings("key", url, "" if api is ANTHROPIC else api.name)
    setup = ModelSetup((api.model,), {vendor: settings}, RequestOptions(16_384), 30.0)
    found = await run_smoke(setup, prices, DEFAULT_SYSTEM_PROMPT, limit_usd)
    return {one.conversation: one for one in found}


def wrong(found: Mapping[str, SmokeResult]) -> dict[str, str]:
    return {name: one.message for name, one in found.items() if one.status != "ok"}


RULES = {"Anthropic": BOUND_THINKING, "OpenAI": ENCRYPTED_REASONING, "DeepSeek": DEEPSEEK}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
async def test_vendor_that_keeps_its_rules_is_all_right(server: VendorServer, rule: Rule) -> None:
    stand_in = Vendor([rule], colleague(rule.api))
    found = await smoke(server, stand_in, rule.api)
    assert wrong(found) == {}
    assert list(found) == list(CONVERSATIONS)
    assert all_passed(list(found.values()))
    assert stand_in.refused == []
    share = re.search(r"read (\d+)% of the first", found["thread"].message)
    assert share, found["thread"].message
    assert int(share[1]) >= 95
    thread = found["thread"]
    assert thread.cached_input_tokens < thread.input_tokens
    assert sum(one.usd for one in found.values()) < 0.04
    kept = re.search(r"(\d+) of 90 lines were kept", found["cut"].message)
    assert kept
    assert int(kept[1]) > 40


def searching(api: VendorApi) -> Callable[[VendorRequest], Said]:
    """Returns a model that reads deferred definitions only after a search, and searches only for what it was told."""

    def model(request: VendorRequest) -> Said:
        deferred = [
            tool
            for one in request.body.get("tools", ())
            for tool in (one["tools"] if one.get("type") == "namespace" else [one])
            if tool.get("defer_loading")
        ]
        turns = request.body.get("messages") or request.body["input"]
        if not deferred or "result" in str(turns) or "function_call_output" in str(turns):
            return colleague(api)(request)
        [note] = [tool for tool in deferred if tool["name"] == "smoke__note"]
        if api is ANTHROPIC:
            if not re.search(r"smoke: .*\bnote\b", str(request.body["system"])):
                return says(api, "I have no tool for notes.")
            query = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "tool_search_tool_bm25", "input": {}}
            references = [{"type": "tool_reference", "tool_name": note["name"]}]
            content = {"type": "tool_search_tool_search_result", "tool_references": references}
            found = {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": content}
            return [query, found, *calls(api)]
        [space] = [tool for tool in request.body["tools"] if tool.get("type") == "namespace"]
        if not re.search(r"smoke: .*\bnote\b", space["description"]):
            return says(api, "I have no tool for notes.")
        search: dict[str, Any] = {"call_id": None, "execution": "server", "status": "completed"}
        output = {"type": "tool_search_output", "id": "ts_2", "tools": [{**space, "tools": [note]}], **search}
        [call] = calls(api)
        return [
            {"type": "tool_search_call", "id": "ts_1", "arguments": {}, **search},
            output,
            {**call, "namespace": space["name"]},
        ]

    return model


@pytest.mark.parametrize(
    ("rules", "url"),
    [
        ([BOUND_THINKING, HISTORIES[1]], "http://api.anthropic.com"),
        ([ENCRYPTED_REASONING, HISTORIES[0], NAMESPACES], "http://api.openai.com/v1"),
    ],
    ids=["Anthropic", "OpenAI"],
)
async def test_tool_among_many_is_searched_for_at_the_vendors_own_hosts(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, rules: Sequence[Rule], url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    stand_in = Vendor(rules, searching(rules[0].api))
    found = await smoke(server, stand_in, rules[0].api, url=url)
    assert (wrong(found), stand_in.refused) == ({}, [])
    searched = [request.body for request in server.requests if "defer_loading" in str(request.body)]
    assert len(searched) == 2
    assert found["search"].message == "Found the right tool among 31 and called it."


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.long(after_row=4)
async def test_change_of_a_vendor_turns_its_conversation_red(server: VendorServer, change: Change) -> None:
    healthy = next(rule for rule in RULES.values() if rule.api is change.api)
    stand_in = Vendor(
        [replace(healthy, answers=change.answers)],
        lambda request: change.model(request) or colleague(change.api)(request),
        change.cache,
    )
    found = await smoke(server, stand_in, change.api)
    assert list(wrong(found)) == change.conversations.split(), wrong(found)
    assert change.says in found[change.conversations.split()[0]].message
    assert not all_passed(list(found.values()))


async def test_cache_that_is_late_has_a_second_chance(server: VendorServer) -> None:
    found = await smoke(server, Vendor([BOUND_THINKING], colleague(ANTHROPIC), SlowCache()), ANTHROPIC)
    assert found["thread"].status == "ok"
    assert found["thread"].cached_input_tokens > 0


async def test_model_whose_cache_saves_nothing_may_have_none(server: VendorServer) -> None:
    prices = ModelPrices(parse_prices('{"*/m": {"input": 0.5, "output": 0.5}}'))
    found = await smoke(server, Vendor([DEEPSEEK], colleague(CHAT), NoCache()), CHAT, prices=prices)
    assert wrong(found) == {}


async def test_what_may_pass_the_limit_is_not_asked(server: VendorServer) -> None:
    found = await smoke(server, Vendor([BOUND_THINKING], colleague(ANTHROPIC)), ANTHROPIC, limit_usd=0.005)
    assert list(wrong(found)) == ["thread", "search"]
    assert "Skipped: this might cost $0.0" in found["thread"].message
    assert found["thread"].usd == 0
    assert all_passed(list(found.values()))
    asked = len(server.requests)
    assert sum(one.usd for one in found.values()) <= 0.005
    nothing = await smoke(server, Vendor([BOUND_THINKING], colleague(ANTHROPIC)), ANTHROPIC, limit_usd=0.000001)
    assert len(server.requests) == asked
    assert not all_passed(list(nothing.values())), "a model that was asked nothing isn't known to be well"


async def test_model_without_a_price_is_not_asked(server: VendorServer) -> None:
    found = await smoke(server, Vendor([DEEPSEEK], colleague(CHAT)), CHAT, prices=ModelPrices())
    assert all("openai/m has no price" in one.message for one in found.values())
    assert server.requests == []


async def test_failure_names_its_reason(server: VendorServer) -> None:
    healthy = colleague(ANTHROPIC)
    refused = replace(BOUND_THINKING, answers=lambda body: VendorResponse([b'{"error": {}}'], 401, "application/json"))
    found = await smoke(server, Vendor([refused], healthy), ANTHROPIC)
    [failed] = [one for one in found.values() if one.status == "fail"]
    assert (failed.conversation, failed.message.partition(" (")[0]) == (FIRST, "Failed: bad_key")
    assert wrong(found) | {FIRST: ""} == {FIRST: ""} | dict.fromkeys(
        CONVERSATIONS.keys() - {FIRST}, "Skipped because an earlier conversation failed: bad_key."
    )
    assert sum(one.usd for one in found.values()) == 0
    assert as_json(list(found.values()))["ok"] is False


def script(server: VendorServer, change: Change | None = None) -> Mapping[str, str]:
    """Has the server answer as Claude does, but for a change; returns the environment of a command that asks it."""

    def model(request: VendorRequest) -> Said:
        return (change.model(request) if change else None) or colleague(ANTHROPIC)(request)

    server.script(Vendor([BOUND_THINKING], model))
    return {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "key", "BOT_MODELS": "anthropic/claude-haiku-5-5"}


async def test_command_prints_one_line_of_json(server: VendorServer, tmp_path: Path) -> None:
    code, out, err = await forked_command(tmp_path, "smoke", "--json", env=script(server))
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    report = json.loads(out)
    assert report["ok"]
    assert 0 < report["usd"] < LIMIT_USD
    assert [one["conversation"] for one in report["conversations"]] == list(CONVERSATIONS)
    thread = report["conversations"][1]
    assert thread["cached_input_tokens"] > 0.4 * thread["input_tokens"]


async def test_command_fails_and_says_what_was_wrong_and_where_to_read_on(server: VendorServer, tmp_path: Path) -> None:
    env = script(server, CHANGES["a cut answer that is repeated"])
    code, out, err = await forked_command(tmp_path, "smoke", "--limit", "0.5", env=env)
    assert (code, err) == (1, "")
    assert "✔ anthropic/claude-haiku-5-5 words: Answered. · " in out
    assert re.search(
        r"✘ anthropic/claude-haiku-5-5 cut: .* tokens in.* · \$0\.\d{4} · \d+\.\d s\n  → See Nightly model tests",
        out,
    )


async def test_limit_that_is_none_is_refused(tmp_path: Path) -> None:
    code, _, err = await forked_command(tmp_path, "smoke", "--limit", "much", env={})
    assert (code, "--limit: invalid number of dollars value: 'much'" in err) == (2, True), err
