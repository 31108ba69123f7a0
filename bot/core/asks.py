"""What people are shown of a model's calls: those that they are asked about, and the details of all. Pure.

An `Ask` is what a reply shows of a call that a person is asked about. The value of its buttons says which call they
were shown for, and names the hash of what was shown. It is compared with the database, where the call's state is: a
forged, repeated or outdated press finds no call that waits.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import regex

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import (
    MAX_LABEL_CHARS,
    PROPOSALS,
    SIGN_IN,
    CallState,
    Decision,
    RecordedCall,
    kind_of,
    label_of,
    title_of,
)
from bot.core.unseen import escaped
from slack_markdown.escaping import fenced
from slack_markdown.lookalikes import OTHER_ALPHABET, is_other_form, mixes_scripts

MAX_ARGUMENT_CHARS = 12_000
"""Nobody is asked about longer arguments, because not even a modal might show them in full.

Slack takes 13,200 characters of text in a message's blocks, with `&`, `<` and `>` as entities. Whether that holds for a
modal isn't known.
"""
SHOWN_ARGUMENT_CHARS = 1_000
"""How much of a call's arguments a reply shows. A modal shows longer ones whole, and only there they are approved."""
MAX_EDITED_CHARS = 3_000
"""What a field of a modal holds."""
MAX_EDITED = 20
"""How many arguments a person can change. A modal has room for 100 blocks."""
SHOWN_WHOLE = 2
"""How many calls have all their room. More calls share that room: with a page's text, they have to fit into a message.
"""
INLINE_CHARS = 120
"""A longer value is a block of its own."""
MAX_DEPTH = 4
"""What is nested deeper is shown as JSON."""
_NESTED_CHARS = 10
"""A line counts as so many characters at least."""
_MAX_WORD_CHARS = 80
_WORD = regex.compile(r"[\w\p{M}.@-]+")
_PLAIN_NAME = re.compile("[A-Za-z0-9_-]+")
_READS_AS_JSON = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[\"\[{].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ArgumentField:
    """One argument of a call, in which nothing is invisible."""

    name: str = field(repr=False)
    """As it is, or as a JSON string if it isn't a plain name."""
    value: str = field(repr=False)
    """Text as it is, unless it would read as something else; then, and for all other values, JSON."""
    text: str | None = field(default=None, repr=False, compare=False)
    """The argument's text, if a field of a modal can hold it and shows it as it is."""
    depth: int = 0
    """How deep in an argument it is: what a list or an object holds follows it, and the value of those is ""."""

    @property
    def has_plain_name(self) -> bool:
        """Whether the name is shown as it is. What a list holds has none."""
        return not self.name.startswith('"')

    @property
    def is_block(self) -> bool:
        """Whether the value needs lines of its own."""
        return "\n" in self.value or len(self.value) > INLINE_CHARS

    @property
    def chars(self) -> int:
        """The length of what is shown."""
        return len(self.name) + len(self.value) + (_NESTED_CHARS if self.depth else 2)


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that a person is asked about, as the reply shows it."""

    tool: str
    arguments: str = field(repr=False)
    """All arguments, as JSON in which nothing is invisible."""
    value: str
    """The value of the call's buttons."""
    fields: tuple[ArgumentField, ...] = ()
    """All arguments, as a person reads them."""
    title: str = field(default="", repr=False)
    """The tool's title, by its server or else by its name."""
    description: str = field(default="", repr=False)
    """What the tool does, in one line of the server's own words; "" if it says nothing."""
    until: float | None = None
    """When the call expires, in seconds since the epoch."""
    repeats: bool = False
    """Whether the same call was made for an earlier version of the answer, or may have been."""
    own_account: bool = False
    """As in RecordedCall."""
    may_allow_always: bool = False
    """Whether the reader is an admin who could always allow the tool: of a reply, that is the asker."""
    may_allow_in_thread: bool = False
    """Whether the call reads with the asker's own account, which they can allow for the whole thread."""
    decision: Decision | None = None
    """What a person decided, while other calls still wait; None if the call waits itself."""
    room: int = SHOWN_ARGUMENT_CHARS
    """How much of the arguments the reply shows."""
    never_empty: frozenset[str] = frozenset()
    """As in Claims."""
    person: str = field(default="", repr=False)
    """The name of who is asked, for readers beside them; "" if nobody else reads the reply."""

    @property
    def server(self) -> str:
        """The server whose tool is called."""
        return self.tool.partition(".")[0]

    @property
    def question(self) -> str:
        """What the person is asked, by the tool's title."""
        return texts.approvals.question(self.title)

    @property
    def kind(self) -> str:
        """The kind of the card, as a key of texts.approvals.UNDONE."""
        return kind_of(self.tool, json.loads(self.arguments) if self.is_proposal else {})

    @property
    def is_proposal(self) -> bool:
        """Whether the tool is one of PROPOSALS, whose calls a reply shows as a card."""
        return self.tool in PROPOSALS

    @property
    def chars(self) -> int:
        """The length of all arguments, as a person reads them."""
        return sum(argument.chars for argument in self.fields)

    @property
    def is_cut(self) -> bool:
        """Whether a reply has no room for all arguments: then the call is approved in a modal that shows them."""
        return not self.is_proposal and self.chars > self.room

    @property
    def shown_fields(self) -> tuple[ArgumentField, ...]:
        """The arguments as far as a reply has room for them."""
        shown: list[ArgumentField] = []
        room = self.room
        for argument in self.fields:
            if room < argument.chars:
                name = argument.name[:room]
                return (*shown, ArgumentField(name, f"{argument.value[: room - len(name)]}…", depth=argument.depth))
            shown.append(argument)
            room -= argument.chars
        return tuple(shown)

    @property
    def outer_fields(self) -> tuple[ArgumentField, ...]:
        """The arguments, without what lists and objects hold."""
        return tuple(argument for argument in self.fields if not argument.depth)

    @property
    def editable(self) -> Mapping[int, str]:
        """The texts that a person can change before they approve the call, by their place among the arguments."""
        held = [(index, argument.text) for index, argument in enumerate(self.outer_fields) if not self.is_proposal]
        return dict([(index, text) for index, text in held if text is not None][:MAX_EDITED])

    @property
    def actions(self) -> tuple[ReplyAction, ...]:
        """What can be done about the call, in the reply or in its modal."""
        if self.is_proposal:
            return (ReplyAction.SIGN_IN if self.tool == SIGN_IN else ReplyAction.APPROVE, ReplyAction.DENY)
        edit = (ReplyAction.EDIT,) if self.editable else ()
        more = (ReplyAction.ALLOW_IN_THREAD,) if self.may_allow_in_thread else ()
        always = () if self.own_account else (ReplyAction.ALLOW_ALWAYS,)
        return (ReplyAction.APPROVE, ReplyAction.DENY, ReplyAction.ARGUMENTS, *edit, *more, *always)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about a call that repeats another, and about words in which a letter may pass for another."""
        words = mixed_words(self.arguments)
        repeated = texts.approvals.REPEATED_CALL if self.repeats else ""
        return tuple(filter(None, (repeated, texts.approvals.mixed_scripts(words) if words else "")))


@dataclass(frozen=True, slots=True)
class ApprovalPlace:
    """Where a modal with a call's arguments came from."""

    channel_id: str
    thread_ts: str | None
    message_ts: str
    value: str
    """The value of the reply's buttons."""


def asks_of(
    calls: Sequence[RecordedCall], version: int, until: float | None, *, person: str = "", is_admin: bool = False
) -> tuple[Ask, ...]:
    """Returns the calls of a step that a person is asked about; none if no call waits any more.

    A decided call keeps its place: a second press would otherwise meet the next call's button.
    """
    if not any(call.state is CallState.ASKED for call in calls):
        return ()
    asked = (call for call in calls if _is_asked_about(call))
    return tuple(
        replace(ask_of(call, calls, version, until, is_admin=is_admin), person=escaped(" ".join(person.split())))
        for call in asked
    )


def ask_of(
    call: RecordedCall, calls: Sequence[RecordedCall], version: int, until: float | None, *, is_admin: bool = False
) -> Ask:
    """Returns a call as a person is asked about it, who has time `until` then. `calls`: at least those of its step."""
    beside = sum(_is_asked_about(other) for other in calls if other.step_no == call.step_no)
    return Ask(
        label_of(call.tool),
        readable(call.arguments),
        value_of(call, version),
        fields_of(call.arguments),
        call.claims.title or title_of(call.tool),
        call.claims.description,
        until,
        call.repeats and not call.read_only,
        call.own_account,
        is_admin and call.tool not in PROPOSALS and not call.own_account,
        call.own_account and call.read_only,
        call.decision,
        SHOWN_ARGUMENT_CHARS * SHOWN_WHOLE // max(SHOWN_WHOLE, beside),
        call.claims.never_empty,
    )


def _is_asked_about(call: RecordedCall) -> bool:
    """Whether a reply shows a call while it asks: also a decided one, which keeps its place."""
    return call.state is CallState.ASKED or call.decision is not None


def fields_of(arguments: Mapping[str, Any]) -> tuple[ArgumentField, ...]:
    """Returns arguments as a person reads them. Different arguments never read the same."""
    return tuple(_fields(arguments, 0))


def _fields(values: Mapping[str, Any] | Sequence[Any], depth: int) -> Iterator[ArgumentField]:
    named = values.items() if isinstance(values, Mapping) else ((None, value) for value in values)
    for name, value in named:
        shown = "" if name is None else name if _PLAIN_NAME.fullmatch(name) else _on_a_line(name)
        is_nested = isinstance(value, (Mapping, list)) and bool(value) and depth < MAX_DEPTH
        typed = None if depth or name is None else _typed(name, value)
        yield ArgumentField(shown, "" if is_nested else _value(value), typed, depth)
        if is_nested:
            yield from _fields(value, depth + 1)


def _typed(name: str, value: Any) -> str | None:
    is_named = _PLAIN_NAME.fullmatch(name) is not None and len(name) <= MAX_LABEL_CHARS
    is_held = isinstance(value, str) and len(value) <= MAX_EDITED_CHARS and escaped(value) == value == value.strip()
    return value if is_named and is_held else None


def _value(value: Any) -> str:
    if isinstance(value, str):
        return escaped(value) if _reads_as_written(value) else _on_a_line(value)
    on_a_line = _on_a_line(value)
    return on_a_line if len(on_a_line) <= INLINE_CHARS else readable(value)


def _reads_as_written(text: str) -> bool:
    """Whether a text is told from other values, and its own characters from escapes, without the marks of JSON."""
    if not text or text != text.strip(" \n") or _READS_AS_JSON.fullmatch(text):
        return False
    return "\\" not in text or ("\\u" not in text and escaped(text) == text)


def with_texts(arguments: Mapping[str, Any], typed: Mapping[int, str]) -> Mapping[str, Any]:
    """Returns arguments with other texts, by their places."""
    return {name: typed.get(index, value) for index, (name, value) in enumerate(arguments.items())}


def _on_a_line(value: Any) -> str:
    return escaped(json.dumps(value, ensure_ascii=False))


def deciders(calls: Sequence[RecordedCall]) -> list[str]:
    """Returns the ids of the people who decided about calls."""
    return list(dict.fromkeys(call.decided_by for call in calls if call.decided_by))


def details_of(calls: Sequence[RecordedCall], names: Mapping[str, str]) -> str:
    """Returns a list of calls as Markdown: each tool, what became of its call and by whom, its arguments as code.

    `names`: of people, by id. A person without one is named by the id.
    """
    return "\n\n".join(_details(call, names.get(call.decided_by, call.decided_by)) for call in calls)


def _details(call: RecordedCall, decider: str) -> str:
    outcome = texts.approvals.CALL_STATES[call.state]
    # No name begins a line or is Markdown.
    name = re.sub(r"([\\`*_~<>\[\]()|])", r"\\\1", escaped(decider).replace("\n", " "))
    how = texts.approvals.decided_by(call.decision, name) if call.decision else ""
    heading = f"`{label_of(call.tool)}`: {', '.join(filter(None, (outcome, how)))}"
    shown = _proposed(call.arguments) if call.tool in PROPOSALS else readable(call.arguments)
    return f"{heading}\n{fenced(shown)}" if call.arguments else heading


def _proposed(arguments: Mapping[str, Any]) -> str:
    """Returns what a model proposed, as people read it: the words, and when they hold."""
    named = (str(arguments.get(name) or "") for name in ("text", "words", "server", "cron", "at", "zone"))
    text, words, server, cron, at, zone = named
    return escaped("\n".join(filter(None, (text, words, server, texts.schedules.proposed_for(cron, at, zone)))))


def value_of(call: RecordedCall, version: int) -> str:
    """Returns the value of the buttons for a call."""
    return f"{version}.{call.step_no}.{call.index}.{call.binding}"


def call_named(value: str, version: int, calls: Sequence[RecordedCall]) -> RecordedCall | None:
    """Returns the call that a button's value names, None if it is not one of these."""
    return next((call for call in calls if value_of(call, version) == value), None)


def readable(arguments: Any) -> str:
    """Returns arguments as indented JSON in which every character that a person can't see is escaped."""
    return escaped(json.dumps(arguments, ensure_ascii=False, indent=2))


def can_be_read(arguments: str) -> bool:
    """Returns whether a person can be shown these readable arguments in full."""
    return len(html.escape(arguments, quote=False)) <= MAX_ARGUMENT_CHARS


def mixed_words(text: str) -> tuple[str, ...]:
    """Returns the first words that mix scripts, their letters and digits that may pass for others escaped."""
    words = (match[0] for match in _WORD.finditer(text) if mixes_scripts(match[0]))
    named = dict.fromkeys(word if len(word) <= _MAX_WORD_CHARS else f"{word[:_MAX_WORD_CHARS]}…" for word in words)
    return tuple("".join(map(_unmistakable, word)) for word in list(named)[:3])


def _unmistakable(character: str) -> str:
    """Returns a character of a word that mixes scripts: as an escape if it may pass for another."""
    is_digit = character.isdecimal() and not character.isascii()
    is_escaped = is_digit or OTHER_ALPHABET.match(character) or is_other_form(character)
    return json.dumps(character)[1:-1] if is_escaped else character
