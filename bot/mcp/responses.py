"""Converts MCP servers' responses into a form that the SDK accepts, and call results into text.

The SDK rejects an entire list of tools, or an entire result, if a single part is invalid. It is therefore given only
the fields that Typist uses, and each definition and part is converted separately (`readable_result`).
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
from mcp import MCPError
from mcp.client import Transport
from mcp.shared.message import SessionMessage
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    JSONRPCResponse,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION

from bot.mcp.definitions import broken_definition, readable_definition
from bot.mcp.sentences import FAILED_SILENTLY, NO_REASON, NOTHING
from bot.mcp.stdio import Incoming
from bot.text import object_in

UNKNOWN_TYPE = "of an unknown type"
UNKNOWN_PART = "[left out: a kind of content that Typist doesn't know]"


@asynccontextmanager
async def readable_messages(transport: Transport) -> AsyncIterator[tuple[Any, Any]]:
    async with transport as (incoming, outgoing):
        yield _ReadableStream(incoming), outgoing


class _ReadableStream:
    def __init__(self, incoming: Any) -> None:
        self._incoming = incoming

    def __getattr__(self, name: str) -> Any:
        return getattr(self._incoming, name)

    async def receive(self) -> Incoming:
        message: Incoming = await self._incoming.receive()
        if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
            response = message.message.model_copy(update={"result": readable_result(message.message.result)})
            return replace(message, message=response)
        return message

    def __aiter__(self) -> "_ReadableStream":
        return self

    async def __anext__(self) -> Incoming:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._incoming.aclose()

    async def __aenter__(self) -> "_ReadableStream":
        await self._incoming.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._incoming.__aexit__(*raised)


def readable_result(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a response's result, reduced to the fields that Typist uses. Doesn't change results of unknown types."""
    if "tools" in result and "content" not in result:
        return _readable_tool_list(result)
    if "protocolVersion" in result and "content" not in result:
        return _readable_introduction(result)
    if result.get("resultType", "complete") == "complete" and "supportedVersions" not in result:
        return _readable_call_result(result)
    return result


def _readable_tool_list(result: Mapping[str, Any]) -> dict[str, Any]:
    tools, cursor = result["tools"], result.get("nextCursor")
    listed = tools if isinstance(tools, list) else []
    read = [readable_definition(tool, number) for number, tool in enumerate(listed, start=1)]
    if not isinstance(cursor or "", str) or not (isinstance(tools, list) or tools is None):
        # The list's continuation can't be followed. `typist check` reports that next to the broken definitions.
        read.append(broken_definition(f"tools-after-{len(listed)}-of-its-list"))
    further = {"nextCursor": cursor} if isinstance(cursor, str) else {}
    return {"tools": read, **further, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def _readable_introduction(result: Mapping[str, Any]) -> dict[str, Any]:
    # Hand-written servers can send true, and PHP writes an empty list.
    capabilities, about = object_in(result.get("capabilities")), object_in(result.get("serverInfo"))
    named = {key: about[key] if isinstance(about.get(key), str) else "" for key in ("name", "version")}
    kept = {key: value if isinstance(value, dict) else {} for key, value in capabilities.items()}
    # A server that responds to `initialize` behaves like protocol versions that have it, whichever version it reports.
    version = result["protocolVersion"]
    spoken = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
    return {"protocolVersion": spoken, "capabilities": kept, "serverInfo": named}


def _readable_call_result(result: Mapping[str, Any]) -> dict[str, Any]:
    structured = result.get("structuredContent")
    if not ("content" in result or "structuredContent" in result):
        # A server that knows neither field puts the result in fields of its own.
        own = {key: value for key, value in result.items() if key not in ("isError", "_meta", "resultType")}
        structured = own or None
    content = result.get("content") or []
    parts = [_readable_part(part) for part in (content if isinstance(content, list) else [content])]
    if structured is not None and not isinstance(structured, dict):
        # Some versions of the protocol support only objects.
        parts.append({"type": "text", "text": json.dumps(structured, ensure_ascii=False)})
    data = {"structuredContent": structured} if isinstance(structured, dict) else {}
    is_error = result.get("isError") in (True, "true")
    return {"content": parts, **data, "isError": is_error, "resultType": "complete"}


def _readable_part(part: Any) -> dict[str, Any]:
    """Returns a part of a result, reduced to the fields that Typist uses. Converts a part of an unknown type to
    text."""
    match part:
        case {"type": "image" | "audio" as kind, "data": str(data)}:
            return {"type": kind, "data": data, "mimeType": _string_value(part, "mimeType") or UNKNOWN_TYPE}
        case {"type": "resource_link", "uri": str(uri)}:
            said = {key: _string_value(part, key) for key in ("name", "title", "description")}
            return {"type": "resource_link", "uri": uri, **said, "name": said["name"] or uri}
        case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
            return {"type": "resource", "resource": {"uri": uri, "text": text}}
        case {"type": "resource", "resource": {"blob": str(data), **more}}:
            about = {"uri": _string_value(more, "uri"), "mimeType": _string_value(more, "mimeType")}
            return {"type": "resource", "resource": {**about, "blob": data}}
        case {"text": str(text)} | {"resource": {"text": str(text)}} | str(text):
            return {"type": "text", "text": text}
    return {"type": "text", "text": json.dumps(part, ensure_ascii=False)}


def _string_value(part: Mapping[Any, Any], key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) else ""


def result_text(result: CallToolResult) -> str:
    """Returns a result's contents as text, in order. Adds the structured content unless one of the texts repeats it."""
    parts = [_part_text(content) for content in result.content]
    structured = result.structured_content
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    if structured is not None and not _is_repeated(structured, texts):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n\n".join(filter(str.strip, parts)) or (FAILED_SILENTLY if result.is_error else NOTHING)


def _is_repeated(structured: Any, texts: Sequence[str]) -> bool:
    # As JSON, or in the SDKs' form: `{"result": value}` for a value that isn't an object, and one text per item of a
    # list.
    values = [_parsed_json(text) for text in texts]
    if _canonical_json(structured) in map(_canonical_json, values):
        return True
    if not isinstance(structured, dict) or structured.keys() != {"result"}:
        return False
    wrapped = structured["result"]
    as_said = [*texts, *values, list(texts), values]
    return _canonical_json(wrapped) in map(_canonical_json, as_said)


def _parsed_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def error_text(error: MCPError) -> str:
    parts = [error.message.strip() or NO_REASON.format(code=error.code)]
    if error.data not in (None, "", {}, []):
        parts.append(error.data if isinstance(error.data, str) else json.dumps(error.data, ensure_ascii=False))
    return "\n".join(parts)


def _part_text(content: ContentBlock) -> str:
    match content:
        case TextContent(text=text):
            return text
        case ImageContent(mime_type=kind, data=data):
            return _omission_note("image", kind, data)
        case AudioContent(mime_type=kind, data=data):
            return _omission_note("audio", kind, data)
        case ResourceLink(uri=uri, name=name, title=title, description=description):
            about = f"{name} ({title})" if title and title != name else name
            return "\n".join(filter(None, (f"[link to {about}: {uri}]", description)))
        case EmbeddedResource(resource=TextResourceContents(uri=uri, text=text)):
            return f"[contents of {uri}]\n{text}"
        case EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=kind, blob=data)):
            if text := _file_text(kind or "", data):
                return f"[contents of {uri}]\n{text}"
            return _omission_note(f"file {uri}".rstrip(), kind or UNKNOWN_TYPE, data)
    return UNKNOWN_PART


def _file_text(kind: str, base64_data: str) -> str:
    essence = kind.lower().partition(";")[0].strip()
    if not (essence.startswith("text/") or essence.endswith(("json", "xml", "yaml"))):
        return ""
    try:
        # Some servers use the URL-safe alphabet or omit the padding.
        standard = base64_data.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return base64.b64decode(standard + "=" * (-len(standard) % 4)).decode()
    except ValueError:
        return ""


def _omission_note(label: str, kind: str, base64_data: str) -> str:
    return f"[left out: {label} ({kind}, {len(base64_data) * 3 // 4:,} bytes), which Typist doesn't pass on]"
