"""blocks.validate: checks blocks, messages and views by the sandbox's own rules, and doesn't send anything."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.view_rules import check_view
from slack_sandbox.web_api.method import App, Method
from slack_sandbox.workspace import Json, SlackError

_PROBLEM = re.compile(r"(?:\[ERROR\] )?(?P<message>.*?)(?: \[json-pointer:(?P<pointer>[^\]]*)\])?", re.DOTALL)
_MISSING = "missing required field"


def validate(app: App, args: Json) -> Json:
    given = [name for name in _CHECKS if args.get(name) is not None]
    if len(given) != 1:
        raise SlackError("invalid_arguments")
    [name] = given
    try:
        _CHECKS[name](_parse(args[name]))
    except SlackError as refused:
        raise SlackError(f"invalid_{name}", errors=_errors(refused)) from None
    return {}


def _parse(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise SlackError("invalid_json") from None


def _message(message: Any) -> None:
    if not isinstance(message, dict):
        raise SlackError("invalid_message_format")
    if message.get("blocks"):
        check_blocks(message["blocks"])
    elif not message.get("text"):
        raise SlackError("no_text")


def _view(view: Any) -> None:
    kind = view.get("type") if isinstance(view, dict) else None
    check_view(view, "home" if kind == "home" else "modal")


_CHECKS: Mapping[str, Callable[[Any], object]] = {"blocks": check_blocks, "message": _message, "view": _view}


def _errors(refused: SlackError) -> list[Json]:
    """Returns the problems in the form that Slack documents, each with its path."""
    messages = refused.fields.get("response_metadata", {}).get("messages") or [refused.error]
    found = [match for message in messages if (match := _PROBLEM.fullmatch(message))]
    return [
        {
            "pointer": match["pointer"] or "",
            "code": "missing_field" if match["message"].startswith(_MISSING) else "failed_constraint",
            "message": match["message"],
        }
        for match in found
    ]


METHODS = {"blocks.validate": Method(validate)}
