"""Any text in the form of each vendor's API: streamed with one event per chunk, or as one JSON body."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INPUT_TOKENS = 12
TOKEN_CHARS = 4
"""The length of a delta."""


def documented(name: str) -> bytes:
    """Returns a stream as its server documents it, byte for byte, from the file of this name in this folder."""
    return (Path(__file__).parent / f"{name}.sse").read_bytes()


def split(stream: bytes, size: int) -> list[bytes]:
    """Splits a stream into pieces of `size` bytes, even within characters and events."""
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def tokens(text: str) -> list[str]:
    """Splits a text into deltas of about a token each."""
    return deltas_of(text, TOKEN_CHARS)


def deltas_of(text: str, chars: int) -> list[str]:
    """Splits a text into deltas of this length."""
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def events(*contents: object) -> list[bytes]:
    """Returns events with this content, which have no names."""
    return [f"data: {json.dumps(content)}\n\n".encode() for content in contents]


def responses(deltas: Sequence[str]) -> list[bytes]:
    """Returns a stream of OpenAI's Responses API."""
    whole = json.loads(responses_whole("".join(deltas)))
    opened = whole | {"status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": opened},
        *({"type": "response.output_text.delta", **place, "delta": d, "logprobs": []} for d in deltas),
        {"type": "response.completed", "response": whole},
    ]
    numbered = [event | {"sequence_number": number} for number, event in enumerate(events)]
    return [f"event: {event['type']}\ndata: {_compact(event)}\n\n".encode() for event in numbered]


def responses_whole(text: str) -> bytes:
    """Returns a JSON body of OpenAI's Responses API."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": len(tokens(text))}
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": []}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return _compact(whole | {"incomplete_details": None, "output": [reasoning, item], "usage": usage}).encode()


def chat(deltas: Sequence[str]) -> list[bytes]:
    """Returns a stream of Chat Completions, with the usage that stream_options requests."""
    spoken = ({"content": delta} for delta in deltas)
    return _chat([{"role": "assistant", "content": ""}, *spoken], "stop", "".join(deltas))


def chat_calls(text: str, *calls: tuple[str, object]) -> list[bytes]:
    """Returns a stream of Chat Completions that ends with calls of tools: pairs of a name and its arguments."""
    deltas: list[Any] = [{"role": "assistant", "content": text}]
    for index, (name, arguments) in enumerate(calls):
        begun = {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [{"index": index, **begun}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": json.dumps(arguments)}}]})
    return _chat(deltas, "tool_calls", text)


def _chat(deltas: Sequence[Any], finish_reason: str, text: str) -> list[bytes]:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790035200, "model": "m"}
    chunks: list[dict[str, object]] = [
        *(chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]},
        chunk | {"choices": [], "usage": _chat_usage(text)},
    ]
    return [*(f"data: {_compact(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def chat_whole(text: str) -> bytes:
    """Returns a JSON body of Chat Completions."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790035200, "model": "m"}
    return _compact(whole | {"choices": [choice], "usage": _chat_usage(text)}).encode()


def messages(deltas: Sequence[str]) -> list[bytes]:
    """Returns a stream of Anthropic's Messages API."""
    whole = json.loads(messages_whole("".join(deltas)))
    opened = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {"output_tokens": whole["usage"]["output_tokens"]}
    text_deltas = [{"type": "text_delta", "text": delta} for delta in deltas]
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": opened},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in text_deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": usage},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in events]


def messages_whole(text: str) -> bytes:
    """Returns a JSON body of Anthropic's Messages API."""
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": len(tokens(text))}
    content = [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": text}]
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    return json.dumps(whole | {"content": content, "usage": usage} | ending).encode()


def _chat_usage(text: str) -> dict[str, int]:
    output_tokens = len(tokens(text))
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": output_tokens,
        "total_tokens": INPUT_TOKENS + output_tokens,
    }


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
