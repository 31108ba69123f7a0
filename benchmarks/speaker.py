"""The chaos run's model: an OpenAI-compatible server that says what is asked of it, and can be made to break off."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event
from benchmarks.script import answer, asked_in, going_on, words_in

FIRST_WORD_S = 0.3
_PING_S = 1.0

Break = Literal["cut", "stall"]


class Told(StrEnum):
    """How one request ended, as the model saw it."""

    UNDER_WAY = "under way"
    WHOLE = "whole"
    CUT = "cut"
    STALLED = "stalled"
    HUNG_UP = "hung up"
    """The bot went away."""


@dataclass
class Attempt:
    """One request for one question's answer."""

    at_s: float
    """Monotonic seconds."""
    words: int = 0
    """Sent so far, with those that it goes on after."""
    told: Told = Told.UNDER_WAY
    questions: frozenset[int] = frozenset()
    """The numbers of all that its prompt asks."""
    resumed_after: int = 0
    """So many words it was given as its own, and asked to go on with."""


@dataclass
class Speaker(ChatServer):
    """`async with Speaker() as model:` serves Chat Completions on model.url."""

    attempts: dict[int, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    """Of each question's number, in the order of their beginning."""
    _to_break: list[tuple[Break, int]] = field(default_factory=list)

    def break_next(self, how: Break, after_words: int) -> None:
        """The next request that comes is cut, or goes silent, after so many words."""
        self._to_break.append((how, after_words))

    def mend(self) -> None:
        """What was to break and has not yet will not."""
        self._to_break.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        turns = (await request.json())["messages"]
        asked, so_far = _to_answer(turns)
        if not asked:
            raise web.HTTPBadRequest(text="the last turn holds no question")
        number, words, words_per_s = asked[-1]
        of_people = " ".join(turn["content"] for turn in turns if turn["role"] == "user")
        questions = frozenset(question for question, _, _ in asked_in(of_people))
        resumed_after = len(words_in(so_far))
        attempt = Attempt(time.monotonic(), resumed_after, questions=questions, resumed_after=resumed_after)
        self.attempts[number].append(attempt)
        how, after_words = self._to_break.pop(0) if self._to_break else (None, words)
        said = going_on(number, words, so_far) if so_far else answer(number, words)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await _say(response, said[: max(0, after_words - resumed_after)], words_per_s, attempt)
            if how is None or after_words >= words:
                await response.write(event({}, "stop") + END)
                await response.write_eof()
                attempt.told = Told.WHOLE
            elif how == "cut":
                attempt.told = Told.CUT
                assert request.transport is not None
                request.transport.close()
            else:
                attempt.told = Told.STALLED
                await _ping_for_ever(response)
        except ConnectionError:
            # The bot has died in this moment.
            return response
        finally:
            if attempt.told is Told.UNDER_WAY:
                attempt.told = Told.HUNG_UP
        return response


def _to_answer(turns: list[dict[str, str]]) -> tuple[list[tuple[int, int, int]], str]:
    """The questions of the last turn that has some, and what was answered since: Continue's prompt goes on with it."""
    for place in range(len(turns) - 1, -1, -1):
        if turns[place]["role"] == "user" and (asked := asked_in(turns[place]["content"])):
            since = turns[place + 1 :]
            return asked, since[0]["content"] if since else ""
    return [], ""


async def _say(response: web.StreamResponse, said: list[str], words_per_s: int, attempt: Attempt) -> None:
    for place, delta in enumerate(said):
        await asyncio.sleep(attempt.at_s + FIRST_WORD_S + place / words_per_s - time.monotonic())
        await response.write(event({"content": delta}))
        attempt.words += 1


async def _ping_for_ever(response: web.StreamResponse) -> None:
    while True:
        await asyncio.sleep(_PING_S)
        await response.write(b": ping\n\n")
