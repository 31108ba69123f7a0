"""A model on this machine, over HTTP as an OpenAI-compatible server: says numbered words, and remembers when."""

import asyncio
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event


def question(number: int, words: int) -> str:
    """What to ask so that the model says so many words; the number tells whose they are."""
    return f"question {number}: say {words} words"


def word(number: int) -> str:
    """The answer's words, counted from 1: each is one token and can be told from all others."""
    return f"w{number}"


@dataclass
class NumberedWords(ChatServer):
    """`async with NumberedWords() as model:` serves Chat Completions on model.url."""

    words_per_s: float = 40
    first_word_s: float = 0.3
    """From the request's arrival to the first word."""
    said_at_s: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """For each question's number, when each word was sent, in monotonic seconds."""
    hung_up_at_s: dict[int, float] = field(default_factory=dict)
    """For each question's number, when the client went away before the answer's end."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        arrived_s = time.monotonic()
        turns = (await request.json())["messages"]
        found, said = _to_answer(turns)
        if found is None:
            raise web.HTTPBadRequest(text="ask question(number, words)")
        try:
            return await self._say(request, arrived_s, int(found[1]), range(said + 1, int(found[2]) + 1))
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up_at_s[int(found[1])] = time.monotonic()
            raise

    async def _say(self, request: web.Request, arrived_s: float, asked: int, words: range) -> web.StreamResponse:
        said_at_s = self.said_at_s[asked]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in words:
            due_s = arrived_s + self.first_word_s + (number - words.start) / self.words_per_s
            await asyncio.sleep(due_s - time.monotonic())
            said_at_s.append(time.monotonic())
            await response.write(event({"content": f"{word(number)} "}))
        await response.write(event({}, "stop") + END)
        await response.write_eof()
        return response


def _to_answer(turns: list[dict[str, str]]) -> tuple[re.Match[str] | None, int]:
    """The newest question, and how many words of its answer came before: Continue's prompt goes on after them."""
    for place in range(len(turns) - 1, -1, -1):
        if found := re.search(r"question (\d+): say (\d+) words", turns[place]["content"]):
            said = [turn["content"] for turn in turns[place + 1 :] if turn["role"] == "assistant"]
            return found, len(" ".join(said).split())
    return None, 0
