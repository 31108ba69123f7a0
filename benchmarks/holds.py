"""Measures how long one step of a hostile answer holds the event loop.

While a step runs, nothing else runs in the process: no heartbeat, no probe, no other answer. An answer of the longest
length grows, arrives in one piece, is refused by Slack in its form, continues an earlier attempt's text, or has no
file for what doesn't fit. Each step that runs without a pause is measured, in the thread's CPU time, which other work
on the machine changes little. One line a shape: its longest step.

benchmarks/hostile.py runs it, for a minute of CPU time, two at most.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeVar

from benchmarks.hostile_texts import SHAPES, forget_renderings, text_of
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Checkpoint, End, Job
from bot.core.steps import Seam, start_of
from bot.errors import EndReason, Refusal
from bot.reply import blocks as reply_blocks
from bot.reply.answer import Answer
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, PageView, Shown, Upload
from bot.reply.reply import Reply
from bot.reply.streams import AppendStream, StartStream, StopStream
from bot.text import paired

ANSWER_CHARS = 512_000
"""Four for each of the 128,000 tokens that BOT_MAX_OUTPUT_TOKENS allows."""
MAX_HOLD_MS = 50.0
MAX_RUN_S = 120.0
"""CPU time of all shapes."""
EDIT_EACH_CHARS = 20_000
QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "?")
JOB = Job(1, QUESTION, 1)
END = End(EndReason.LENGTH_LIMIT, "A notice.")
CUT = End(EndReason.CUT, "Cut.")
LATER = "and so on, with more words"

T = TypeVar("T")


@dataclass
class Holds:
    """The longest step so far, and what it was."""

    way: str = ""
    longest_ms: float = 0.0
    step: str = ""
    ts: Iterator[int] = field(default_factory=partial(count, 1))

    def measured(self, step: str, work: Callable[[], T]) -> T:
        """Does a step's work."""
        started = time.thread_time()
        result = work()
        ms = (time.thread_time() - started) * 1e3
        if ms > self.longest_ms:
            self.longest_ms, self.step = ms, f"{self.way}: {step}"
        return result


def grows(text: str, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    for start in range(0, len(text), EDIT_EACH_CHARS):
        _append(reply, text[start : start + EDIT_EACH_CHARS], holds)
        _show(reply, holds)
    _end(reply, END, holds)


def arrives_whole(text: str, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    _append(reply, text, holds)
    _end(reply, END, holds)


def is_refused(text: str, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    _append(reply, text, holds)
    for reason in (Refusal.TOO_LONG, Refusal.UNREADABLE):
        if call := reply.next_call():
            holds.measured("refused", partial(reply.refused, call, reason))
        _show(reply, holds)
    _end(reply, END, holds)


def has_no_file(text: str, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    _append(reply, text, holds)
    _end(reply, END, holds, takes_files=False)


def follows_a_longer_text(text: str, holds: Holds) -> None:
    reply = Reply(Answer(replace(JOB, checkpoint=Checkpoint(text))), Shown(("0.1",)))
    _end(reply, CUT, holds)


def is_taken_over(text: str, holds: Holds) -> None:
    job = Job(1, QUESTION, attempts=2, checkpoint=Checkpoint(text))
    start = holds.measured("start_of", partial(start_of, job))
    seam = holds.measured("seam", partial(Seam, start))
    holds.measured("join", partial(seam.join, LATER))
    holds.measured("join of a repetition", partial(Seam(start).join, start[-400_000:] + LATER))


WAYS = {
    "grows": grows,
    "arrives whole": arrives_whole,
    "is refused": is_refused,
    "has no file": has_no_file,
    "follows a longer text": follows_a_longer_text,
    "is taken over": is_taken_over,
}


def _append(reply: Reply, text: str, holds: Holds) -> None:
    holds.measured("append", partial(reply.append, text))


def _end(reply: Reply, end: End, holds: Holds, *, takes_files: bool = True) -> None:
    holds.measured("finish", partial(reply.finish, end))
    _show(reply, holds, takes_files=takes_files)


def _show(reply: Reply, holds: Holds, *, takes_files: bool = True) -> None:
    """Makes the calls that the reply needs, as Slack would: all of them, and each page as a stream too."""
    while call := holds.measured("next_call", reply.next_call):
        if isinstance(call, Post | Update):
            forget_renderings()
            holds.measured("message", partial(reply_blocks.message, call.view))
            _stream(call.view, holds)
        if isinstance(call, Upload) and not takes_files:
            holds.measured("refused", partial(reply.refused, call, Refusal.FORBIDDEN))
        else:
            holds.measured("confirmed", partial(reply.confirmed, call, _ts_of(call, holds)))


def _ts_of(call: Call, holds: Holds) -> str:
    return call.ts if isinstance(call, Update) else f"{next(holds.ts)}.5"


def _stream(view: PageView, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    for call in (
        StartStream(QUESTION, 0, view),
        AppendStream(QUESTION, 0, "2.0", view),
        StopStream(QUESTION, 0, "2.0", view),
    ):
        forget_renderings()
        holds.measured(type(call).__name__, partial(reply.filled, call))


def measure(part: str) -> bool:
    """Measures the shapes whose names have this part. Returns whether no step took too long and no shape was left."""
    until_s = time.process_time() + MAX_RUN_S
    shapes = [shape for shape in SHAPES if part in shape]
    worst: list[float] = []
    for shape in shapes:
        if time.process_time() > until_s:
            break
        # As a vendor's reader hands it over.
        text, holds = paired(text_of(shape, ANSWER_CHARS)), Holds()
        for holds.way, way in WAYS.items():
            way(text, holds)
        worst.append(holds.longest_ms)
        print(f"{holds.longest_ms:8.1f} ms  {shape}, {holds.step}", flush=True)
    over = sum(ms > MAX_HOLD_MS for ms in worst)
    print(f"{len(worst)} shapes, {over} over {MAX_HOLD_MS:.0f} ms, {len(shapes) - len(worst)} not measured")
    return not over and len(worst) == len(shapes)
