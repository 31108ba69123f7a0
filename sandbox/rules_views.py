"""Slack's rules for views, and for what people put into their fields."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox.block_elements import IDENTIFIER, INPUT_VALUE, text_object, too_long
from sandbox.choices import Choice, initial
from sandbox.rules import check_blocks
from sandbox.stored import filled
from sandbox.workspace import Json, SlackError

TITLE = 24
PRIVATE_METADATA = 3_000
BLOCKS = 100
VIEW_BYTES = 250_000
MISSING = "Please complete this required field."


def check_view(view: Any, kind: str) -> Json:
    """The view, with ids where they were missing. Raises SlackError: invalid_arguments, view_too_large."""
    if not isinstance(view, dict) or view.get("type") != kind:
        raise _refused([f"must be a view of type {kind} [json-pointer:/view/type]"])
    if found := list(_problems(view, kind)):
        raise _refused(found)
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        raise SlackError("view_too_large")
    try:
        blocks = list(check_blocks(view["blocks"], most=BLOCKS))
        return {key: filled(each) for key, each in view.items() if key != "blocks"} | {"blocks": blocks}
    except SlackError as refused:
        raise _refused(refused.fields.get("errors", [refused.error])) from None


def wrong_inputs(blocks: tuple[Json, ...], chosen: Mapping[tuple[str, str], Choice]) -> dict[str, str]:
    """By block_id, what Slack's own dialog says is wrong before the app hears of it."""
    wrong = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        where = (block["block_id"], element["action_id"])
        held = chosen[where] if where in chosen else initial(element)
        if said := _wrong(element, held, optional=bool(block.get("optional"))):
            wrong[where[0]] = said
    return wrong


def _problems(view: Json, kind: str) -> Iterator[str]:
    if not isinstance(view.get("blocks"), list):
        yield "missing required field: blocks [json-pointer:/view]"
        return
    yield from too_long(view, "private_metadata", PRIVATE_METADATA, "/view")
    yield from too_long(view, "callback_id", IDENTIFIER, "/view")
    yield from too_long(view, "external_id", IDENTIFIER, "/view")
    if kind == "home":
        return
    yield from text_object(view.get("title"), TITLE, "/view/title", plain=True)
    for key in ("submit", "close"):
        if view.get(key) is not None:
            yield from text_object(view[key], TITLE, f"/view/{key}", plain=True)
    if view.get("submit") is None and any(b.get("type") == "input" for b in view["blocks"] if isinstance(b, dict)):
        yield "missing required field: submit [json-pointer:/view]"


def _refused(messages: list[str]) -> SlackError:
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {each}" for each in messages]})


def _wrong(element: Json, held: Choice, *, optional: bool) -> str | None:
    if not held:
        return None if optional else MISSING
    check = _CHECKS.get(element["type"])
    return check(element, str(held)) if check is not None else None


def _text(element: Json, held: str) -> str | None:
    least, most = int(element.get("min_length", 0)), int(element.get("max_length", INPUT_VALUE))
    if len(held) < least:
        return f"This field must have at least {least} characters."
    return f"This field must have at most {most} characters." if len(held) > most else None


def _number(element: Json, held: str) -> str | None:
    pattern = r"-?\d+(\.\d+)?" if element["is_decimal_allowed"] else r"-?\d+"
    if not re.fullmatch(pattern, held):
        return "Please enter a valid number." if element["is_decimal_allowed"] else "Please enter a whole number."
    least, most = element.get("min_value"), element.get("max_value")
    if least is not None and float(held) < float(least):
        return f"Please enter a number of at least {least}."
    return f"Please enter a number of at most {most}." if most is not None and float(held) > float(most) else None


def _email(element: Json, held: str) -> str | None:
    del element
    return None if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", held) else "Please enter a valid email address."


def _url(element: Json, held: str) -> str | None:
    del element
    return None if re.fullmatch(r"https?://\S+", held) else "Please enter a valid URL."


_CHECKS: Mapping[str, Callable[[Json, str], str | None]] = {
    "plain_text_input": _text,
    "number_input": _number,
    "email_text_input": _email,
    "url_text_input": _url,
}
