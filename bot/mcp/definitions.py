"""Tools as their servers describe them, and as a model may be offered them: named, hashed, capped, and visible.

A description is text by somebody else that the model reads as part of its instructions, and a title is read by people
who approve calls. So an admin agrees to them: the hash of all that the server said is pinned
(bot/store/calls.py), and what has changed since isn't offered.
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

from bot.core.calls import NOT_IN_NAMES, full_name
from bot.core.unseen import visible
from bot.mcp.schemas import (
    MAX_DESCRIPTION_CHARS,
    UnusableSchema,
    flat_schema,
    input_schema,
    offered_schema,
    without_lost_references,
)

MAX_NAME_CHARS = 64
"""The longest name of a tool that the vendors accept."""
MAX_SCHEMA_CHARS = 20_000
"""A tool whose schema is longer isn't offered: it would cost about 5,000 tokens in each step."""

_PARAMETER = re.compile("[A-Za-z0-9_.-]{1,64}")
"""A parameter's name as Anthropic accepts it. For one that isn't, it refuses the tool."""
_NOT_IN_PARAMETERS = re.compile("[^A-Za-z0-9_.-]")
_BROKEN = "typist/broken"
"""A key in the `_meta` of a definition that can't be used. What servers say in `_meta` is dropped."""


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
        """Returns a tool that `readable` (responses.py) has passed to the SDK."""
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
        schema = flat_schema(offered_schema(dict(self.parameters)))
        offered = {own: name for name, own in self._own_names.items()}
        properties = {offered.get(own, own): one for own, one in schema["properties"].items()}
        required = [offered.get(own, own) for own in schema.get("required", ())]
        named = {**schema, "properties": properties, **({"required": required} if required else {})}
        return {key: without_lost_references(value, named) for key, value in named.items()}

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
        given = flat_schema(dict(self.parameters))["properties"]
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


def definition_in(tool: Any, number: int) -> dict[str, Any]:
    """Returns a tool's definition in a form that the SDK takes. One that can't be used is marked as broken.

    `number`: its place in the server's list, from 1.
    """
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
    """Returns a definition that is marked as broken, with which the SDK takes its list."""
    return {"name": name, "inputSchema": {"type": "object"}, "_meta": {_BROKEN: True}}
