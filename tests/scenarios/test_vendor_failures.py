"""The failures of the model's vendor in a chaos run: their limits, and what a client of the model gets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from benchmarks.question_plan import answer
from benchmarks.scripted_model import RequestEnd, ScriptedModel
from benchmarks.vendor_failures import (
    AT_FIRST,
    BREAKS,
    MAX_BREAKS,
    MAX_IN_SUCCESSION,
    OUTAGE_EVERY_S,
    OUTAGE_S,
    Failure,
    PlannedFailure,
    VendorFailures,
)
from bot.core.prompt import GO_ON, NOTHING_MISSING
from bot.core.steps import Seam
from tests.clocks import until

QUESTION = "q7: 40 words, 1000 a second"
WHOLE = "".join(answer(7, 40))


@dataclass
class NextFailure(VendorFailures):
    """Fails the next request as told, and no other one."""

    planned: PlannedFailure | None = None

    def of_request(self, number: int, at_s: float) -> PlannedFailure | None:
        planned, self.planned = self.planned, None
        return planned

    def breaks(self, number: int, since_s: float, at_s: float) -> bool:
        return False


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as model:
        yield model


@pytest.fixture
async def client(model: ScriptedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0, timeout=30) as client:
        yield client


def after(words: int) -> list[ChatCompletionMessageParam]:
    """Returns the turns of a request to go on after so many words."""
    begun = "".join(answer(7, words)).strip()
    return [{"role": "assistant", "content": begun}, {"role": "user", "content": GO_ON}]


async def said(
    client: openai.AsyncOpenAI, further: Sequence[ChatCompletionMessageParam] = (), heard: list[str] | None = None
) -> str:
    """Returns what OpenAI's own client reads of an answer, and adds it to `heard` as it comes. Raises its errors."""
    heard = [] if heard is None else heard
    turns: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}, *further]
    async for chunk in await client.chat.completions.create(model="scripted", messages=turns, stream=True):
        heard.append(chunk.choices[0].delta.content or "")
    return "".join(heard)


@pytest.mark.parametrize("failure", [failure for failure in Failure if failure.is_refusal])
async def test_refused_request_raises_in_the_vendors_client(
    model: ScriptedModel, client: openai.AsyncOpenAI, failure: Failure
) -> None:
    model.failures = NextFailure(1, 0.0, planned=PlannedFailure(failure))
    with pytest.raises(openai.APIError) as raised:
        await said(client)
    assert str(getattr(raised.value, "status_code", Failure.NO_RESPONSE)) == failure
    assert await said(client) == WHOLE
    assert [request.end for request in model.requests[7]] == [RequestEnd.FAILED, RequestEnd.WHOLE]


@pytest.mark.parametrize(("place", "words"), [(0.0, 0), (0.5, 21), (1.0, 40)])
@pytest.mark.parametrize("failure", BREAKS)
async def test_broken_stream_has_the_words_before_its_place(
    model: ScriptedModel, client: openai.AsyncOpenAI, failure: Failure, place: float, words: int
) -> None:
    model.failures = NextFailure(1, 0.0, planned=PlannedFailure(failure, place))
    heard: list[str] = []
    reading = asyncio.create_task(said(client, heard=heard))
    if failure is Failure.STALL:
        await until(
            lambda: any(request.failure for request in model.requests[7]) and len("".join(heard).split()) >= words,
            f"a stream that stops after {words} words",
        )
        assert not reading.done()
        reading.cancel()
    with pytest.raises(asyncio.CancelledError if failure is Failure.STALL else openai.APIError):
        await reading
    [request] = model.requests[7]
    assert "".join(heard).split() == WHOLE.split()[:words]
    assert (request.failure, request.words) == (failure, words)


async def test_continuations_join_the_beginning_though_some_repeat_words(client: openai.AsyncOpenAI) -> None:
    continuations = await asyncio.gather(*(said(client, after(words)) for words in range(1, 41)))
    for words, continuation in enumerate(continuations, start=1):
        begun = "".join(answer(7, words))
        seam = Seam(begun)
        assert (begun + seam.join(continuation) + seam.finish()).split() == WHOLE.split()
    assert continuations[-1] == NOTHING_MISSING
    first_words = [int(continuation.split()[0].removeprefix("q7w")) for continuation in continuations[10:-1]]
    assert {first - words for words, first in enumerate(first_words, start=11)} == {1, -2, -4}


async def test_request_to_go_on_after_a_doubled_word_is_noticed(
    model: ScriptedModel, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.BadRequestError):
        await said(client, [{"role": "assistant", "content": "q7w1 q7w2 q7w2"}, after(2)[-1]])
    assert [request.end for request in model.requests[7]] == [RequestEnd.MISLED]


def test_failures_stay_within_the_limits() -> None:
    failures = VendorFailures(3, 0.0, 10 * OUTAGE_EVERY_S)
    kinds = set()
    for number in range(3000):
        at_s, breaks, in_succession, was_away = number / 6, 0, 0, False
        for _ in range(20):
            planned = failures.of_request(number, at_s)
            if planned is None:
                break
            kinds.add((planned.failure, planned.place > 0))
            breaks += planned.place > 0
            in_succession = 1 if planned.place else in_succession + 1
            was_away = was_away or failures.outage(at_s) is not None
            assert breaks <= MAX_BREAKS
            assert in_succession <= MAX_IN_SUCCESSION or was_away
            at_s += 1.0
        else:
            pytest.fail(f"question {number} fails for more than {OUTAGE_S[1]} s")
    assert kinds >= {(failure, False) for failure in AT_FIRST} | {(failure, True) for failure in BREAKS}


def test_failures_are_the_same_in_each_run_and_end() -> None:
    first, second, other = (
        [VendorFailures(seed, 5.0, 60.0).of_request(number, 6.0) for number in range(200)] for seed in (1, 1, 2)
    )
    assert first == second != other
    assert not any(VendorFailures(1, 5.0, 60.0).of_request(number, 65.0) for number in range(200))
