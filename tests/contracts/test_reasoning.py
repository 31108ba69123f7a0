"""Tags of reasoning in the text of compatible servers, however the text is cut into deltas."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.providers.reasoning import ThinkTags

PLAIN = "qwen3:8b"
UNOPENED = "Qwen/QwQ-32B"


def answer(model: str, deltas: list[str], whole: bool = True) -> str:
    tags = ThinkTags(model)
    said = [tags.take(delta) for delta in deltas]
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
    tags.separated()
    assert tags.take("Hello") == "Hello"


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
