"""Converts MCP servers' responses into a form that the SDK accepts, and call results into text.

The SDK rejects a whole list of tools, or a whole result, for one invalid part. So it receives only the fields that
Typist uses, and each definition and part is converted separately (`readable`).
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

from bot.mcp.definitions import broken_definition, definition_in
from bot.mcp.sentences import FAILED_SILENTLY, NO_REASON, NOTHING
from bot.mcp.stdio import Incoming
from bot.text import object_in

UNKNOWN_TYPE = "of an unknown type"
UNKNOWN_PART = "[left out: a kind of content that Typist doesn't know]"


@asynccontextmanager
async def readable_messages(transport: Transport) -> AsyncIterator[tuple[Any, Any]]:
    """Yields a transport's streams, with incoming results converted by `readable`."""
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
            response = message.message.model_copy(update={"result": readable(message.message.result)})
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


def readable(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a response's result with only the fields that Typist uses. Results of unknown types are unchanged."""
    if "tools" in result and "content" not in result:
        return _list_of_tools(result)
    if "protocolVersion" in result and "content" not in result:
        return _introduction(result)
    if result.get("resultType", "complete") == "complete" and "supportedVersions" not in result:
        return _result_of_call(result)
    return result


def _list_of_tools(result: Mapping[str, Any]) -> dict[str, Any]:
    tools, cursor = result["tools"], result.get("nextCursor")
    listed = tools if isinstance(tools, list) else []
    read = [definition_in(tool, number) for number, tool in enumerate(listed, start=1)]
    if not isinstance(cursor or "", str) or not (isinstance(tools, list) or tools is None):
        # The list's continuation can't be followed. `typist check` reports that next to the broken definitions.
        read.append(broken_definition(f"tools-after-{len(listed)}-of-its-list"))
    further = {"nextCursor": cursor} if isinstance(cursor, str) else {}
    return {"tools": read, **further, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def _introduction(result: Mapping[str, Any]) -> dict[str, Any]:
    # Hand-written servers can send true, and PHP writes an empty list.
    capabilities, about = object_in(result.get("capabilities")), object_in(result.get("serverInfo"))
    named = {key: about[key] if isinstance(about.get(key), str) else "" for key in ("name", "version")}
    kept = {key: value if isinstance(value, dict) else {} for key, value in capabilities.items()}
    # A server that responds to `initialize` behaves like protocol versions that have it, whichever version it reports.
    version = result["protocolVersion"]
    spoken = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
    return {"protocolVersion": spoken, "capabilities": kept, "serverInfo": named}


def _result_of_call(result: Mapping[str, Any]) -> dict[str, Any]:
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
    """Returns a part of a result with only the fields that Typist uses. A part of an unknown type becomes text."""
    match part:
        case {"type": "image" | "audio" as kind, "data": str(data)}:
            return {"type": kind, "data": data, "mimeType": _text_of(part, "mimeType") or UNKNOWN_TYPE}
        case {"type": "resource_link", "uri": str(uri)}:
            said = {key: _text_of(part, key) for key in ("name", "title", "description")}
            return {"type": "resource_link", "uri": uri, **said, "name": said["name"] or uri}
        case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
            return {"type": "resource", "resource": {"uri": uri, "text": text}}
        case {"type": "resource", "resource": {"blob": str(data), **more}}:
            about = {"uri": _text_of(more, "uri"), "mimeType": _text_of(more, "mimeType")}
            return {"type": "resource", "resource": {**about, "blob": data}}
        case {"text": str(text)} | {"resource": {"text": str(text)}} | str(text):
            return {"type": "text", "text": text}
    return {"type": "text", "text": json.dumps(part, ensure_ascii=False)}


def _text_of(part: Mapping[Any, Any], key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) else ""


def text_of(result: CallToolResult) -> str:
    """Returns a result's contents as text, in order, and its structured content unless a text repeats it."""
    parts = [_part(content) for content in result.content]
    structured = result.structured_content
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    if structured is not None and not _says(texts, structured):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n\n".join(filter(str.strip, parts)) or (FAILED_SILENTLY if result.is_error else NOTHING)


def _says(texts: Sequence[str], structured: Any) -> bool:
    """Returns whether texts repeat structured content."""
    # As JSON, or in the SDKs' form: `{"result": value}` for a value that isn't an object, and one text per item of a
    # list.
    values = [_value_of(text) for text in texts]
    if _canonical(structured) in map(_canonical, values):
        return True
    if not isinstance(structured, dict) or structured.keys() != {"result"}:
        return False
    wrapped = structured["result"]
    as_said = [*texts, *values, list(texts), values]
    return _canonical(wrapped) in map(_canonical, as_said)


def _value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def words_of(error: MCPError) -> str:
    parts = [error.message.strip() or NO_REASON.format(code=error.code)]
    if error.data not in (None, "", {}, []):
        parts.append(error.data if isinstance(error.data, str) else json.dumps(error.data, ensure_ascii=False))
    return "\n".join(parts)


def _part(content: ContentBlock) -> str:
    match content:
        case TextContent(text=text):
            return text
        case ImageContent(mime_type=kind, data=data):
            return _left_out("image", kind, data)
        case AudioContent(mime_type=kind, data=data):
            return _left_out("audio", kind, data)
        case ResourceLink(uri=uri, name=name, title=title, description=description):
            about = f"{name} ({title})" if title and title != name else name
            return "\n".join(filter(None, (f"[link to {about}: {uri}]", description)))
        case EmbeddedResource(resource=TextResourceContents(uri=uri, text=text)):
            return f"[contents of {uri}]\n{text}"
        case EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=kind, blob=data)):
            if text := _text_in(kind or "", data):
                return f"[contents of {uri}]\n{text}"
            return _left_out(f"file {uri}".rstrip(), kind or UNKNOWN_TYPE, data)
    return UNKNOWN_PART


def _text_in(kind: str, base64_data: str) -> str:
    essence = kind.lower().partition(";")[0].strip()
    if not (essence.startswith("text/") or essence.endswith(("json", "xml", "yaml"))):
        return ""
    try:
        # Some servers use the URL-safe alphabet or omit the padding.
        standard = base64_data.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return base64.b64decode(standard + "=" * (-len(standard) % 4)).decode()
    except ValueError:
        return ""


def _left_out(what: str, kind: str, base64_data: str) -> str:
    return f"[left out: {what} ({kind}, {len(base64_data) * 3 // 4:,} bytes), which Typist doesn't pass on]"
