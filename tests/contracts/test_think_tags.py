"""Reasoning is never the answer: in every form that vendors and servers give it, however it is cut into deltas."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.texts import for_error
from bot.errors import Failure
from bot.providers.think_tags import ThinkTags
from tests.contracts.notifications import connected, hear
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, Api
from tests.streams import speech
from tests.streams.server import Answer, VendorServer

PLAIN = "qwen3:8b"
UNOPENED = "Qwen/QwQ-32B"


def answer(model: str, deltas: list[str], whole: bool = True) -> str:
    tags = ThinkTags(model)
    said = [tags.add(delta) for delta in deltas]
    return "".join(each for each in said if isinstance(each, str)) + tags.end(whole)


@pytest.mark.parametrize(
    ("model", "text", "said"),
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
def test_the_answer_is_what_is_left(model: str, text: str, said: str, size: int) -> None:
    assert answer(model, [text[at : at + size] for at in range(0, len(text), size)]) == said


def test_a_model_that_leaves_out_the_opening_tag_and_was_cut_off_has_said_nothing() -> None:
    assert answer(UNOPENED, ["a long thought"], whole=False) == ""


def test_reasoning_in_a_field_of_its_own_lets_the_text_through_at_once() -> None:
    tags = ThinkTags(UNOPENED)
    tags.reasoning_is_separate()
    assert tags.add("Hello") == "Hello"


TEXTS = st.lists(
    st.sampled_from(["<", "<th", "<think>", "</think>", "think>", "</", "[THINK]", "[/THINK]", " ", "\n", "a", "é"])
)


@settings(max_examples=200, deadline=None)
@given(texts=TEXTS, cuts=st.lists(st.integers(0, 60)), model=st.sampled_from([PLAIN, UNOPENED]))
def test_deltas_make_no_difference(texts: list[str], cuts: list[int], model: str) -> None:
    text = "".join(texts)
    at = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [text[low:high] for low, high in pairwise(at)]
    assert answer(model, deltas) == answer(model, [text])


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server


class TestReasoning:
    """It is never the answer, and while it comes the model is at work."""

    @pytest.mark.parametrize(
        ("api", "name", "model"),
        [
            (RESPONSES, "openai_responses_reasoning", "m"),
            (RESPONSES, "vllm_responses", "m"),
            (CHAT, "deepseek_chat", "deepseek-reasoner"),
            (CHAT, "openrouter_chat", "qwen/qwen3-32b"),
            (CHAT, "ollama_chat", "qwen3:8b"),
            (CHAT, "vllm_chat", "Qwen/Qwen3-8B"),
            (CHAT, "vllm_chat", "Qwen/Qwen3-30B-A3B-Thinking-2507"),
            (CHAT, "vllm_chat_think_tags", "Qwen/Qwen3-8B"),
            (CHAT, "vllm_chat_think_tags", "Qwen/Qwen3-30B-A3B-Thinking-2507"),
            (CHAT, "vllm_chat_unopened", "Qwen/Qwen3-30B-A3B-Thinking-2507"),
            (CHAT, "llama_cpp_chat_think_tags", "magistral-small"),
            (CHAT, "mistral_chat", "magistral-medium"),
            (ANTHROPIC, "anthropic_thinking", "m"),
            (ANTHROPIC, "anthropic_redacted_thinking", "m"),
        ],
    )
    @pytest.mark.parametrize("size", [10_000, 1], ids=["whole", "by the byte"])
    async def test_is_not_in_the_answer(self, vendor: VendorServer, api: Api, name: str, model: str, size: int) -> None:
        vendor.script(Answer(speech.split(speech.documented(name), size)))
        async with connected(api, vendor, model=model) as provider:
            heard = await hear(provider)
        assert heard.text.startswith("H")
        assert heard.text in ("Hello there!", "Hi there! How can I assist you today?")
        assert heard.thought > 0

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_in_tags_is_not_in_the_answer(self, vendor: VendorServer, api: Api, streaming: bool) -> None:
        deltas = ["<th", "ink>\nA greet", "ing.", "</think>", "\n\n", "Hello", " there!"]
        vendor.script(api.streamed(*deltas) if streaming else api.whole("".join(deltas)))
        async with connected(api, vendor, streaming) as model:
            assert (await hear(model)).text == "Hello there!"

    @pytest.mark.parametrize(
        ("api", "name", "thought"),
        [
            (RESPONSES, "openai_responses_only_reasoning", 2),
            # Whatever comes while they think is a sign of it, as the chunk with the finish reason.
            (CHAT, "llama_cpp_chat_unclosed", 5),
            (ANTHROPIC, "anthropic_only_thinking", 4),
        ],
        ids=str,
    )
    async def test_without_an_answer_is_a_failure(
        self, vendor: VendorServer, api: Api, name: str, thought: int
    ) -> None:
        vendor.script(Answer([speech.documented(name)]))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert (heard.text, heard.failure, heard.thought) == ("", Failure.ONLY_THOUGHT, thought)
        assert heard.error is not None
        assert "while thinking" in for_error(heard.error)

    async def test_in_an_answer_that_came_as_one(self, vendor: VendorServer) -> None:
        item = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "A greeting."}], "summary": []}
        whole = json.loads(speech.responses_whole("Hello"))
        whole["output"].insert(0, item)
        vendor.script(
            Answer([json.dumps(whole).encode()], content_type="application/json"),
            CHAT.whole("<think>A greeting.</think>\n\nHello"),
        )
        for api in (RESPONSES, CHAT):
            async with connected(api, vendor, streaming=False) as model:
                assert (await hear(model)).text == "Hello"
