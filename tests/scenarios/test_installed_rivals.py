"""What benchmarks.installed_rivals needs: a model that answers in each bot's form, and installations that may fail."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import openai
import pytest

from benchmarks import installed_rivals
from benchmarks.installed_rivals import AnyFormsModel, NotMeasuredError
from benchmarks.numbered_model import question

Asks = Callable[[openai.AsyncOpenAI, str], Awaitable[str]]
WORDS = [f"w{number}" for number in range(1, 9)]


@pytest.fixture
async def model() -> AsyncIterator[AnyFormsModel]:
    async with AnyFormsModel(words_per_s=40, first_word_s=0.1) as model:
        yield model


@pytest.fixture
async def client(model: AnyFormsModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as client:
        yield client


async def streamed(client: openai.AsyncOpenAI, prompt: str) -> str:
    chunks = await client.chat.completions.create(
        model="numbered", messages=[{"role": "user", "content": [{"type": "text", "text": prompt}]}], stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def in_one_piece(client: openai.AsyncOpenAI, prompt: str) -> str:
    completion = await client.chat.completions.create(model="numbered", messages=[{"role": "user", "content": prompt}])
    return completion.choices[0].message.content or ""


async def by_responses(client: openai.AsyncOpenAI, prompt: str) -> str:
    return (await client.responses.create(model="numbered", input=prompt)).output_text


@pytest.mark.parametrize("ask", [streamed, in_one_piece, by_responses])
async def test_answer_is_as_late_as_its_words_in_each_form(
    model: AnyFormsModel, client: openai.AsyncOpenAI, ask: Asks
) -> None:
    asked_s = time.monotonic()
    assert (await ask(client, question(3, len(WORDS)))).split() == WORDS
    assert time.monotonic() - asked_s >= 0.1 + (len(WORDS) - 1) / 40
    assert [round(at_s - asked_s, 3) >= 0.1 for at_s in model.sent_at_s[3]] == [True] * len(WORDS)


async def test_second_request_about_a_question_is_not_measured(
    model: AnyFormsModel, client: openai.AsyncOpenAI
) -> None:
    await streamed(client, question(3, len(WORDS)))
    assert await in_one_piece(client, f"Find a title: {question(3, len(WORDS))}") == "Numbers"
    assert len(model.sent_at_s[3]) == len(WORDS)


def test_bot_without_sources_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(NotMeasuredError, match="there is no folder"):
        installed_rivals.install("bolt-sample", tmp_path / "cache", tmp_path / "nowhere")
    assert not list(tmp_path.glob("cache/*/done")), "it is tried again the next time"


def test_bot_whose_program_is_missing_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasuredError, match="npm isn't installed"):
        installed_rivals.install("chat-sdk", tmp_path / "cache", None)
