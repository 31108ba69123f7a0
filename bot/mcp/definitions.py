"""Tools as their servers describe them, and as a model may be offered them: named, hashed, capped, and visible.

A description is text by somebody else that the model reads as part of its instructions, and a title is read by people
who approve calls. So an admin agrees to them: the hash of all that the server said is pinned
(bot/store/calls.py), and what has changed since isn't offered.

The SDK reads a list of tools, and a result, whole or not at all. So what it is given holds only what Typist reads, each
definition and each part by itself (`readable`): one that is broken costs no other.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from mcp import MCPError
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
    Tool,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION

from bot.core.calls import NOT_IN_NAMES, full_name
from bot.core.unseen import visible
from bot.text import object_in, objects_in

MAX_NAME_CHARS = 64
"""What the vendors accept."""
MAX_DESCRIPTION_CHARS = 2_000
MAX_SCHEMA_CHARS = 20_000
"""A tool whose schema is longer isn't offered: it would cost about 5,000 tokens in each step."""

_PARAMETER = re.compile("[A-Za-z0-9_.-]{1,64}")
"""A parameter's name as Anthropic accepts it. For one that isn't, it refuses the tool."""
_NOT_IN_PARAMETERS = re.compile("[^A-Za-z0-9_.-]")

_PROSE = ("description", "title")
"""Keywords of JSON Schema that only people and models read."""


@dataclass(frozen=True)
class ListedTool:
    """A tool as its server describes it. Each question offers it, so what takes long is worked out once."""

    name: str
    description: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    title: str = field(default="", repr=False)
    """For people who approve its calls; "" if the server gives none."""
    is_broken: bool = False
    """Whether the server describes it so that no model can call it."""

    @classmethod
    def of(cls, tool: Tool) -> "ListedTool":
        """Returns a tool that `readable` has passed to the SDK."""
        is_broken = bool(tool.meta and tool.meta.get(_BROKEN))
        return cls(tool.name, tool.description or "", tool.input_schema, tool.title or "", is_broken)

    @property
    def canonical(self) -> str:
        """All that an admin agrees to, as JSON that doesn't depend on the order of keys."""
        whole = [self.name, self.description, self.parameters, self.title]
        return json.dumps(whole, sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of what an admin agrees to, in hexadecimal."""
        return hashlib.sha256(self.canonical.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def is_cut(self) -> bool:
        """Whether models read only the beginning of the description."""
        return len(visible(self.description)) > MAX_DESCRIPTION_CHARS

    @property
    def offered_description(self) -> str:
        """The description as a model reads it."""
        return visible(self.description)[:MAX_DESCRIPTION_CHARS]

    @cached_property
    def offered_parameters(self) -> dict[str, Any]:
        """The parameters' schema as a model reads it: values stay as they are, and names if vendors accept them."""
        schema = _flat(_offered(dict(self.parameters)))
        offered = {own: name for name, own in self._own_names.items()}
        properties = {offered.get(own, own): one for own, one in schema["properties"].items()}
        required = [offered.get(own, own) for own in schema.get("required", ())]
        named = {**schema, "properties": properties, **({"required": required} if required else {})}
        return {key: _without_lost_references(value, named) for key, value in named.items()}

    def own_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a call's arguments by the server's own names of its parameters."""
        own = self._own_names
        return {own.get(name, name): value for name, value in arguments.items()}

    @property
    def has_other_names(self) -> bool:
        """Whether models know a parameter by another name than the server."""
        return bool(self._own_names)

    @cached_property
    def _own_names(self) -> dict[str, str]:
        """The names of parameters that vendors don't accept, by those that models are offered instead."""
        given = _flat(dict(self.parameters))["properties"]
        accepted = {name: _NOT_IN_PARAMETERS.sub("_", name) for name in given}
        counts = Counter(accepted.values())
        odd = [name for name in given if not _PARAMETER.fullmatch(name)]
        return {_named(accepted[name], name, is_alone=counts[accepted[name]] == 1): name for name in odd}

    @property
    def is_too_large(self) -> bool:
        """Whether the schema is too large to be offered."""
        return len(json.dumps(self.offered_parameters)) > MAX_SCHEMA_CHARS


def offered_names(server: str, tools: Iterable[ListedTool]) -> dict[str, ListedTool]:
    """Returns a server's tools by the names that rules and models use.

    Characters that vendors don't accept become _. A name that isn't the server's own letter by letter, because of that
    or because it is too long, ends with a hash if another tool has it: no tool gets a name that rules gave to another.
    """
    named: dict[str, ListedTool] = {}
    changed: dict[str, list[ListedTool]] = {}
    # Of two tools with one name, a broken one doesn't take the place of the other.
    for tool in sorted(tools, key=lambda tool: tool.is_broken):
        plain = full_name(server, NOT_IN_NAMES.sub("_", tool.name))
        if len(plain) <= MAX_NAME_CHARS and plain == full_name(server, tool.name):
            # Of tools with one name, the first counts.
            named.setdefault(plain, tool)
        else:
            changed.setdefault(plain[:MAX_NAME_CHARS], []).append(tool)
    for plain, alike in changed.items():
        is_whole = len(full_name(server, alike[0].name)) <= MAX_NAME_CHARS
        if plain not in named and len(alike) == 1 and is_whole:
            named[plain] = alike[0]
            continue
        for tool in alike:
            named.setdefault(_named(plain, tool.name, is_alone=False), tool)
    return named


def _named(plain: str, name: str, *, is_alone: bool) -> str:
    """Returns a name without what vendors don't accept: with a hash of the own one if it is long or another's, too."""
    if is_alone and 0 < len(plain) <= MAX_NAME_CHARS:
        return plain
    suffix = "_" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return plain[: MAX_NAME_CHARS - len(suffix)] + suffix


def _offered(schema: Any) -> Any:
    """Returns a schema with its prose as it appears, and without what JSON Schema doesn't allow.

    For one such keyword in one tool, vendors refuse the whole request. OpenAI also refuses an array that doesn't say
    what it holds.
    """
    if isinstance(schema, list):
        return [_offered(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    offered = {key: said for key, value in schema.items() for said in _allowed(key, value)}
    if pattern := offered.pop("pattern", ""):
        # Vendors read dialects of regular expressions that differ, and refuse what theirs doesn't know.
        prose = (offered.get("description"), PATTERN.format(pattern=visible(pattern)))
        offered["description"] = "\n".join(filter(None, prose))[:MAX_DESCRIPTION_CHARS]
    return {**offered, "items": {}} if _is_open_array(offered) else offered


def _allowed(key: str, value: Any) -> Iterator[Any]:
    """Yields a keyword's value as models are offered it, unless JSON Schema allows no such value."""
    if type(value) not in _MAY_BE.get(key, (type(value),)) or key in _OF_DOCUMENTS or _is_out_of_range(key, value):
        return
    if key in _MAPS:
        yield {name: _offered(one) for name, one in value.items() if isinstance(one, dict | bool)}
    elif key in _ALTERNATIVES:
        yield from filter(None, [[_offered(one) for one in value if isinstance(one, dict | bool)]])
    elif key in _DIFFERENT:
        yield from filter(None, [list({json.dumps(one, sort_keys=True): one for one in value}.values())])
    elif key == "type":
        is_known = value and _KINDS.issuperset([value] if isinstance(value, str) else map(str, value))
        yield from filter(None, [is_known and (value if isinstance(value, str) else list(dict.fromkeys(value)))])
    elif key in _PROSE:
        yield visible(value)[:MAX_DESCRIPTION_CHARS]
    else:
        yield value if key in _DATA else _offered(value)


def _is_out_of_range(key: str, value: Any) -> bool:
    """Whether a keyword's value is a number that JSON Schema or JSON doesn't allow, or holds one."""
    if key in _COUNTS or key == "multipleOf":
        return value < 0 or (value == 0 and key == "multipleOf")
    if key in _DATA or isinstance(value, float):
        with suppress(ValueError):
            json.dumps(value, allow_nan=False)
            return False
        return True
    return False


def _without_lost_references(part: Any, schema: Mapping[str, Any]) -> Any:
    """Returns a part of a schema without the references that lead nowhere in it, for which vendors refuse a request."""
    if isinstance(part, list):
        return [_without_lost_references(one, schema) for one in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    is_lost = isinstance(reference, str) and not isinstance(_part_at(schema, reference), dict | bool)
    return {
        key: value if key in _DATA else _without_lost_references(value, schema)
        for key, value in part.items()
        if not (key == "$ref" and is_lost)
    }


def _part_at(schema: Any, reference: str) -> Any:
    """Returns what a reference (RFC 6901) leads to in a schema; None if there is nothing."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    part = schema
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list):
            part = part[int(name)] if name.isdecimal() and len(name) < 6 and int(name) < len(part) else None
        else:
            part = part.get(name) if isinstance(part, Mapping) else None
    return part


def _is_open_array(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return "items" not in schema and (kind == "array" or (isinstance(kind, list) and "array" in kind))


def _flat(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of an object with all parameters at its top, and nothing there that combines schemas.

    For one tool that has such keywords there, OpenAI and Anthropic refuse all; OpenAI also for one without a list of
    parameters, and Gemini for one that requires what it doesn't list, or whose schema of a parameter is true.
    """

    def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
        return object_in(_part_at(schema, str(part.get("$ref")))) or part

    def distinct(parts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        # References may name one part a thousand times.
        return list({id(part): part for part in map(resolved, parts)}.values())

    whole = [schema, *distinct([schema, *objects_in(schema.get("allOf"))])]
    alternatives = distinct(one for key in ("anyOf", "oneOf") for one in objects_in(schema.get(key)))
    properties: dict[str, Any] = {}
    for name, one in (pair for part in (*whole, *alternatives) for pair in object_in(part.get("properties")).items()):
        if one is True or isinstance(one, Mapping):
            properties.setdefault(name, {} if one is True else one)
    required = dict.fromkeys(name for part in whole for name in part.get("required") or () if name in properties)
    kept = {k: v for k, v in schema.items() if k not in _NOT_AT_THE_TOP}
    return {**kept, "properties": properties, **({"required": list(required)} if required else {})}


_BROKEN = "typist/broken"
"""A key in the `_meta` of a definition that can't be used. What servers say in `_meta` is dropped."""
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords of JSON Schema that hold schemas by name. PHP writes an empty one as a list."""
_DATA = ("const", "default", "enum", "example", "examples")
"""Keywords whose values are no schemas."""
_ALTERNATIVES = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose values are lists of schemas."""
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
)
"""Keywords whose values are numbers of things."""
_OF_DOCUMENTS = ("$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary", "$comment")
"""Keywords by which schemas name themselves and others. A model has one alone."""
_NOT_AT_THE_TOP = ("$ref", "allOf", "anyOf", "oneOf", "not", "enum", "required")
"""Keywords that vendors refuse in the schema of all parameters, or that `_flat` writes itself."""
_DIFFERENT = ("enum", "required")
"""Keywords whose values are lists in which nothing comes twice."""
_KINDS = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
"""The types that JSON Schema knows."""
_ONE_SCHEMA = (
    *("items", "additionalItems", "unevaluatedItems", "additionalProperties", "unevaluatedProperties"),
    *("contains", "propertyNames", "not", "if", "then", "else", "contentSchema"),
)
"""Keywords whose values are schemas."""
_MAY_BE: Mapping[str, tuple[type, ...]] = {
    "type": (str, list),
    **dict.fromkeys(_MAPS, (dict,)),
    **dict.fromkeys((*_ALTERNATIVES, *_DIFFERENT, "examples"), (list,)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(_COUNTS, (int,)),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), (bool,)),
    **dict.fromkeys((*_PROSE, "$ref", "format", "pattern", "contentEncoding", "contentMediaType"), (str,)),
    "dependentRequired": (dict,),
    **dict.fromkeys(_ONE_SCHEMA, (dict, bool)),
}
"""The types of the keywords' values."""


class _Broken(Exception):
    """A schema can't be used."""


def readable(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a response's result with what Typist reads of a list of tools or of a call; any other stays as it is."""
    if "tools" in result and "content" not in result:
        tools, cursor = result["tools"], result.get("nextCursor")
        listed = tools if isinstance(tools, list) else []
        read = [_definition(tool, number) for number, tool in enumerate(listed, start=1)]
        if not isinstance(cursor or "", str) or not (isinstance(tools, list) or tools is None):
            # Shown beside the definitions that can't be used: the list goes on in a way that nobody can follow.
            read.append(_broken(f"tools-after-{len(listed)}-of-its-list"))
        further = {"nextCursor": cursor} if isinstance(cursor, str) else {}
        kept = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        return {"tools": read, **further, **kept}
    if "protocolVersion" in result and "content" not in result:
        # Written by hand, the capabilities may be true or, by PHP, an empty list.
        capabilities, about = object_in(result.get("capabilities")), object_in(result.get("serverInfo"))
        named = {key: about[key] if isinstance(about.get(key), str) else "" for key in ("name", "version")}
        kept = {key: value if isinstance(value, dict) else {} for key, value in capabilities.items()}
        # Who answers an `initialize` speaks as versions with one do, whichever version it names.
        version = result["protocolVersion"]
        spoken = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        return {"protocolVersion": spoken, "capabilities": kept, "serverInfo": named}
    if result.get("resultType", "complete") == "complete" and "supportedVersions" not in result:
        content = result.get("content") or []
        # What stands beside these is read where a server knows neither.
        others = {
            key: value for key, value in result.items() if key not in ("content", "isError", "_meta", "resultType")
        }
        structured = result.get("structuredContent", others or None if "content" not in result else None)
        parts = [_readable_part(part) for part in (content if isinstance(content, list) else [content])]
        if structured is not None and not isinstance(structured, dict):
            # Some versions of the protocol only know objects.
            parts.append({"type": "text", "text": json.dumps(structured, ensure_ascii=False)})
        data = {"structuredContent": structured} if isinstance(structured, dict) else {}
        is_error = result.get("isError") in (True, "true")
        return {"content": parts, **data, "isError": is_error, "resultType": "complete"}
    return result


def _definition(tool: Any, number: int) -> dict[str, Any]:
    """Returns a definition that the SDK takes. One that can't be used is marked as broken; `number`: its place."""
    tool = tool if isinstance(tool, dict) else {}
    name, notes = tool.get("name"), tool.get("annotations")
    title = tool.get("title") or (notes.get("title") if isinstance(notes, dict) else None)
    said = {"description": tool.get("description"), "title": title}
    texts = {key: value for key, value in said.items() if isinstance(value, str)}
    try:
        if not (isinstance(name, str) and name):
            raise _Broken
        return {"name": name, **texts, "inputSchema": _input_schema(tool.get("inputSchema"))}
    except _Broken:
        known = name if isinstance(name, str) and name else f"tool-{number}-of-its-list"
        return {**_broken(known), **texts}


def _broken(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "_meta": {_BROKEN: True}}


def _input_schema(schema: Any) -> dict[str, Any]:
    """Returns the schema of a tool's arguments, which is one of an object. Raises _Broken."""
    schema = {} if schema is None or schema == [] else schema
    if not isinstance(schema, dict):
        raise _Broken
    kind = schema.get("type") or "object"
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise _Broken
    return {**_schema(schema), "type": "object"}


def _schema(schema: Any) -> Any:
    """Returns a schema with what servers write in another form than JSON Schema's. Raises _Broken."""
    if isinstance(schema, list):
        return [_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    fixed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS:
            value = {} if value is None or value == [] else value
            if not isinstance(value, dict):
                raise _Broken
            fixed[key] = {name: _schema(one) for name, one in value.items()}
        elif key == "required":
            if isinstance(value, str | list):
                fixed[key] = [value] if isinstance(value, str) else [name for name in value if isinstance(name, str)]
        else:
            fixed[key] = value if key in _DATA else _schema(value)
    return fixed


def _readable_part(part: Any) -> dict[str, Any]:
    """Returns a part of a result with what Typist reads of it: one that it doesn't know becomes its text or JSON."""
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
    written = json.dumps(part, ensure_ascii=False)
    # What is that long without a break is data, such as those of an image, and nothing to read.
    is_data = any(len(run) > MAX_DESCRIPTION_CHARS for run in re.split(r'[\s"]', written))
    return {"type": "text", "text": UNKNOWN_PART if is_data else written}


def _text_of(part: Mapping[Any, Any], key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) else ""


PATTERN = "Matches the regular expression {pattern}"
"""Ends the description of a text."""
UNKNOWN_TYPE = "of an unknown type"
UNKNOWN_PART = "[left out: a kind of content that Typist doesn't know]"
DOWN_CLOSED = "the connection is closed"
DOWN_NO_ANSWER = "no answer in time"
DOWN_STARTING = "it is starting"
DOWN_LATE = "it has not listed its tools yet"
LATE = (DOWN_STARTING, DOWN_LATE)
"""Reasons of a server that only takes longer: a later question may have its tools."""
DOWN_SIGN_IN = "HTTP 401: people must sign in there (OAuth)"
DOWN_HEADER_REFUSED = "HTTP 401: it refuses the Authorization header in BOT_MCP_CONFIG"
DATABASE_AWAY = "the database is away"
DOWN_NO_POST = "HTTP 405: it takes no POST, as servers of MCP's former transport, SSE, don't"
DOWN_REDIRECTS = "it redirects to another address (HTTP {status}), which has to stand in BOT_MCP_CONFIG"
DOWN_NOT_MCP = "what answers there isn't an MCP server (HTTP {status})"
DOWN_UNREADABLE = "its answer can't be read"
DOWN_NO_HTTP = "it ends the connection, or gives an answer that isn't HTTP"
DOWN_VERSION = "it takes no version of MCP that Typist offers"
DOWN_TOO_LONG = "it sent more than 8 MB at once"
"""Why a server is down, as the log and `typist check` say it (`ServerConnection`)."""
CALL_DENIED = "This tool may not be used here. Do without it."
CALL_LOST = "The connection to the tool was lost before it answered."
CALL_LATE = "The tool did not answer within {limit_s:g} s, which is the limit for its calls."
DEFINITION_CHANGED = "This tool has changed since it was offered, so the call was not made."
RESULT_UNREADABLE = "The tool ran, but its result can't be read. Don't repeat the call."
RESULT_TOO_LONG = (
    "The call was made, but its result is too long to be read: more than 8 MB. Don't repeat it as it is. "
    "If the tool can return less, ask for less."
)
ANOTHER_TOO_LONG = "The tool's server sent more than 8 MB at once, so its connection was closed."
NO_REASON = "The tool failed with error {code}, and gave no reason."
REFUSED_BY_STATUS = "The tool's server refused the call with HTTP {status}."
SCOPE_LACKING = (
    "It wants a scope that was not granted: {scope}. Where people sign in, Typist's admin can add it to oauth.scopes "
    "in BOT_MCP_CONFIG. Then they have to sign out with /typist accounts, and sign in again."
)
TOOLS_MISSING = "Tools of {servers} can't be reached now, so you don't have them. If they are needed, say so."
TOOLS_LATE = (
    "Tools of {servers} aren't listed yet: their servers are late, not down. You don't have these tools in this "
    "answer. If they are needed, say so, and ask the person to try again in a minute."
)
TOOLS_LEFT_OUT = (
    "These tools were left out, because they are too many, too large or described wrongly: {tools}. "
    "If they are needed, say so."
)
SERVER_BUSY = "The tool's server has too many calls at once, so this call was not made."
SERVER_DOWN = "The tool's server can't be reached, so the call was not made. Do without it."
NOTHING = "(The tool returned nothing.)"
FAILED_SILENTLY = "(The tool failed, and gave no reason.)"


def text_of(result: CallToolResult) -> str:
    """Returns a result's contents as text, in their order, and its structured content unless a text says the same."""
    parts = [_part(content) for content in result.content]
    structured = result.structured_content
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    if structured is not None and not _says(texts, structured):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n\n".join(filter(str.strip, parts)) or (FAILED_SILENTLY if result.is_error else NOTHING)


def _says(texts: Sequence[str], structured: Any) -> bool:
    """Returns whether texts hold structured content: one of them as JSON, or all of them as the SDKs write a value.

    The SDKs of servers wrap a value that is no object as `{"result": value}`, and write a list as a text for each item.
    """
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
    """Returns what a server says about a call that failed: its message, and what it adds to that."""
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
    """Returns the text of a file whose type says that it is one, "" for others."""
    essence = kind.lower().partition(";")[0].strip()
    if not (essence.startswith("text/") or essence.endswith(("json", "xml", "yaml"))):
        return ""
    try:
        # Some servers write it as for URLs, or without the end that fills it up.
        standard = base64_data.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return base64.b64decode(standard + "=" * (-len(standard) % 4)).decode()
    except ValueError:
        return ""


def _left_out(what: str, kind: str, base64_data: str) -> str:
    return f"[left out: {what} ({kind}, {len(base64_data) * 3 // 4:,} bytes), which Typist doesn't pass on]"
