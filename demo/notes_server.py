"""An MCP server on stdio for the demo: `python demo/notes_server.py`. It keeps notes only in memory.

It implements a small part of the protocol (2025-11-25) instead of using the SDK. Importing the SDK takes seconds on a
busy machine, and an answer waits no longer than five seconds for a server to start.
"""

import json
import sys
from typing import Any

VERSION = "2025-11-25"
TOOL = {
    "name": "add_note",
    "title": "Add a note",
    "description": "Adds a note to the sandbox's notes.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}
UNKNOWN_METHOD, INVALID_PARAMS = -32601, -32602

notes: list[str] = []


def main() -> None:
    """Answers the requests on stdin until it closes."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = result_or_error(message["method"], message.get("params") or {})
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}) + "\n")
            sys.stdout.flush()


def result_or_error(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Returns a request's result or error."""
    match method:
        case "initialize":
            about = {"name": "notes", "version": "1"}
            return {"result": {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": about}}
        case "tools/list":
            return {"result": {"tools": [TOOL]}}
        case "tools/call":
            text = (params.get("arguments") or {}).get("text")
            if params.get("name") != TOOL["name"] or not isinstance(text, str):
                return {"error": {"code": INVALID_PARAMS, "message": "There is only add_note, which takes a text."}}
            notes.append(text)
            return {"result": {"content": [{"type": "text", "text": f"Note {len(notes)}: {text}"}]}}
    return {"error": {"code": UNKNOWN_METHOD, "message": f"There is no method {method}."}}


if __name__ == "__main__":
    main()
