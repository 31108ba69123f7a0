"""Steps of an answer that search the web or call tools, in the documented form of each API.

- https://developers.openai.com/api/docs/guides/function-calling, .../tools-web-search, .../reasoning
- https://platform.claude.com/docs/en/build-with-claude/streaming, .../agents-and-tools/tool-use/web-search-tool
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from tests.streams.speech import INPUT_TOKENS, tokens

Item = Mapping[str, Any]
OUTPUT_TOKENS = 42
CHAT_ID = "chatcmpl-1"

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "encrypted_content": "gAAAAABqk1Zz_+/==",
}
SEARCH_CALL = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "Typist Slack bot", "queries": ["Typist Slack bot"]},
}
OPEN_PAGE = {
    "id": "ws_2",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "open_page", "url": "https://docs.slack.dev/apis"},
}

FAILED_SEARCH = SEARCH_CALL | {"id": "ws_3", "status": "failed", "action": {"type": "search", "queries": ["a", "b"]}}


def function_call(call_id: str, name: str, arguments: str) -> Item:
    """Returns a function call of the Responses API."""
    call = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "arguments": arguments}
    return call | {"call_id": call_id, "name": name}


def message(text: str, *citations: tuple[str, str]) -> Item:
    """Returns a message of the Responses API, with (URL, title) of its sources."""
    annotations = [
        {"type": "url_citation", "start_index": at, "end_index": at + 1, "url": url, "title": title}
        for at, (url, title) in enumerate(citations)
    ]
    content = [{"type": "output_text", "annotations": annotations, "logprobs": [], "text": text}]
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def responses(*items: Item, status: str = "completed", **more: object) -> list[bytes]:
    """Returns a stream of the Responses API with these output items."""
    whole = json.loads(responses_whole(*items, status=status, **more))
    events = [{"type": "response.created", "response": whole | {"output": [], "usage": None, "status": "in_progress"}}]
    for output_index, item in enumerate(items):
        events += (event | {"output_index": output_index} for event in _item_events(item))
    kind = {"completed": "response.completed", "incomplete": "response.incomplete"}[status]
    events.append({"type": kind, "response": whole})
    return [_event(event | {"sequence_number": number}) for number, event in enumerate(events)]


def responses_whole(*items: Item, status: str = "completed", **more: object) -> bytes:
    """Returns a JSON body of the Responses API with these output items."""
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
    whole = {"id": "resp_1", "object": "response", "status": status, "error": None, "incomplete_details": None}
    return json.dumps(whole | {"output": items, "usage": usage, **more}, ensure_ascii=False).encode()


def _item_events(item: Item) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"]}
    begun = {key: value for key, value in item.items() if key not in ("action", "encrypted_content")}
    match item["type"]:
        case "message":
            yield {"type": "response.output_item.added", "item": begun | {"status": "in_progress", "content": []}}
            [part] = item["content"]
            place |= {"content_index": 0}
            yield {"type": "response.content_part.added", **place, "part": part | {"text": "", "annotations": []}}
            for delta in tokens(part["text"]):
                yield {"type": "response.output_text.delta", **place, "delta": delta, "logprobs": []}
            for at, annotation in enumerate(part["annotations"]):
                added = {"annotation_index": at, "annotation": annotation}
                yield {"type": "response.output_text.annotation.added", **place, **added}
            yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
            yield {"type": "response.content_part.done", **place, "part": part}
        case "function_call":
            yield {"type": "response.output_item.added", "item": begun | {"status": "in_progress", "arguments": ""}}
            for delta in tokens(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
            # This event has no call_id.
            yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
        case "web_search_call":
            yield {"type": "response.output_item.added", "item": begun | {"status": "in_progress"}}
            for state in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{state}", **place}
        case _:
            yield {"type": "response.output_item.added", "item": begun}
    yield {"type": "response.output_item.done", "item": item}


THINKING = {
    "type": "thinking",
    "thinking": "I need the time.",
    "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk==",
}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP"}
SERVER_SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "Typist Slack bot"},
}
SEARCH_RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "title": "Typist",
            "url": "https://example.com/typist",
            "encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y+/==",
            "page_age": None,
        }
    ],
}
SEARCH_ERROR = SEARCH_RESULT | {"content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}}


def text(words: str, *citations: tuple[str, str]) -> Item:
    """Returns a text block of the Messages API, with (URL, title) of its sources."""
    if not citations:
        return {"type": "text", "text": words}
    kind = "web_search_result_location"
    sources = [
        {"type": kind, "cited_text": "…", "url": url, "title": title, "encrypted_index": "Eo8BCioIAhgBIiQyYjQ0+/=="}
        for url, title in citations
    ]
    return {"type": "text", "text": words, "citations": sources}


def tool_use(call_id: str, name: str, arguments: Mapping[str, Any]) -> Item:
    """Returns a tool_use block of the Messages API."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def messages(
    *blocks: Item,
    stop_reason: str = "end_turn",
    searches: int = 0,
    broken: str = "",
    input_tokens: int = INPUT_TOKENS,
    stop_details: Item | None = None,
    **usage: int,
) -> list[bytes]:
    """Returns a stream of the Messages API with these content blocks. `broken` replaces the JSON of tools' input."""
    whole = json.loads(messages_whole(stop_reason=stop_reason, searches=searches))
    whole["usage"] |= {"input_tokens": input_tokens, **usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}]
    for index, block in enumerate(blocks):
        begun, deltas = _block_deltas(block, broken)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        if index == 0:
            events.append({"type": "ping"})
        events += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": stop_details}
    events.append({"type": "message_delta", "delta": ending, "usage": whole["usage"]})
    return [_event(event) for event in (*events, {"type": "message_stop"})]


def interleaved(stream: Sequence[bytes]) -> list[bytes]:
    """Returns a stream of the Messages API whose blocks grow in turns, and end in the other order."""
    placed, deltas = [], Counter[int]()
    for event in stream:
        fields = json.loads(event.partition(b"data: ")[2])
        index = fields.get("index", 0)
        match fields["type"]:
            case "message_start" | "ping":
                place = (0, 0)
            case "content_block_start":
                place = (1, index)
            case "content_block_delta":
                deltas[index] += 1
                place = (2, deltas[index])
            case "content_block_stop":
                place = (3, -index)
            case _:
                place = (4, 0)
        placed.append((place, event))
    return [event for _, event in sorted(placed, key=itemgetter(0))]


def messages_whole(*blocks: Item, stop_reason: str = "end_turn", searches: int = 0) -> bytes:
    """Returns a JSON body of the Messages API with these content blocks."""
    server_tools = {"server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 0}} if searches else {}
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, **server_tools}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    body = whole | {"content": blocks, "stop_reason": stop_reason, "usage": usage}
    return json.dumps(body, ensure_ascii=False).encode()


def _block_deltas(block: Item, broken: str) -> tuple[Item, list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            # The sources come before the text that they are for.
            cited = [{"type": "citations_delta", "citation": source} for source in block.get("citations", ())]
            begun = {**block, "text": "", **({"citations": []} if cited else {})}
            return begun, [*cited, *({"type": "text_delta", "text": delta} for delta in tokens(block["text"]))]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": delta} for delta in tokens(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
        case "tool_use" | "server_tool_use":
            written = broken or (json.dumps(block["input"], ensure_ascii=False) if block["input"] else "")
            deltas = [{"type": "input_json_delta", "partial_json": delta} for delta in ("", *tokens(written))]
            return {**block, "input": {}}, deltas
    return block, []


def chat(*deltas: Item, finish_reason: str = "tool_calls", **reported: object) -> list[bytes]:
    """Returns a stream of Chat Completions with these deltas. `reported`: of its usage."""
    shared = {"id": CHAT_ID, "object": "chat.completion.chunk", "created": 1790035200, "model": "m"}
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, **reported}
    role = {"role": "assistant", "content": None}
    chunks: list[dict[str, Any]] = [
        *(shared | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in (role, *deltas)),
        shared | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]},
        shared | {"choices": [], "usage": usage},
    ]
    return [*(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def chat_whole(finish_reason: str = "tool_calls", **fields: object) -> bytes:
    """Returns a JSON body of Chat Completions with this message."""
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **fields}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    whole = {"id": CHAT_ID, "object": "chat.completion", "created": 1790035200, "model": "m"}
    return json.dumps(whole | {"choices": [choice], "usage": usage}).encode()


def chat_call(arguments: object = None, index: int | None = None, *, id: str = "", name: str = "") -> dict[str, Any]:
    """Returns a delta with a piece of one tool call: its arguments, and its id and name if it has them."""
    function = ({"name": name} if name else {}) | ({} if arguments is None else {"arguments": arguments})
    place = {} if index is None else {"index": index}
    named = {"id": id, "type": "function"} if id else {}
    return {"tool_calls": [place | named | {"function": function}]}


def fragments(arguments: str, index: int) -> Sequence[Item]:
    """Returns deltas with the arguments of a call that has begun."""
    return [chat_call(fragment, index) for fragment in tokens(arguments)]


def _event(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
