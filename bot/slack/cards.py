"""Renders cards, which are proposals by Typist's own tools that the asker sees instead of a call's arguments. Pure.

A card's content was written by a model, so it isn't treated as markup. The asker agrees by clicking a button that is
bound to the call exactly as it is shown (core/calls.py).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.asks import ApprovalCard
from bot.core.calls import APPROVAL_S, NOTIFY, REMEMBER, SCHEDULE, SIGN_IN, Decision, card_type
from bot.core.conversation import escape
from bot.core.schedules import Rule
from bot.core.unseen import escape_unseen
from bot.slack import blockkit
from bot.slack.blockkit import Json, rich_text_section, span
from slack_markdown.escaping import break_links


@dataclass(frozen=True, slots=True)
class Card:
    parts: Sequence[Json]
    agree_label: str
    decline_label: str
    terms: Sequence[str] = ()
    """Small print, as mrkdwn sentences."""
    agree_action: ReplyAction = ReplyAction.APPROVE


def card_blocks(ask: ApprovalCard, block_id: str) -> list[Json]:
    card = _CARDS[ask.tool](ask, json.loads(ask.arguments))
    parts = [*card.parts, *(rich_text_section(span(break_links(warning), "bold")) for warning in ask.warnings)]
    if ask.decision is not None:
        label = card.decline_label if ask.decision is Decision.DENIED else card.agree_label
        decided = rich_text_section(span(texts.approvals.choice_text(label), "italic"))
        return [blockkit.rich_text([*parts, decided], block_id)]
    terms = list(card.terms)
    if ask.expires_at is not None:
        until = texts.times.token(ask.expires_at)
        terms.append(f"{texts.approvals.decide_until(escape(break_links(ask.decider_name)))}{until}.")
    agree = blockkit.button(card.agree_action, card.agree_label, ask.value, primary=True)
    decline = blockkit.button(ReplyAction.DENY, card.decline_label, ask.value)
    return [
        blockkit.rich_text(parts, block_id),
        *([blockkit.context(blockkit.mrkdwn("\n".join(terms)), f"{block_id}-terms")] if terms else []),
        blockkit.actions([agree, decline], f"{block_id}-buttons"),
    ]


def _memory_card(ask: ApprovalCard, arguments: Mapping[str, Any]) -> Card:
    question = rich_text_section(span(texts.memory.REMEMBER_THIS[str(arguments["for"])]))
    quoted = blockkit.rich_text_element("rich_text_quote", span(break_links(escape_unseen(str(arguments["text"])))))
    return Card([question, quoted], texts.memory.REMEMBER, texts.memory.DONT_REMEMBER)


def _schedule_card(ask: ApprovalCard, arguments: Mapping[str, Any]) -> Card:
    cron, zone, kind = str(arguments.get("cron") or ""), str(arguments["zone"]), card_type(ask.tool, arguments)
    question, agree, decline = texts.schedules.PROPOSES[kind]
    rule = Rule(zone, cron) if cron else Rule(zone, at=datetime.fromisoformat(arguments["at"]).timestamp())
    before = str(arguments.get("before") or rule.description)
    same_zone = texts.schedules.in_zone("", zone)
    replaced = f"{texts.schedules.INSTEAD_OF}{before.removesuffix(same_zone)}" if before != rule.description else ""
    when = f"{texts.words.sentence_case(rule.description)}{replaced}."
    is_once = rule.at is not None
    also = texts.schedules.ALSO_IF_UNCHANGED if arguments.get("skipped_before") else ""
    if_changed = texts.schedules.ONLY_IF_CHANGED_BY_THEN if is_once else texts.schedules.ONLY_IF_CHANGED
    without_news = if_changed if arguments["only_if_changed"] else also
    only_if = break_links(escape_unseen(texts.silence.posts_only_if(str(arguments.get("only_if") or ""))))
    times = arguments.get("next") if rule.cron else ()
    following = f"{texts.schedules.NEXT_TIME}{rule.dates_text(times, _asked_at(ask, times))}." if times else ""
    parts = [
        rich_text_section(span(question, "bold")),
        blockkit.rich_text_element("rich_text_quote", span(break_links(escape_unseen(arguments["words"])))),
        rich_text_section(span(" ".join(filter(None, (when, following, without_news, only_if))))),
    ]
    terms = texts.schedules.terms(arguments.get("accounts") or (), is_once=is_once)
    return Card(parts, agree, decline, [] if kind == "stop" else [terms])


def _asked_at(ask: ApprovalCard, times: Sequence[float]) -> float:
    return times[0] if ask.expires_at is None else ask.expires_at - APPROVAL_S


def _sign_in_card(ask: ApprovalCard, arguments: Mapping[str, Any]) -> Card:
    wanted = texts.accounts.wants_sign_in(str(arguments["server"]), str(arguments.get("scope") or ""))
    question = rich_text_section(span(break_links(escape_unseen(wanted)), "bold"))
    labels = texts.accounts.SIGN_IN, texts.accounts.NOT_NOW
    return Card([question], *labels, [texts.accounts.TERMS], ReplyAction.SIGN_IN)


def _notify_card(ask: ApprovalCard, arguments: Mapping[str, Any]) -> Card:
    in_channel = bool(arguments["also_to_channel"])
    asks = texts.notify.card_question([*arguments["people"].values()], in_channel=in_channel)
    quoted = blockkit.rich_text_element("rich_text_quote", span(break_links(escape_unseen(arguments["text"]))))
    question = rich_text_section(span(break_links(escape_unseen(asks)), "bold"))
    terms = texts.notify.TERMS_IN_CHANNEL if in_channel else texts.notify.TERMS
    return Card([question, quoted], texts.notify.NOTIFY, texts.notify.DONT_NOTIFY, [terms])


_CARDS: Mapping[str, Callable[[ApprovalCard, Mapping[str, Any]], Card]] = {
    REMEMBER: _memory_card,
    SCHEDULE: _schedule_card,
    SIGN_IN: _sign_in_card,
    NOTIFY: _notify_card,
}
