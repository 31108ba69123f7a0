"""What all modals share: their declaration, what a modal carries to its submission, and modals that only say something.

A modal that people submit is one `Modal`, at the end of its module in this package. A service opens it with
`Surfaces.open` and saves what was submitted; `handlers.actions.register_modal` has what is the same for all of them:
Slack's time, errors, and where a sentence about a submission stands. Pure.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from bot.core import texts
from bot.core.channel_settings import SettingsPlace
from bot.slack.blockkit import (
    Json,
    modal_to_read,
    mrkdwn,
    section,
)

P = ParamSpec("P")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Modal(Generic[P, S]):
    """A modal that people submit."""

    callback_id: str
    build: Callable[P, Json]
    """Returns the view that views.open takes."""
    read: Callable[[Mapping[str, Any]], S]
    """Returns what a person submitted. Raises ValueError, LookupError or TypeError for a view of another form."""
    first_field: Callable[[S], str]
    """Returns the block_id of the field below which Slack shows a sentence about the whole submission."""


_TS = r"[0-9]{1,12}\.[0-9]{1,9}"
_FORMS = {
    "channel_id": re.compile("[CDG][A-Z0-9]{1,40}"),
    "ts": re.compile(_TS),
    "thread_ts": re.compile(f"(?:{_TS})?"),
    "message_ts": re.compile(_TS),
    "response_url": re.compile(r"(?:https?://\S{1,2000})?"),
    "id": re.compile("[A-Z0-9]{1,40}"),
}
"""The forms of what private_metadata names: Slack returns it as we wrote it, and a holder of the app's signing secret
or its socket could write anything."""


def metadata_of(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a modal carries. Raises ValueError for what isn't of the form that it was made with."""
    metadata = json.loads(view["private_metadata"])
    if not isinstance(metadata, dict):
        raise ValueError("no object")
    for name, form in _FORMS.items():
        if name in metadata and not form.fullmatch(metadata[name] or ""):
            raise ValueError(name)
    return metadata


def place_in(view: Mapping[str, Any]) -> SettingsPlace:
    """Returns the place that a settings modal or a memory modal is about."""
    return SettingsPlace(**metadata_of(view))


def sentence_modal(sentence: str, title: str) -> Json:
    """Returns a modal that only says something, in mrkdwn."""
    return modal_to_read(title, [section(mrkdwn(sentence))], close=texts.actions.CLOSE_DETAILS)
