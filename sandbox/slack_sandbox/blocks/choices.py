"""A person's choices in Block Kit elements, in the format of Slack's payloads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slack_sandbox.blocks.elements import interactive
from slack_sandbox.workspace import Json, SlackError

Choice = str | Sequence[str] | None
"""A button's value, an option's value, an ID or typed text, or a list of these for multi-select elements."""

_BUTTONS = frozenset({"button", "icon_button", "feedback_buttons"})
_OPTION = frozenset({"static_select", "external_select", "radio_buttons", "overflow"})
_OPTIONS = frozenset({"multi_static_select", "multi_external_select", "checkboxes"})
_KEYS: Mapping[str, str] = {
    **{f"{name}s_select": f"selected_{name}" for name in ("user", "channel", "conversation")},
    **{f"multi_{name}s_select": f"selected_{name}s" for name in ("user", "channel", "conversation")},
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
"""The payload field that holds an element's choice, by element type. Typed text is in `value`."""


@dataclass
class SuggestedOptions:
    """The suggested options of external menus. A surface is a view's ID, or a message as seen by one person."""

    _options: dict[tuple[str, str, str], tuple[Json, ...]] = field(default_factory=dict)

    def add(self, surface: str, block_id: str, action_id: str, options: Sequence[Json]) -> None:
        """Adds options. Earlier options stay, because a person might have chosen one of them."""
        known = self._options.get((surface, block_id, action_id), ())
        new = [option for option in options if option not in known]
        self._options[surface, block_id, action_id] = (*known, *new)

    def fill(self, surface: str, blocks: Sequence[Json]) -> list[Json]:
        return [self._fill_block(surface, block) for block in blocks]

    def _fill_block(self, surface: str, block: Json) -> Json:
        def filled(element: Json) -> Json:
            key = (surface, block.get("block_id", ""), element.get("action_id", ""))
            return element | {"options": [*self._options[key]]} if key in self._options else element

        changed: Json = {key: filled(block[key]) for key in ("element", "accessory") if key in block}
        if block["type"] == "actions":
            changed["elements"] = [filled(element) for element in block["elements"]]
        return block | changed


def find_element(blocks: Sequence[Json], action_id: str, block_id: str | None = None) -> tuple[Json, Json]:
    """Returns an element and its block. Raises SlackError("action_not_found")."""
    for block, element in interactive(blocks):
        if element["action_id"] == action_id and block_id in (None, block["block_id"]):
            return block, element
    raise SlackError("action_not_found")


def action_json(element: Json, block_id: str, choice: Choice, action_ts: str) -> Json:
    """Returns one entry of a block_actions payload's `actions`. Unknown keys of the element are copied."""
    element_type = element["type"]
    action: Json = {
        "type": element_type,
        "action_id": element["action_id"],
        "block_id": block_id,
        "action_ts": action_ts,
    }
    if element_type not in _BUTTONS:
        return action | state_json(element, choice) | _copy_keys(element, "placeholder")
    pressed = element
    if element_type == "feedback_buttons":
        pressed = element["positive_button" if choice == element["positive_button"]["value"] else "negative_button"]
    value = choice if choice is not None else pressed.get("value")
    action |= {"value": value} if value is not None else {}
    return action | _copy_keys(pressed, "text", "style") | _copy_keys(element, "icon")


def state_json(element: Json, choice: Choice) -> Json:
    element_type = element["type"]
    values = [choice] if isinstance(choice, str) else list(choice or ())
    if element_type in _OPTION:
        return {"type": element_type, "selected_option": _find_option(element, values[0]) if values else None}
    if element_type in _OPTIONS:
        return {"type": element_type, "selected_options": [_find_option(element, value) for value in values]}
    if element_type.startswith("multi_"):
        return {"type": element_type, _KEYS[element_type]: values}
    value: str | int | None = values[0] if values else None
    if value is not None and element_type == "datetimepicker":
        value = _unix_s(str(value))
    return {"type": element_type, _KEYS.get(element_type, "value"): value}


def initial_choice(element: Json) -> Choice:
    if option := element.get("initial_option"):
        return str(option["value"])
    if options := element.get("initial_options"):
        return [str(option["value"]) for option in options]
    for key in (
        "value",
        "user",
        "users",
        "channel",
        "channels",
        "conversation",
        "conversations",
        "date",
        "time",
        "date_time",
    ):
        if (choice := element.get(f"initial_{key}")) is not None:
            return list(choice) if isinstance(choice, list) else str(choice)
    return None


def state_values(blocks: Sequence[Json], choices: Mapping[tuple[str, str], Choice]) -> Json:
    """Returns `state.values`: each element's value by block_id and action_id, without buttons and overflow menus."""
    values: Json = {}
    for block, element in interactive(blocks):
        if element["type"] in _BUTTONS or element["type"] == "overflow":
            continue
        key = (block["block_id"], element["action_id"])
        choice = choices[key] if key in choices else initial_choice(element)
        values.setdefault(key[0], {})[key[1]] = state_json(element, choice)
    return values


def _unix_s(chosen: str) -> int:
    """Returns a chosen time in Unix seconds. The page sends a date and time in UTC, and tests send seconds."""
    return int(chosen) if chosen.isdecimal() else int(datetime.fromisoformat(chosen).replace(tzinfo=UTC).timestamp())


def _find_option(element: Json, value: str) -> Json:
    groups = element.get("option_groups") or [element]
    options = [option for group in groups for option in group.get("options", ())]
    options += [element["initial_option"]] if "initial_option" in element else element.get("initial_options", [])
    unknown = {"text": {"type": "plain_text", "text": value}, "value": value}
    return next(({"text": o["text"], "value": value} for o in options if o["value"] == value), unknown)


def _copy_keys(element: Json, *keys: str) -> Json:
    return {key: element[key] for key in keys if key in element}
