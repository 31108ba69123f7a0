"""Answers that go on, and threads that do, at vendors that keep what they document (vendor_rules.py)."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.events import FinishReason, Opaque, TextPart, ToolCall
from bot.models.prompt import PDF, Media, Prompt, ToolDefinition, ToolResult, Turn
from bot.models.wrappers import Fallback
from files_to_markdown.document import Document
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, Received, collect, connected
from tests.contracts.vendor_rules import (
    BOUND,
    CLASSIFIER,
    EXPLANATION,
    FORBIDDEN,
    GEMINI,
    MISSING_FIELD,
    MONITORED,
    PDF_PAGES,
    SKIP,
    STICKS,
    STOPPED,
    Rule,
    Vendor,
    pdf,
)
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, refusal

ADD = ToolDefinition("notes__add", "Adds a note", {"type": "object", "properties": {"text": {"type": "string"}}})
OFFERING = replace(PROMPT, tools=(ADD,))
CHANGED = replace(OFFERING, system="Be brief, and polite.")
by_rule = pytest.mark.parametrize("rule", BOUND, ids=[rule.api.name for rule in BOUND])


def asks_for(api: VendorApi, number: int) -> Sequence[steps.Item]:
    text, call_id = f"Note {number}.", f"c{number}"
    if api is ANTHROPIC:
        return steps.text(text), steps.tool_use(call_id, ADD.name, {"text": text})
    if api is RESPONSES:
        message = {**steps.message(text), "id": f"msg_{number}"}
        return message, steps.function_call(call_id, ADD.name, f'{{"text": "{text}"}}')
    return {"content": text}, steps.chat_call(f'{{"text": "{text}"}}', 0, id=call_id, name=ADD.name)


def says(api: VendorApi, text: str) -> Sequence[steps.Item]:
    if api is CHAT:
        return [{"content": text}]
    return [steps.text(text) if api is ANTHROPIC else steps.message(text)]


def results_in(request: VendorRequest) -> int:
    """Returns how many results of calls a request has, each with its call."""
    body = str(request.body)
    called = body.count("'tool_use'") + body.count("'function_call'") + body.count("'tool_calls'")
    results = body.count("'tool_result'") + body.count("'function_call_output'") + body.count("'role': 'tool'")
    assert called == results, "each call that was made stays one that was made"
    return results


def noting(rule: Rule, notes: int) -> Vendor:
    """Returns a vendor whose model asks for this many notes, one after another, and then ends."""

    def model(request: VendorRequest) -> Sequence[steps.Item]:
        made = results_in(request)
        return asks_for(rule.api, made) if made < notes else says(rule.api, "Noted.")

    return Vendor([rule], model)


def going_on(prompt: Prompt, received: Received) -> Prompt:
    parts = tuple(event for event in received.others if isinstance(event, TextPart | ToolCall | Opaque))
    results = tuple(ToolResult(call.call_id, call.name, "Noted.") for call in received.calls)
    assert results, received
    turns = Turn("assistant", received.text, parts=parts), Turn("user", "Noted.", parts=results)
    return replace(prompt, turns=(*prompt.turns, *turns))


@by_rule
async def test_answer_that_goes_on_under_a_changed_prompt_costs_one_refusal(
    in_process: InProcessVendor, rule: Rule
) -> None:
    stand_in = noting(rule, notes=4)
    in_process.script(stand_in)
    async with connected(rule.api, in_process) as model:
        begun = going_on(OFFERING, await collect(model, OFFERING))
        begun = going_on(begun, await collect(model, begun))
        assert not stand_in.refused, "under the same prompt all is as it was"
        later = replace(begun, system=CHANGED.system)
        for _ in range(2):
            later = going_on(later, await collect(model, later))
        last = await collect(model, later)
    assert (last.text, last.end, last.completions[0].refused) == ("Noted.", FinishReason.STOP, ())
    assert len(stand_in.refused) == 1, "remembered for the steps that follow"
    assert [results_in(request) for request in in_process.requests] == [0, 1, 2, 2, 3, 4]


@by_rule
async def test_thinking_since_the_change_goes_back_as_ever(in_process: InProcessVendor, rule: Rule) -> None:
    in_process.script(noting(rule, notes=3))
    async with connected(rule.api, in_process) as model:
        later = replace(going_on(OFFERING, await collect(model, OFFERING)), system=CHANGED.system)
        later = going_on(later, await collect(model, later))
        await collect(model, later)
    own = [str(request.body).count(_OWN[rule.api]) for request in in_process.requests]
    assert own == [0, 1, 0, 1]


_OWN = {ANTHROPIC: "'type': 'thinking'", RESPONSES: "'encrypted_content':", CHAT: "extra_content"}
"""What stands in a request for each item of the model's own."""


@by_rule
async def test_refusal_of_something_else_takes_nothing_from_what_follows(
    in_process: InProcessVendor, rule: Rule
) -> None:
    """The repeat tells whether the items were the reason: these are sent again with the next request."""
    stand_in = noting(rule, notes=2)
    in_process.script(stand_in)
    async with connected(rule.api, in_process) as model:
        begun = going_on(OFFERING, await collect(model, OFFERING))
        in_process.script(refusal(400, {"error": {"message": "Your thinking is not welcome here"}}))
        assert (await collect(model, begun)).end is EndReason.UNEXPECTED
        in_process.script(stand_in)
        await collect(model, begun)
    assert _OWN[rule.api] in str(in_process.requests[-1].body)


@pytest.mark.parametrize("rule", MISSING_FIELD, ids=lambda rule: rule.source)
async def test_field_that_a_refusal_misses_is_there_from_then_on(in_process: InProcessVendor, rule: Rule) -> None:
    stand_in = noting(rule, notes=1)
    in_process.script(stand_in)
    own_calls = going_on(OFFERING, Received([], [], others=[ToolCall(0, "c0", ADD.name, {"text": "Note 0."})]))
    async with connected(CHAT, in_process) as model:
        received = [await collect(model, prompt) for prompt in (own_calls, OFFERING, own_calls)]
        received.append(await collect(model, going_on(OFFERING, received[1])))
    assert len(stand_in.refused) == 1
    assert [one.error for one in received] == [None] * 4
    assert [one.completions[0].refused for one in received] == [()] * 4, "no tool is given up"
    assert all(ADD.name in str(request.body["tools"]) for request in in_process.requests)
    [kept] = [message for message in in_process.requests[-1].body["messages"] if message.get("tool_calls")]
    assert kept["reasoning_content"] == "Hm.", "reasoning that is on record stays"


async def test_call_of_another_model_is_signed_as_google_documents_after_one_refusal(
    in_process: InProcessVendor,
) -> None:
    stand_in = noting(GEMINI, notes=2)
    in_process.script(stand_in)
    begun = going_on(OFFERING, Received([], [], others=[ToolCall(0, "c0", ADD.name, {"text": "Note 0."})]))
    async with connected(CHAT, in_process) as model:
        begun = going_on(begun, await collect(model, begun))
        last = await collect(model, begun)
    assert (len(stand_in.refused), last.text, last.completions[0].refused) == (1, "Noted.", ())
    signatures = [
        call["extra_content"]["google"]["thought_signature"]
        for message in in_process.requests[-1].body["messages"]
        for call in message.get("tool_calls") or ()
    ]
    assert signatures[0] == SKIP
    assert SKIP not in signatures[1:], "a signature of its own goes back as it came"


async def test_signature_that_google_refuses_is_replaced_and_that_is_remembered(in_process: InProcessVendor) -> None:
    stand_in = noting(GEMINI, notes=3)
    in_process.script(stand_in)
    async with connected(CHAT, in_process) as model:
        begun = going_on(OFFERING, await collect(model, OFFERING))
        later = replace(begun, system=CHANGED.system)
        for _ in range(2):
            later = going_on(later, await collect(model, later))
        last = await collect(model, later)
    assert (last.text, last.end, last.completions[0].refused) == ("Noted.", FinishReason.STOP, ())
    assert [words.count("Corrupted") for words in stand_in.refused] == [1, 0], "then one refusal of none at all"


async def test_field_is_for_the_vendor_that_misses_it_alone(in_process: InProcessVendor) -> None:
    in_process.script(noting(BOUND[-1], notes=0))
    async with connected(CHAT, in_process) as model:
        await collect(model, OFFERING)
    assert "reasoning_content" not in str(in_process.requests[0].body)
    assert SKIP not in str([request.body for request in in_process.requests])


def _forbids_marks(request: VendorRequest) -> VendorResponse:
    """Refuses cache_control wherever it stands, as a strict server that knows Anthropic's API."""
    if "cache_control" not in str(request.body):
        return ANTHROPIC.streamed("one")
    place = "" if "cache_control" in request.body else "messages.2.content.0.text."
    return refusal(400, {"error": {"message": f"{place}cache_control: Extra inputs are not permitted"}})


async def test_mark_for_a_cache_that_is_refused_is_nowhere_in_the_next_request(in_process: InProcessVendor) -> None:
    in_process.script(_forbids_marks)
    async with connected(ANTHROPIC, in_process) as model:
        received = [await collect(model, OFFERING) for _ in range(2)]
    assert [one.text for one in received] == ["one", "one"]
    assert len(in_process.requests) == 3, "remembered"


BARE: dict[VendorApi, Any] = {
    ANTHROPIC: {"model", "max_tokens", "messages", "stream", "role", "content", "type", "text"},
    RESPONSES: {"model", "input", "stream", "store", "max_output_tokens", "role", "content", "type", "text"},
    CHAT: {"model", "messages", "stream", "max_tokens", "role", "content", "type", "text"},
}


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("api", BARE, ids=str)
async def test_bare_request_has_nothing_that_can_be_missed_at_any_depth(
    in_process: InProcessVendor, api: VendorApi
) -> None:
    in_process.script(refusal(400, {"error": {"message": "No."}}))
    keyed = replace(OFFERING, cache_key="c0ffee")
    async with connected(api, in_process) as model:
        await collect(model, keyed)
    assert _names(in_process.requests[-1].body) == BARE[api] - {"type", "text"}


@pytest.mark.parametrize("rule", STICKS.values(), ids=STICKS.keys())
async def test_refused_words_are_sent_once_and_the_log_has_the_vendors_reason(
    in_process: InProcessVendor, rule: Rule
) -> None:
    in_process.script(Vendor([rule], lambda request: says(rule.api, "Here you are.")))
    async with connected(rule.api, in_process) as model:
        received = await collect(model, replace(PROMPT, turns=(Turn("user", f"What is {FORBIDDEN}?"),)))
        assert (await collect(model, PROMPT)).text == "Here you are."
    assert received.error is not None
    assert (received.end, received.error.is_temporary) == (EndReason.REFUSED, False)
    assert len(in_process.requests) == 2
    assert received.error.detail not in ("", "finish reason refusal")


async def test_classifiers_category_and_explanation_are_for_the_log_without_the_askers_words(
    in_process: InProcessVendor,
) -> None:
    in_process.script(Vendor([CLASSIFIER], lambda request: ()))
    async with connected(ANTHROPIC, in_process) as model:
        received = await collect(model, replace(PROMPT, turns=(Turn("user", f"Is {FORBIDDEN} for biology?"),)))
    assert received.error is not None
    quoted = EXPLANATION.replace("biology", "…")
    assert received.error.detail == f"finish reason refusal: bio: {quoted}"


@pytest.mark.parametrize("rule", MONITORED.values(), ids=MONITORED.keys())
async def test_answer_that_is_stopped_for_what_the_model_did_is_sent_to_no_model_again(
    in_process: InProcessVendor, rule: Rule
) -> None:
    in_process.script(noting(rule, 1))
    async with connected(RESPONSES, in_process) as model, connected(RESPONSES, in_process) as other:
        begun = await collect(model, OFFERING)
        stopped = await collect(Fallback([model, other]), going_on(OFFERING, begun))
    assert stopped.error is not None
    assert (stopped.end, stopped.error.is_temporary) == (EndReason.MISALIGNED, False)
    assert stopped.error.explanation == STOPPED
    assert "credentials" not in stopped.error.detail
    assert len(in_process.requests) == 2


PHOTO = Media("photo.png", "image/png", "aW1n")
HANDBOOK = Media("handbook.pdf", PDF, base64.b64encode(pdf(120)).decode(), Document("What it says."))


def about(*files: Media) -> Prompt:
    return Prompt("", (Turn("user", "What do these say?", files),))


async def test_pdf_of_too_many_pages_is_refused_once_and_its_text_takes_its_place(in_process: InProcessVendor) -> None:
    stand_in = Vendor([PDF_PAGES], lambda request: [steps.text("Much.")])
    in_process.script(stand_in)
    async with connected(ANTHROPIC, in_process) as model:
        for _ in range(2):
            received = await collect(model, about(PHOTO, HANDBOOK))
            assert (received.text, received.completions[0].left_out) == ("Much.", ("handbook.pdf",))
            [last] = in_process.requests[-1].body["messages"]
            assert [block["type"] for block in last["content"]] == ["image", "text"], "the image stays"
            assert last["content"][-1]["text"] == "What do these say?\n\nWhat it says."
    assert len(stand_in.refused) == 1, "remembered"


async def test_pdf_that_may_be_the_reason_is_asked_about_again_by_its_text(in_process: InProcessVendor) -> None:
    in_process.script(refusal(400, {"error": {"message": "Bad request"}}), ANTHROPIC.streamed("Much."))
    async with connected(ANTHROPIC, in_process) as model:
        assert (await collect(model, about(HANDBOOK))).text == "Much."
