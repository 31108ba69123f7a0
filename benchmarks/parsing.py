"""Measures the CPU of reading 100 simultaneous streams of 50 tokens/s into replies.

The vendor is another process on 127.0.0.1. Each stream goes through the real provider, with retry, stall and fallback
around it, into a Reply. benchmarks/costs.py runs it; `--serve` is the vendor's process.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job
from bot.models import anthropic, openai
from bot.models.model import Provider
from bot.models.prompt import Prompt, Turn
from bot.models.setup import RequestOptions, VendorSettings
from bot.models.wrappers import Fallback, Stall
from bot.reply.answer import Answer
from bot.reply.reply import Reply
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

STREAMS = 100
TOKENS_PER_S = 50
TOKENS = 400
TARGET_CORE_SHARE = 0.25

PROMPT = Prompt("Be brief.", (Turn("user", "Tell me a story."),))
APIS: dict[str, Callable[[Sequence[str]], list[bytes]]] = {
    "responses": speech.responses,
    "chat": speech.chat,
    "anthropic": speech.messages,
}


async def serve(api: str) -> None:
    """Runs the vendor's process: prints its address and serves until its stdin is closed."""
    events = APIS[api](["wörd "] * TOKENS)
    async with VendorServer() as vendor:
        vendor.script(VendorResponse(events, pause_s=1 / TOKENS_PER_S))
        print(json.dumps(vendor.url), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def read(provider: Provider, number: int) -> int:
    """Reads one answer into a Reply and returns the number of deltas."""
    question = Question(ThreadKey("T1", "C1", None), f"{number}.0", "U1", "Tell me a story.")
    reply = Reply(Answer(Job(1, question, 1)))
    deltas = 0
    async with aclosing(provider.stream(PROMPT)) as stream:
        async for item in stream:
            if isinstance(item, str):
                reply.append(item)
                deltas += 1
    return deltas


async def warm_up(provider: Provider) -> None:
    """Imports modules and connects, so that neither is measured."""
    async with aclosing(provider.stream(PROMPT)) as stream:
        await anext(stream)


async def measure(api: str, url: str) -> float:
    """Reads all streams at once. Returns the CPU per token in µs."""
    options = RequestOptions(max_output_tokens=16_384)
    if api == "anthropic":
        vendor = anthropic.connect(VendorSettings("key", url), options)
    else:
        vendor = openai.connect(VendorSettings("key", f"{url}/v1", api), options)
    provider = Fallback([Stall(vendor.model("m"), stall_timeout_s=60)])
    await warm_up(provider)
    before_s = time.process_time()
    deltas = await asyncio.gather(*(read(provider, number) for number in range(STREAMS)))
    cpu_s = time.process_time() - before_s
    await vendor.aclose()
    assert deltas == [TOKENS] * STREAMS, f"expected {TOKENS} deltas from each stream, got {deltas}"
    return cpu_s / sum(deltas) * 1e6


def core_share(cost_us: float) -> float:
    """Returns the share of a core at the nominal pace, even if the vendor's process is slower than that."""
    return cost_us / 1e6 * STREAMS * TOKENS_PER_S


async def benchmark(api: str) -> float:
    """Starts the vendor's process, measures one API and returns the CPU per token in µs."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.parsing", "--serve", api, stdin=pipe, stdout=pipe, env=os.environ
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        return await measure(api, json.loads(await server.stdout.readline()))
    finally:
        server.stdin.close()
        await server.wait()


if __name__ == "__main__":
    assert sys.argv[1] == "--serve"
    asyncio.run(serve(sys.argv[2]))
