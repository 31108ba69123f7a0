"""Token estimates: all that a request sends counts, because caps are reserved and history is truncated by them."""

import json
from dataclasses import replace

import pytest

from bot.models.events import Opaque, TextPart, ToolCall, Usage
from bot.models.prompt import (
    Media,
    Prompt,
    TokenEstimate,
    ToolDefinition,
    ToolResult,
    Turn,
    room_for_conversation,
    room_for_results,
    room_in_window,
)

SCHEMA = {"type": "object", "properties": {f"field_{number}": {"type": "string"} for number in range(200)}}
TOOLS = tuple(ToolDefinition(f"server__tool_{number}", "Finds something. " * 20, SCHEMA, "") for number in range(100))
CALL = ToolCall(0, "call_1", "server__write", {"text": "word " * 1_000})
REASONING = Opaque("openai", {"type": "reasoning", "encrypted_content": "gAAAAB" * 1_000})
WORDS = "word " * 1_000
PROMPT = Prompt("be brief", (Turn("user", "Why?"),))
STEP = replace(PROMPT, turns=(*PROMPT.turns, Turn("assistant", "Let me see.", parts=(TextPart("Let me see."), CALL))))


def with_result(text: str) -> Prompt:
    result = Turn("user", text, parts=(ToolResult("call_1", "server__write", text),))
    return replace(STEP, turns=(*STEP.turns, result))


def opaque(*items: Opaque) -> Prompt:
    return replace(PROMPT, turns=(*PROMPT.turns, Turn("assistant", WORDS, parts=(TextPart(WORDS), *items))))


@pytest.mark.parametrize(
    ("less", "more", "sent_bytes"),
    [
        (PROMPT, replace(PROMPT, tools=TOOLS[:1]), len(json.dumps(SCHEMA))),
        (PROMPT, replace(PROMPT, tools=TOOLS), 100 * len(json.dumps(SCHEMA))),
        (PROMPT, STEP, len(WORDS)),
        (with_result(""), with_result(WORDS), len(WORDS)),
        (PROMPT, opaque(REASONING), 6_000),
    ],
    ids=["one definition", "many definitions", "a call's arguments", "a result", "an encrypted item"],
)
def test_all_that_a_request_sends_counts(less: Prompt, more: Prompt, sent_bytes: int) -> None:
    estimate = TokenEstimate(("openai/m",))
    counted = estimate.prompt_tokens(more) - estimate.prompt_tokens(less)
    assert sent_bytes // 3 <= counted <= sent_bytes / 2


def test_step_is_counted_once_though_its_items_repeat_its_text() -> None:
    """OpenAI gets the message item in place of the text."""
    estimate, message = TokenEstimate(("openai/m",)), Opaque("openai", {"type": "message", "content": WORDS})
    assert estimate.prompt_tokens(opaque(message)) < estimate.prompt_tokens(PROMPT) + 1.2 * len(WORDS) / 3


REPORTED = Usage(1_000_000, 10)
LONG = Prompt("", (Turn("user", "word " * 8_000),))
WITH_IMAGE = replace(PROMPT, turns=(Turn("user", WORDS, (Media("plan.png", "image/png", "aW1n"),)),))
TOO_SHORT, LONG_ENOUGH = (Prompt("", (Turn("user", "x" * chars),)) for chars in (299, 300))


@pytest.mark.parametrize(
    ("prompt", "usage", "learns"),
    [
        (replace(opaque(), tools=TOOLS[:3]), REPORTED, True),
        (replace(opaque(REASONING), tools=TOOLS[:3]), REPORTED, False),
        (replace(opaque(), tools=TOOLS), REPORTED, False),
        (WITH_IMAGE, REPORTED, False),
        (opaque(), replace(REPORTED, web_searches=1), False),
        (opaque(), REPORTED + REPORTED, False),
        (opaque(), Usage(0, 10), False),
        (TOO_SHORT, REPORTED, False),
        (LONG_ENOUGH, REPORTED, True),
        (LONG, Usage(4_096, 10), False),
        (LONG, Usage(4_096, 10, cached_input_tokens=904), True),
        (LONG, Usage(12, 10), False),
    ],
    ids=[
        "texts",
        "an encrypted item",
        "definitions that a search may leave out",
        "an image",
        "what a search found",
        "two requests",
        "no count",
        "too short a text",
        "the shortest text",
        "a prompt that was cut",
        "a count without cached tokens",
        "a count of something else",
    ],
)
def test_estimate_learns_from_requests_of_which_it_knows_the_texts(prompt: Prompt, usage: Usage, learns: bool) -> None:
    estimate = TokenEstimate(("openai/m",))
    before = estimate.tokens(WORDS)
    estimate.learn("openai/other", prompt, usage)
    assert estimate.tokens(WORDS) == before
    estimate.learn("openai/m", prompt, usage)
    assert (estimate.tokens(WORDS) != before) is learns
    is_cut = usage == Usage(4_096, 10) and prompt is LONG
    assert estimate.cut_prompts == ({"openai/m": (13_333, 4_096)} if is_cut else {})


@pytest.mark.parametrize(
    ("definitions_tokens", "room_tokens"),
    [(0, 16_000), (1_000, 15_000), (8_000, 8_000), (9_000, 8_000), (1_000_000, 8_000)],
)
def test_definitions_take_at_most_half_of_the_room(definitions_tokens: int, room_tokens: int) -> None:
    assert room_for_conversation(16_000, definitions_tokens) == room_tokens


@pytest.mark.parametrize(
    ("window_tokens", "taken_tokens", "conversation_tokens", "results_tokens"),
    [
        (None, 1_000_000, 16_000, 16_000),
        (200_000, 1_000, 16_000, 16_000),
        (8_000, 1_000, 5_000, 5_000),
        (8_000, 4_500, 2_000, 1_500),
        (8_000, 5_500, 2_000, 1_000),
    ],
)
def test_window_leaves_a_quarter_for_the_answer_and_room_beside_what_is_long(
    window_tokens: int | None, taken_tokens: int, conversation_tokens: int, results_tokens: int
) -> None:
    assert room_in_window(16_000, window_tokens, taken_tokens) == conversation_tokens
    assert room_for_results(3_200, window_tokens, taken_tokens) == results_tokens


def test_smallest_window_that_was_named_counts() -> None:
    estimate = TokenEstimate(("openai/m",))
    assert estimate.smallest_window(None) is None
    named = {None: False, 8_000: True, 9_000: False, 4_000: True}
    assert {tokens: estimate.learn("openai/m", PROMPT, None, tokens) for tokens in named} == named
    assert not estimate.learn("openai/m", PROMPT, None, 4_000)
    assert [estimate.smallest_window(tokens) for tokens in (None, 3_000, 5_000)] == [4_000, 3_000, 4_000]
