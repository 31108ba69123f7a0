"""Block Kit's elements, and what Slack refuses of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sandbox.workspace import Json

BUTTON_TEXT = 75
BUTTON_VALUE = 2_000
BUTTON_URL = 3_000
IDENTIFIER = 255
PLACEHOLDER = 150
OPTION_TEXT = 75
OPTION_VALUE = 150
INPUT_LABEL = 2_000
INPUT_VALUE = 3_000
ICONS = frozenset({"trash"})

SELECTS = frozenset({"users_select", "channels_select", "conversations_select"})
MULTI_SELECTS = frozenset(f"multi_{name}" for name in SELECTS)
TEXT_INPUTS = frozenset({"plain_text_input", "email_text_input", "url_text_input", "number_input"})
PICKERS = frozenset({"datepicker", "timepicker"})
_CHOOSERS = frozenset(
    {"static_select", "multi_static_select", "checkboxes", "radio_buttons", *SELECTS, *MULTI_SELECTS, *PICKERS}
)
ALLOWED: Mapping[str, frozenset[str]] = {
    "actions": _CHOOSERS | {"button", "overflow"},
    "section": _CHOOSERS | {"button", "overflow", "image"},
    "context_actions": frozenset({"feedback_buttons", "icon_button"}),
    "input": _CHOOSERS | TEXT_INPUTS,
}
"""Which elements each block takes."""


def interactive(blocks: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Each element that people can use, with its block."""
    for block in blocks:
        found: list[Json] = []
        if block.get("type") in ("actions", "context_actions"):
            found = block.get("elements", [])
        elif block.get("type") == "section" and "accessory" in block:
            found = [block["accessory"]]
        elif block.get("type") == "input":
            found = [block["element"]]
        for element in found:
            if element.get("type") != "image":
                yield block, element


def problems(element: Any, block_type: str, where: str) -> Iterator[str]:
    """What Slack says against an element of such a block."""
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield f"must be an object with a type [json-pointer:{where}]"
        return
    if element["type"] not in ALLOWED[block_type]:
        yield f"unsupported type: {element['type']} [json-pointer:{where}/type]"
        return
    yield from too_long(element, "action_id", IDENTIFIER, where)
    if "placeholder" in element:
        yield from text_object(element["placeholder"], PLACEHOLDER, f"{where}/placeholder", plain=True)
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{where}/confirm")
    check = _CHECKS.get(element["type"])
    if check is not None:
        yield from check(element, where)


def text_object(text: Any, most: int, where: str, *, plain: bool = False) -> Iterator[str]:
    """What Slack says against a text object; `plain`: only plain_text will do."""
    kinds = ("plain_text",) if plain else ("mrkdwn", "plain_text")
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"must be a {'plain_text' if plain else 'text'} object [json-pointer:{where}]"
    elif not text.get("text"):
        yield f"must be more than 0 characters [json-pointer:{where}/text]"
    else:
        yield from too_long(text, "text", most, where)


def too_long(holder: Json, key: str, most: int, where: str) -> Iterator[str]:
    """A sentence where the text there has more characters than `most`."""
    if len(str(holder.get(key, ""))) > most:
        yield f"must be less than {most + 1} characters [json-pointer:{where}/{key}]"


def _button(element: Json, where: str) -> Iterator[str]:
    yield from too_long(element, "value", BUTTON_VALUE, where)
    yield from too_long(element, "url", BUTTON_URL, where)
    yield from too_long(element, "accessibility_label", BUTTON_TEXT, where)
    yield from text_object(element.get("text"), BUTTON_TEXT, f"{where}/text", plain=True)
    if element.get("style", "primary") not in ("primary", "danger"):
        yield f"value must be one of primary, danger [json-pointer:{where}/style]"


def _icon_button(element: Json, where: str) -> Iterator[str]:
    yield from _button(element, where)
    if element.get("icon") not in ICONS:
        yield f"unsupported icon: {element.get('icon')} [json-pointer:{where}/icon]"


def _feedback(element: Json, where: str) -> Iterator[str]:
    for key in ("positive_button", "negative_button"):
        button = element.get(key)
        if not isinstance(button, dict) or not button.get("value"):
            yield f"missing required field: {key} with a value [json-pointer:{where}/{key}]"
        else:
            yield from _button(button, f"{where}/{key}")


def _options(most: int) -> Callable[[Json, str], Iterator[str]]:
    def check(element: Json, where: str) -> Iterator[str]:
        groups = element.get("option_groups")
        options = [o for g in groups for o in g.get("options", ())] if groups else element.get("options")
        if not isinstance(options, list) or not 1 <= len(options) <= most:
            yield f"must have 1 to {most} options [json-pointer:{where}/options]"
            return
        for index, option in enumerate(options):
            yield from _option(option, f"{where}/options/{index}")
        initial = element.get("initial_options") or [element.get("initial_option")]
        if any(option is not None and option not in options for option in initial):
            yield f"initial option must be one of the options [json-pointer:{where}/initial_option]"

    return check


def _option(option: Any, where: str) -> Iterator[str]:
    if not isinstance(option, dict) or not option.get("value"):
        yield f"missing required field: value [json-pointer:{where}]"
        return
    yield from text_object(option.get("text"), OPTION_TEXT, f"{where}/text")
    yield from too_long(option, "value", OPTION_VALUE, where)


def _text_input(element: Json, where: str) -> Iterator[str]:
    yield from too_long(element, "initial_value", INPUT_VALUE, where)
    if not 0 <= int(element.get("min_length", 0)) <= int(element.get("max_length", INPUT_VALUE)) <= INPUT_VALUE:
        yield f"lengths must be from 0 to {INPUT_VALUE} [json-pointer:{where}/max_length]"


def _number_input(element: Json, where: str) -> Iterator[str]:
    if not isinstance(element.get("is_decimal_allowed"), bool):
        yield f"missing required field: is_decimal_allowed [json-pointer:{where}]"


def _confirm(confirm: Any, where: str) -> Iterator[str]:
    if not isinstance(confirm, dict):
        yield f"must be a confirmation dialog [json-pointer:{where}]"
        return
    for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        yield from text_object(confirm.get(key), most, f"{where}/{key}", plain=key != "text")


_CHECKS: Mapping[str, Callable[[Json, str], Iterator[str]]] = {
    "button": _button,
    "icon_button": _icon_button,
    "feedback_buttons": _feedback,
    "overflow": _options(5),
    "static_select": _options(100),
    "multi_static_select": _options(100),
    "checkboxes": _options(10),
    "radio_buttons": _options(10),
    "plain_text_input": _text_input,
    "number_input": _number_input,
}
