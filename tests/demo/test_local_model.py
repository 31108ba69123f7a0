"""The local model through an OpenAI client over HTTP."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionChunk

from demo.local_model import LocalModel, LocalModelError, unavailable_reason
from slack_sandbox.testing.processes import WITHIN_S

pytestmark = [
    pytest.mark.wide,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or ""),
]
ROOT = Path(__file__).parents[2]
SYSTEM = "You are a helpful assistant."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[LocalModel]:
    async with LocalModel() as model:
        yield model


@pytest_asyncio.fixture(loop_scope="module")
async def client(model: LocalModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="none is needed", max_retries=0) as client:
        yield client


async def ask(
    client: openai.AsyncOpenAI, question: str, max_tokens: int = 30, temperature: float | openai.Omit = openai.omit
) -> openai.AsyncStream[ChatCompletionChunk]:
    return await client.chat.completions.create(
        model=LocalModel.model,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
        max_tokens=max_tokens,
        temperature=temperature,
        stream=True,
        stream_options={"include_usage": True},
    )


async def read(stream: openai.AsyncStream[ChatCompletionChunk]) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in stream]


def text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_answer_is_streamed_and_ends_with_finish_reason_and_usage(client: openai.AsyncOpenAI) -> None:
    chunks = await read(await ask(client, "What is the capital of France?", temperature=0))
    assert "Paris" in text(chunks)
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 1
    assert sum(1 for chunk in chunks if text([chunk])) > 2


async def test_asked_again_it_gives_another_answer(client: openai.AsyncOpenAI) -> None:
    asked = [await ask(client, "Tell me a story of a ship at sea.", 60) for _ in range(3)]
    assert len({text(chunks) for chunks in await asyncio.gather(*map(read, asked))}) > 1


async def test_model_list_names_the_served_model(client: openai.AsyncOpenAI) -> None:
    assert [model.id for model in (await client.models.list()).data] == ["SmolLM2-135M-Instruct"]


async def test_questions_are_answered_concurrently(client: openai.AsyncOpenAI) -> None:
    long = await ask(client, "Tell me a long story.", 150, temperature=0)
    await anext(long)
    rest = asyncio.create_task(read(long))
    assert text(await read(await ask(client, "Say hello.", 8)))
    assert not rest.done()
    assert text(await rest)


async def test_generation_stops_when_the_client_disconnects(client: openai.AsyncOpenAI) -> None:
    streams = [await ask(client, f"Tell me all about the number {n}.", 1000) for n in range(4)]
    for stream in streams:
        await anext(stream)
        await stream.close()
    # Without cancellation, the four answers of a thousand tokens would take most of a minute.
    started_s = time.monotonic()
    await read(await ask(client, "Say hello.", 2))
    assert time.monotonic() - started_s < 15


@pytest.mark.long
async def test_stop_ends_running_answers_and_the_process() -> None:
    model = LocalModel()
    with pytest.raises(LocalModelError):
        _ = model.base_url
    await model.start()
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0) as client:
        stream = await ask(client, "Tell me a long story.", 1000)
        await anext(stream)
        await model.stop()
        with pytest.raises((openai.APIConnectionError, openai.APIError)):
            await read(stream)
        with pytest.raises(openai.APIConnectionError):
            await ask(client, "Are you there?")
    await model.stop()


async def longest_pause_in_a_start() -> float:
    """Returns how long the event loop stood still while a model started, as a part of that time."""
    longest_pause_s = 0.0

    async def watch() -> None:
        nonlocal longest_pause_s
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            longest_pause_s = max(longest_pause_s, time.monotonic() - before_s)

    started_s = time.monotonic()
    watcher = asyncio.create_task(watch())
    async with LocalModel():
        watcher.cancel()
        start_time_s = time.monotonic() - started_s
    return longest_pause_s / start_time_s


@pytest.mark.long
async def test_start_does_not_block_the_event_loop() -> None:
    # The machine may stand still as well.
    assert min([await longest_pause_in_a_start() for _ in range(3)]) < 1 / 3


@pytest.mark.long
async def test_server_ends_with_its_parent_process() -> None:
    program = (
        "import asyncio\n"
        "from demo.local_model import LocalModel\n"
        "async def main():\n"
        "    model = LocalModel()\n"
        "    await model.start()\n"
        "    print(model.base_url, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    base_url = (await parent.stdout.readline()).decode().strip()
    async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0) as client:
        await client.models.list()
        parent.kill()
        await parent.communicate()
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    await client.models.list()
                except openai.APIConnectionError:
                    break
                await asyncio.sleep(0.05)


@pytest.mark.long
async def test_available_names_the_missing_package() -> None:
    program = "from demo.local_model import unavailable_reason\nprint(unavailable_reason())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "xllamacpp is not installed."
