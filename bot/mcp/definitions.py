"""Converts tool definitions from the form that servers send to the form that is offered to models. Tools are named and
hashed, long definitions are left out, and invisible characters are made visible.

The model reads a description as part of its instructions, although someone else wrote it, and people who approve calls
read the title. Definitions therefore need an admin's approval. The hash of the server's entire definition is pinned
(bot/store/calls.py), and a definition that has changed isn't offered.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mcp_types import Tool

from bot.core.calls import NOT_IN_TOOL_NAMES, full_tool_name
from bot.core.unseen import visible
from bot.mcp.schemas import (
    MAX_DESCRIPTION_CHARS,
    UnusableSchema,
    flat_schema,
    input_schema,
    offered_schema,
    without_dangling_references,
)

MAX_NAME_CHARS = 64
MAX_SCHEMA_CHARS = 20_000
"""Maximum length of a schema. Tools with longer schemas aren't offered, because each would cost about 5,000 tokens or
more per step."""

_PARAMETER = re.compile("[A-Za-z0-9_.-]{1,64}")
"""Matches parameter names that Anthropic accepts. Anthropic rejects tools with any other parameter names."""
_NOT_IN_PARAMETERS = re.compile("[^A-Za-z0-9_.-]")
_BROKEN = "typist/broken"
"""The `_meta` key that marks an unusable definition. The server's own `_meta` is dropped."""


@dataclass(frozen=True)
class ListedTool:
    """A tool as its server describes it. Properties that are expensive to compute are cached, because every question
    uses them."""

    name: str
    description: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    title: str = field(default="", repr=False)
    """The title that is shown to people who approve calls, or "" if the server doesn't provide one."""
    is_broken: bool = False

    @classmethod
    def from_sdk(cls, tool: Tool) -> "ListedTool":
        """Creates a tool from an SDK object. Its definition must have been converted by `readable_result`
        (responses.py)."""
        is_broken = bool(tool.meta and tool.meta.get(_BROKEN))
        return cls(tool.name, tool.description or "", tool.input_schema, tool.title or "", is_broken)

    @property
    def canonical_json(self) -> str:
        """The parts of the definition that an admin approves, as JSON with sorted keys."""
        whole = [self.name, self.description, self.parameters, self.title]
        return json.dumps(whole, sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        return hashlib.sha256(self.canonical_json.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def is_cut(self) -> bool:
        return len(visible(self.description)) > MAX_DESCRIPTION_CHARS

    @cached_property
    def offered_description(self) -> str:
        return visible(self.description)[:MAX_DESCRIPTION_CHARS]

    @cached_property
    def offered_parameters(self) -> dict[str, Any]:
        """The parameter schema for models. Values, and names that vendors accept, are the same as in the server's
        schema."""
        schema = flat_schema(offered_schema(dict(self.parameters)))
        offered = {own: name for name, own in self.original_names.items()}
        properties = {offered.get(own, own): one for own, one in schema["properties"].items()}
        required = [offered.get(own, own) for own in schema.get("required", ())]
        named = {**schema, "properties": properties, **({"required": required} if required else {})}
        return {key: without_dangling_references(value, named) for key, value in named.items()}

    def original_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        own = self.original_names
        return {own.get(name, name): value for name, value in arguments.items()}

    @cached_property
    def original_names(self) -> dict[str, str]:
        """The server's names of parameters, keyed by the offered name. Includes only names that vendors don't
        accept."""
        given = flat_schema(dict(self.parameters))["properties"]
        accepted = {name: _NOT_IN_PARAMETERS.sub("_", name) for name in given}
        counts = Counter(accepted.values())
        odd = [name for name in given if not _PARAMETER.fullmatch(name)]
        return {_vendor_name(accepted[name], name, is_alone=counts[accepted[name]] == 1): name for name in odd}

    @cached_property
    def is_too_large(self) -> bool:
        return len(json.dumps(self.offered_parameters)) > MAX_SCHEMA_CHARS


def offered_names(server: str, tools: Iterable[ListedTool]) -> dict[str, ListedTool]:
    """Returns a server's tools, keyed by the names that rules and models use. Characters that vendors don't accept are
    replaced with _. If another tool has the same name after this or after shortening, a hash is appended, so that rules
    written for one tool never apply to another."""
    named: dict[str, ListedTool] = {}
    changed: dict[str, list[ListedTool]] = {}
    # If two tools have the same name, a broken one doesn't replace the other.
    for tool in sorted(tools, key=lambda tool: tool.is_broken):
        plain = full_tool_name(server, NOT_IN_TOOL_NAMES.sub("_", tool.name))
        if len(plain) <= MAX_NAME_CHARS and plain == full_tool_name(server, tool.name):
            # If several tools have the same name, the first counts.
            named.setdefault(plain, tool)
        else:
            changed.setdefault(plain[:MAX_NAME_CHARS], []).append(tool)
    for plain, alike in changed.items():
        is_whole = len(full_tool_name(server, alike[0].name)) <= MAX_NAME_CHARS
        if plain not in named and len(alike) == 1 and is_whole:
            named[plain] = alike[0]
            continue
        for tool in alike:
            named.setdefault(_vendor_name(plain, tool.name, is_alone=False), tool)
    return named


def _vendor_name(plain: str, name: str, *, is_alone: bool) -> str:
    """Returns a name that vendors accept, with a hash of the original if the name is too long or taken."""
    if is_alone and 0 < len(plain) <= MAX_NAME_CHARS:
        return plain
    suffix = "_" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return plain[: MAX_NAME_CHARS - len(suffix)] + suffix


def readable_definition(tool: Any, number: int) -> dict[str, Any]:
    """Returns a tool's definition in a form that the SDK accepts. Marks it as broken if it can't be used."""
    tool = tool if isinstance(tool, dict) else {}
    name, notes = tool.get("name"), tool.get("annotations")
    title = tool.get("title") or (notes.get("title") if isinstance(notes, dict) else None)
    said = {"description": tool.get("description"), "title": title}
    texts = {key: value for key, value in said.items() if isinstance(value, str)}
    try:
        if not (isinstance(name, str) and name):
            raise UnusableSchema
        return {"name": name, **texts, "inputSchema": input_schema(tool.get("inputSchema"))}
    except UnusableSchema:
        known = name if isinstance(name, str) and name else f"tool-{number}-of-its-list"
        return {**broken_definition(known), **texts}


def broken_definition(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "_meta": {_BROKEN: True}}
