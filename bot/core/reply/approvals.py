"""Approvals in a reply: what a person is asked about a call, and which call the press of a button means. Pure.

A button's value says which call it was shown for, and names the hash of what was shown. The value is compared with the
database, where the call's state is: a forged, repeated or outdated press finds no call that waits.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core import texts
from bot.core.tool_steps import Decision, StepState, ToolStep
from bot.core.tools import label_of

MOST_ARGUMENT_CHARS = 30_000
"""Longer arguments can't be shown in full, not even in a modal, so nobody is asked about them."""
_ESCAPED = {"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"}
"""Categories of characters that change how others look, or look like nothing."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that a person is asked about, as the reply shows it."""

    tool: str
    arguments: str = field(repr=False)
    """All of them, as JSON in which nothing is invisible."""
    value: str
    """What the buttons carry."""
    may_allow_always: bool = False
    """Whether there are admins who could always allow the tool."""
    decision: Decision | None = None
    """What a person decided, while other calls still wait; None if the call waits itself."""


def asks_of(steps: Sequence[ToolStep], version: int, admins: Collection[str]) -> tuple[Ask, ...]:
    """Returns the calls of a step that a person is asked about; none if no call waits any more.

    A decided call keeps its place: a second press would otherwise meet the next call's button.
    """
    if not any(step.state is StepState.ASKED for step in steps):
        return ()
    return tuple(
        Ask(label_of(step.tool), readable(step.arguments), value_of(step, version), bool(admins), step.decision)
        for step in steps
        if step.state is StepState.ASKED or step.decision
    )


def deciders(steps: Sequence[ToolStep]) -> list[str]:
    """Returns the ids of the people who decided about calls."""
    return list(dict.fromkeys(step.decided_by for step in steps if step.decided_by))


def details_of(steps: Sequence[ToolStep], names: Mapping[str, str]) -> str:
    """Returns a list of calls as Markdown: each tool, what became of its call and by whom, its arguments as code.

    `names`: of people, by id. A person without one is named by the id.
    """
    return "\n\n".join(_details(step, names.get(step.decided_by, step.decided_by)) for step in steps)


def _details(step: ToolStep, decider: str) -> str:
    outcome = texts.CALL_STATES[step.state]
    how = texts.decided_by(step.decision, decider) if step.decision else ""
    heading = f"`{label_of(step.tool)}`: {', '.join(filter(None, (outcome, how)))}"
    arguments = readable(step.arguments)
    fence = "`" * (max((len(run) for run in re.findall("`+", arguments)), default=0) + 3)
    return f"{heading}\n{fence}\n{arguments}\n{fence}" if step.arguments else heading


def value_of(step: ToolStep, version: int) -> str:
    """Returns the value of the buttons for a call."""
    return f"{version}.{step.step_no}.{step.index}.{step.binding}"


def step_named(value: str, version: int, steps: Sequence[ToolStep]) -> ToolStep | None:
    """Returns the call that a button's value names, None if it is not one of these."""
    return next((step for step in steps if value_of(step, version) == value), None)


def readable(arguments: Mapping[str, Any]) -> str:
    """Returns arguments as indented JSON in which control, bidi and invisible characters are escaped."""
    text = json.dumps(arguments, ensure_ascii=False, indent=2)
    return "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char == "\n" or unicodedata.category(char) not in _ESCAPED:
        return char
    return "".join(f"\\u{unit:04x}" for unit in _utf16_units(char))


def _utf16_units(char: str) -> list[int]:
    raw = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
