"""What it costs to page and show an answer of 50,000 tokens as it grows, beside the reading of its stream.

A token is four characters. An edit is made each 0.6 s of a stream of 50 tokens/s, the most that an answer ever gets.
Run: python -m benchmarks.rendering (half a minute). Exits with 1 where showing costs more than reading, or where an
edit gets dearer with the pages before it.
"""

import asyncio
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain

from benchmarks import parsing
from bot.core.conversation import Question, ThreadKey
from bot.core.reply.state import Ending, Post, Reply, Update
from bot.slack.format import reply_blocks

TOKENS = 50_000
TOKEN_CHARS = 4
TOKENS_AN_EDIT = 30
"""0.6 s at 50 tokens/s."""
DEARER_WITHIN = 1.25
"""An edit of the last page may cost so many times one of the second."""

PROSE = "The pacer decides when the next edit may go, **not** the reply; see [the notes](https://example.com/a?b=c).\n"
LIST = "- an item with `code` in it\n  - one below it, *leaning*\n1. a numbered one\n\n"
TABLE = "| name | what it says |\n|---|---|\n| `first` | some words |\n| second | **more** of them |\n\n"
CODE = "```python\ndef paced(edits: list[int]) -> int:\n    return sum(each for each in edits if each < 50)\n```\n\n"
ANSWERS = {
    "prose": PROSE * 6 + "\n",
    "lists": LIST,
    "tables": TABLE,
    "code": CODE,
    "a bit of each": f"## A heading\n\n{PROSE * 3}\n{LIST}{PROSE}\n{TABLE}{CODE}",
    "one list": "- an item with `code` and **weight** in it\n",
    "one block of code": "    return sum(each for each in edits if each < 50)\n",
}
"""What an answer repeats."""


@dataclass
class Cost:
    """CPU in seconds, of all of an answer and of its edits by the page that they showed."""

    all_s: float
    edits_s: dict[int, list[float]]

    @property
    def growth(self) -> float:
        """A median edit of the last page that grows, to one of the second."""
        return statistics.median(self.edits_s[max(self.edits_s)]) / statistics.median(self.edits_s[1])

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(chain(*self.edits_s.values()), n=20)[-1] * 1e3


def show(kind: str) -> Cost:
    """One answer as it grows."""
    text = ("```python\n" if kind == "one block of code" else "") + ANSWERS[kind] * (TOKENS * TOKEN_CHARS // 40)
    reply = Reply(Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"))
    edits_s: dict[int, list[float]] = defaultdict(list)
    started_s = time.process_time()
    for first in range(0, TOKENS, TOKENS_AN_EDIT):
        for token in range(first, min(first + TOKENS_AN_EDIT, TOKENS)):
            reply.append(text[token * TOKEN_CHARS : (token + 1) * TOKEN_CHARS])
        edit(reply, edits_s)
    reply.finish(Ending())
    edit(reply, edits_s)
    return Cost(time.process_time() - started_s, edits_s)


def edit(reply: Reply, edits_s: dict[int, list[float]]) -> None:
    """Sends what the reply has for Slack: one call, or more where a page has filled."""
    before_s = time.process_time()
    while isinstance(call := reply.next_call(), Post | Update):
        reply_blocks.message(call.view)
        reply.confirmed(call, str(call.page))
        after_s = time.process_time()
        edits_s[call.page].append(after_s - before_s)
        before_s = after_s


def report(reading_us: float) -> bool:
    """Prints a line for each kind of answer; True where all are cheap enough."""
    good = True
    print(f"reading the stream: {reading_us:.0f} µs a token, {reading_us * TOKENS / 1e6:.2f} s for {TOKENS:,} tokens\n")
    for kind in ANSWERS:
        cost = show(kind)
        shown_us = cost.all_s / TOKENS * 1e6
        cheap = shown_us <= reading_us and cost.growth <= DEARER_WITHIN
        print(
            f"{kind:18} {shown_us:5.1f} µs a token, {cost.all_s:.2f} s in all, 95 of 100 edits within "
            f"{cost.p95_ms:.2f} ms, the last page's {cost.growth:.2f} of the second's: {'ok' if cheap else 'MISSED'}",
            flush=True,
        )
        good &= cheap
    return good


def main() -> int:
    return 0 if report(asyncio.run(parsing.benchmark("responses"))) else 1


if __name__ == "__main__":
    sys.exit(main())
