"""Shows a tool call that awaits a decision, both in a reply and, in full, in a modal. Pure.

A tool's title and description are written by its server, so the server's name is shown below the title. The modal also
shows the description and the tool's real name. Arguments other than plain names are shown as code, so that Slack
doesn't turn their values into emoji, links or mentions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.asks import ApprovalCard, ApprovalPlace, ArgumentField, can_be_shown
from bot.core.calls import MAX_OPTION_CHARS
from bot.core.texts.words import listed
from bot.slack import blockkit, cards
from bot.slack.blockkit import (
    PIECE_CHARS,
    Json,
    checkboxes,
    checked_options,
    input_field,
    modal,
    read_only_modal,
    rich_text_section,
    span,
    static_select,
    text_area,
    time_element,
)
from bot.slack.views.modal import Modal, edited_texts, place_of_call
from slack_markdown.escaping import break_links

ARGUMENTS = "arguments"
ALLOW_ALWAYS = "allow_always"
_EDIT = "edit_arguments"
_MULTILINE_ITEM = "–"
"""Shown instead of a name before a list item that spans several lines."""
_FIELD = "argument"


@dataclass(frozen=True, slots=True)
class EditedCall:
    place: ApprovalPlace
    edited_strings: Mapping[int, str]
    """The edited strings, keyed by argument index."""
    field_ids: Sequence[str]


def arguments_modal(ask: ApprovalCard, place: ApprovalPlace | None) -> Json:
    """Returns the modal with a call's details. `place`: where the call is approved on submission, or None if the modal
    can't be submitted."""
    said = span(texts.approvals.described_by(ask.server), "italic"), span(break_links(ask.description))
    described = [blockkit.rich_text_element("rich_text_quote", *said)] if ask.description else []
    blocks = [
        blockkit.rich_text(_heading(ask)),
        *_field_blocks(ask.fields),
        blockkit.rich_text([rich_text_section(span(ask.tool, "code")), *described]),
        *(map(blockkit.rich_text_preformatted, _split_text(ask.arguments)) if can_be_shown(ask.arguments * 2) else ()),
        blockkit.rich_text([*_warnings(ask), _terms([ask])]),
    ]
    if place is None:
        return read_only_modal(texts.actions.ARGUMENTS_TITLE, blocks)
    if ask.can_allow_always:
        box = checkboxes({ALLOW_ALWAYS: texts.actions.ALLOW_ALWAYS})
        label = texts.approvals.FROM_NOW_ON
        blocks.append(input_field(ALLOW_ALWAYS, label, box, hint=texts.approvals.ALLOW_ALWAYS_SCOPE))
    return modal(
        ARGUMENTS,
        texts.actions.ARGUMENTS_TITLE,
        blocks,
        asdict(place),
        submit=texts.actions.APPROVE,
        close=texts.actions.CLOSE_DETAILS,
    )


def approval_in(view: Mapping[str, Any]) -> tuple[ApprovalPlace, ReplyAction]:
    allows = ALLOW_ALWAYS in checked_options(view, ALLOW_ALWAYS)
    return place_of_call(view), ReplyAction.ALLOW_ALWAYS if allows else ReplyAction.APPROVE


def _edit_modal(ask: ApprovalCard, place: ApprovalPlace) -> Json:
    fields, editable = [], ask.editable_strings
    for index, text in editable.items():
        block_id, name = field_name(index), ask.top_level_fields[index].name
        if (options := ask.options.get(name)) and 0 < len(text) <= MAX_OPTION_CHARS:
            labels = {option: option for option in (text, *options)}
            entry = static_select(labels, chosen=text)
        else:
            entry = text_area(placeholder=name, initial=text)
        fields.append(input_field(block_id, name, entry, optional=name not in ask.required_arguments))
    places = accumulate(not argument.depth for argument in ask.fields)
    others = [argument for argument, place in zip(ask.fields, places, strict=True) if place - 1 not in editable]
    heading = blockkit.rich_text([rich_text_section(span(texts.approvals.NOT_EDITABLE, "italic"))])
    fixed = [heading, *_field_blocks(others)] if others else []
    terms = blockkit.rich_text([*_warnings(ask), _terms([ask])])
    explained = blockkit.rich_text([*_heading(ask), rich_text_section(span(texts.approvals.EDITED_EXPLAINED))])
    return modal(
        _EDIT,
        texts.actions.ARGUMENTS_TITLE,
        [explained, *fields, *fixed, terms],
        asdict(place),
        submit=texts.actions.APPROVE_EDITED,
    )


def field_name(index: int) -> str:
    return f"{_FIELD}-{index}"


def _parse_edits(view: Mapping[str, Any]) -> EditedCall:
    edited, indexes = edited_texts(view, _FIELD)
    return EditedCall(place_of_call(view), edited, list(map(field_name, indexes)))


EDIT_ARGUMENTS = Modal(_EDIT, _edit_modal, _parse_edits, lambda edited: edited.field_ids[0])


def asks_in_reply(asks: Sequence[ApprovalCard], block_id: str) -> list[Json]:
    together = [number for number, ask in enumerate(asks) if not ask.is_proposal and ask.decision is None]
    blocks = []
    for number, ask in enumerate(asks):
        name = f"{block_id}{number}"
        if ask.is_proposal:
            blocks += cards.card_blocks(ask, name)
            continue
        parts = [*_heading(ask), *(_argument_parts(ask.shown_fields) if ask.fields else ()), *_warnings(ask)]
        if ask.is_cut:
            parts.append(
                rich_text_section(span(texts.approvals.arguments_cut(ask.max_shown_chars, ask.chars), "italic"))
            )
        if ask.decision is not None:
            parts.append(rich_text_section(span(texts.approvals.DECISIONS[ask.decision], "italic")))
        is_last = number in together[-1:]
        waiting = [asks[at] for at in together] if is_last else []
        blocks.append(blockkit.rich_text([*parts, *([_terms(waiting)] if is_last else [])], name))
        if len(together) > 1 and number in together:
            blocks.append(blockkit.actions([_details_button(ask)], f"{name}-details"))
        if is_last:
            blocks.append(blockkit.actions(_buttons(waiting), f"{name}-buttons"))
    return blocks


def _heading(ask: ApprovalCard) -> list[Json]:
    return [rich_text_section(span(break_links(ask.question), "bold"))]


def _warnings(ask: ApprovalCard) -> list[Json]:
    return [rich_text_section(span(break_links(warning), "bold")) for warning in ask.warnings]


def _argument_parts(fields: Sequence[ArgumentField]) -> list[Json]:
    """Returns blocks that show arguments in order. Short arguments are shown as a list, longer ones as code blocks."""
    parts: list[Json] = []
    for argument in fields:
        name = [_name_span(argument, f"{argument.name}:")] if argument.name else []
        if argument.is_block and not argument.depth:
            parts += [rich_text_section(*name), blockkit.code_block(argument.value)]
            continue
        if not (parts and parts[-1].get("indent") == argument.depth):
            parts.append(blockkit.bullets([], argument.depth))
        value = [span(argument.value, "code")] if argument.value and not argument.is_block else []
        space = [span(" ")] if name and value else []
        parts[-1]["elements"].append(rich_text_section(*([*name, *space, *value] or [span(_MULTILINE_ITEM)])))
        if argument.is_block:
            parts.append(blockkit.code_block(argument.value))
    return parts or [rich_text_section(span(texts.approvals.NO_ARGUMENTS, "italic"))]


def _name_span(argument: ArgumentField, text: str) -> Json:
    return span(text, "bold" if argument.has_plain_name else "code")


def _field_blocks(arguments: Sequence[ArgumentField]) -> Iterator[Json]:
    together: list[ArgumentField] = []
    for argument in arguments:
        if sum(other.chars for other in together) + argument.chars > PIECE_CHARS and together:
            yield blockkit.rich_text(_argument_parts(together))
            together = []
        if argument.chars > PIECE_CHARS:
            for piece in _split_text(f"{argument.name}:" if argument.name else _MULTILINE_ITEM):
                name = rich_text_section(_name_span(argument, piece))
                yield blockkit.rich_text([blockkit.bullets([name], argument.depth) if argument.depth else name])
            yield from map(blockkit.rich_text_preformatted, _split_text(argument.value))
        else:
            together.append(argument)
    if together or not arguments:
        yield blockkit.rich_text(_argument_parts(together))


def _split_text(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def _terms(asks: Sequence[ApprovalCard]) -> Json:
    servers = {own: {ask.server: 0 for ask in asks if ask.uses_own_account is own} for own in (False, True)}
    accounts = [texts.approvals.acts_as([*names], is_asker=own) for own, names in servers.items() if names]
    sources = dict.fromkeys(source for ask in asks for source in ask.sources)
    because = texts.approvals.asking_reasons_text({reason for ask in asks for reason in ask.lasting_reasons}, sources)
    elements = [span("".join([*accounts, because]), "italic")]
    if (until := asks[0].expires_at) is not None:
        waits_until = texts.approvals.decide_until(break_links(asks[0].decider_name))
        elements += [span(waits_until, "italic"), time_element(until, "italic"), span(".", "italic")]
    return rich_text_section(*elements)


def _buttons(asks: Sequence[ApprovalCard]) -> list[Json]:
    """Returns the buttons below calls. A call that isn't shown in full can be approved only in the modal."""
    value, [first, *others] = " ".join(ask.value for ask in asks), asks
    deny = blockkit.button(ReplyAction.DENY, texts.actions.all_label(texts.actions.DENY, len(asks)), value)
    edit = (
        [blockkit.button(ReplyAction.EDIT, texts.actions.EDIT, value)] if first.editable_strings and not others else []
    )
    details = [] if others else [_details_button(first)]
    if any(ask.is_cut for ask in asks):
        return [*details, *edit, deny]
    label = texts.actions.all_label(texts.actions.APPROVE, len(asks))
    approve = blockkit.button(ReplyAction.APPROVE, label, value, primary=True)
    more = []
    if all(ask.can_allow_always for ask in asks):
        title = texts.approvals.allow_always(listed([ask.title for ask in asks]))
        scope = title, texts.approvals.ALLOW_ALWAYS_SCOPE
        more = [_allow_button(ReplyAction.ALLOW_ALWAYS, texts.actions.ALLOW_ALWAYS, scope, value)]
    elif all(ask.can_allow_in_thread for ask in asks):
        title = texts.approvals.allow_in_thread(listed([*dict.fromkeys(ask.server for ask in asks)]))
        scope = title, texts.approvals.IN_THREAD_SCOPE
        more = [_allow_button(ReplyAction.ALLOW_IN_THREAD, texts.actions.ALLOW_IN_THREAD, scope, value)]
    return [approve, *edit, deny, *more, *details]


def _details_button(ask: ApprovalCard) -> Json:
    label = texts.actions.SHOW_ALL if ask.is_cut else texts.actions.DETAILS
    return blockkit.button(ReplyAction.ARGUMENTS, label, ask.value, primary=ask.is_cut)


def _allow_button(action: ReplyAction, label: str, scope: tuple[str, str], value: str) -> Json:
    confirm = blockkit.confirm(*scope, yes=label, no=texts.settings.CANCEL)
    return blockkit.button(action, label, value, confirm=confirm)
