"""Results of tools as text. Nothing in a result is fetched, and what isn't text is only mentioned."""

import json

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

NOTHING = "(The tool returned nothing.)"


def text_of(result: CallToolResult) -> str:
    """Returns a result's contents as text, in their order. Structured content stands in for missing text."""
    parts = [_part(content) for content in result.content]
    if result.structured_content is not None and not any(isinstance(part, TextContent) for part in result.content):
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return "\n\n".join(filter(None, parts)) or NOTHING


def _part(content: ContentBlock) -> str:
    match content:
        case TextContent(text=text):
            return text
        case ImageContent(mime_type=kind, data=data):
            return _left_out("image", kind, data)
        case AudioContent(mime_type=kind, data=data):
            return _left_out("audio", kind, data)
        case ResourceLink(uri=uri, name=name):
            return f"[link to {name}: {uri}]"
        case EmbeddedResource(resource=TextResourceContents(uri=uri, text=text)):
            return f"[contents of {uri}]\n{text}"
        case EmbeddedResource(resource=BlobResourceContents(mime_type=kind, blob=data)):
            return _left_out("file", kind or "of an unknown type", data)
    return "[left out: a kind of content that Typist doesn't know]"


def _left_out(what: str, kind: str, base64_data: str) -> str:
    return f"[left out: {what} ({kind}, {len(base64_data) * 3 // 4:,} bytes), which Typist doesn't pass on]"
