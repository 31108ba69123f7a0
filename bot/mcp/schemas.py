"""Converts the parameter schemas of tools from the form that servers write to a form that all vendors accept. Pure.

A definition contains the schema that the server intends (`input_schema`), and this is the schema that an admin
approves. Models are offered a different schema (`offered_schema`, `flat_schema`, `without_dangling_references`),
because vendors reject an entire request for a single invalid keyword in one tool.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from bot.core.unseen import visible
from bot.text import object_in, objects_in

MAX_DESCRIPTION_CHARS = 2_000
PATTERN = "Matches the regular expression {pattern}"

_PROSE_KEYWORDS = ("description", "title")
_MAP_KEYWORDS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""JSON Schema keywords whose value maps names to schemas. PHP writes an empty map as a list."""
_DATA_KEYWORDS = ("const", "default", "enum", "example", "examples")
_ALTERNATIVE_KEYWORDS = ("allOf", "anyOf", "oneOf", "prefixItems")
_COUNT_KEYWORDS = tuple(
    f"{end}{noun}" for end in ("min", "max") for noun in ("Length", "Items", "Contains", "Properties")
)
_DOCUMENT_KEYWORDS = ("$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary", "$comment")
"""Keywords that schema documents use to identify and reference each other. Models don't need them, because they get
each schema by itself."""
_NOT_AT_TOP_LEVEL = ("$ref", "allOf", "anyOf", "oneOf", "not", "enum", "required")
"""Keywords that vendors reject at the top level of a parameter schema, or that `flat_schema` sets itself."""
_UNIQUE_LISTS = ("enum", "required")
_TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
_ONE_SCHEMA = (
    *("items", "additionalItems", "unevaluatedItems", "additionalProperties", "unevaluatedProperties"),
    *("contains", "propertyNames", "not", "if", "then", "else", "contentSchema"),
)
_ALLOWED_TYPES: Mapping[str, tuple[type, ...]] = {
    "type": (str, list),
    **dict.fromkeys(_MAP_KEYWORDS, (dict,)),
    **dict.fromkeys((*_ALTERNATIVE_KEYWORDS, *_UNIQUE_LISTS, "examples"), (list,)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(_COUNT_KEYWORDS, (int,)),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), (bool,)),
    **dict.fromkeys((*_PROSE_KEYWORDS, "$ref", "format", "pattern", "contentEncoding", "contentMediaType"), (str,)),
    "dependentRequired": (dict,),
    **dict.fromkeys(_ONE_SCHEMA, (dict, bool)),
}


class UnusableSchema(Exception):
    """A tool's schema doesn't describe an object with arguments."""


def input_schema(schema: Any) -> dict[str, Any]:
    """Returns a tool's parameter schema as valid JSON Schema for an object. Raises UnusableSchema."""
    schema = {} if schema is None or schema == [] else schema
    if not isinstance(schema, dict):
        raise UnusableSchema
    kind = schema.get("type") or "object"
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise UnusableSchema
    return {**_corrected_schema(schema), "type": "object"}


def _corrected_schema(schema: Any) -> Any:
    """Returns a schema as valid JSON Schema, with servers' common mistakes corrected. Raises UnusableSchema."""
    if isinstance(schema, list):
        return [_corrected_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    fixed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAP_KEYWORDS:
            value = {} if value is None or value == [] else value
            if not isinstance(value, dict):
                raise UnusableSchema
            fixed[key] = {name: _corrected_schema(one) for name, one in value.items()}
        elif key == "required":
            if isinstance(value, str | list):
                fixed[key] = [value] if isinstance(value, str) else [name for name in value if isinstance(name, str)]
        else:
            fixed[key] = value if key in _DATA_KEYWORDS else _corrected_schema(value)
    return fixed


def offered_schema(schema: Any) -> Any:
    """Returns a schema in which invisible characters are made visible, without anything that JSON Schema doesn't
    allow."""
    if isinstance(schema, list):
        return [offered_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    offered = {key: _offered_value(key, value) for key, value in schema.items() if _is_allowed(key, value)}
    if pattern := offered.pop("pattern", ""):
        # Vendors' dialects of regular expressions differ, and each refuses what it doesn't know.
        prose = (offered.get("description"), PATTERN.format(pattern=visible(pattern)))
        offered["description"] = "\n".join(filter(None, prose))[:MAX_DESCRIPTION_CHARS]
    # OpenAI rejects an array without a schema for its items.
    return {**offered, "items": {}} if _is_array_without_items(offered) else offered


def _is_allowed(key: str, value: Any) -> bool:
    if (
        key in _DOCUMENT_KEYWORDS
        or type(value) not in _ALLOWED_TYPES.get(key, (type(value),))
        or _is_out_of_range(key, value)
    ):
        return False
    if key in _ALTERNATIVE_KEYWORDS:
        return any(isinstance(one, dict | bool) for one in value)
    if key == "type":
        return bool(value) and _TYPES.issuperset([value] if isinstance(value, str) else map(str, value))
    return bool(value) or key not in _UNIQUE_LISTS


def _offered_value(key: str, value: Any) -> Any:
    if key in _MAP_KEYWORDS:
        return {name: offered_schema(one) for name, one in value.items() if isinstance(one, dict | bool)}
    if key in _ALTERNATIVE_KEYWORDS:
        return [offered_schema(one) for one in value if isinstance(one, dict | bool)]
    if key in _UNIQUE_LISTS:
        return list({json.dumps(one, sort_keys=True): one for one in value}.values())
    if key == "type":
        return value if isinstance(value, str) else list(dict.fromkeys(value))
    if key in _PROSE_KEYWORDS:
        return visible(value)[:MAX_DESCRIPTION_CHARS]
    return value if key in _DATA_KEYWORDS else offered_schema(value)


def _is_out_of_range(key: str, value: Any) -> bool:
    """Returns whether the value of a keyword is, or contains, a number that JSON Schema or JSON doesn't allow."""
    if key in _COUNT_KEYWORDS or key == "multipleOf":
        return value < 0 or (value == 0 and key == "multipleOf")
    if key in _DATA_KEYWORDS or isinstance(value, float):
        with suppress(ValueError):
            json.dumps(value, allow_nan=False)
            return False
        return True
    return False


def without_dangling_references(part: Any, schema: Mapping[str, Any]) -> Any:
    """Returns a part of a schema without dangling references, because vendors reject requests that contain them."""
    if isinstance(part, list):
        return [without_dangling_references(one, schema) for one in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    is_lost = isinstance(reference, str) and not isinstance(_reference_target(schema, reference), dict | bool)
    return {
        key: value if key in _DATA_KEYWORDS else without_dangling_references(value, schema)
        for key, value in part.items()
        if not (key == "$ref" and is_lost)
    }


def _reference_target(schema: Any, reference: str) -> Any:
    """Returns the part of a schema to which a reference points (RFC 6901), or None if it doesn't exist."""
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


def _is_array_without_items(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return "items" not in schema and (kind == "array" or (isinstance(kind, list) and "array" in kind))


def flat_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object's schema with all parameters at the top level and without top-level keywords that combine
    schemas, because OpenAI and Anthropic reject such keywords. OpenAI also rejects a schema without a list of
    parameters. Gemini rejects required parameters that aren't listed, and `true` as the schema of a parameter."""

    def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
        return object_in(_reference_target(schema, str(part.get("$ref")))) or part

    def distinct(parts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        # References can point to the same part a thousand times.
        return list({id(part): part for part in map(resolved, parts)}.values())

    whole = [schema, *distinct([schema, *objects_in(schema.get("allOf"))])]
    alternatives = distinct(one for key in ("anyOf", "oneOf") for one in objects_in(schema.get(key)))
    properties: dict[str, Any] = {}
    for name, one in (pair for part in (*whole, *alternatives) for pair in object_in(part.get("properties")).items()):
        if one is True or isinstance(one, Mapping):
            properties.setdefault(name, {} if one is True else one)
    required = dict.fromkeys(name for part in whole for name in part.get("required") or () if name in properties)
    kept = {k: v for k, v in schema.items() if k not in _NOT_AT_TOP_LEVEL}
    return {**kept, "properties": properties, **({"required": list(required)} if required else {})}
