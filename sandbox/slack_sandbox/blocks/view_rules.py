"""Slack's rules for views, and its validation of input fields."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from slack_sandbox.blocks.choices import Choice, initial_choice
from slack_sandbox.blocks.elements import IDENTIFIER, INPUT_VALUE, length_problems, text_object_problems
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.stored import with_defaults
from slack_sandbox.workspace import Json, SlackError

TITLE = 24
PRIVATE_METADATA = 3_000
BLOCKS = 100
VIEW_BYTES = 250_000
MESSAGE_BLOCKS = frozenset(
    {"container", "context_actions", "data_table", "data_visualization", "markdown", "plan", "table", "task_card"}
)
"""Blocks that are only allowed in messages."""
MISSING = "Please complete this required field."


def check_view(view: Any, kind: str) -> Json:
    """Returns the view with missing IDs filled in. Raises SlackError: invalid_arguments, view_too_large."""
    if not isinstance(view, dict) or view.get("type") != kind:
        raise _refusal([f"must be a view of type {kind} [json-pointer:/view/type]"])
    if problems := list(_problems(view, kind)):
        raise _refusal(problems)
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        raise SlackError("view_too_large")
    try:
        blocks = list(check_blocks(view["blocks"], limit=BLOCKS))
        return {key: with_defaults(value) for key, value in view.items() if key != "blocks"} | {"blocks": blocks}
    except SlackError as refused:
        raise _refusal(refused.fields.get("errors", [refused.error])) from None


def input_errors(blocks: tuple[Json, ...], choices: Mapping[tuple[str, str], Choice]) -> dict[str, str]:
    """Returns the errors that Slack shows before it sends a submission, by block_id."""
    errors = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        pointer = (block["block_id"], element["action_id"])
        choice = choices[pointer] if pointer in choices else initial_choice(element)
        if error := _input_error(element, choice, optional=bool(block.get("optional"))):
            errors[pointer[0]] = error
    return errors


def _problems(view: Json, kind: str) -> Iterator[str]:
    if not isinstance(view.get("blocks"), list):
        yield "missing required field: blocks [json-pointer:/view]"
        return
    yield from length_problems(view, "private_metadata", PRIVATE_METADATA, "/view")
    yield from length_problems(view, "callback_id", IDENTIFIER, "/view")
    yield from length_problems(view, "external_id", IDENTIFIER, "/view")
    for index, block in enumerate(view["blocks"]):
        if isinstance(block, dict) and block.get("type") in MESSAGE_BLOCKS:
            yield f"unsupported type: {block['type']} [json-pointer:/view/blocks/{index}/type]"
    blocks = [block for block in view["blocks"] if isinstance(block, dict)]
    if sum(element.get("focus_on_load") is True for element in _fields(blocks)) > 1:
        yield "only one element can have focus_on_load [json-pointer:/view/blocks]"
    if kind == "home":
        return
    yield from text_object_problems(view.get("title"), TITLE, "/view/title", plain=True)
    for key in ("submit", "close"):
        if view.get(key) is not None:
            yield from text_object_problems(view[key], TITLE, f"/view/{key}", plain=True)
    if view.get("submit") is None and any(block.get("type") == "input" for block in blocks):
        yield "missing required field: submit [json-pointer:/view]"


def _fields(blocks: Sequence[Json]) -> Iterator[Json]:
    elements = (block.get("element") for block in blocks if block.get("type") == "input")
    yield from (element for element in elements if isinstance(element, dict))


def _refusal(messages: list[str]) -> SlackError:
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {value}" for value in messages]})


def _input_error(element: Json, choice: Choice, *, optional: bool) -> str | None:
    if not choice:
        return None if optional else MISSING
    check = _CHECKS.get(element["type"])
    return check(element, str(choice)) if check is not None else None


def _text_error(element: Json, choice: str) -> str | None:
    minimum, limit = int(element.get("min_length", 0)), int(element.get("max_length", INPUT_VALUE))
    if len(choice) < minimum:
        return f"This field must have at least {minimum} characters."
    return f"This field must have at most {limit} characters." if len(choice) > limit else None


def _number_error(element: Json, choice: str) -> str | None:
    pattern = r"-?\d+(\.\d+)?" if element["is_decimal_allowed"] else r"-?\d+"
    if not re.fullmatch(pattern, choice):
        return "Please enter a valid number." if element["is_decimal_allowed"] else "Please enter a whole number."
    minimum, limit = element.get("min_value"), element.get("max_value")
    if minimum is not None and float(choice) < float(minimum):
        return f"Please enter a number of at least {minimum}."
    return f"Please enter a number of at most {limit}." if limit is not None and float(choice) > float(limit) else None


def _pattern_error(pattern: str, error: str, element: Json, choice: str) -> str | None:
    del element
    return None if re.fullmatch(pattern, choice) else error


_CHECKS: Mapping[str, Callable[[Json, str], str | None]] = {
    "plain_text_input": _text_error,
    "number_input": _number_error,
    "email_text_input": partial(_pattern_error, r"[^@\s]+@[^@\s]+\.[^@\s]+", "Please enter a valid email address."),
    "url_text_input": partial(_pattern_error, r"https?://\S+", "Please enter a valid URL."),
}
