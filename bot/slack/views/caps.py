"""The modal with the caps of the workspace, a channel or a person. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.caps import CapField, CapOwner, Entered, OwnerCaps, Period, Scope, shown_number
from bot.slack.blockkit import (
    Json,
    context,
    input_field,
    modal,
    mrkdwn,
    number_input,
    section,
    untouched,
)
from bot.slack.notices import amount_text
from bot.slack.views.modal import Modal, metadata_of

_ID = "caps"


@dataclass(frozen=True, slots=True)
class SubmittedCaps:
    owner: CapOwner
    entered: Entered


def _caps_modal(caps: OwnerCaps) -> Json:
    owner = texts.quotas.quota_owner(caps.owner.scope, caps.owner.id)
    return modal(
        _ID,
        texts.quotas.QUOTAS_TITLE,
        [section(mrkdwn(texts.quotas.quotas_apply_to(owner))), *caps_fields(caps)],
        submit=texts.settings.SAVE,
        close=texts.settings.CANCEL,
        private_metadata=json.dumps(asdict(caps.owner)),
    )


def caps_fields(caps: OwnerCaps) -> list[Json]:
    used = "\n".join(texts.quotas.usage(period, amount_text(caps.spent[period])) for period in Period)
    blocks = [context(mrkdwn(used))]
    for field in CapField:
        own, default = caps.own.get(field), caps.defaults.get(field)
        placeholder = texts.settings.default_option(default.limit_text) if default else texts.quotas.NO_QUOTA
        initial = shown_number(own.limit) if own else ""
        entry = number_input(field, placeholder=placeholder, initial=initial, decimals=field.in_dollars)
        blocks.append(input_field(field, texts.quotas.QUOTA_LABELS[field], entry, optional=True))
    return blocks


def _submitted(view: Mapping[str, Any]) -> SubmittedCaps:
    owner = metadata_of(view)
    return SubmittedCaps(CapOwner(Scope(owner["scope"]), owner["id"]), entered_caps(view))


def entered_caps(view: Mapping[str, Any]) -> Entered:
    """Returns the entries of the fields that a person changed, or () if the modal has no such fields.

    Another admin might have changed the other fields since the modal was opened.
    """
    entered, shown = _cap_texts(view), _cap_texts(untouched(view))
    return tuple((field, text) for field, text in entered.items() if text != shown.get(field, ""))


def _cap_texts(view: Mapping[str, Any]) -> dict[CapField, str]:
    fields = {field: view["state"]["values"].get(field) for field in CapField}
    elements = {field: next(iter(states.values())) for field, states in fields.items() if states}
    return {field: str(element.get("value") or "").strip() for field, element in elements.items()}


CAPS = Modal(_ID, _caps_modal, _submitted, lambda _: next(iter(CapField)))
