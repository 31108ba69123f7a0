"""Reasoning never appears in the answer, in every form that vendors and servers use, however it is cut into deltas."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.texts import for_error
from bot.errors import EndReason
from bot.models.streams import ThinkTags
from tests.contracts.notifications import ask
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

PLAIN = "qwen3:8b"
UNOPENED = "Qwen/QwQ-32B"


def answer(model: str, deltas: list[str], whole: bool = True) -> str:
    tags = ThinkTags(model)
    results = [tags.add(delta) for delta in deltas]
    return "".join(result for result in results if isinstance(result, str)) + tags.end(whole)


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        (PLAIN, "Hello", "Hello"),
        (PLAIN, "  Hello", "  Hello"),
        (PLAIN, "<think>a < b</think>\n\nHello", "Hello"),
        (PLAIN, "\n<think>\na\n</think>Hello", "Hello"),
        (PLAIN, "<think></think>\n\n<think>more</think>Hello", "Hello"),
        (PLAIN, "[THINK]a[/THINK]Hello", "Hello"),
        (PLAIN, "<thinking>a</think></thinking>Hello", "Hello"),
        (PLAIN, "<think>never closed", ""),
        (PLAIN, "Use <think>so</think>.", "Use <think>so</think>."),
        (PLAIN, "<think>a</think>It writes <think>b</think>.", "It writes <think>b</think>."),
        (PLAIN, "<thin air", "<thin air"),
        (PLAIN, "<thin", "<thin"),
        (PLAIN, "<table>", "<table>"),
        (PLAIN, "[TH", "[TH"),
        (UNOPENED, "a\n</think>\n\nHello", "Hello"),
        (UNOPENED, "<think>a</think>Hello", "Hello"),
        (UNOPENED, "<think>a", ""),
        (UNOPENED, "Hello", "Hello"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answer_is_the_text_outside_the_tags(model: str, text: str, expected: str, size: int) -> None:
    assert answer(model, [text[at : at + size] for at in range(0, len(text), size)]) == expected


def test_cut_answer_without_opening_tag_is_empty() -> None:
    assert answer(UNOPENED, ["a long thought"], whole=False) == ""


def test_reasoning_in_its_own_field_lets_text_through_at_once() -> None:
    tags = ThinkTags(UNOPENED)
    tags.reasoning_is_separate()
    assert tags.add("Hello") == "Hello"


TEXTS = st.lists(
    st.sampled_from(["<", "<th", "<think>", "</think>", "think>", "</", "[THINK]", "[/THINK]", " ", "\n", "a", "é"])
)


@given(texts=TEXTS, cuts=st.lists(st.integers(0, 60)), model=st.sampled_from([PLAIN, UNOPENED]))
def test_chunking_makes_no_difference(texts: list[str], cuts: list[int], model: str) -> None:
    text = "".join(texts)
    at = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [text[low:high] for low, high in pairwise(at)]
    assert answer(model, deltas) == answer(model, [text])


class TestReasoning:
    """Reasoning is never part of the answer, and it shows that the model is working."""

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_reasoning_in_tags_is_not_in_the_answer(
        self, vendor: VendorServer, api: VendorApi, streaming: bool
    ) -> None:
        deltas = ["<th", "ink>\nA greet", "ing.", "</think>", "\n\n", "Hello", " there!"]
        received = await ask(api, vendor, api.streamed(*deltas) if streaming else api.whole("".join(deltas)))
        assert received.text == "Hello there!"

    @pytest.mark.parametrize(
        ("api", "name", "thought"),
        [
            (RESPONSES, "openai_responses_only_reasoning", 2),
            # Any chunk during thinking counts as a sign of it, including the one with the finish reason.
            (CHAT, "llama_cpp_chat_unclosed", 5),
            (ANTHROPIC, "anthropic_only_thinking", 4),
        ],
        ids=str,
    )
    async def test_reasoning_without_an_answer_is_a_failure(
        self, vendor: VendorServer, api: VendorApi, name: str, thought: int
    ) -> None:
        received = await ask(api, vendor, VendorResponse([speech.documented(name)]))
        assert (received.text, received.failure, received.thought) == ("", EndReason.ONLY_THOUGHT, thought)
        assert received.error is not None
        assert "while thinking" in for_error(received.error)

    async def test_reasoning_is_removed_without_streaming(self, vendor: VendorServer) -> None:
        whole = json.loads(speech.responses_whole("Hello"))
        thought = [{"type": "reasoning_text", "text": "A greeting."}]
        whole["output"].insert(0, {"type": "reasoning", "content": thought, "summary": []})
        answer = VendorResponse([json.dumps(whole).encode()], content_type="application/json")
        assert (await ask(RESPONSES, vendor, answer)).text == "Hello"
