"""The steps of an answer as a model reads them, and how an interrupted answer goes on. Pure.

Steps
-----
Each step of a model that uses tools sends its own items and the results of its calls again, and 16 steps could ask for
600,000 tokens. Beyond a bound (`with_room`), a sentence stands in place of the oldest results. The last step's results
stay, because the model hasn't read them. Only where a server has named a small window, they are cut (`cut_to_fit`).
What a model thought after it had read such a result isn't sent any more (core/beginnings.py).

An attempt that takes over within a step keeps what the step had written before apart from what follows it, and each
later request has both. A model that doesn't see what it has written writes it again.

Resuming
--------
The whole lines of an interrupted answer stay, and a model writes on below them (`Seam`). A line that was cut off is
written again: nobody has to guess whether a space, a line break or nothing is missing where two parts of a line meet.
Only a long line is kept, up to its last space. Readers see the longer text meanwhile (reply/reply.py).
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from bot.core.beginnings import Bound, without_thoughts
from bot.core.calls import APPROVAL_S, SIGN_IN, WANT_SIGN_IN, CallState, Decision, Item, RecordedCall, Step
from bot.core.conversation import Question, with_names, without_address
from bot.core.job import FollowUp, Job
from bot.core.prompt import GO_ON_REQUEST, NOTHING_MISSING, Marks, origins_of_text
from bot.errors import EndReason
from bot.models.events import Opaque, TextPart, ToolCall
from bot.models.prompt import AGREED, OTHERS, OURS, TOOL, UNKNOWN, Origins, Prompt, ToolResult, Turn, TurnPart, folded
from slack_markdown.blocks import recent_part
from slack_markdown.pages import Outline

LAST_STEP = "(This is your last step: answer now with what you know, and ask for no more tools.)"
REPLIED_TO = (
    "(The user wrote this message instead of deciding about calls that you had asked for. Go by the message. "
    "The calls:\n{calls})"
)
MADE_BEFORE = "(For an earlier version of this answer, these calls were made. Don't repeat them unasked:\n{calls})"
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
    """Returns what a step of the model consists of, as JSON. `begun`: the text that an earlier attempt left of it."""
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
    made_before: Sequence[RecordedCall] = (),
    replied_to: Sequence[RecordedCall] = (),
    begun: str = "",
    is_last: bool = False,
) -> Prompt:
    """Returns a prompt with the steps so far, their results, and the questions that came meanwhile.

    `made_before`: calls for earlier versions of the answer. `replied_to`: calls of the answer before, instead of whose
    approval the question was written. `begun`: the text that an earlier attempt left in the middle of the next step.
    The model is asked to go on after it, and later sees that it was asked that.
    """
    if not (steps or follow_ups or made_before or replied_to or begun):
        return prompt
    # What a model thought is sent back only under what it had read (core/beginnings.py).
    *earlier, last = prompt.turns
    about = ((REPLIED_TO, replied_to), (MADE_BEFORE, made_before))
    remarks = [remark.format(calls="\n".join(map(_call_line, calls))) for remark, calls in about if calls]
    asked = _texts(follow_ups, 0, bot_user_id)
    origins = folded((last.origins, _origins(follow_ups, 0, bot_user_id), TOOL if remarks else OURS))
    turns = [*earlier, replace(last, text="\n\n".join([last.text, *remarks, *asked]), origins=origins)]
    bound, counted = Bound(replace(prompt, turns=())), 0
    for number, step in enumerate(steps, start=1):
        left = next((item["text"] for item in step.items if item["type"] == _BEGUN), "")
        turns += _resumed(left)
        bound.add(turns[counted:])
        counted = len(turns)
        parts = tuple(_part_of(item) for item in step.items if item["type"] != _BEGUN)
        parts = parts if step.bound_to == str(bound) else without_thoughts(parts)
        turns.append(Turn("assistant", step.text.removeprefix(left).strip(), parts=parts, origins=step.origins))
        additions = _texts(follow_ups, step.step_no + 1, bot_user_id)
        additions += [LAST_STEP] if is_last and number == len(steps) else []
        results = [_result_of(call, prompt.code) for call in step.calls]
        text = "\n\n".join([*(result.text for result in results), *additions])
        # Also what was not called: a refusal may quote what the model had read.
        origins = folded((*map(_of_result, step.calls), _origins(follow_ups, step.step_no + 1, bot_user_id)))
        turns.append(Turn("user", text, parts=(*results, *map(TextPart, additions)), origins=origins))
    return replace(prompt, turns=(*turns, *_resumed(begun)))


def with_room(steps: Sequence[Step], count_tokens: Callable[[str], int], limit_tokens: int) -> list[Step]:
    """Returns the steps with a sentence in place of the oldest results, if all take more than the limit.

    The last step's results stay, because the model hasn't read them.
    """
    sizes = {call.key: count_tokens(call.result) for step in steps for call in step.calls}
    over_tokens = sum(sizes.values()) - limit_tokens
    # A quarter of the room is dropped at a time: most requests begin like the one before, for caches.
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
    """Returns the steps with the last one's results cut, if they take more than a window leaves."""
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


def _of_result(call: RecordedCall) -> Origins:
    """Returns whose words a call's result holds. What it says of a sign-in is ours."""
    is_sign_in = call.tool == SIGN_IN or call.result in WANT_SIGN_IN
    return OURS if is_sign_in else AGREED if call.own_account else TOOL


def _resumed(begun: str) -> list[Turn]:
    if not begun.strip():
        return []
    # What the vendor had found for it is not on record.
    return [Turn("assistant", begun.strip(), origins=UNKNOWN), Turn("user", GO_ON_REQUEST, origins=OURS)]


def _texts(follow_ups: Sequence[FollowUp], step_no: int, bot_user_id: str) -> list[str]:
    return [
        _text(follow_up.question, bot_user_id)
        for follow_up in follow_ups
        if follow_up.step_no == step_no and follow_up.question.text.strip()
    ]


def _text(question: Question, bot_user_id: str) -> str:
    marks = Marks.of(question.thread)
    own = marks.without(with_names(without_address(question.own_text, bot_user_id), {}))
    attached = marks.framed("attached", with_names(question.attached, {})) if question.attached else ""
    return "\n\n".join(filter(None, (own, attached)))


def _origins(follow_ups: Sequence[FollowUp], step_no: int, bot_user_id: str) -> Origins:
    """Returns whose words the questions hold that a step reads first."""
    askers = {bot_user_id, *(follow_up.question.user_id for follow_up in follow_ups)}
    questions = [follow_up.question for follow_up in follow_ups if follow_up.step_no == step_no]
    attached = OTHERS if any(question.attached_chars for question in questions) else OURS
    return folded((attached, *(origins_of_text(question.own_text, askers) for question in questions)))


def _result_of(call: RecordedCall, code: str) -> ToolResult:
    """Returns what a call returned, in which nothing looks like a mark. `code`: that of the prompt's marks."""
    text = Marks(code).without(result_text(call)) if code else result_text(call)
    return ToolResult(call.call_id, call.tool, text, call.state is not CallState.DONE or call.result_is_error)


def result_text(call: RecordedCall) -> str:
    """Returns what the model reads of a call that is over."""
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


def searches(items: Sequence[Item]) -> int:
    """Returns how often the vendor searched the web, by the items of steps. Opening a page is no search."""
    found = 0
    for item in (item["item"] for item in items if item["type"] == "opaque"):
        if item.get("type") == "web_search_call":
            found += (item.get("action") or {}).get("type", "search") == "search"
        elif item.get("type") == "server_tool_use":
            found += item.get("name") == "web_search"
    return found


MIN_CHARS = 400
"""A shorter text, or last line, is generated again: that takes no longer than to continue it, and leaves no seam.

A longer line goes on at a word, so that an answer in one paragraph gets beyond any limit.
"""
REPEATED_CHARS = 10
"""Fewer repeated characters may be a coincidence."""
MAX_PLACES = 100
"""At how many places of the text a repetition is looked for."""

_BARE_FENCE = re.compile(r"(?:^|[\n >])(?:`{3,}|~{3,})\n$")


def continued(answer: str, end_reason: EndReason) -> str:
    """Returns the text that a new version goes on after. After the limit of steps, that is in a new paragraph.

    A step's text is whole, and the next step begins a paragraph, too.
    """
    return f"{answer}\n\n" if end_reason is EndReason.STEP_LIMIT else answer


def kept_text(job: Job) -> str:
    """Returns the part of the answer so far that a new version goes on after."""
    return _begun(job.so_far)


def fixed_text(job: Job) -> str:
    """Returns the part of an answer that no attempt writes again: `kept_text`, and the text of recorded steps."""
    return kept_text(job) + "".join(step.text for step in job.steps)


def start_of(job: Job) -> str:
    """Returns the text that an attempt begins with: what no attempt writes again, or what an earlier one has begun."""
    left, fixed = job.checkpoint.text, fixed_text(job)
    if job.checkpoint.end:
        return left
    return fixed if len(left) - len(fixed) < MIN_CHARS else max(fixed, _begun(left), key=len)


def _begun(text: str) -> str:
    """Returns an unfinished text without its last line, which may be incomplete; of a long line, the last word.

    Behind a single line break, another one may come.
    """
    is_between_breaks = text.endswith("\n") and not text.endswith("\n\n")
    line = text.rfind("\n", 0, len(text) - is_between_breaks) + 1
    if len(text) - line <= MIN_CHARS:
        return text[:line]
    # Text without spaces may be cut anywhere.
    word = text.rfind(" ", len(text) - 100) + 1
    return text[: word or len(text)]


class Seam:
    """Appends a model's continuation to the text that it goes on after, and holds deltas back until it is clear how.

    Models repeat the last lines or the whole text, reopen a code block or a table that is open, and begin with line
    breaks that the text has. However the continuation is split into deltas, the text is the same: once the first
    characters decide how they join, more characters decide nothing else.
    """

    def __init__(self, so_far: str, cut_off: str = "") -> None:
        """`cut_off`: what was dropped behind the text, and stands if the model says that nothing is missing."""
        self._so_far = so_far
        self._cut_off = cut_off
        self._held = ""
        self._held_at = 0
        """Where the text has what is held; -1 once it has it nowhere."""
        self._joined = not so_far

    def join(self, delta: str) -> str:
        """Returns the text to append; "" while that isn't clear."""
        if self._joined or not delta:
            return delta
        self._held += delta
        if f"{NOTHING_MISSING}.".startswith(self._held.strip()) or self._may_repeat(self._held.lstrip()):
            return ""
        continuation = self._continuation(ended=False)
        self._joined = continuation is not None
        return continuation or ""

    def rest(self) -> str:
        """Returns the text that is still held back when the model has ended."""
        if self._joined:
            return ""
        self._joined = True
        is_complete = self._held.strip().rstrip(".") in ("", NOTHING_MISSING)
        return self._cut_off if is_complete else self._continuation(ended=True) or ""

    def _may_repeat(self, held: str) -> bool:
        """Whether the text has what is held, so that more of it may repeat the text's end."""
        if self._held_at >= 0 and not self._so_far.startswith(held, self._held_at):
            self._held_at = self._so_far.find(held, self._held_at + 1)
        return self._held_at >= 0

    def _continuation(self, *, ended: bool) -> str | None:
        """Returns what is held as it follows the text; None if more of it is needed to know."""
        held = self._held.lstrip()
        repeated = self._repeated(held)
        added = held[repeated:].lstrip(" ") if repeated else self._held
        continuation = added.lstrip("\n")
        breaks = len(added) - len(continuation)
        opened = "" if repeated else self._opened
        if not ended and (not continuation.strip() or opened.startswith(continuation)):
            return None
        continuation = continuation.removeprefix(opened)
        if not ended and not continuation.strip():
            return None
        if self._so_far.endswith("\n") and self._opened.startswith("|") and not continuation.startswith("|"):
            # Only an empty line ends a table.
            breaks = max(breaks, 2)
        ends = len(self._so_far) - len(self._so_far.rstrip("\n"))
        within_line = not ends and not breaks
        return "\n" * max(0, breaks - ends) + (continuation.lstrip(" ") if within_line else continuation)

    def _repeated(self, continuation: str) -> int:
        """Returns how many of the first characters repeat the text's last ones, which occur nowhere else in it."""
        text = self._so_far.rstrip()
        start = _repeated_from(text, continuation) if len(continuation) >= REPEATED_CHARS else -1
        # A shorter repetition occurs twice: it begins the longest one too.
        return len(text) - start if start >= 0 and text.find(text[start:]) == start else 0

    @cached_property
    def _opened(self) -> str:
        """The lines that open the block that the text ends in: a fence, or a table's header."""
        outline = Outline(recent_part(self._so_far) + "x")
        for _ in outline.lines():
            pass
        opened = outline.opening().lines
        # A fence without a language looks the same where it closes, and closing is what a model means.
        return "" if _BARE_FENCE.search(opened) else opened


def _repeated_from(text: str, continuation: str) -> int:
    """Returns where the longest end of a text begins that the continuation begins with; -1 if there is none.

    A beginning that occurs more than `MAX_PLACES` times before is no repetition.
    """
    beginning = continuation[:REPEATED_CHARS]
    start = text.find(beginning, max(0, len(text) - len(continuation)))
    for _ in range(MAX_PLACES):
        if start < 0 or continuation.startswith(text[start:]):
            return start
        start = text.find(beginning, start + 1)
    return -1
