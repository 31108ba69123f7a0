"""A tool call that a person decides about: in a reply, and whole in a modal. Pure.

A tool's title and description are the server's words, so they stand beside the server's name and the tool's real name.
Arguments are code, in which Slack makes no emoji, link or mention of what is sent. Only plain names aren't.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.asks import ApprovalPlace, ArgumentField, Ask
from bot.slack import blockkit, cards
from bot.slack.blockkit import (
    PIECE_CHARS,
    Json,
    input_field,
    line,
    modal,
    modal_to_read,
    text_area,
    untouched,
    values_of,
    words,
)
from bot.slack.cards import moment
from bot.slack.views.modal import Modal, metadata_of
from slack_markdown.escaping import unlinked

ARGUMENTS = "arguments"
_EDIT = "edit_arguments"
_FIELD = re.compile(r"argument-(\d{1,4})", re.ASCII)
"""The name of an argument's field, with the argument's place."""


@dataclass(frozen=True, slots=True)
class EditedCall:
    """A call that a person approves in the modal in which its texts can be changed."""

    place: ApprovalPlace
    typed: Mapping[int, str]
    """The texts that they changed, by their place among the arguments."""
    fields: Sequence[str]
    """The names of all fields."""


def arguments_modal(ask: Ask, place: ApprovalPlace | None, *, as_json: bool) -> Json:
    """Returns the modal with all arguments of a call: as a person reads them, or as they are sent.

    It has a button that approves the call if there is a place.
    """
    arguments = map(blockkit.rich_text_preformatted, _pieces(ask.arguments)) if as_json else _fields(ask.fields)
    terms = blockkit.rich_text([*_warnings(ask), _terms(ask)])
    blocks = [blockkit.rich_text(_heading(ask)), *arguments, terms]
    if place is None:
        return modal_to_read(texts.actions.ARGUMENTS_TITLE, blocks, close=texts.actions.CLOSE_DETAILS)
    return modal(
        ARGUMENTS,
        texts.actions.ARGUMENTS_TITLE,
        blocks,
        submit=texts.actions.APPROVE,
        close=texts.actions.CLOSE_DETAILS,
        private_metadata=json.dumps(asdict(place)),
    )


def approval_in(view: Mapping[str, Any]) -> ApprovalPlace:
    """Returns which call a person approves in the modal with its arguments."""
    return ApprovalPlace(**metadata_of(view))


def _edit_modal(ask: Ask, place: ApprovalPlace) -> Json:
    """Returns the modal with all arguments of a call, in which a person changes texts among them."""
    fields, editable = [], ask.editable
    for index, text in editable.items():
        block_id, name = f"argument-{index}", ask.fields[index].name
        entry = text_area(block_id, placeholder=name, initial=text, focus=False)
        fields.append(input_field(block_id, name, entry, optional=True))
    others = [argument for index, argument in enumerate(ask.fields) if index not in editable]
    heading = blockkit.rich_text([line(words(texts.approvals.NOT_EDITABLE, "italic"))])
    fixed = [heading, *_fields(others)] if others else []
    terms = blockkit.rich_text([*_warnings(ask), _terms(ask)])
    explained = blockkit.rich_text([*_heading(ask), line(words(texts.approvals.EDITED_EXPLAINED))])
    return modal(
        _EDIT,
        texts.actions.ARGUMENTS_TITLE,
        [explained, *fields, *fixed, terms],
        submit=texts.actions.APPROVE_EDITED,
        close=texts.settings.CANCEL,
        private_metadata=json.dumps(asdict(place)),
    )


def _edited(view: Mapping[str, Any]) -> EditedCall:
    typed, shown = values_of(view), values_of(untouched(view))
    places = {name: int(found[1]) for name in view["state"]["values"] if (found := _FIELD.fullmatch(name))}
    if not places:
        raise ValueError("arguments")
    changed = {at: typed.get(name, "") for name, at in places.items() if typed.get(name) != shown.get(name)}
    return EditedCall(approval_in(view), changed, list(places))


EDIT_ARGUMENTS = Modal(_EDIT, _edit_modal, _edited, lambda edited: edited.fields[0])


def ask_in_reply(ask: Ask, block_id: str) -> list[Json]:
    """Returns a call in a reply: what would be done, by whom and until when, and its buttons or decision."""
    if ask.is_proposal:
        return cards.blocks_of(ask, block_id)
    parts = [*_heading(ask), *_arguments(ask.shown_fields), *_warnings(ask)]
    if ask.is_cut:
        parts.append(line(words(texts.approvals.arguments_cut(ask.room, ask.chars), "italic")))
    if ask.decision is not None:
        decided = line(words(texts.approvals.DECISIONS[ask.decision], "italic"))
        return [blockkit.rich_text([*parts, decided], block_id)]
    return [blockkit.rich_text([*parts, _terms(ask)], block_id), blockkit.actions(_buttons(ask), f"{block_id}-buttons")]


def _heading(ask: Ask) -> list[Json]:
    title = words(texts.approvals.ASKING_FOR), words(unlinked(ask.title), "bold"), words("? "), words(ask.tool, "code")
    said = words(texts.approvals.described_by(ask.server), "italic"), words(unlinked(ask.description))
    return [line(*title), *([blockkit.part("rich_text_quote", *said)] if ask.description else [])]


def _warnings(ask: Ask) -> list[Json]:
    return [line(words(unlinked(warning), "bold")) for warning in ask.warnings]


def _arguments(fields: Sequence[ArgumentField]) -> list[Json]:
    """Returns arguments in their order: short ones as a list, each longer one as a block of code."""
    parts: list[Json] = []
    for argument in fields:
        name = _name(argument, f"{argument.name}:")
        if argument.is_block:
            parts += [line(name), blockkit.code_block(argument.value)]
            continue
        if not (parts and parts[-1]["type"] == "rich_text_list"):
            parts.append(blockkit.bullets([]))
        parts[-1]["elements"].append(line(name, words(" "), words(argument.value, "code")))
    return parts or [line(words(texts.approvals.NO_ARGUMENTS, "italic"))]


def _name(argument: ArgumentField, text: str) -> Json:
    return words(text, "bold" if argument.has_plain_name else "code")


def _fields(arguments: Sequence[ArgumentField]) -> Iterator[Json]:
    """Yields arguments in blocks of a size that Slack takes. Of a long value, each block has a piece."""
    together: list[ArgumentField] = []
    for argument in arguments:
        if sum(other.chars for other in together) + argument.chars > PIECE_CHARS and together:
            yield blockkit.rich_text(_arguments(together))
            together = []
        if argument.chars > PIECE_CHARS:
            for piece in _pieces(f"{argument.name}:"):
                yield blockkit.rich_text([line(_name(argument, piece))])
            yield from map(blockkit.rich_text_preformatted, _pieces(argument.value))
        else:
            together.append(argument)
    if together or not arguments:
        yield blockkit.rich_text(_arguments(together))


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def _terms(ask: Ask) -> Json:
    """Returns whose credentials act, and until when a person can decide."""
    acts_as = texts.approvals.acts_as_asker if ask.own_account else texts.approvals.acts_as
    elements = [words(acts_as(ask.server), "italic")]
    if ask.until is not None:
        elements += [words(texts.approvals.WAITS_UNTIL, "italic"), moment(ask.until, "italic"), words(".", "italic")]
    return line(*elements)


def _buttons(ask: Ask) -> list[Json]:
    """Returns the buttons of a call. Nobody approves here what is not shown here in full: a modal has a button."""
    deny = blockkit.button(ReplyAction.DENY, texts.actions.DENY, ask.value)
    as_json = blockkit.button(ReplyAction.ARGUMENTS_JSON, texts.actions.SHOW_JSON, ask.value)
    edit = [blockkit.button(ReplyAction.EDIT, texts.actions.EDIT, ask.value)] if ask.editable else []
    if ask.is_cut:
        show_all = blockkit.button(ReplyAction.ARGUMENTS, texts.actions.SHOW_ALL, ask.value, primary=True)
        return [show_all, *edit, deny, as_json]
    approve = blockkit.button(ReplyAction.APPROVE, texts.actions.APPROVE, ask.value, primary=True)
    if ask.may_allow_always:
        scope = texts.approvals.allow_always(ask.tool), texts.approvals.ALLOW_ALWAYS_SCOPE
        more = [_allow_more(ReplyAction.ALLOW_ALWAYS, texts.actions.ALLOW_ALWAYS, scope, ask)]
    elif ask.may_allow_in_thread:
        scope = texts.approvals.allow_in_thread(ask.server), texts.approvals.IN_THREAD_SCOPE
        more = [_allow_more(ReplyAction.ALLOW_IN_THREAD, texts.actions.ALLOW_IN_THREAD, scope, ask)]
    else:
        more = []
    return [approve, *edit, deny, *more, as_json]


def _allow_more(action: ReplyAction, label: str, scope: tuple[str, str], ask: Ask) -> Json:
    """Returns a button that also allows later calls. `scope`: the title and text of the question before."""
    confirm = blockkit.confirm(*scope, yes=label, no=texts.settings.CANCEL)
    return blockkit.button(action, label, ask.value, confirm=confirm)
