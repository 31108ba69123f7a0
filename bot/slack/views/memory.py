"""Builds the modal in which people edit and remove the memories of a channel or direct message. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.channel_settings import SettingsPlace
from bot.core.conversation import message_link, unescape
from bot.core.memory import Memory, parse_memory_text
from bot.slack.blockkit import (
    Json,
    checkboxes,
    checked_options,
    context,
    input_field,
    modal,
    mrkdwn,
    text_area,
)
from bot.slack.views.modal import Modal, edited_texts, place_in

_ID = "memory"
OPEN_MEMORY = "open_memory"
KEEP_HIDDEN = "keep_hidden"


@dataclass(frozen=True, slots=True)
class SubmittedMemories:
    place: SettingsPlace
    changed_texts: Mapping[int, str]
    """Edited text, keyed by memory ID. An empty text removes the memory."""
    listed_ids: Sequence[int]
    keeps_hidden: bool


def _memory_modal(place: SettingsPlace, memories: Sequence[Memory], base: str, *, is_private: bool) -> Json:
    """Returns the memory modal. `base`: the prefix of message links, or "" if it is unknown. `is_private`: whether the
    place is currently private."""
    blocks = [context(mrkdwn(texts.memory.MEMORY_EXPLAINED))]
    if hidden := sum(memory.is_private is not is_private for memory in memories):
        box = checkboxes({KEEP_HIDDEN: texts.memory.keep_hidden(hidden)})
        why = texts.memory.MEMORIES_HIDDEN[is_private]
        blocks.append(input_field(KEEP_HIDDEN, texts.memory.KEEP_HIDDEN, box, hint=why))
    for memory in memories:
        entry = text_area(placeholder=texts.memory.MEMORY_EXPLAINED, initial=unescape(memory.text))
        blocks.append(input_field(f"{_ID}-{memory.id}", texts.memory.memory_number(memory.number), entry))
        blocks.append(
            context(mrkdwn(_origin_line(memory, place.channel_id, base, is_hidden=memory.is_private is not is_private)))
        )
    return modal(_ID, texts.memory.MEMORY_TITLE, blocks, asdict(place))


def _origin_line(memory: Memory, channel_id: str, base: str, *, is_hidden: bool) -> str:
    day = texts.times.token(memory.created_at, texts.times.DAY)
    changed_by = f"<@{memory.changed_by}>" if memory.changed_by else ""
    said = texts.memory.memory_attribution(f"<@{memory.user_id}>", day, changed_by, is_proposed=memory.is_proposed)
    link = message_link(base, channel_id, memory.ts, memory.thread_ts)
    where = f"<{link}|{texts.memory.SAID_HERE}>" if link else ""
    return " · ".join(filter(None, (texts.memory.HIDDEN if is_hidden else "", said, where)))


def _parse_submission(view: Mapping[str, Any]) -> SubmittedMemories:
    edited, ids = edited_texts(view, _ID)
    changed = {id_: parse_memory_text(text) for id_, text in edited.items()}
    return SubmittedMemories(place_in(view), changed, ids, KEEP_HIDDEN in checked_options(view, KEEP_HIDDEN))


MEMORY = Modal(_ID, _memory_modal, _parse_submission, lambda submitted: f"{_ID}-{submitted.listed_ids[0]}")
