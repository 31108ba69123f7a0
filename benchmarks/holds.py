"""Measures how long one layout of an answer holds the event loop, over the hostile shapes and the longest answers.

While an answer is laid out, nothing else runs in the process: no heartbeat, no /health, no other answer. Each answer
comes in deltas, small and large, and as the text that a take-over resumes from. Measured is each step that runs without
a pause, in CPU time, which other work on the machine changes little.

Run: python -m benchmarks.holds [part of a shape's name] (three minutes). It exits with 1 if a step takes over 50 ms.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from benchmarks.hostile import SHAPES, forget_renderings, text_of
from bot.core.conversation import Job, Question, ThreadKey
from bot.core.job import Checkpoint, End
from bot.core.reply.edits import Post, Update
from bot.core.reply.messages import PageView
from bot.core.reply.reply import Reply
from bot.core.reply.resuming import Seam, start_of
from bot.core.reply.streams import AppendStream, StartStream, StopStream
from bot.errors import EndReason
from bot.slack.format import reply_blocks
from bot.slack.replies.scheduled_reply import MAX_LAYOUT_CHARS

ANSWER_CHARS = 512_000
"""Four for each of the 128,000 tokens that BOT_MAX_OUTPUT_TOKENS allows."""
MAX_HOLD_MS = 50.0
DELTA_CHARS = MAX_LAYOUT_CHARS
"""As much as is laid out without a pause (bot/slack/replies/scheduled_reply.py)."""
EDIT_EACH = 5
"""Deltas between two edits."""
QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "?")
WORST_ROWS = 15

T = TypeVar("T")


@dataclass
class Holds:
    """The longest step so far, and what it was."""

    longest_ms: float = 0.0
    step: str = ""

    def measured(self, step: str, work: Callable[[], T]) -> T:
        """Does a step's work."""
        started = time.process_time()
        result = work()
        ms = (time.process_time() - started) * 1e3
        if ms > self.longest_ms:
            self.longest_ms, self.step = ms, step
        return result


def held(text: str, delta_chars: int) -> Holds:
    """Returns the holds of an answer that comes in deltas of this size, is edited as it grows, and ends."""
    holds, reply, number = Holds(), Reply(QUESTION), 0
    for number, start in enumerate(range(0, len(text), delta_chars)):
        holds.measured("append", partial(reply.append, text[start : start + delta_chars]))
        if number % EDIT_EACH == 0:
            _shown(reply, holds)
    holds.measured("finish", lambda: reply.finish(End(EndReason.LENGTH_LIMIT, "A notice.")))
    _shown(reply, holds)
    return holds


def held_by_take_over(text: str) -> Holds:
    """Returns the holds of another process that continues the answer."""
    holds, job = Holds(), Job(1, QUESTION, attempts=2, may_have_posts=True, checkpoint=Checkpoint(text))
    start = holds.measured("start_of", lambda: start_of(job))
    reply, seam = Reply(QUESTION), Seam(start)
    for at in range(0, len(start), DELTA_CHARS):
        holds.measured("append", partial(reply.append, start[at : at + DELTA_CHARS]))
    _shown(reply, holds)
    holds.measured("join", lambda: seam.join("and so on, with more words"))
    holds.measured("join of a repetition", lambda: Seam(start).join(start[-400_000:] + "and so on"))
    return holds


def _shown(reply: Reply, holds: Holds) -> None:
    """Makes the calls that the reply needs, as Slack would: all of them, and each page as a stream too."""
    while call := holds.measured("next_call", reply.next_call):
        if isinstance(call, Post | Update):
            forget_renderings()
            holds.measured("message", partial(reply_blocks.message, call.view))
            _streamed(call.view, holds)
        reply.confirmed(call, call.ts if isinstance(call, Update) else "2.0")


def _streamed(view: PageView, holds: Holds) -> None:
    reply = Reply(QUESTION)
    for call in (StartStream(QUESTION, 0, view), AppendStream(QUESTION, 0, "2.0", view)):
        forget_renderings()
        holds.measured(type(call).__name__, partial(reply.filled, call))
    forget_renderings()
    holds.measured("StopStream", lambda: reply.filled(StopStream(QUESTION, 0, "2.0", view)))


def main() -> int:
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    gc.disable()
    rows: list[tuple[float, str]] = []
    for shape in [shape for shape in SHAPES if part in shape]:
        answer = text_of(shape, ANSWER_CHARS)
        for way, holds in {
            "in deltas": held(answer[:24_000], DELTA_CHARS // 10),
            "in large deltas": held(answer, DELTA_CHARS),
            "taken over": held_by_take_over(answer),
        }.items():
            rows.append((holds.longest_ms, f"{holds.longest_ms:8.1f} ms  {shape}, {way}: {holds.step}"))
            if holds.longest_ms > MAX_HOLD_MS:
                print(rows[-1][1], flush=True)
    print(f"\nThe longest of {len(rows)} answers:")
    print(*(row for _, row in sorted(rows, reverse=True)[:WORST_ROWS]), sep="\n")
    return 1 if max(rows)[0] > MAX_HOLD_MS else 0


if __name__ == "__main__":
    sys.exit(main())
