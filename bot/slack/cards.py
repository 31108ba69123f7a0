"""Cards: what Typist's own tools propose to the asker, in the reply, in place of a call's arguments. Pure.

A model wrote what a card shows, so nothing in it is markup. The asker agrees by a button that is bound to the call as
it is shown (core/calls.py).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER, SCHEDULE, Ask, escaped
from bot.core.schedules import DAY_TOKENS, RUN_TOKENS, Rule
from bot.markdown.escaping import unlinked
from bot.slack import blockkit
from bot.slack.blockkit import Json, line, words


@dataclass(frozen=True, slots=True)
class Card:
    """What a card shows of a proposal."""

    parts: Sequence[Json]
    """Parts of a rich_text."""
    agree: Sequence[Json]
    """The buttons that agree to it."""
    decline: str
    """The label of the button that doesn't."""


def blocks_of(ask: Ask, block_id: str) -> list[Json]:
    """Returns a proposal in a reply, with its buttons, or with what the asker decided."""
    card = _CARDS[ask.tool](ask, json.loads(ask.arguments))
    parts = [*card.parts, *(line(words(unlinked(warning), "bold")) for warning in ask.warnings)]
    if ask.decision is not None:
        decided = line(words(texts.DECISIONS[ask.decision], "italic"))
        return [blockkit.rich_text([*parts, decided], block_id)]
    if ask.until is not None:
        parts.append(line(words(texts.WAITS_UNTIL, "italic"), moment(ask.until, "italic"), words(".", "italic")))
    decline = blockkit.button(ReplyAction.DENY, card.decline, ask.value)
    return [blockkit.rich_text(parts, block_id), blockkit.actions([*card.agree, decline], f"{block_id}-buttons")]


def moment(at: float, *styles: str) -> Json:
    """Returns a time in the reader's time zone, in a part of a rich_text."""
    return blockkit.moment(at, texts.TIME_FORMAT, texts.time_in_utc(datetime.fromtimestamp(at, UTC)), *styles)


def _memory(ask: Ask, arguments: Mapping[str, Any]) -> Card:
    """Returns the card of a proposed memory: its whole text, and the kind of place."""
    question = line(words(texts.REMEMBER_THIS[str(arguments["for"])]))
    quoted = blockkit.part("rich_text_quote", words(unlinked(str(arguments["text"]))))
    agree = blockkit.button(ReplyAction.APPROVE, texts.REMEMBER, ask.value, primary=True)
    return Card([question, quoted], [agree], texts.DONT_REMEMBER)


def _schedule(ask: Ask, arguments: Mapping[str, Any]) -> Card:
    """Returns the card of a schedule: what a run does, when it comes, and what it may read and use."""
    cron, zone, times = arguments.get("cron"), arguments["zone"], arguments["next"]
    rule = [words(texts.in_zone(Rule(zone, cron).explained, zone))] if cron else []
    next_times = [words(texts.NEXT_TIME if cron else texts.ONCE_AT)]
    for number, at in enumerate(times):
        next_times += [words(", ")] if number else []
        next_times.append(moment(at))
    limits = texts.at_most_tokens(RUN_TOKENS, DAY_TOKENS)
    only_if_changed = [texts.ONLY_IF_CHANGED] if arguments["only_if_changed"] else []
    terms = [line(words(sentence)) for sentence in (*only_if_changed, texts.A_RUN_MAY, limits)]
    parts = [
        line(words(texts.PROPOSES_SCHEDULE, "bold")),
        blockkit.part("rich_text_quote", words(unlinked(escaped(arguments["words"])))),
        blockkit.bullets([*([line(*rule)] if rule else []), line(*next_times), *terms]),
    ]
    create = blockkit.button(ReplyAction.APPROVE, texts.CREATE, ask.value, primary=True)
    if_changed = blockkit.button(ReplyAction.CREATE_IF_CHANGED, texts.CREATE_IF_CHANGED, ask.value)
    agree = [create, *(() if only_if_changed or not cron else (if_changed,))]
    return Card(parts, agree, texts.DONT_CREATE)


_CARDS: Mapping[str, Callable[[Ask, Mapping[str, Any]], Card]] = {REMEMBER: _memory, SCHEDULE: _schedule}
