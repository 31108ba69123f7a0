"""A call that a person decides about, as Block Kit: in a reply, and in the modals that show its arguments whole.

A tool's title and description are the server's words, so they stand beside the server's name and the tool's real name.
Arguments are code, in which Slack makes no emoji, link or mention of what is sent. Only plain names aren't.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from bot.core import texts
from bot.core.reply.actions import ReplyAction
from bot.core.reply.approvals import ArgumentField, Ask
from bot.core.reply.markdown.escaping import unlinked
from bot.slack.format import blockkit
from bot.slack.format.blockkit import Json, line, words

MODAL_PIECE_CHARS = 2_500
"""Slack takes 3,000 characters of text in a block."""


def in_reply(ask: Ask, block_id: str) -> list[Json]:
    """Returns a call in a reply: what would be done, by whom and until when, and its buttons or decision."""
    parts = [*_heading(ask), *_arguments(ask.shown_fields), *_warnings(ask)]
    if ask.is_cut:
        parts.append(line(words(texts.arguments_cut(ask.room, ask.chars), "italic")))
    if ask.decision is not None:
        decided = line(words(texts.DECISIONS[ask.decision], "italic"))
        return [blockkit.rich_text([*parts, decided], block_id)]
    return [blockkit.rich_text([*parts, _terms(ask)], block_id), blockkit.actions(_buttons(ask))]


def in_modal(ask: Ask, *, as_json: bool) -> list[Json]:
    """Returns a call for a modal, with all of its arguments: as a person reads them, or as they are sent."""
    blocks = [blockkit.rich_text(_heading(ask)), *(_json(ask) if as_json else _fields(ask))]
    return [*blocks, blockkit.rich_text([*_warnings(ask), _terms(ask)])]


def _heading(ask: Ask) -> list[Json]:
    title = words(texts.ASKING_FOR), words(unlinked(ask.title), "bold"), words("? "), words(ask.tool, "code")
    said = words(texts.described_by(ask.server), "italic"), words(unlinked(ask.description))
    return [line(*title), *([blockkit.part("rich_text_quote", *said)] if ask.description else [])]


def _warnings(ask: Ask) -> list[Json]:
    return [line(words(unlinked(warning), "bold")) for warning in ask.warnings]


def _arguments(fields: Sequence[ArgumentField]) -> list[Json]:
    """Returns arguments in their order: short ones as a list, each longer one as a block of code."""
    parts: list[Json] = []
    for argument in fields:
        if argument.is_block:
            parts += [line(_name(argument)), blockkit.code_block(argument.value)]
        elif parts and parts[-1]["type"] == "rich_text_list":
            parts[-1]["elements"].append(_short(argument))
        else:
            parts.append(blockkit.bullets([_short(argument)]))
    return parts or [line(words(texts.NO_ARGUMENTS, "italic"))]


def _short(argument: ArgumentField) -> Json:
    return line(_name(argument), words(" "), words(argument.value, "code"))


def _name(argument: ArgumentField) -> Json:
    return _named(argument, f"{argument.name}:")


def _named(argument: ArgumentField, text: str) -> Json:
    return words(text, "bold") if argument.has_plain_name else words(text, "code")


def _fields(ask: Ask) -> Iterator[Json]:
    """Yields all arguments in blocks of a size that Slack takes. Of a long value, each block has a piece."""
    together: list[ArgumentField] = []
    for argument in ask.fields:
        if sum(other.chars for other in together) + argument.chars > MODAL_PIECE_CHARS and together:
            yield blockkit.rich_text(_arguments(together))
            together = []
        if argument.chars > MODAL_PIECE_CHARS:
            yield from _in_pieces(argument)
        else:
            together.append(argument)
    if together or not ask.fields:
        yield blockkit.rich_text(_arguments(together))


def _in_pieces(argument: ArgumentField) -> Iterator[Json]:
    for piece in _pieces(f"{argument.name}:"):
        yield blockkit.rich_text([line(_named(argument, piece))])
    yield from map(blockkit.rich_text_preformatted, _pieces(argument.value))


def _json(ask: Ask) -> Iterator[Json]:
    return map(blockkit.rich_text_preformatted, _pieces(ask.arguments))


def _pieces(text: str) -> list[str]:
    return [text[at : at + MODAL_PIECE_CHARS] for at in range(0, len(text), MODAL_PIECE_CHARS)]


def _terms(ask: Ask) -> Json:
    """Returns whose credentials act, and until when a person can decide."""
    elements = [words(texts.acts_as(ask.server), "italic")]
    if ask.until is not None:
        in_utc = texts.time_in_utc(datetime.fromtimestamp(ask.until, UTC))
        moment = blockkit.moment(ask.until, texts.TIME_FORMAT, in_utc, "italic")
        elements += [words(texts.WAITS_UNTIL, "italic"), moment, words(".", "italic")]
    return line(*elements)


def _buttons(ask: Ask) -> list[Json]:
    """Returns the buttons of a call. Nobody approves here what is not shown here in full: a modal has a button."""
    deny = blockkit.button(ReplyAction.DENY, texts.DENY, ask.value)
    as_json = blockkit.button(ReplyAction.ARGUMENTS_JSON, texts.SHOW_JSON, ask.value)
    if ask.is_cut:
        return [blockkit.button(ReplyAction.ARGUMENTS, texts.SHOW_ALL, ask.value, primary=True), deny, as_json]
    approve = blockkit.button(ReplyAction.APPROVE, texts.APPROVE, ask.value, primary=True)
    return [approve, deny, *([_always(ask)] if ask.may_allow_always else []), as_json]


def _always(ask: Ask) -> Json:
    scope = texts.allow_always(ask.tool), texts.ALLOW_ALWAYS_SCOPE
    confirm = blockkit.confirm(*scope, yes=texts.ALLOW_ALWAYS, no=texts.CANCEL)
    return blockkit.button(ReplyAction.ALLOW_ALWAYS, texts.ALLOW_ALWAYS, ask.value, confirm=confirm)
