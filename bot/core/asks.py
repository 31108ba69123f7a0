"""Approval requests for a model's calls, and the details of all calls, as shown to people. Pure.

The value of an approval button includes the call's ID and a hash of the displayed content. The ID and the hash are
compared with the database, so forged, repeated and outdated clicks are refused.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import regex

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import (
    MAX_LABEL_CHARS,
    NOT_YET_ALLOWED,
    PROPOSALS,
    SEPARATOR,
    SIGN_IN,
    CallState,
    Decision,
    RecordedCall,
    card_type,
    tool_label,
    tool_owner,
    tool_title,
)
from bot.core.unseen import escape_unseen
from slack_markdown.escaping import fence_code
from slack_markdown.lookalikes import OTHER_ALPHABET, is_variant_of_ascii_letter, mixes_scripts

MAX_ARGUMENT_CHARS = 12_000
"""Maximum length of arguments in an approval request. Slack accepts 13,200 characters in a message's blocks, counting
`&`, `<` and `>` as entities. Whether modals have the same limit isn't known."""
SHOWN_ARGUMENT_CHARS = 1_000
"""Maximum length of arguments in a reply. Longer ones are approved in a modal that shows all of them."""
MAX_EDITED_CHARS = 3_000
MAX_EDITABLE = 20
"""Maximum number of arguments that a person can edit. A modal can have 100 blocks."""
MAX_SHOWN_IN_FULL = 2
"""Maximum number of calls that can each show SHOWN_ARGUMENT_CHARS. If there are more, they share that space."""
INLINE_CHARS = 120
MAX_DEPTH = 4
"""Values nested deeper than this are shown as JSON."""
_NESTED_CHARS = 10
_MAX_WORD_CHARS = 80
_WORD = regex.compile(r"[\w\p{M}.@-]+")
_PLAIN_NAME = re.compile("[A-Za-z0-9_-]+")
_READS_AS_JSON = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[\"\[{].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ArgumentField:
    name: str = field(repr=False)
    """The argument's name, as a JSON string if it isn't a plain name."""
    value: str = field(repr=False)
    """The string itself if it can't be confused with another value, otherwise JSON."""
    text: str | None = field(default=None, repr=False, compare=False)
    """The string to edit, or None if a modal field would change it or can't hold it."""
    depth: int = 0
    """Nesting depth. Lists and objects have the value "" and are followed by their items."""

    @property
    def has_plain_name(self) -> bool:
        """Whether the name is shown unchanged. Names of list items are empty."""
        return not self.name.startswith('"')

    @property
    def is_block(self) -> bool:
        return "\n" in self.value or len(self.value) > INLINE_CHARS

    @property
    def chars(self) -> int:
        return len(self.name) + len(self.value) + (_NESTED_CHARS if self.depth else 2)


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    tool: str
    arguments: str = field(repr=False)
    value: str
    fields: tuple[ArgumentField, ...] = ()
    title: str = field(default="", repr=False)
    """The tool's title from the server, or a title made from the tool's name."""
    description: str = field(default="", repr=False)
    expires_at: float | None = None
    is_repeat: bool = False
    uses_own_account: bool = False
    can_allow_always: bool = False
    """Whether the reader is an admin who can choose to always allow the tool. In a reply, the reader is the asker."""
    can_allow_in_thread: bool = False
    """Whether the asker can allow such calls in this thread, because they only read from the asker's own account."""
    lasting_reasons: tuple[str, ...] = ()
    """Reasons to ask for approval that remain even if such calls are allowed."""
    sources: tuple[str, ...] = ()
    """Display names of the tools that found text with the asker's account."""
    decision: Decision | None = None
    """The decision, or None. Shown while other calls of the step are waiting."""
    max_shown_chars: int = SHOWN_ARGUMENT_CHARS
    required_arguments: frozenset[str] = frozenset()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    decider_name: str = field(default="", repr=False)
    """The name of the person who has to decide, or "" if only that person reads the reply."""

    @property
    def server(self) -> str:
        return self.tool.partition(".")[0]

    @property
    def question(self) -> str:
        return texts.approvals.question(self.title)

    @property
    def kind(self) -> str:
        return card_type(self.tool, json.loads(self.arguments) if self.is_proposal else {})

    @property
    def is_proposal(self) -> bool:
        return self.tool in PROPOSALS

    @property
    def chars(self) -> int:
        return sum(argument.chars for argument in self.fields)

    @property
    def is_cut(self) -> bool:
        """Whether a reply can't show all arguments. The call must then be approved in a modal."""
        return not self.is_proposal and self.chars > self.max_shown_chars

    @property
    def shown_fields(self) -> tuple[ArgumentField, ...]:
        shown: list[ArgumentField] = []
        room = self.max_shown_chars
        for argument in self.fields:
            if room < argument.chars:
                name = argument.name[:room]
                return (*shown, ArgumentField(name, f"{argument.value[: room - len(name)]}…", depth=argument.depth))
            shown.append(argument)
            room -= argument.chars
        return tuple(shown)

    @property
    def top_level_fields(self) -> tuple[ArgumentField, ...]:
        return tuple(argument for argument in self.fields if not argument.depth)

    @property
    def editable_strings(self) -> Mapping[int, str]:
        held = [(index, argument.text) for index, argument in enumerate(self.top_level_fields) if not self.is_proposal]
        return dict([(index, text) for index, text in held if text is not None][:MAX_EDITABLE])

    @property
    def actions(self) -> tuple[ReplyAction, ...]:
        if self.is_proposal:
            return (ReplyAction.SIGN_IN if self.tool == SIGN_IN else ReplyAction.APPROVE, ReplyAction.DENY)
        edit = (ReplyAction.EDIT,) if self.editable_strings else ()
        more = (ReplyAction.ALLOW_IN_THREAD,) if self.can_allow_in_thread else ()
        always = () if self.uses_own_account or self.lasting_reasons else (ReplyAction.ALLOW_ALWAYS,)
        return (ReplyAction.APPROVE, ReplyAction.DENY, ReplyAction.ARGUMENTS, *edit, *more, *always)

    @property
    def warnings(self) -> tuple[str, ...]:
        words = mixed_script_words(self.arguments)
        repeated = texts.approvals.REPEATED_CALL if self.is_repeat else ""
        return tuple(filter(None, (repeated, texts.approvals.mixed_scripts(words) if words else "")))


@dataclass(frozen=True, slots=True)
class ApprovalPlace:
    channel_id: str
    thread_ts: str | None
    message_ts: str
    value: str


def approval_cards(
    calls: Sequence[RecordedCall], version: int, until: float | None, *, person: str = "", is_admin: bool = False
) -> tuple[ApprovalCard, ...]:
    """Returns a step's approval requests, or () if no call is waiting. Includes requests that have already been
    decided, so that the other buttons stay in place."""
    if not any(call.state is CallState.ASKED for call in calls):
        return ()
    asked = (call for call in calls if _is_asked_or_decided(call))
    return tuple(
        replace(
            approval_card(call, calls, version, until, is_admin=is_admin),
            decider_name=escape_unseen(" ".join(person.split())),
        )
        for call in asked
    )


def approval_card(
    call: RecordedCall, calls: Sequence[RecordedCall], version: int, until: float | None, *, is_admin: bool = False
) -> ApprovalCard:
    """Returns the approval request for a call. `calls`: all calls of the same step, including this one."""
    reasons = tuple(reason for reason in call.approval_reasons if reason != NOT_YET_ALLOWED)
    beside = sum(_is_asked_or_decided(other) for other in calls if other.step_no == call.step_no)
    return ApprovalCard(
        tool_label(call.tool),
        readable_json(call.arguments),
        button_value(call, version),
        argument_fields(call.arguments),
        call.claims.title or tool_title(call.tool),
        call.claims.description,
        until,
        call.is_repeat and not call.read_only,
        call.uses_own_account,
        is_admin and call.tool not in PROPOSALS and not (call.uses_own_account or reasons),
        call.uses_own_account and call.read_only and not reasons,
        reasons,
        tuple(f"“{tool_title(tool)}” ({tool_label(tool_owner(tool))})" for tool in reasons if SEPARATOR in tool),
        call.decision,
        SHOWN_ARGUMENT_CHARS * MAX_SHOWN_IN_FULL // max(MAX_SHOWN_IN_FULL, beside),
        call.claims.required_arguments,
        call.claims.options,
    )


def _is_asked_or_decided(call: RecordedCall) -> bool:
    return call.state is CallState.ASKED or call.decision is not None


def argument_fields(values: Mapping[str, Any] | Sequence[Any], depth: int = 0) -> tuple[ArgumentField, ...]:
    """Returns arguments as readable fields. Different arguments always look different."""
    fields: list[ArgumentField] = []
    named = values.items() if isinstance(values, Mapping) else ((None, value) for value in values)
    for name, value in named:
        shown = "" if name is None else name if _PLAIN_NAME.fullmatch(name) else _one_line_json(name)
        is_nested = isinstance(value, (Mapping, list)) and bool(value) and depth < MAX_DEPTH
        typed = None if depth or name is None else _editable_text(name, value)
        fields.append(ArgumentField(shown, "" if is_nested else _shown_value(value), typed, depth))
        if is_nested:
            fields += argument_fields(value, depth + 1)
    return tuple(fields)


def _editable_text(name: str, value: Any) -> str | None:
    is_named = _PLAIN_NAME.fullmatch(name) is not None and len(name) <= MAX_LABEL_CHARS
    is_held = (
        isinstance(value, str) and len(value) <= MAX_EDITED_CHARS and escape_unseen(value) == value == value.strip()
    )
    return value if is_named and is_held else None


def _shown_value(value: Any) -> str:
    if isinstance(value, str):
        return escape_unseen(value) if _is_unambiguous(value) else _one_line_json(value)
    on_a_line = _one_line_json(value)
    return on_a_line if len(on_a_line) <= INLINE_CHARS else readable_json(value)


def _is_unambiguous(text: str) -> bool:
    """Returns whether a string without quotes can't be confused with another value or an escape."""
    if not text or text != text.strip(" \n") or _READS_AS_JSON.fullmatch(text):
        return False
    return "\\" not in text or ("\\u" not in text and escape_unseen(text) == text)


def with_edited_strings(arguments: Mapping[str, Any], typed: Mapping[int, str]) -> Mapping[str, Any]:
    return {name: typed.get(index, value) for index, (name, value) in enumerate(arguments.items())}


def _one_line_json(value: Any) -> str:
    return escape_unseen(json.dumps(value, ensure_ascii=False))


def activity_of(call: RecordedCall) -> str:
    server, title = tool_label(tool_owner(call.tool)), call.claims.title or tool_title(call.tool)
    return texts.approvals.running_text(card_type(call.tool, call.arguments), call.tool, server, title)


def decider_ids(calls: Sequence[RecordedCall]) -> list[str]:
    return list(dict.fromkeys(call.decided_by for call in calls if call.decided_by))


def call_details(calls: Sequence[RecordedCall], names: Mapping[str, str]) -> str:
    """Returns a Markdown list of calls with outcomes, deciders and arguments. `names`: display names by user ID."""
    return "\n\n".join(_details_of_call(call, names.get(call.decided_by, call.decided_by)) for call in calls)


def _details_of_call(call: RecordedCall, decider: str) -> str:
    outcome = texts.approvals.CALL_STATES[call.state]
    # Escaping keeps names from starting a line or acting as Markdown.
    name = re.sub(r"([\\`*_~<>\[\]()|])", r"\\\1", escape_unseen(decider).replace("\n", " "))
    how = texts.approvals.decider_text(call.decision, name) if call.decision else ""
    heading = f"`{tool_label(call.tool)}`: {', '.join(filter(None, (outcome, how)))}"
    shown = _proposal_text(call.arguments) if call.tool in PROPOSALS else readable_json(call.arguments)
    return f"{heading}\n{fence_code(shown)}" if call.arguments else heading


def _proposal_text(arguments: Mapping[str, Any]) -> str:
    named = (str(arguments.get(name) or "") for name in ("text", "words", "server", "cron", "at", "zone"))
    text, words, server, cron, at, zone = named
    people = ", ".join((arguments.get("people") or {}).values())
    lines = people, text, words, server, texts.schedules.proposed_for(cron, at, zone)
    return escape_unseen("\n".join(filter(None, lines)))


def button_value(call: RecordedCall, version: int) -> str:
    return f"{version}.{call.step_no}.{call.index}.{call.binding}"


def call_of_button(value: str, version: int, calls: Sequence[RecordedCall]) -> RecordedCall | None:
    return next((call for call in calls if button_value(call, version) == value), None)


def readable_json(arguments: Any) -> str:
    return escape_unseen(json.dumps(arguments, ensure_ascii=False, indent=2))


def can_be_shown(arguments: str) -> bool:
    return len(html.escape(arguments, quote=False)) <= MAX_ARGUMENT_CHARS


def mixed_script_words(text: str) -> tuple[str, ...]:
    """Returns the first three words that mix scripts, with lookalike characters escaped."""
    words = (match[0] for match in _WORD.finditer(text) if mixes_scripts(match[0]))
    named = dict.fromkeys(word if len(word) <= _MAX_WORD_CHARS else f"{word[:_MAX_WORD_CHARS]}…" for word in words)
    return tuple("".join(map(_escaped_lookalike, word)) for word in list(named)[:3])


def _escaped_lookalike(character: str) -> str:
    is_digit = character.isdecimal() and not character.isascii()
    is_escaped = is_digit or OTHER_ALPHABET.match(character) or is_variant_of_ascii_letter(character)
    return json.dumps(character)[1:-1] if is_escaped else character
