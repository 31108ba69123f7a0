"""Builds the modal in which people ask about a message. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot.core import texts
from bot.core.unposted import QuotedMessage
from bot.slack.blockkit import (
    Json,
    context,
    field_values,
    input_field,
    modal,
    mrkdwn,
    plain_text,
    section,
    text_area,
)
from bot.slack.posted_questions import shorten_quote
from bot.slack.views.modal import Modal, metadata_of
from slack_markdown.render import beginning

ASK_ABOUT = "ask_about"
"""The callback ID of the modal and of the shortcut in the manifest (slack/manifest.py)."""
QUESTION = "question"
_QUOTE_BYTES = 2_000
"""Maximum size of the quote in private_metadata, which can have 3,000 characters or bytes. store/unposted.py stores the
whole quote."""
_DISPLAYED_QUOTE_CHARS = 300


@dataclass(frozen=True, slots=True)
class SubmittedQuestion:
    view_id: str
    about: QuotedMessage
    text: str


def _question_modal(about: QuotedMessage, writer_id: str | None) -> Json:
    quote = shorten_quote(
        about.quote or "", lambda quote: len(json.dumps(quote, ensure_ascii=False).encode()), _QUOTE_BYTES
    )
    about = replace(about, quote=quote)
    question = text_area(placeholder=texts.shortcut.EXPLAIN, focus=True)
    blocks = [
        context(mrkdwn(texts.shortcut.message_from(f"<@{writer_id}>" if writer_id else ""))),
        section(plain_text(beginning(about.quote or "", _DISPLAYED_QUOTE_CHARS) or texts.shortcut.NO_TEXT)),
        input_field(QUESTION, texts.shortcut.QUESTION_LABEL, question, hint=texts.shortcut.QUESTION_HINT),
    ]
    return modal(ASK_ABOUT, texts.shortcut.ASK_TITLE, blocks, asdict(about), submit=texts.shortcut.ASK)


def _parse_submission(view: Mapping[str, Any]) -> SubmittedQuestion:
    about, view_id = QuotedMessage(**metadata_of(view)), view.get("id")
    if about.offered_by is not None:
        raise ValueError("offered_by")
    if not isinstance(view_id, str):
        raise ValueError("id")
    text = field_values(view).get(QUESTION, "").strip() or texts.shortcut.EXPLAIN
    return SubmittedQuestion(view_id, about, text)


ASK_MODAL = Modal(ASK_ABOUT, _question_modal, _parse_submission, lambda _: QUESTION)
