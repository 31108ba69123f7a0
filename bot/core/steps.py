"""The steps of an answer in the form sent to a model, and how an interrupted answer is continued. Pure.

Each step of a model that uses tools resends all earlier items and call results, and 16 steps could require 600,000
tokens. Above a limit (`without_oldest_results`), a sentence replaces each of the oldest results. The model hasn't read
the last step's results, so these results are cut only if a server has reported a small context window (`cut_to_fit`).

An attempt that takes over within a step keeps the text written earlier in that step separate from what follows, and
each later request includes both. A model that doesn't see its earlier text would write it again.

Complete lines of an interrupted answer are kept, and a model continues below them (`Seam`). An incomplete line is
written again, because there is no way to know whether a space, a line break or nothing belongs between its two parts.
Only a long line is kept, up to its last space. In the meantime, readers still see the longer text (reply/reply.py).
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from bot.core.beginnings import PrefixHash, without_thoughts
from bot.core.calls import APPROVAL_S, SIGN_IN, SIGN_IN_RESULTS, CallState, Decision, Item, RecordedCall, Step
from bot.core.conversation import Question, with_names, without_bot_mention
from bot.core.job import FollowUp, Job
from bot.core.prompt import GO_ON, GO_ON_REQUEST, NOTHING_MISSING, PromptMarks, origins_of_text
from bot.errors import EndReason
from bot.models.events import Opaque, TextPart, ToolCall
from bot.models.prompt import (
    FOUND,
    OTHERS,
    OURS,
    TOOL,
    UNKNOWN,
    Origins,
    Prompt,
    ToolResult,
    Turn,
    TurnPart,
    frame_text,
    merge,
)
from slack_markdown.blocks import last_lines
from slack_markdown.pages import Outline

LAST_STEP = "(This is your last step: answer now with what you know, and ask for no more tools.)"
REPLIED_TO = (
    "(The user wrote this message instead of deciding about calls that you had asked for, which are attached to it. Go "
    "by the message.)"
)
MADE_BEFORE = (
    "(The calls that are attached to the message were made for an earlier version of this answer. Don't repeat them "
    "unasked.)"
)
_UNDECIDED, _MADE = "The calls that you had asked for:", "The calls for an earlier version of this answer:"
DROPPED = "(The result of this call was dropped to save room. Don't repeat a call that changes something.)"
EDITED = "(The user changed the arguments of this call before they approved it. It had these: {arguments})\n{result}"
CUT = "(The rest of this result was cut to save room. Don't repeat a call that changes something.)"
_BEGUN = "begun"
_PROCESS_ENDED = "Typist ended meanwhile."
_UNKNOWN = (
    "It isn't known whether this call was made: it may or may not have happened. {why} Don't repeat it unless the user "
    "asks you to, and tell the user."
)
_DENIALS = {
    Decision.DENIED: "The user denied this call. It was not made.",
    Decision.EXPIRED: f"Nobody approved this call within {APPROVAL_S / 3600:.0f} hours. It was not made.",
}


def items_of(parts: Sequence[TurnPart], begun: str = "") -> tuple[Item, ...]:
    """Returns a model step's parts as JSON. `begun`: the beginning of the step's text, from an earlier attempt."""
    items = tuple(item for part in parts if (item := _item_of(part)) is not None)
    return ({"type": _BEGUN, "text": begun}, *items) if begun else items


def _item_of(part: TurnPart) -> Item | None:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ToolCall(index=index, call_id=call_id, name=name, arguments=arguments, raw_arguments=raw):
            call = {"index": index, "call_id": call_id, "name": name, "arguments": arguments, "raw_arguments": raw}
            return {"type": "call", **call}
        case Opaque(vendor=vendor, item=item):
            return {"type": "opaque", "vendor": vendor, "item": item}
    return None


def _part_of(item: Item) -> TurnPart:
    match item["type"]:
        case "text":
            return TextPart(item["text"])
        case "opaque":
            return Opaque(item["vendor"], item["item"])
    return ToolCall(item["index"], item["call_id"], item["name"], item["arguments"], item["raw_arguments"])


def with_steps(
    prompt: Prompt,
    steps: Sequence[Step],
    follow_ups: Sequence[FollowUp],
    bot_user_id: str,
    *,
    earlier_calls: Sequence[RecordedCall] = (),
    replied_to: Sequence[RecordedCall] = (),
    begun: str = "",
    is_last: bool = False,
) -> Prompt:
    """Returns a prompt with the steps so far, their results, and questions asked in the meantime.

    `earlier_calls`: calls for earlier versions of the answer. `replied_to`: calls of the previous answer, if the
    question was asked instead of approving them. `begun`: the next step's unfinished text from an earlier attempt,
    which the model is asked to continue.
    """
    if not (steps or follow_ups or earlier_calls or replied_to or begun):
        return prompt
    # A model's thoughts are sent back only if everything before them is unchanged (core/beginnings.py).
    *earlier, last = prompt.turns
    remarks = ((REPLIED_TO, _UNDECIDED, replied_to), (MADE_BEFORE, _MADE, earlier_calls))
    about = [remark for remark in remarks if remark[-1]]
    # Nothing that a call returned, or a model wrote after reading it, looks like a mark or gets our role.
    without_marks = PromptMarks(prompt.code).without_marks if prompt.code else str
    listed = ["\n".join([title, *map(_call_line, calls)]) for _, title, calls in about]
    attached = [frame_text(prompt.code, "calls", without_marks(calls)) for calls in listed]
    asked = _question_texts(follow_ups, 0, bot_user_id)
    origins = merge((last.origins, _origins(follow_ups, 0, bot_user_id), TOOL if about else OURS))
    instruction = "\n\n".join(filter(None, (last.instruction, *(said for said, *_ in about))))
    text = "\n\n".join([last.text, *attached, *asked])
    turns = [*earlier, replace(last, text=text, origins=origins, instruction=instruction)]
    bound, counted = PrefixHash(replace(prompt, turns=())), 0
    for number, step in enumerate(steps, start=1):
        left = next((item["text"] for item in step.items if item["type"] == _BEGUN), "")
        turns += _turns_to_resume(left)
        bound.add_turns(turns[counted:])
        counted = len(turns)
        parts = tuple(_part_of(item) for item in step.items if item["type"] != _BEGUN)
        parts = parts if step.prefix_hash == str(bound) else without_thoughts(parts)
        written = "".join(part.text for part in parts if isinstance(part, TextPart))
        turns.append(Turn("assistant", written.strip(), parts=parts, origins=step.origins))
        asked = _question_texts(follow_ups, step.step_no + 1, bot_user_id)
        results = [
            ToolResult(
                call.call_id,
                call.tool,
                without_marks(result_text(call)),
                call.state is not CallState.DONE or call.result_is_error,
            )
            for call in step.calls
        ]
        text = "\n\n".join([*(result.text for result in results), *asked])
        # Includes calls that weren't made, because a refusal can quote what the model had read.
        origins = merge((*map(_result_origins, step.calls), _origins(follow_ups, step.step_no + 1, bot_user_id)))
        instruction = LAST_STEP if is_last and number == len(steps) else ""
        parts = (*results, *map(TextPart, asked))
        turns.append(Turn("user", text, parts=parts, origins=origins, instruction=instruction))
    return replace(prompt, turns=(*turns, *_turns_to_resume(begun)))


def with_request_to_continue(prompt: Prompt) -> Prompt:
    """Returns a prompt that asks a model to continue after it wrote nothing about the last results. The request is a
    separate message, because text right below results makes Claude end with nothing:
    https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"""
    return replace(prompt, turns=(*prompt.turns, Turn("user", GO_ON, origins=OURS)))


def without_oldest_results(steps: Sequence[Step], count_tokens: Callable[[str], int], limit_tokens: int) -> list[Step]:
    """Returns the steps, with the oldest results each replaced by a sentence if the results exceed the limit. The last
    step's results are always kept."""
    sizes = {call.key: count_tokens(call.result) for step in steps for call in step.calls}
    over_tokens = sum(sizes.values()) - limit_tokens
    # A quarter of the room is dropped at a time, so that most requests begin like the previous one, for caches.
    part = max(1, limit_tokens // 4)
    to_drop = math.ceil(over_tokens / part) * part
    shortened = []
    for step in steps[:-1]:
        calls = []
        for call in step.calls:
            is_dropped = to_drop > 0 and sizes[call.key] > count_tokens(DROPPED)
            to_drop -= sizes[call.key] if is_dropped else 0
            calls.append(replace(call, result=DROPPED) if is_dropped else call)
        shortened.append(replace(step, calls=tuple(calls)))
    return [*shortened, *steps[-1:]]


def cut_to_fit(steps: Sequence[Step], count_tokens: Callable[[str], int], limit_tokens: int) -> list[Step]:
    *earlier, last = steps
    sizes = [count_tokens(call.result) for call in last.calls]
    if sum(sizes) <= limit_tokens:
        return [*earlier, last]
    each = limit_tokens // len(sizes)
    calls = tuple(
        replace(call, result=f"{call.result[: len(call.result) * each // size]}\n{CUT}") if size > each else call
        for call, size in zip(last.calls, sizes, strict=True)
    )
    return [*earlier, replace(last, calls=calls)]


def _result_origins(call: RecordedCall) -> Origins:
    is_sign_in = call.tool == SIGN_IN or call.result in SIGN_IN_RESULTS
    return OURS if is_sign_in else FOUND if call.uses_own_account else TOOL


def _turns_to_resume(begun: str) -> list[Turn]:
    if not begun.strip():
        return []
    # The sources that the vendor had found for it aren't recorded.
    asked = Turn("user", GO_ON, origins=OURS, instruction=GO_ON_REQUEST)
    return [Turn("assistant", begun.strip(), origins=UNKNOWN), asked]


def _question_texts(follow_ups: Sequence[FollowUp], step_no: int, bot_user_id: str) -> list[str]:
    return [
        _question_text(follow_up.question, bot_user_id)
        for follow_up in follow_ups
        if follow_up.step_no == step_no and follow_up.question.text.strip()
    ]


def _question_text(question: Question, bot_user_id: str) -> str:
    marks = PromptMarks.for_thread(question.thread)
    own = marks.without_marks(with_names(without_bot_mention(question.own_text, bot_user_id), {}))
    attached = marks.section("attached", with_names(question.attached_text, {})) if question.attached_text else ""
    return "\n\n".join(filter(None, (own, attached)))


def _origins(follow_ups: Sequence[FollowUp], step_no: int, bot_user_id: str) -> Origins:
    askers = {bot_user_id, *(follow_up.question.user_id for follow_up in follow_ups)}
    questions = [follow_up.question for follow_up in follow_ups if follow_up.step_no == step_no]
    attached = OTHERS if any(question.attached_chars for question in questions) else OURS
    return merge((attached, *(origins_of_text(question.own_text, askers) for question in questions)))


def result_text(call: RecordedCall) -> str:
    result = call.result
    match call.state:
        case CallState.UNKNOWN:
            result = _UNKNOWN.format(why=call.result or _PROCESS_ENDED)
        case CallState.DENIED if call.decision in _DENIALS:
            result = _DENIALS[call.decision]
    if call.decision is not Decision.EDITED:
        return result
    return EDITED.format(arguments=json.dumps(call.arguments, ensure_ascii=False), result=result)


def _call_line(call: RecordedCall) -> str:
    outcomes = {CallState.DONE: "done", CallState.DENIED: "not made"}
    outcome = outcomes.get(call.state, "may or may not have happened")
    return f"- {call.tool} {json.dumps(call.arguments, ensure_ascii=False)[:1000]}: {outcome}"


def count_web_searches(items: Sequence[Item]) -> int:
    """Returns the number of web searches that the vendor ran. Opening a page doesn't count as a search."""
    found = 0
    for item in (item["item"] for item in items if item["type"] == "opaque"):
        if item.get("type") == "web_search_call":
            found += (item.get("action") or {}).get("type", "search") == "search"
        elif item.get("type") == "server_tool_use":
            found += item.get("name") == "web_search"
    return found


MIN_CHARS = 400
"""Text or a last line that is shorter than this is generated again, which is as fast as continuing it and leaves no
seam. A longer line is continued after a word, so that an answer in one paragraph can grow past any limit."""
REPEATED_CHARS = 10
"""The minimum length of a repetition. Shorter ones might be a coincidence."""
MAX_PLACES = 100

_BARE_FENCE = re.compile(r"(?:^|[\n >])(?:`{3,}|~{3,})\n$")


def text_to_continue(answer: str, end_reason: EndReason) -> str:
    """Returns the text that a new version continues, with a paragraph break if the answer ended at the step limit."""
    return f"{answer}\n\n" if end_reason is EndReason.STEP_LIMIT else answer


def fixed_text(job: Job) -> str:
    """Returns the part of an answer that no attempt rewrites: the text up to the end of its last recorded step."""
    return job.checkpoint.text[: job.steps[-1].chars] if job.steps else kept_text(job.continued_text)


def starting_text(job: Job) -> str:
    """Returns the text that an attempt begins with: the fixed text, and any unfinished text from an earlier attempt."""
    left, fixed = job.checkpoint.text, fixed_text(job)
    if job.checkpoint.end:
        return left
    return fixed if len(left) - len(fixed) < MIN_CHARS else max(fixed, kept_text(left), key=len)


def kept_text(text: str) -> str:
    """Returns unfinished text without its last line, or without the last word of a long line. A single line break at
    the end is dropped too, because it might be half of a paragraph break."""
    is_between_breaks = text.endswith("\n") and not text.endswith("\n\n")
    line = text.rfind("\n", 0, len(text) - is_between_breaks) + 1
    if len(text) - line <= MIN_CHARS:
        return text[:line]
    # Text without spaces can be cut anywhere.
    word = text.rfind(" ", len(text) - 100) + 1
    return text[: word or len(text)]


class Seam:
    """Appends a model's continuation to existing text. Deltas are held back until it is clear how they join.

    Models repeat the last lines or the whole text, reopen an open code block or table, and begin with line breaks that
    the text already has. The result doesn't depend on how the continuation is split into deltas: once the first
    characters determine how to join, later characters don't change it.
    """

    def __init__(self, so_far: str, cut_off: str = "") -> None:
        """`cut_off`: the dropped end of the text, which is restored if the model reports that nothing is missing."""
        self._so_far = so_far
        self._cut_off = cut_off
        self._held = ""
        self._held_at = 0
        """The position of the held characters in the text, or -1 once they no longer occur in it."""
        self._joined = not so_far

    def join(self, delta: str) -> str:
        """Returns the text to append, or "" until it is clear how the texts join."""
        if self._joined or not delta:
            return delta
        self._held += delta
        if f"{NOTHING_MISSING}.".startswith(self._held.strip()) or self._can_repeat(self._held.lstrip()):
            return ""
        continuation = self._continuation(ended=False)
        self._joined = continuation is not None
        return continuation or ""

    def finish(self) -> str:
        if self._joined:
            return ""
        self._joined = True
        is_complete = self._held.strip().rstrip(".") in ("", NOTHING_MISSING)
        return self._cut_off if is_complete else self._continuation(ended=True) or ""

    def _can_repeat(self, held: str) -> bool:
        """Returns whether the text contains the held characters. If it does, more characters might repeat the text's
        end."""
        if self._held_at >= 0 and not self._so_far.startswith(held, self._held_at):
            self._held_at = self._so_far.find(held, self._held_at + 1)
        return self._held_at >= 0

    def _continuation(self, *, ended: bool) -> str | None:
        held = self._held.lstrip()
        repeated = self._repeated_chars(held)
        added = held[repeated:].lstrip(" ") if repeated else self._held
        continuation = added.lstrip("\n")
        breaks = len(added) - len(continuation)
        opened = "" if repeated else self._opening_lines
        if not ended and (not continuation.strip() or opened.startswith(continuation)):
            return None
        continuation = continuation.removeprefix(opened)
        if not ended and not continuation.strip():
            return None
        if self._so_far.endswith("\n") and self._opening_lines.startswith("|") and not continuation.startswith("|"):
            # Only an empty line ends a table.
            breaks = max(breaks, 2)
        ends = len(self._so_far) - len(self._so_far.rstrip("\n"))
        within_line = not ends and not breaks
        return "\n" * max(0, breaks - ends) + (continuation.lstrip(" ") if within_line else continuation)

    def _repeated_chars(self, continuation: str) -> int:
        """Returns the number of characters at the start of the continuation that repeat the end of the text, if that
        end occurs only once."""
        text = self._so_far.rstrip()
        start = _repetition_start(text, continuation) if len(continuation) >= REPEATED_CHARS else -1
        # A shorter repetition occurs twice, because it also begins the longest one.
        return len(text) - start if start >= 0 and text.find(text[start:]) == start else 0

    @cached_property
    def _opening_lines(self) -> str:
        """The lines that open the unfinished block at the end of the text: a fence, or a table's header."""
        outline = Outline(last_lines(self._so_far) + "x")
        for _ in outline.lines():
            pass
        opened = outline.opening().lines
        # An opening fence without a language looks like a closing fence, and models mean to close the block.
        return "" if _BARE_FENCE.search(opened) else opened


def _repetition_start(text: str, continuation: str) -> int:
    """Returns the position in the text from which the continuation repeats it up to its end, or -1. If there are
    several, returns the first. A beginning with more than `MAX_PLACES` earlier occurrences isn't treated as a
    repetition."""
    beginning = continuation[:REPEATED_CHARS]
    start = text.find(beginning, max(0, len(text) - len(continuation)))
    for _ in range(MAX_PLACES):
        if start < 0 or continuation.startswith(text[start:]):
            return start
        start = text.find(beginning, start + 1)
    return -1
