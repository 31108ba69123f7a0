"""Measures the CPU of paging and rendering an answer of 50,000 tokens as it grows, compared with reading its stream.

A token is four characters. An edit is made each 0.6 s of a stream of 50 tokens/s, the most that an answer gets.
Run: python -m benchmarks.rendering (half a minute). Exits with 1 if rendering costs more than reading, or if an edit
of the last page costs more than one of the second page.
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
from bot.core.job import End
from bot.core.reply.edits import Post, Update
from bot.core.reply.reply import Reply
from bot.errors import EndReason
from bot.slack.format import reply_blocks

TOKENS = 50_000
TOKEN_CHARS = 4
TOKENS_AN_EDIT = 30
"""0.6 s at 50 tokens/s."""
MAX_GROWTH = 1.25
"""How many times as much an edit of the last page may cost as one of the second."""

PROSE = "The pacer decides when the next edit may go, **not** the reply; see [the notes](https://example.com/a?b=c).\n"
LIST = "- an item with `code` in it\n  - one below it, *leaning*\n1. a numbered one\n\n"
TABLE = "| name | what it says |\n|---|---|\n| `first` | some words |\n| second | **more** of them |\n\n"
CODE = "```python\ndef paced(edits: list[int]) -> int:\n    return sum(count for count in edits if count < 50)\n```\n\n"
ANSWERS = {
    "prose": PROSE * 6 + "\n",
    "lists": LIST,
    "tables": TABLE,
    "code": CODE,
    "a bit of each": f"## A heading\n\n{PROSE * 3}\n{LIST}{PROSE}\n{TABLE}{CODE}",
    "one list": "- an item with `code` and **weight** in it\n",
    "one block of code": "    return sum(count for count in edits if count < 50)\n",
}
"""The Markdown that each kind of answer repeats."""


@dataclass
class Cost:
    """CPU seconds of one answer, in total and of each edit by page."""

    all_s: float
    edits_s: dict[int, list[float]]

    @property
    def growth(self) -> float:
        """Returns the ratio of the median edit of the last page to that of the second."""
        return statistics.median(self.edits_s[max(self.edits_s)]) / statistics.median(self.edits_s[1])

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(chain(*self.edits_s.values()), n=20)[-1] * 1e3


def render(kind: str) -> Cost:
    """Renders one answer as it grows and returns its cost."""
    text = ("```python\n" if kind == "one block of code" else "") + ANSWERS[kind] * (TOKENS * TOKEN_CHARS // 40)
    reply = Reply(Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"))
    edits_s: dict[int, list[float]] = defaultdict(list)
    started_s = time.process_time()
    for first in range(0, TOKENS, TOKENS_AN_EDIT):
        for token in range(first, min(first + TOKENS_AN_EDIT, TOKENS)):
            reply.append(text[token * TOKEN_CHARS : (token + 1) * TOKEN_CHARS])
        edit(reply, edits_s)
    reply.finish(End(EndReason.WHOLE))
    edit(reply, edits_s)
    return Cost(time.process_time() - started_s, edits_s)


def edit(reply: Reply, edits_s: dict[int, list[float]]) -> None:
    """Renders the reply's next calls: one, or more if a page has filled."""
    before_s = time.process_time()
    while isinstance(call := reply.next_call(), Post | Update):
        reply_blocks.message(call.view)
        reply.confirmed(call, str(call.page))
        after_s = time.process_time()
        edits_s[call.page].append(after_s - before_s)
        before_s = after_s


def report(reading_us: float) -> bool:
    """Prints a line for each kind of answer. Returns whether all meet their targets."""
    all_cheap = True
    print(f"reading the stream: {reading_us:.0f} µs a token, {reading_us * TOKENS / 1e6:.2f} s for {TOKENS:,} tokens\n")
    for kind in ANSWERS:
        cost = render(kind)
        rendering_us = cost.all_s / TOKENS * 1e6
        cheap = rendering_us <= reading_us and cost.growth <= MAX_GROWTH
        print(
            f"{kind:18} {rendering_us:5.1f} µs a token, {cost.all_s:.2f} s in all, edit p95 "
            f"{cost.p95_ms:.2f} ms, last page to second {cost.growth:.2f}: {'ok' if cheap else 'MISSED'}",
            flush=True,
        )
        all_cheap &= cheap
    return all_cheap


def main() -> int:
    return 0 if report(asyncio.run(parsing.benchmark("responses"))) else 1


if __name__ == "__main__":
    sys.exit(main())
