"""Posts only answers that are worth posting. A run with a rule in words works first, and then either answers or stays
silent. Pure.

A silent run posts nothing. The model asks for silence with a tool call that ends the run and gives the reason. Silence
is accepted only if the work succeeded, so the call is refused if nothing was read, or if a tool's last call failed. The
model then has to answer. Runs that fail in another way have an end that is always shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core.calls import CallState, RecordedCall, convert_arguments, object_schema
from bot.core.unseen import visible
from bot.models.events import ToolCall
from bot.models.prompt import OURS, READ_ONLY_RULE, ToolDefinition
from slack_markdown.render import beginning

TOOL_NAME = "stay_silent"
"""The tool's name. It has no owner prefix, so that no MCP server can have a tool with the same name."""
MAX_RULE_CHARS = 300
MAX_REASON_CHARS = 200
LISTED_REASONS = 10

DEFINITION = ToolDefinition(
    TOOL_NAME,
    "Ends your turn without posting anything. Call it, alone and without writing text, only after you have done the "
    "task, and only if the rule for posting says that the result is not worth a post. If something failed or is "
    "missing, answer and say so instead.",
    object_schema(
        {"reason": {"type": "string", "description": "Why nothing is posted, in one sentence: what you looked at"}},
        ("reason",),
    ),
    origins=OURS,
    rule=READ_ONLY_RULE,
)

_NOTE = (
    "Nobody sees anything of your work until you end. Post only if this rule applies: {rule}\n"
    f"Do the task first. If the rule then applies, write the answer. Otherwise, call {TOOL_NAME}."
)

# The result that the model gets for a call that isn't carried out.
_REFUSED = "You aren't silent yet: {problem}"
_NOT_ALONE = "call no other tool in the same step, and write no text beside it. Call it again, or answer."
_NO_REASON = "the reason is missing. Call it again with a reason, or answer."
_NO_WORK = "you haven't read anything. Do the task first, with your tools, or write an answer."
_FAILED = "the last call of {tools} failed. Make the call again, or write an answer that says what failed."
_MESSAGE_ADDED = "somebody has written to you meanwhile. Write an answer."
_OUTPUT_CUT = "your output was cut off. Write an answer."


@dataclass(frozen=True, slots=True)
class Silence:
    reason: str = field(repr=False)


def rule_note(rule: str) -> str:
    """Returns the prompt's sentences about a rule in words."""
    return _NOTE.format(rule=" ".join(rule.split()))


def requested_silence(
    calls: Sequence[ToolCall],
    earlier_calls: Sequence[RecordedCall],
    search_count: int,
    *,
    needs_work: bool,
    has_text: bool = False,
    is_joined: bool = False,
    is_cut: bool = False,
) -> Silence | str:
    """Returns the silence that a step asks for, the reason to refuse it, or "" if the step doesn't ask for silence.

    `search_count`: the number of web searches so far. `needs_work`: whether reading only the message isn't enough.
    `has_text`, `is_cut`: whether this step has text or was cut off. `is_joined`: whether the answer is also for a
    person's later message.
    """
    asked = [call for call in calls if call.name == TOOL_NAME]
    if not asked:
        return ""
    reason = convert_arguments(DEFINITION.parameters, asked[0].arguments or {}).get("reason")
    words = " ".join(visible(reason).split()) if isinstance(reason, str) else ""
    problem = _work_problem(earlier_calls, search_count, needs_work=needs_work)
    if len(calls) > 1 or has_text:
        problem = _NOT_ALONE
    elif is_joined or is_cut:
        problem = _MESSAGE_ADDED if is_joined else _OUTPUT_CUT
    elif not words:
        problem = _NO_REASON
    return _REFUSED.format(problem=problem) if problem else Silence(beginning(words, MAX_REASON_CHARS))


def _work_problem(earlier_calls: Sequence[RecordedCall], search_count: int, *, needs_work: bool) -> str:
    """Returns why the work so far isn't enough for silence, or "" if it is."""
    last = {call.tool: call.state is CallState.DONE and not call.result_is_error for call in earlier_calls}
    last.pop(TOOL_NAME, None)
    if failed := sorted(tool for tool, has_succeeded in last.items() if not has_succeeded):
        return _FAILED.format(tools=", ".join(failed))
    return _NO_WORK if needs_work and not (last or search_count) else ""
