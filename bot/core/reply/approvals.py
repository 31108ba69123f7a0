"""Approvals in a reply: what a person is asked about a call, and which call the press of a button means. Pure.

A button's value says which call it was shown for, and names the hash of what was shown. The value is compared with the
database, where the call's state is: a forged, repeated or outdated press finds no call that waits.
"""

import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import regex

from bot.core import texts
from bot.core.reply.markdown.escaping import fenced
from bot.core.reply.markdown.lookalikes import OTHER_ALPHABET, mixes_scripts
from bot.core.tool_calls import CallState, Decision, RecordedCall
from bot.core.tools import escaped, label_of

MAX_ARGUMENT_CHARS = 12_000
"""Nobody is asked about longer arguments, because not even a modal might show them in full.

Slack takes 13,200 characters of text in a message's blocks, with `&`, `<` and `>` as entities. Whether that holds for a
modal isn't known.
"""
SHOWN_ARGUMENT_CHARS = 1_000
"""How much of a call's arguments a reply shows. A modal shows longer ones whole, and only there they are approved."""
_MIXED_WORDS_NAMED = 3
_MAX_WORD_CHARS = 80
_WORD = regex.compile(r"[\w\p{M}.@-]+")


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

    @property
    def is_cut(self) -> bool:
        """Whether a reply has no room for all arguments: then the call is approved in the modal that shows them."""
        return len(self.arguments) > SHOWN_ARGUMENT_CHARS

    @property
    def warning(self) -> str:
        """A sentence about words that mix scripts, in which a letter may pass for another; "" if there is none."""
        words = mixed_words(self.arguments)
        return texts.mixed_scripts(words) if words else ""


@dataclass(frozen=True, slots=True)
class ApprovalPlace:
    """Where a modal with a call's arguments came from."""

    channel_id: str
    thread_ts: str | None
    message_ts: str
    value: str
    """What the reply's buttons carry."""


def asks_of(calls: Sequence[RecordedCall], version: int, admins: Collection[str]) -> tuple[Ask, ...]:
    """Returns the calls of a step that a person is asked about; none if no call waits any more.

    A decided call keeps its place: a second press would otherwise meet the next call's button.
    """
    if not any(call.state is CallState.ASKED for call in calls):
        return ()
    return tuple(ask_of(call, version, admins) for call in calls if call.state is CallState.ASKED or call.decision)


def ask_of(call: RecordedCall, version: int, admins: Collection[str]) -> Ask:
    """Returns a call as a person is asked about it."""
    return Ask(label_of(call.tool), readable(call.arguments), value_of(call, version), bool(admins), call.decision)


def deciders(calls: Sequence[RecordedCall]) -> list[str]:
    """Returns the ids of the people who decided about calls."""
    return list(dict.fromkeys(call.decided_by for call in calls if call.decided_by))


def details_of(calls: Sequence[RecordedCall], names: Mapping[str, str]) -> str:
    """Returns a list of calls as Markdown: each tool, what became of its call and by whom, its arguments as code.

    `names`: of people, by id. A person without one is named by the id.
    """
    return "\n\n".join(_details(call, names.get(call.decided_by, call.decided_by)) for call in calls)


def _details(call: RecordedCall, decider: str) -> str:
    outcome = texts.CALL_STATES[call.state]
    how = texts.decided_by(call.decision, _in_line(decider)) if call.decision else ""
    heading = f"`{label_of(call.tool)}`: {', '.join(filter(None, (outcome, how)))}"
    return f"{heading}\n{fenced(readable(call.arguments))}" if call.arguments else heading


def value_of(call: RecordedCall, version: int) -> str:
    """Returns the value of the buttons for a call."""
    return f"{version}.{call.step_no}.{call.index}.{call.binding}"


def call_named(value: str, version: int, calls: Sequence[RecordedCall]) -> RecordedCall | None:
    """Returns the call that a button's value names, None if it is not one of these."""
    return next((call for call in calls if value_of(call, version) == value), None)


def readable(arguments: Mapping[str, Any]) -> str:
    """Returns arguments as indented JSON in which every character that a person can't see is escaped."""
    return escaped(json.dumps(arguments, ensure_ascii=False, indent=2))


def can_be_read(arguments: str) -> bool:
    """Returns whether a person can be shown these readable arguments in full."""
    return len(html.escape(arguments, quote=False)) <= MAX_ARGUMENT_CHARS


def mixed_words(text: str) -> tuple[str, ...]:
    """Returns the first words that mix scripts, their letters of other scripts than Latin escaped."""
    words = (match[0] for match in _WORD.finditer(text) if mixes_scripts(match[0]))
    named = dict.fromkeys(word if len(word) <= _MAX_WORD_CHARS else f"{word[:_MAX_WORD_CHARS]}…" for word in words)
    return tuple(
        OTHER_ALPHABET.sub(lambda letter: json.dumps(letter[0])[1:-1], word)
        for word in list(named)[:_MIXED_WORDS_NAMED]
    )


def _in_line(name: str) -> str:
    """Returns a person's name in which nothing begins a line or is Markdown."""
    return re.sub(r"([\\`*_~<>\[\]()|])", r"\\\1", escaped(name).replace("\n", " "))
