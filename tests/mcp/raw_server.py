"""An MCP server on stdio that says whatever a file says, well-formed or not: python raw_server.py FILE.

The file is JSON, and read again for each request: `about` is said of the server, `tools` is the list of tools,
`listed` stands beside it, `pages` has the answer to each cursor that has one of its own, `results` has what each tool
answers with: a result, {"error": …} of JSON-RPC, or an action: {"die": true}, {"close_stdout": true}, {"sleep_s": …},
{"progress_s": …} (tells of its progress all the time),
{"error, and an end": …}, {"line": …} (in Latin-1, with ID in place of the request's id). `start` may be "die",
"silent", "late" (silent until the file says otherwise), "stubborn" (nothing but SIGKILL ends it), "tidy" (SIGTERM ends
it once FILE.tidy is written), "hung" (stubborn and silent, and it has a child whose id is in child.pid) or "loud" (it
writes each message to stderr). Each call is appended to FILE.calls. It speaks the protocol of 2025-11-25, and starts
faster than any server that imports the SDK.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def main(file: Path) -> None:
    start = start_of(file)
    if start in ("stubborn", "hung"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if start == "tidy":
        signal.signal(signal.SIGTERM, lambda *_: tidy_up(file))
    if start == "hung" and os.fork() == 0:
        file = file.with_name("child.json")
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(str(os.getpid()))
    new.replace(file.with_suffix(".pid"))
    if start == "die":
        sys.exit(3)
    while start == "hung":
        time.sleep(1)
    wait_until_in_time(file)
    for line in sys.stdin:
        message = json.loads(line)
        if start == "loud":
            sys.stderr.write(line)
        if "id" in message and start != "silent":
            answer = answered(file, message["id"], message["method"], message.get("params") or {})
            line = json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer})
            line = answer["line"].replace("ID", str(message["id"])) if "line" in answer else line
            sys.stdout.buffer.write(line.encode("latin-1") + b"\n")
            sys.stdout.flush()
    while start in ("stubborn", "tidy"):
        time.sleep(1)


def start_of(file: Path) -> Any:
    return json.loads(file.read_text()).get("start")


def wait_until_in_time(file: Path) -> None:
    while start_of(file) == "late":
        time.sleep(0.01)


def tidy_up(file: Path) -> None:
    time.sleep(0.3)
    file.with_suffix(".tidy").touch()
    os._exit(0)


def answered(file: Path, request: object, method: str, params: dict[str, Any]) -> dict[str, Any]:
    script = json.loads(file.read_text())
    match method:
        case "initialize":
            about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
            return {"result": {**about, "serverInfo": {"name": "raw", "version": "1"}, **script.get("about", {})}}
        case "tools/list":
            page = script["pages"].get(params.get("cursor"))
            return page or {"result": {"tools": script["tools"], **script["listed"]}}
        case "tools/call":
            with file.with_suffix(".calls").open("a") as calls:
                calls.write(json.dumps([params["name"], params.get("arguments")]) + "\n")
            result = script["results"].get(params["name"])
            if result and "progress_s" in result:
                tell_of_progress(params["_meta"]["progressToken"], result["progress_s"])
                return {"result": {"content": [{"type": "text", "text": "Done."}]}}
            return called(request, result)
    return {"error": {"code": -32601, "message": "Method not found"}}


def tell_of_progress(token: object, seconds: float) -> None:
    """Reports twenty times a second how far a call is."""
    for done in range(int(seconds * 20)):
        about = {"progressToken": token, "progress": done}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": about}) + "\n")
        sys.stdout.flush()
        time.sleep(0.05)


def called(request: object, result: dict[str, Any] | None) -> dict[str, Any]:
    match result:
        case None:
            return {"error": {"code": -32602, "message": "Unknown tool"}}
        case {"error": _} | {"line": _}:
            return result
        case {"error, and an end": error}:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request, "error": error}) + "\n")
            sys.stdout.flush()
            os._exit(1)
        case {"die": True}:
            os._exit(1)
        case {"close_stdout": True}:
            os.close(1)
            time.sleep(3_600)
        case {"sleep_s": seconds}:
            time.sleep(seconds)
            return {"result": {"content": []}}
    return {"result": result}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
