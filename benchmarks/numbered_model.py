"""An OpenAI-compatible server that streams numbered words and records when it sent each of them."""

import asyncio
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event

BEGINNINGS = (
    ("#", " {}", " {}", " {}", "\n\n"),
    ("**", "{}", " {}", ":**", " "),
    (">", " {}", " {}", " {}", "\n\n"),
    ("-", " {}", " {}", "\n", "-", " {}", "\n\n"),
    ("|", " {}", " |", " {}", " |\n", "|---", "|---", "|\n", "|", " {}", " |", " {}", " |\n\n"),
    ("```", "python", "\n", "{}", " {}", "\n", "```", "\n\n"),
)
"""The tokens with which answers may begin: Markdown's marks, and words in place of `{}`."""

QUESTION = re.compile(r"question (\d+): say (\d+) words")


def question(number: int, words: int) -> str:
    """Returns the question that makes the model answer with so many words. The number identifies the question."""
    return f"question {number}: say {words} words"


def word(number: int) -> str:
    """Returns a word of the answer, counted from 1. Each is one token and unique within the answer."""
    return f"w{number}"


@dataclass
class NumberedModel(ChatServer):
    """`async with NumberedModel() as model:` serves Chat Completions on model.url."""

    words_per_s: float = 40
    first_word_s: float = 0.3
    """Delay from the request's arrival to the first word."""
    beginnings: tuple[tuple[str, ...], ...] = ()
    """Those with which answers begin in turn; with none, answers are words alone."""
    words_a_paragraph: int = 0
    """How many words stand in a paragraph; 0: all of them."""
    sent_at_s: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each word was sent, in monotonic seconds, by question number."""
    hung_up_at_s: dict[int, float] = field(default_factory=dict)
    """When the client closed the connection before the answer's end, by question number."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        arrived_s = time.monotonic()
        turns = (await request.json())["messages"]
        asked, words_before = _question_to_answer(turns)
        if asked is None:
            raise web.HTTPBadRequest(text="ask question(number, words)")
        try:
            return await self.send_words(request, arrived_s, int(asked[1]), range(words_before + 1, int(asked[2]) + 1))
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up_at_s[int(asked[1])] = time.monotonic()
            raise

    async def send_words(self, request: web.Request, arrived_s: float, asked: int, words: range) -> web.StreamResponse:
        sent_at_s = self.sent_at_s[asked]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        numbers = iter(words)
        tokens = self.beginnings[asked % len(self.beginnings)] if self.beginnings else ()
        rest = len(words) - sum("{}" in token for token in tokens)
        for place, token in enumerate((*tokens, *map(self._token, range(1, rest + 1)))):
            due_s = arrived_s + self.first_word_s + place / self.words_per_s
            await asyncio.sleep(due_s - time.monotonic())
            if "{}" in token:
                sent_at_s.append(time.monotonic())
                token = token.format(word(next(numbers)))
            await response.write(event({"content": token}))
        await response.write(event({}, "stop") + END)
        await response.write_eof()
        return response

    def _token(self, place: int) -> str:
        """Returns the place's word with what follows it."""
        return "{}\n\n" if self.words_a_paragraph and place % self.words_a_paragraph == 0 else "{} "


def _question_to_answer(turns: list[dict[str, str]]) -> tuple[re.Match[str] | None, int]:
    """Returns the newest question and how many words of its answer the prompt has, which Continue goes on after."""
    for place in range(len(turns) - 1, -1, -1):
        if asked := QUESTION.search(turns[place]["content"]):
            answered = [turn["content"] for turn in turns[place + 1 :] if turn["role"] == "assistant"]
            return asked, len(" ".join(answered).split())
    return None, 0
