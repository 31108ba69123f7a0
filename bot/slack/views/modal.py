"""Declares modals, and parses the metadata that comes back when a person submits one. Pure.

Each modal that people submit is a `Modal`, defined at the end of its module in this package. A service opens the modal
with `Surfaces.open` and saves the submission. `handlers.actions.register_modal` handles everything else: Slack's time
limit, errors, and where to show a sentence about a submission.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from bot.core.asks import ApprovalPlace
from bot.core.channel_settings import SettingsPlace
from bot.slack.blockkit import Json, field_values, initial_view, mrkdwn, read_only_modal, section

P = ParamSpec("P")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Modal(Generic[P, S]):
    callback_id: str
    build: Callable[P, Json]
    read: Callable[[Mapping[str, Any]], S]
    """Returns the submission in a view. Raises ValueError, LookupError or TypeError if the view has a different
    structure."""
    first_field: Callable[[S], str]
    """Returns the block_id of the field below which Slack shows sentences that concern the whole submission."""


_TS = r"[0-9]{1,12}\.[0-9]{1,9}"
_FORMATS = {
    "channel_id": re.compile("[CDG][A-Z0-9]{1,40}"),
    "ts": re.compile(_TS),
    "thread_ts": re.compile(f"(?:{_TS})?"),
    "message_ts": re.compile(_TS),
    "response_url": re.compile(r"(?:https?://\S{1,2000})?"),
    "id": re.compile("[A-Z0-9]{1,40}"),
}
"""Formats of values in private_metadata. Anyone who has the app's signing secret or socket could forge it."""


def metadata_of(view: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = json.loads(view["private_metadata"])
    if not isinstance(metadata, dict):
        raise ValueError("no object")
    for name, form in _FORMATS.items():
        if name in metadata and not form.fullmatch(metadata[name] or ""):
            raise ValueError(name)
    return metadata


def place_in(view: Mapping[str, Any]) -> SettingsPlace:
    return SettingsPlace(**metadata_of(view))


def place_of_call(view: Mapping[str, Any]) -> ApprovalPlace:
    return ApprovalPlace(**metadata_of(view))


def edited_texts(view: Mapping[str, Any], prefix: str) -> tuple[Mapping[int, str], Sequence[int]]:
    """Returns the edited texts in a modal's numbered fields (`prefix-7`), keyed by number, and the numbers of all of
    these fields. Raises ValueError if there are none."""
    field = re.compile(rf"{prefix}-(\d{{1,18}})", re.ASCII)
    numbers = {name: int(found[1]) for name in view["state"]["values"] if (found := field.fullmatch(name))}
    if not numbers:
        raise ValueError(prefix)
    entered, initial = field_values(view), field_values(initial_view(view))
    edited = [name for name in numbers if entered.get(name) != initial.get(name)]
    return {numbers[name]: entered.get(name, "") for name in edited}, list(numbers.values())


def sentence_modal(sentence: str, title: str) -> Json:
    return read_only_modal(title, [section(mrkdwn(sentence))])
