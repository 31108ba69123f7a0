"""How often responses are read: each word as it comes, and in larger parts while many are read."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from bot.models.reading import MANY_RESPONSES, MAX_PAUSE_S, paced_chunks
from slack_pacing.tests.simulated_time import run_simulated

WORDS = 200
WORD_S = 0.025


async def response() -> AsyncIterator[bytes]:
    """Yields what has come since it was last asked: a word every 25 ms, as a socket keeps them."""
    time = asyncio.get_running_loop().time
    began_s, given = time(), 0
    while given < WORDS:
        await asyncio.sleep(began_s + (given + 1) * WORD_S - time())
        come = min(WORDS, math.floor(round((time() - began_s) / WORD_S, 6)))
        yield b"w" * (come - given)
        given = come


async def read(responses: int) -> list[tuple[bytes, int, float]]:
    """Reads so many responses at once; returns what came of each, in how many parts, and when it was read."""

    async def parts() -> tuple[bytes, int, float]:
        came = [part async for part in paced_chunks(response())]
        return b"".join(came), len(came), asyncio.get_running_loop().time()

    return await asyncio.gather(*(parts() for _ in range(responses)))


@pytest.mark.parametrize(("responses", "at_most"), [(MANY_RESPONSES - 1, WORDS), (100, WORDS * WORD_S / 0.2 + 1)])
def test_parts_are_larger_while_many_responses_are_read(responses: int, at_most: float) -> None:
    for came, parts, ended_s in run_simulated(read(responses)):
        assert came == b"w" * WORDS
        assert at_most / 2 < parts <= at_most
        assert ended_s <= (WORDS + 1) * WORD_S + MAX_PAUSE_S


def test_response_that_is_left_counts_no_longer() -> None:
    async def leave() -> None:
        for _ in range(2 * MANY_RESPONSES):
            left = paced_chunks(response())
            await anext(left)
            await left.aclose()

    run_simulated(leave())
    [(_, parts, _)] = run_simulated(read(1))
    assert parts == WORDS
