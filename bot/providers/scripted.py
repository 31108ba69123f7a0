"""A scripted model for tests, and for the sandbox if no real model runs. Its answers say that they are scripted."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from bot.clock import Clock
from bot.core.conversation import Prompt
from bot.core.stream import Completion, FinishReason, StreamEvent, Usage

TOKENS_PER_S = 40.0
"""Roughly the pace of the vendors' small models."""

_ANSWER = """\
This is a **scripted answer**: no model is connected, so nobody has thought about your question. \
It was this:

> {question}

What you see is how an answer grows here, with everything that Markdown has to offer:

1. **Text** with `code`, *emphasis* and [a link](https://example.com).
2. Lists, as this one:
   - with a level below,
   - and words of many languages: Grüße, 你好, ありがとう, 👋🏽.
3. Code, which keeps its shape:

```python
def ask(question: str) -> str:
    return f"You asked: {{question}}"
```

| What | How much |
| --- | ---: |
| Words in your question | {words} |
| Turns before it | {earlier} |

To get real answers, set `OPENAI_API_KEY` or `ANTHROPIC_API_KEY`, or `OPENAI_BASE_URL` for a server of \
your own, and start the bot again.
"""


class Attempts:
    """Counts how often a script has answered the same question, so that Regenerate is visibly another attempt."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def next(self, conversation: str, question: str) -> int:
        """Returns the number of this attempt, from 1."""
        self._counts[conversation, question] += 1
        return self._counts[conversation, question]


class Scripted:
    """Streams the same answer to every prompt, word by word. It never fails."""

    def __init__(self, clock: Clock, tokens_per_s: float = TOKENS_PER_S) -> None:
        self.model = "scripted/demo"
        self._clock = clock
        self._tokens_per_s = tokens_per_s
        self._attempts = Attempts()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's words and a Completion whose tokens are words."""
        attempt = self._attempts.next(prompt.cache_key, prompt.turns[-1].text)
        deltas = words(f"Attempt {attempt}. {answer(prompt)}" if attempt > 1 else answer(prompt))
        async for delta in spoken(self._clock, deltas, self._tokens_per_s):
            yield delta
        given = sum(len(words(text)) for text in (prompt.system, *(turn.text for turn in prompt.turns)))
        yield Completion(self.model, FinishReason.STOP, Usage(given, len(deltas)))


class ScriptedVendor:
    """Has one model, whatever its name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def model(self, name: str) -> Scripted:
        """Returns the scripted model."""
        return Scripted(self._clock)

    async def aclose(self) -> None:
        """Does nothing: there are no connections."""


async def spoken(clock: Clock, tokens: Sequence[str], tokens_per_s: float) -> AsyncGenerator[str, None]:
    """Yields tokens at this pace."""
    began = clock.monotonic()
    for count, token in enumerate(tokens, start=1):
        # Measured from the beginning, so that late wake-ups don't add up.
        await clock.sleep(max(0.0, began + count / tokens_per_s - clock.monotonic()))
        yield token


def answer(prompt: Prompt) -> str:
    """Returns the scripted answer to a prompt."""
    question = prompt.turns[-1].text.strip()
    return _ANSWER.format(
        question=question.replace("\n", "\n> "), words=len(question.split()), earlier=len(prompt.turns) - 1
    )


def words(text: str) -> list[str]:
    """Splits a text into words, each with the space before it. Joined, they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)
