"""Checks that no text takes more than linear time to process, and that none blocks the event loop for long.

Run: python -m benchmarks.hostile [growth|repeats|holds] [part of a function's or a shape's name] (minutes; all without
a name). It prints each failure as it is found and exits with 1 if there is one.

`growth`: no text makes a function over text from outside take more than linear time. Each shape is a text that repeats
something hostile. Each function gets it in growing sizes, each twice the one before, up to two full pages. A case fails
if its last two doublings each take more than `MAX_RATIO` times as long (one alone may be the size from which a text
fills a page), or if it takes longer than `MAX_MS`; then it isn't doubled further. Times below `MIN_MS` aren't
judged: they are noise, and nobody waits.

Times are CPU time. A case that fails is measured again, up to `MAX_ROUNDS` times, and the best times count: other work
on the machine makes a time longer, never shorter. The slowest cases come last.

`repeats`: the same of what reads answers, for each answer of `ANSWERS` with each of its parts repeated.
Only what takes more than `QUICK_MS` for a full page is measured in growing sizes.

`holds`: how long one step of a hostile answer holds the event loop. While it runs, nothing else runs in the process: no
heartbeat, no probe, no other answer. An answer of the longest length grows, arrives in one piece, is refused by Slack
in its form, continues an earlier attempt's text, or has no file for what doesn't fit. Each step that runs without a
pause is measured, in the thread's CPU time. One line a shape: its longest step.
"""

import argparse
import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, pairwise
from typing import NamedTuple, TypeVar

from bot.core import asks
from bot.core.calls import claims_of_definition, result_for_model
from bot.core.conversation import Message, Question, ThreadKey, ids_to_name, with_names, without_bot_mention
from bot.core.job import Checkpoint, End, Job, sentence_notice
from bot.core.steps import Seam, starting_text, text_to_continue
from bot.core.triage import Identity, Participants, TriageRules, triage
from bot.core.unseen import visible
from bot.errors import EndReason, ProviderError, Refusal, Refused
from bot.models.anthropic import MessagesReader
from bot.models.calls import CallIds, ChatToolCalls, offered_name
from bot.models.events import Citation
from bot.models.failures import ErrorResponse, RequestAttempt, reason_and_sentence
from bot.models.openai import ResponsesReader
from bot.models.parameters import EffortLevels, OptionalParameter, parameters_in_refusal
from bot.models.prompt import Prompt, ToolDefinition
from bot.models.refused_files import parse_file_refusal
from bot.models.room import parse_room_refusal
from bot.models.template_marks import TemplateMarks
from bot.reply import blocks as reply_blocks
from bot.reply import charts
from bot.reply.answer import Answer
from bot.reply.attachments import code_files
from bot.reply.carriers import METHODS
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, PageView, Upload, VisibleReply
from bot.reply.outcomes import CallDone, CallRefused, Outcome
from bot.reply.reply import Reply
from bot.reply.sources import shown_sources
from bot.reply.streams import AppendStream, StartStream, StopStream
from bot.slack import text as slack_text
from bot.slack.json_values import Payload
from bot.slack.text import names_in
from demo.scenes import SCENES
from slack_markdown import inlines, render
from slack_markdown.escaping import break_links
from slack_markdown.extent import Extent, has_paragraph
from slack_markdown.growing_text import join_halves
from slack_markdown.links import bare_url, international_chars, is_deceptive, with_ascii_hosts
from slack_markdown.pages import Pages
from slack_markdown.render import has_definitions, mrkdwn, stable_prefix
from slack_markdown.tests import hostile_texts
from slack_markdown.tests.costs import MAX_MS, MAX_RATIO, MIN_MS, milliseconds
from slack_markdown.tests.hostile_texts import SHAPES, forget_renderings, grown, text_of
from tests.pictures import below

SIZES_CHARS = (5_900, 11_800, 23_600)
"""The last but one is a full page."""
PIECE_CHARS = 8
"""How long the deltas or calls are into which a text is cut."""
MAX_RUN_S = 600.0
"""CPU time of all cases; those that are left are reported as not measured."""
MAX_ROUNDS = 15
WORST_ROWS = 25
ANSWERS = {"a scripted answer": SCENES[0].scripts["How do I find our slow queries?"](""), **hostile_texts.ANSWERS}
OFFERING = Prompt("", (), tools=(ToolDefinition("a", "", {}),))


def _paged(text: str) -> None:
    pages = Pages()
    for start in range(0, len(text), 300):
        pages.append(text[start : start + 300])
    pages.finish()


def _resumed(text: str) -> None:
    seam = Seam(text)
    seam.join(text[len(text) // 2 :])
    seam.finish()


def _triaged(text: str) -> object:
    me = Identity("T1", "U1", "B1", "typist")
    given = Message("T1", "C1", "1.0", text, thread_ts="0.5", user_id="U2")
    return triage(given, me, Participants(has_bot=True), TriageRules())


def _rich_text(text: str) -> Payload:
    """Returns a message with the text in one element, and again in an element for each few characters."""
    pieces = [
        {"type": "text", "text": text[at : at + 8], "style": {"bold": at % 3 == 0}} for at in range(0, len(text), 8)
    ]
    sections = [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]},
        {"type": "rich_text_quote", "elements": pieces},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]},
    ]
    return {"text": text, "blocks": [{"type": "rich_text", "elements": sections}]}


def _attached(text: str) -> Payload:
    cell = {"type": "raw_text", "text": text[:100]}
    block = {"type": "table", "rows": [[cell, cell]] * (len(text) // 200)}
    return {
        "attachments": [{"text": text, "title": text, "title_link": f"https://a.example/{text}", "blocks": [block]}]
    }


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def _unmarked(text: str, before: str = "") -> None:
    for pieces in (_pieces(text), [text]):
        marks = TemplateMarks("a")
        marks.is_expected = True
        for piece in (before, *pieces):
            marks.add(piece)
        marks.end(is_complete=True)


def _chat_calls(text: str) -> object:
    calls = ChatToolCalls()
    for at, piece in enumerate(_pieces(text)):
        calls.add({"index": at % 2, "id": f"call_{at}", "function": {"name": "a", "arguments": piece}})
    return calls.calls(CallIds(OFFERING).unique_id, partial(offered_name, offered=()))


def _output_items(text: str) -> object:
    reader = ResponsesReader(RequestAttempt("openai/m", ""), OFFERING, 1)
    calls = [
        {"type": "function_call", "call_id": f"call_{at}", "name": "a", "arguments": piece}
        for at, piece in enumerate(_pieces(text))
    ]
    # A step has a limit of calls.
    with suppress(ProviderError):
        reader.read_event({"type": "response.completed", "response": {"status": "completed", "output": calls}})
    return reader.read_end()


def _cited(text: str) -> object:
    reader = MessagesReader(RequestAttempt("anthropic/m", ""), OFFERING, 1)
    for at, piece in enumerate(_pieces(text)):
        citation = {"url": f"https://a.example/{at}", "title": piece}
        reader.read_event({"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": citation}})
    return reader.side_events


def _refusal(text: str) -> object:
    refusal = ErrorResponse(400, {}, {"error": {"message": text}})
    EffortLevels().after_refusal("low", refusal)
    named = (
        parameters_in_refusal(refusal, tuple(OptionalParameter)),
        parse_file_refusal(refusal),
        parse_room_refusal(reason_and_sentence(refusal)[0], text, 16_384),
    )
    return named, RequestAttempt("openai/m", "", (text,)).reported_failure(refusal.body, 400)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "render_page": lambda text: render.render_page(text, growing=False),
    "render_page growing": lambda text: render.render_page(text, growing=True),
    "stable_prefix": stable_prefix,
    "has_definitions": has_definitions,
    "inlines": lambda text: inlines.parse_inlines(text, {}, growing=False),
    "decided_inlines": inlines.decided_inlines,
    "whole message": lambda text: reply_blocks.message(PageView(text, growing=True)),
    "whole message, plain": lambda text: reply_blocks.message(
        PageView(text[:4_000], plain=True, end=below(End(EndReason.WHOLE), text[:4_000]))
    ),
    # Cutting pages off is what takes long: 1, 3 and 7 of them. From 0 to 1 says nothing.
    "Pages": lambda text: _paged(4 * text),
    "charts": lambda text: (charts.split_at_charts(f"{text}\nchart"), charts.without_chart_marks(f"{text}\nchart")),
    "Extent": lambda text: Extent().read(text),
    "has_paragraph": has_paragraph,
    "is_deceptive": lambda text: is_deceptive(text, "https://evil.example/"),
    "is_deceptive to": lambda text: is_deceptive("bank.com", text),
    "bare_url": bare_url,
    "text_to_continue": lambda text: text_to_continue(text, EndReason.LENGTH_LIMIT),
    "Seam": _resumed,
    "code_files": lambda text: code_files(text, "1.0"),
    "has_word": lambda text: render.has_word(text, growing=True),
    "first_words": lambda text: render.first_words(text, growing=True),
    "plain_words": render.plain_words,
    "shown_sources": lambda text: shown_sources([Citation(text, text), Citation("https://a.example", text)]),
    "mrkdwn": mrkdwn,
    "with_ascii_hosts": with_ascii_hosts,
    "international_chars": international_chars,
    "break_links": break_links,
    "join_halves": join_halves,
    "body_of": lambda text: slack_text.body_of({"text": text}),
    "body_of rich_text": lambda text: slack_text.body_of(_rich_text(text)),
    "attachments_text": lambda text: slack_text.attachments_text(_attached(text)),
    "labels": names_in,
    "with_names": lambda text: with_names(text, {}),
    "ids_to_name": ids_to_name,
    "without_bot_mention": lambda text: without_bot_mention(text, "U123"),
    "triage": _triaged,
    "visible": visible,
    "result_for_model": lambda text: result_for_model(text, "tool", "nonce"),
    "readable_json": lambda text: asks.readable_json({text: text}),
    "readable_json list": lambda text: asks.readable_json({"a": text.split("a")}),
    "argument_fields": lambda text: asks.argument_fields({text: text, "list": text.split("a")}),
    "template marks": _unmarked,
    "template marks, in code": lambda text: _unmarked(text, "a `"),
    "template marks, in a call": lambda text: _unmarked(text, "<tool_call>{"),
    "template marks, in a channel": lambda text: _unmarked(text, "<|channel|>analysis<|message|>"),
    "calls in pieces": _chat_calls,
    "output items": _output_items,
    "citations": _cited,
    "refusal": _refusal,
    "claims_of_definition": lambda text: claims_of_definition(json.dumps(["tool", text, {}, text])),
}


class Row(NamedTuple):
    """A function's times for one shape: the lower ratio of its last two doublings, and the largest size's time."""

    ratio: float
    ms: float
    chars: int
    function: str
    shape: str

    @property
    def failed(self) -> bool:
        return self.ms > MAX_MS or (self.ratio > MAX_RATIO and self.ms > MIN_MS)

    def __str__(self) -> str:
        size = f"{self.ms:8.1f} ms  x{self.ratio:4.1f}  {self.chars:6,} chars"
        return f"{size}  {self.function:20} {self.shape}{'  FAILED' * self.failed}"


def measured(function: str, shape: str, texts: Sequence[str]) -> Row:
    """Returns the times of a case: a failing one is measured for more rounds, and each size's best time counts.

    `texts`: one for each of `SIZES_CHARS`. A round has all sizes, so that what slows the machine down for a while slows
    them all.
    """
    best_ms = [math.inf] * len(texts)
    for _ in range(MAX_ROUNDS):
        for number, text in enumerate(texts):
            best_ms[number] = min(best_ms[number], milliseconds(FUNCTIONS[function], text, 1))
            if best_ms[number] > MAX_MS:
                break
        row = _row(function, shape, best_ms[: number + 1])
        if not row.failed:
            break
    return row


def _row(function: str, shape: str, times_ms: list[float]) -> Row:
    ratios = [longer / max(shorter, 1e-6) for shorter, longer in pairwise(times_ms)]
    ratio = min(ratios[-2:], default=math.inf)
    return Row(ratio, times_ms[-1], SIZES_CHARS[len(times_ms) - 1], function, shape)


def growth(part: str) -> bool:
    """Measures the functions whose names have this part. Returns whether all take linear time."""
    until_s = time.process_time() + MAX_RUN_S
    cases = [(function, shape) for function in FUNCTIONS if part in function for shape in SHAPES]
    rows: list[Row] = []
    for function, shape in cases:
        if time.process_time() > until_s:
            break
        rows.append(row := measured(function, shape, [text_of(shape, chars) for chars in SIZES_CHARS]))
        if row.failed:
            print(row, flush=True)
    slow = sorted(rows, key=lambda row: -row.ms)[:WORST_ROWS]
    failed = sum(row.failed for row in rows)
    print(f"\nThe slowest of {len(rows)} cases, {len(cases) - len(rows)} not measured, {failed} failed:")
    print(*slow, sep="\n")
    return not failed and len(rows) == len(cases)


READ_OF_ANSWERS = (
    *("render_page", "render_page growing", "stable_prefix", "has_definitions", "Extent", "has_paragraph", "continued"),
    *("first_words", "plain_words", "has_word", "code_files", "charts", "mrkdwn", "international_chars", "Pages"),
    *("template marks", "template marks, in code", "template marks, in a channel"),
)
"""The functions of `FUNCTIONS` that read whole answers."""
QUICK_MS = 200.0
MOST_TOKENS = 2


def repeats(part: str) -> bool:
    """Measures what reads answers, of answers that repeat a part. Returns whether all take linear time."""
    until_s = time.process_time() + MAX_RUN_S
    count, failed, is_whole = 0, 0, True
    for name, answer in ANSWERS.items():
        sizes = zip(*(grown(answer, MOST_TOKENS, chars) for chars in SIZES_CHARS), strict=True)
        for (repeated, small), (_, page), (_, large) in sizes:
            for function in READ_OF_ANSWERS if not part else [read for read in READ_OF_ANSWERS if part in read]:
                if time.process_time() > until_s:
                    is_whole = False
                    break
                count += 1
                if milliseconds(FUNCTIONS[function], page, 1) > QUICK_MS:
                    row = measured(function, f"{name}: {repeated!r}", (small, page, large))
                    failed += row.failed
                    if row.failed:
                        print(row, flush=True)
    print(f"\n{count} answers that repeat a part, {'all' if is_whole else 'not all'} measured, {failed} failed")
    return not failed and is_whole


ANSWER_CHARS = 512_000
"""Four for each of the 128,000 tokens that BOT_MAX_OUTPUT_TOKENS allows."""
MAX_HOLD_MS = 50.0
MAX_STEPS_S = 120.0
"""CPU time of all shapes."""
EDIT_EACH_CHARS = 20_000
QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "?")
JOB = Job(1, QUESTION, 1)
END = End(EndReason.LENGTH_LIMIT, sentence_notice("A notice."))
CUT = End(EndReason.CUT, sentence_notice("Cut."))
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
            _came(reply, call, CallRefused(Refused(METHODS[type(call)], reason, reason)), holds)
        _show(reply, holds)
    _end(reply, END, holds)


def has_no_file(text: str, holds: Holds) -> None:
    reply = Reply(Answer(JOB))
    _append(reply, text, holds)
    _end(reply, END, holds, takes_files=False)


def follows_a_longer_text(text: str, holds: Holds) -> None:
    reply = Reply(Answer(replace(JOB, checkpoint=Checkpoint(text))), VisibleReply(("0.1",)))
    _end(reply, CUT, holds)


def is_taken_over(text: str, holds: Holds) -> None:
    job = Job(1, QUESTION, attempts=2, checkpoint=Checkpoint(text))
    start = holds.measured("start_of", partial(starting_text, job))
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


def _came(reply: Reply, call: Call, outcome: Outcome, holds: Holds) -> None:
    reply.on_send(call)
    holds.measured("on_outcome", partial(reply.on_outcome, call, outcome))


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
            _came(reply, call, CallRefused(Refused(METHODS[Upload], "not_allowed", Refusal.FORBIDDEN)), holds)
        else:
            _came(reply, call, CallDone(_ts_of(call, holds)), holds)


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
        holds.measured(type(call).__name__, partial(reply.carriers.with_current_text, call))


def steps(part: str) -> bool:
    """Measures the shapes whose names have this part. Returns whether no step took too long and no shape was left."""
    until_s = time.process_time() + MAX_STEPS_S
    shapes = [shape for shape in SHAPES if part in shape]
    worst: list[float] = []
    for shape in shapes:
        if time.process_time() > until_s:
            break
        # As a vendor's reader hands it over.
        text, holds = join_halves(text_of(shape, ANSWER_CHARS)), Holds()
        for holds.way, way in WAYS.items():
            way(text, holds)
        worst.append(holds.longest_ms)
        print(f"{holds.longest_ms:8.1f} ms  {shape}, {holds.step}", flush=True)
    over = sum(ms > MAX_HOLD_MS for ms in worst)
    print(f"{len(worst)} shapes, {over} over {MAX_HOLD_MS:.0f} ms, {len(shapes) - len(worst)} not measured")
    return not over and len(worst) == len(shapes)


MEASURES: dict[str, Callable[[str], bool]] = {"growth": growth, "repeats": repeats, "holds": steps}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", nargs="?", choices=MEASURES)
    parser.add_argument("part", nargs="?", default="")
    options = parser.parse_args()
    gc.disable()
    met = [measure(options.part) for name, measure in MEASURES.items() if options.measure in (None, name)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
