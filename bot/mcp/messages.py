"""Parses servers' messages, including messages that aren't quite JSON-RPC.

Some hand-written servers omit `jsonrpc` or the request's ID, send an error as text, wrap a response in a list, begin
with a byte order mark, or cut text in the middle of an emoji. The SDK rejects such messages even though their meaning
is clear.
"""

import json
from contextlib import suppress
from typing import Any

from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from bot.text import object_in, objects_in, with_joined_surrogates

_EVENT_BEGINNINGS = ("data:", "event:", "id:", "retry:", ":")
MAX_REPAIRED_BYTES = 250_000
"""Maximum size of a message to repair. Trying to parse longer messages in other ways would take too long."""


def parse_message(data: bytes, request_id: RequestId | None = None) -> JSONRPCMessage | None:
    """Returns the message in `data`, or None if there isn't one. `request_id`: the ID of the request, which replaces
    the ID of a response unless it is None."""
    with suppress(ValidationError):
        message = jsonrpc_message_adapter.validate_json(data, by_name=False)
        if request_id is None or not isinstance(message, JSONRPCResponse | JSONRPCError):
            return message
        return message.model_copy(update={"id": request_id})
    if len(data) > MAX_REPAIRED_BYTES:
        return None
    with suppress(ValueError, RecursionError):
        text = data.decode("utf-8-sig", "replace")
        said = _event_data(text) if text.startswith(_EVENT_BEGINNINGS) else [json.loads(text)]
        return _first_response([one for each in said for one in objects_in(with_joined_surrogates(each))], request_id)
    return None


def _event_data(text: str) -> list[Any]:
    """Returns the parsed data of events from a response that isn't marked as an event stream. Raises ValueError for
    invalid JSON."""
    events = "\n".join(text.splitlines()).split("\n\n")
    data = ("\n".join(line[5:] for line in event.split("\n") if line.startswith("data:")) for event in events)
    return [json.loads(one) for one in data if one.strip()]


def _first_response(parsed: Any, request_id: RequestId | None) -> JSONRPCMessage | None:
    """Returns the first response in parsed JSON, or None if there isn't one. Raises ValueError for an invalid
    response."""
    responses = [one for one in objects_in(parsed) if "method" not in one and (one.get("error") or "result" in one)]
    response = object_in(responses)
    request_id = response.get("id") if request_id is None else request_id
    if not response or not isinstance(request_id, int | str):
        return None
    if error := response.get("error"):
        return JSONRPCError(jsonrpc="2.0", id=request_id, error=_error_data(error))
    result = response["result"]
    return JSONRPCResponse(
        jsonrpc="2.0", id=request_id, result=result if isinstance(result, dict) else {"content": result}
    )


def _error_data(error: Any) -> ErrorData:
    parts = error if isinstance(error, dict) else {"message": error}
    code, words, data = parts.get("code"), parts.get("message"), parts.get("data")
    if not isinstance(words, str):
        words, data = json.dumps(error, ensure_ascii=False), None
    return ErrorData(code=code if type(code) is int else 0, message=words, data=data)
