"""Caps as fields of a modal: in one of their own, or in a channel's settings. A field's block_id is its CapField."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.core import texts
from bot.core.limits.cap_fields import CapField, Entered, OwnerCaps, shown_number
from bot.core.limits.caps import CapOwner, Period, Scope
from bot.slack.format.blockkit import (
    Json,
    context,
    input_field,
    modal,
    modal_to_read,
    mrkdwn,
    number_input,
    plain_text,
    section,
    untouched,
)
from bot.slack.format.command_responses import amount_text

CAPS = "caps"
"""The modal's callback_id."""


def caps_modal(caps: OwnerCaps) -> Json:
    """Returns the modal with the caps of the workspace, a channel or a person."""
    owner = texts.quota_owner(caps.owner.scope, caps.owner.id)
    return modal(
        CAPS,
        texts.QUOTAS_TITLE,
        [section(mrkdwn(texts.quotas_apply_to(owner))), *caps_blocks(caps)],
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(caps.owner)),
    )


def sentence_modal(sentence: str) -> Json:
    """Returns a modal that only says something."""
    return modal_to_read(texts.QUOTAS_TITLE, [section(plain_text(sentence))], close=texts.CLOSE_DETAILS)


def caps_blocks(caps: OwnerCaps) -> list[Json]:
    """Returns a field for each cap, below what is used."""
    used = "\n".join(texts.usage(period, amount_text(caps.spent[period])) for period in Period)
    return [context(mrkdwn(used)), *(_field(caps, field) for field in CapField)]


def submitted_caps(view: Mapping[str, Any]) -> tuple[CapOwner, Entered]:
    """Returns whose caps a person submitted, and what they changed."""
    owner = json.loads(view["private_metadata"])
    return CapOwner(Scope(owner["scope"]), str(owner["id"])), entered_caps(view)


def entered_caps(view: Mapping[str, Any]) -> Entered:
    """Returns what a person entered in the fields that they changed; nothing if the modal has no such fields.

    Another admin may have changed the others since the modal was opened.
    """
    entered, shown = _texts(view), _texts(untouched(view))
    return tuple((field, text) for field, text in entered.items() if text != shown.get(field, ""))


def _texts(view: Mapping[str, Any]) -> dict[CapField, str]:
    values = view["state"]["values"]
    return {field: _text(values[field]) for field in CapField if field in values}


def _field(caps: OwnerCaps, field: CapField) -> Json:
    own, default = caps.own.get(field), caps.defaults.get(field)
    entry = number_input(
        field,
        placeholder=texts.default_quota(default.limit_text) if default else texts.NO_QUOTA,
        initial=shown_number(own.limit) if own else "",
        decimals=field.in_dollars,
    )
    return input_field(field, texts.QUOTA_LABELS[field], entry, optional=True)


def _text(elements: Mapping[str, Any]) -> str:
    [element] = elements.values()
    return str(element.get("value") or "").strip()
