"""Cards: what Typist's own tools propose to the asker, in the reply, in place of a call's arguments. Pure.

A model wrote what a card shows, so nothing in it is markup. The asker agrees by a button that is bound to the call as
it is shown (core/calls.py).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import PROPOSALS, REMEMBER, Ask
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
    decline = blockkit.button(ReplyAction.DENY, card.decline, ask.value)
    return [blockkit.rich_text(parts, block_id), blockkit.actions([*card.agree, decline], f"{block_id}-buttons")]


def _only_words(label: str, decline: str) -> Callable[[Ask, Mapping[str, Any]], Card]:
    """Returns a card that shows the proposal's text alone."""

    def card(ask: Ask, arguments: Mapping[str, Any]) -> Card:
        quoted = blockkit.part("rich_text_quote", words(unlinked(str(next(iter(arguments.values()), "")))))
        return Card([quoted], [blockkit.button(ReplyAction.APPROVE, label, ask.value, primary=True)], decline)

    return card


def _memory(ask: Ask, arguments: Mapping[str, Any]) -> Card:
    """Returns a memory whole, and says whom it is for."""
    question = line(words(texts.REMEMBER_THIS[str(arguments["for"])]))
    quoted = blockkit.part("rich_text_quote", words(unlinked(str(arguments["text"]))))
    agree = blockkit.button(ReplyAction.APPROVE, texts.REMEMBER, ask.value, primary=True)
    return Card([question, quoted], [agree], texts.DONT_REMEMBER)


_CARDS: Mapping[str, Callable[[Ask, Mapping[str, Any]], Card]] = {
    tool: _only_words(texts.APPROVE, texts.DENY) for tool in PROPOSALS if tool != REMEMBER
} | {REMEMBER: _memory}
