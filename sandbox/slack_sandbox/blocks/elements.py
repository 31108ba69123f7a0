"""Block Kit elements and Slack's rules for them.

Problems are sentences in Slack's wording, each with a JSON pointer to the invalid field.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slack_sandbox.workspace import Json

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

EXTERNAL_SELECTS = frozenset({"external_select", "multi_external_select"})
"""Menus whose options come from the app, through block_suggestion."""
MIN_QUERY_LENGTH = 3
"""The number of typed characters before Slack asks the app, unless the element sets another number."""
MAX_SUGGESTED_OPTIONS = 100
SELECTS = frozenset({"users_select", "channels_select", "conversations_select"})
MULTI_SELECTS = frozenset(f"multi_{name}" for name in SELECTS)
TEXT_INPUTS = frozenset({"plain_text_input", "email_text_input", "url_text_input", "number_input"})
PICKERS = frozenset({"datepicker", "timepicker", "datetimepicker"})
_CHOOSERS = frozenset(
    {"static_select", "multi_static_select", "checkboxes", "radio_buttons"}
    | EXTERNAL_SELECTS
    | SELECTS
    | MULTI_SELECTS
    | PICKERS
)
ALLOWED: Mapping[str, frozenset[str]] = {
    "actions": _CHOOSERS | {"button", "overflow"},
    "section": _CHOOSERS | {"button", "overflow", "image"},
    "context_actions": frozenset({"feedback_buttons", "icon_button"}),
    "input": _CHOOSERS | TEXT_INPUTS,
}
"""The element types that each block accepts."""


def interactive(blocks: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    for block in blocks:
        elements: list[Json] = []
        if block.get("type") == "container":
            yield from interactive(block.get("child_blocks", []))
        if block.get("type") in ("actions", "context_actions"):
            elements = block.get("elements", [])
        elif block.get("type") == "section" and "accessory" in block:
            elements = [block["accessory"]]
        elif block.get("type") == "input":
            elements = [block["element"]]
        for element in elements:
            if element.get("type") != "image":
                yield block, element


def element_problems(element: Any, block_type: str, pointer: str) -> Iterator[str]:
    """Yields the problems that Slack reports for an element in a block of this type."""
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield f"must be an object with a type [json-pointer:{pointer}]"
        return
    if element["type"] not in ALLOWED[block_type]:
        yield f"unsupported type: {element['type']} [json-pointer:{pointer}/type]"
        return
    yield from length_problems(element, "action_id", IDENTIFIER, pointer)
    if "placeholder" in element:
        yield from text_object_problems(element["placeholder"], PLACEHOLDER, f"{pointer}/placeholder", plain=True)
    if "confirm" in element:
        yield from _confirm_problems(element["confirm"], f"{pointer}/confirm")
    check = _CHECKS.get(element["type"])
    if check is not None:
        yield from check(element, pointer)


def text_object_problems(text: Any, limit: int, pointer: str, *, plain: bool = False) -> Iterator[str]:
    """Yields the problems that Slack reports for a text object. `plain`: only plain_text is allowed."""
    kinds = ("plain_text",) if plain else ("mrkdwn", "plain_text")
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"must be a {'plain_text' if plain else 'text'} object [json-pointer:{pointer}]"
    elif not text.get("text"):
        yield f"must be more than 0 characters [json-pointer:{pointer}/text]"
    else:
        yield from length_problems(text, "text", limit, pointer)


def length_problems(holder: Json, key: str, limit: int, pointer: str) -> Iterator[str]:
    if len(str(holder.get(key, ""))) > limit:
        yield f"must be less than {limit + 1} characters [json-pointer:{pointer}/{key}]"


def _button_problems(element: Json, pointer: str) -> Iterator[str]:
    yield from length_problems(element, "value", BUTTON_VALUE, pointer)
    yield from length_problems(element, "url", BUTTON_URL, pointer)
    yield from length_problems(element, "accessibility_label", BUTTON_TEXT, pointer)
    yield from text_object_problems(element.get("text"), BUTTON_TEXT, f"{pointer}/text", plain=True)
    if element.get("style", "primary") not in ("primary", "danger"):
        yield f"value must be one of primary, danger [json-pointer:{pointer}/style]"


def _icon_button_problems(element: Json, pointer: str) -> Iterator[str]:
    yield from _button_problems(element, pointer)
    if element.get("icon") not in ICONS:
        yield f"unsupported icon: {element.get('icon')} [json-pointer:{pointer}/icon]"


def _feedback_problems(element: Json, pointer: str) -> Iterator[str]:
    for key in ("positive_button", "negative_button"):
        button = element.get(key)
        if not isinstance(button, dict) or not button.get("value"):
            yield f"missing required field: {key} with a value [json-pointer:{pointer}/{key}]"
        else:
            yield from _button_problems(button, f"{pointer}/{key}")


def _options_checker(limit: int, *, plain: bool = True) -> Callable[[Json, str], Iterator[str]]:
    """Returns a function that checks an element's options. `plain`: mrkdwn isn't allowed, as in menus."""

    def check(element: Json, pointer: str) -> Iterator[str]:
        groups = element.get("option_groups")
        options = [o for g in groups for o in g.get("options", ())] if groups else element.get("options")
        if not isinstance(options, list) or not 1 <= len(options) <= limit:
            yield f"must have 1 to {limit} options [json-pointer:{pointer}/options]"
            return
        for index, option in enumerate(options):
            yield from _option_problems(option, f"{pointer}/options/{index}", plain=plain)
        if element.get("initial_options") == []:
            yield f"must be one of the provided options [json-pointer:{pointer}/initial_options]"
        initial = element.get("initial_options") or [element.get("initial_option")]
        if any(option is not None and option not in options for option in initial):
            yield f"initial option must be one of the options [json-pointer:{pointer}/initial_option]"

    return check


def _external_problems(element: Json, pointer: str) -> Iterator[str]:
    shortest = element.get("min_query_length", MIN_QUERY_LENGTH)
    if not isinstance(shortest, int) or shortest < 0:
        yield f"must be an integer of at shortest 0 [json-pointer:{pointer}/min_query_length]"
    initial = element.get("initial_options") or [element.get("initial_option")]
    for option in initial:
        if option is not None:
            yield from _option_problems(option, f"{pointer}/initial_option")


def suggestion_problems(answer: Json) -> list[str]:
    options, pointer = suggested_options(answer), "/options"
    if not isinstance(options, list) or len(options) > MAX_SUGGESTED_OPTIONS:
        return [f"must have at most {MAX_SUGGESTED_OPTIONS} options [json-pointer:{pointer}]"]
    return [
        problem for index, option in enumerate(options) for problem in _option_problems(option, f"{pointer}/{index}")
    ]


def suggested_options(answer: Json) -> Any:
    """Returns the options in an app's response to block_suggestion, including those in groups."""
    groups = answer.get("option_groups")
    if not isinstance(groups, list):
        return answer.get("options")
    return [option for group in groups if isinstance(group, dict) for option in group.get("options", ())]


def _option_problems(option: Any, pointer: str, *, plain: bool = True) -> Iterator[str]:
    if not isinstance(option, dict) or not option.get("value"):
        yield f"missing required field: value [json-pointer:{pointer}]"
        return
    yield from text_object_problems(option.get("text"), OPTION_TEXT, f"{pointer}/text", plain=plain)
    if "description" in option:
        yield from text_object_problems(option["description"], OPTION_TEXT, f"{pointer}/description", plain=plain)
    yield from length_problems(option, "value", OPTION_VALUE, pointer)


def _text_input_problems(element: Json, pointer: str) -> Iterator[str]:
    yield from length_problems(element, "initial_value", INPUT_VALUE, pointer)
    if not 0 <= int(element.get("min_length", 0)) <= int(element.get("max_length", INPUT_VALUE)) <= INPUT_VALUE:
        yield f"lengths must be from 0 to {INPUT_VALUE} [json-pointer:{pointer}/max_length]"


def _number_input_problems(element: Json, pointer: str) -> Iterator[str]:
    if not isinstance(element.get("is_decimal_allowed"), bool):
        yield f"missing required field: is_decimal_allowed [json-pointer:{pointer}]"


def _confirm_problems(confirm: Any, pointer: str) -> Iterator[str]:
    if not isinstance(confirm, dict):
        yield f"must be a confirmation dialog [json-pointer:{pointer}]"
        return
    for key, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        yield from text_object_problems(confirm.get(key), limit, f"{pointer}/{key}", plain=key != "text")


_CHECKS: Mapping[str, Callable[[Json, str], Iterator[str]]] = {
    "button": _button_problems,
    "icon_button": _icon_button_problems,
    "feedback_buttons": _feedback_problems,
    "overflow": _options_checker(5),
    "external_select": _external_problems,
    "multi_external_select": _external_problems,
    "static_select": _options_checker(100),
    "multi_static_select": _options_checker(100),
    "checkboxes": _options_checker(10, plain=False),
    "radio_buttons": _options_checker(10, plain=False),
    "plain_text_input": _text_input_problems,
    "number_input": _number_input_problems,
}
