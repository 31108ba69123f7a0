"""The model of a chaos run: an OpenAI-compatible server that answers by plan and fails on demand."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event
from benchmarks.question_plan import answer, asked_in, continued_answer, words_in

FIRST_WORD_S = 0.3
_PING_S = 1.0

ModelFault = Literal["cut", "stall"]


class RequestEnd(StrEnum):
    """How one request ended, as the model saw it."""

    UNDER_WAY = "under way"
    WHOLE = "whole"
    CUT = "cut"
    STALLED = "stalled"
    HUNG_UP = "hung up"
    """The bot closed the connection."""


@dataclass
class ModelRequest:
    """One request for the answer to a question."""

    at_s: float
    """Arrival in monotonic seconds."""
    words: int = 0
    """Words of the answer so far: those in the prompt and those sent."""
    end: RequestEnd = RequestEnd.UNDER_WAY
    question_numbers: frozenset[int] = frozenset()
    """Numbers of all questions in the prompt."""
    resumed_after: int = 0
    """How many words of its own answer the prompt ended with. The model continues after them."""


@dataclass
class ScriptedModel(ChatServer):
    """`async with ScriptedModel() as model:` serves Chat Completions on model.url."""

    requests: dict[int, list[ModelRequest]] = field(default_factory=lambda: defaultdict(list))
    """Requests by question number, in order of arrival."""
    _faults: list[tuple[ModelFault, int]] = field(default_factory=list)

    def fail_next(self, fault: ModelFault, after_words: int) -> None:
        """Makes the next request end without its marker ("cut") or go silent ("stall") after so many words."""
        self._faults.append((fault, after_words))

    def clear_faults(self) -> None:
        """Drops the faults that no request has met yet."""
        self._faults.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        turns = (await request.json())["messages"]
        asked, so_far = _question_to_answer(turns)
        if not asked:
            raise web.HTTPBadRequest(text="no turn of the prompt has a question")
        number, words, words_per_s = asked[-1]
        user_text = " ".join(turn["content"] for turn in turns if turn["role"] == "user")
        question_numbers = frozenset(question for question, _, _ in asked_in(user_text))
        resumed_after = len(words_in(so_far))
        record = ModelRequest(time.monotonic(), resumed_after, RequestEnd.UNDER_WAY, question_numbers, resumed_after)
        self.requests[number].append(record)
        fault, after_words = self._faults.pop(0) if self._faults else (None, words)
        deltas = continued_answer(number, words, so_far) if so_far else answer(number, words)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await _send_words(response, deltas[: max(0, after_words - resumed_after)], words_per_s, record)
            if fault is None or after_words >= words:
                await response.write(event({}, "stop") + END)
                await response.write_eof()
                record.end = RequestEnd.WHOLE
            elif fault == "cut":
                record.end = RequestEnd.CUT
                assert request.transport is not None
                request.transport.close()
            else:
                record.end = RequestEnd.STALLED
                await _ping_forever(response)
        except ConnectionError:
            # The bot was killed during the answer.
            return response
        finally:
            if record.end is RequestEnd.UNDER_WAY:
                record.end = RequestEnd.HUNG_UP
        return response


def _question_to_answer(turns: list[dict[str, str]]) -> tuple[list[tuple[int, int, int]], str]:
    """Returns the questions of the last turn that has any, and the part of the answer that the prompt ends with."""
    for place in range(len(turns) - 1, -1, -1):
        if turns[place]["role"] == "user" and (asked := asked_in(turns[place]["content"])):
            answered = turns[place + 1 :]
            return asked, answered[0]["content"] if answered else ""
    return [], ""


async def _send_words(response: web.StreamResponse, deltas: list[str], words_per_s: int, record: ModelRequest) -> None:
    for place, delta in enumerate(deltas):
        await asyncio.sleep(record.at_s + FIRST_WORD_S + place / words_per_s - time.monotonic())
        await response.write(event({"content": delta}))
        record.words += 1


async def _ping_forever(response: web.StreamResponse) -> None:
    while True:
        await asyncio.sleep(_PING_S)
        await response.write(b": ping\n\n")
