"""What people choose in Block Kit's elements, as Slack tells the app of it."""

from collections.abc import Mapping, Sequence

from sandbox.block_elements import interactive
from sandbox.workspace import Json, SlackError

Choice = str | Sequence[str] | None
"""A button's or an option's value, an id, what was typed; several of them for elements that take several."""

_BUTTONS = frozenset({"button", "icon_button", "feedback_buttons"})
_OPTION = frozenset({"static_select", "radio_buttons", "overflow"})
_OPTIONS = frozenset({"multi_static_select", "checkboxes"})
_KEYS: Mapping[str, str] = {
    **{f"{name}s_select": f"selected_{name}" for name in ("user", "channel", "conversation")},
    **{f"multi_{name}s_select": f"selected_{name}s" for name in ("user", "channel", "conversation")},
    "datepicker": "selected_date",
    "timepicker": "selected_time",
}
"""Element to the field that its choice is in; typed text is in `value`."""


def find_element(blocks: Sequence[Json], action_id: str, block_id: str | None = None) -> tuple[Json, Json]:
    """An element and its block. Raises SlackError("action_not_found")."""
    for block, element in interactive(blocks):
        if element["action_id"] == action_id and block_id in (None, block["block_id"]):
            return block, element
    raise SlackError("action_not_found")


def action_json(element: Json, block_id: str, chosen: Choice, action_ts: str) -> Json:
    """One of the `actions` of a block_actions payload. A value that the element does not have is passed on as it is."""
    kind = element["type"]
    said: Json = {"type": kind, "action_id": element["action_id"], "block_id": block_id, "action_ts": action_ts}
    if kind not in _BUTTONS:
        return said | state_json(element, chosen) | _kept(element, "placeholder")
    pressed = element
    if kind == "feedback_buttons":
        pressed = element["positive_button" if chosen == element["positive_button"]["value"] else "negative_button"]
    value = chosen if chosen is not None else pressed.get("value")
    said |= {"value": value} if value is not None else {}
    return said | _kept(pressed, "text", "style") | _kept(element, "icon")


def state_json(element: Json, chosen: Choice) -> Json:
    """What an element holds, as in `state.values`."""
    kind = element["type"]
    several = [chosen] if isinstance(chosen, str) else list(chosen or ())
    if kind in _OPTION:
        return {"type": kind, "selected_option": _option(element, several[0]) if several else None}
    if kind in _OPTIONS:
        return {"type": kind, "selected_options": [_option(element, value) for value in several]}
    if kind.startswith("multi_"):
        return {"type": kind, _KEYS[kind]: several}
    return {"type": kind, _KEYS.get(kind, "value"): several[0] if several else None}


def initial(element: Json) -> Choice:
    """What an element holds before anybody has touched it."""
    if option := element.get("initial_option"):
        return str(option["value"])
    if options := element.get("initial_options"):
        return [str(option["value"]) for option in options]
    for key in ("value", "user", "users", "channel", "channels", "conversation", "conversations", "date", "time"):
        if (held := element.get(f"initial_{key}")) is not None:
            return list(held) if isinstance(held, list) else str(held)
    return None


def state_values(blocks: Sequence[Json], chosen: Mapping[tuple[str, str], Choice]) -> Json:
    """`state.values`: all that elements hold, by block_id and action_id; buttons and menus hold nothing."""
    values: Json = {}
    for block, element in interactive(blocks):
        if element["type"] in _BUTTONS or element["type"] == "overflow":
            continue
        where = (block["block_id"], element["action_id"])
        held = chosen[where] if where in chosen else initial(element)
        values.setdefault(where[0], {})[where[1]] = state_json(element, held)
    return values


def _option(element: Json, value: str) -> Json:
    groups = element.get("option_groups") or [element]
    options = [option for group in groups for option in group.get("options", ())]
    forged = {"text": {"type": "plain_text", "text": value}, "value": value}
    return next(({"text": o["text"], "value": value} for o in options if o["value"] == value), forged)


def _kept(element: Json, *keys: str) -> Json:
    return {key: element[key] for key in keys if key in element}
