"""Decides whether a call's arguments come from the asker or from text found with the asker's account. Pure.

Anyone who sends a person an email, ticket or note can use it to request further lookups in that person's account. Once
a model has read such text, a value counts as the asker's only if it comes from:
- the asker's messages, or calls of this answer that the asker requested or approved;
- the tool's own definition, which lists operators and defaults;
- an ID in search results, so that the model can open a result. IDs are read only from JSON, where text can't imitate
  another field, and not from items that were opened by ID.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.core.calls import CallState, Decision, Step, tool_owner
from bot.models.prompt import Origin, ToolDefinition

MAX_WORDS = 100
"""Maximum number of words in arguments from the asker. Longer arguments count as found text."""
_WORD = re.compile(r"\w+")
_NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_ID_NAME_PARTS = frozenset(
    ["id", "ids", "iid", "uuid", "key", "url", "uri", "path", "sha", "cursor", "token", "number", "after"]
)
_ID = re.compile(r"\S*[^\W_A-Za-z]\S*|\S*[^\w\s]\S*", re.ASCII)
"""Matches any string without spaces that isn't a plain word. A plain word might be the value of a field that a person
added."""
_MARK = re.compile(r"^<([0-9a-f]+)>\n", re.MULTILINE)
"""The opening mark around a result (`result_for_model`)."""
_JSON_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([][{}:,])|(-?\d[\d.eE+-]*)|true|false|null)')
_MIN_STEM, _MAX_ENDING = 4, 3
_NOT_APPROVED = (Decision.DENIED, Decision.REPLIED, Decision.EXPIRED)


def are_from_asker(
    arguments: Mapping[str, Any], definition: ToolDefinition, asker_text: str, steps: Sequence[Step] = ()
) -> bool:
    """Returns whether all values in a call's arguments come from the asker. `asker_text`: the asker's messages."""
    own_words = _words(f"{asker_text} {definition.name} {definition.description} {json.dumps(definition.parameters)}")
    ids = set[str]()
    for step in steps:
        for call in (call for call in step.calls if call.uses_own_account and call.decision not in _NOT_APPROVED):
            is_first = Origin.FOUND not in step.origins
            is_search = is_first or call.decision is not None or _are_from_asker(call.arguments, own_words, frozenset())
            if is_search or _are_from_asker(call.arguments, own_words, ids):
                own_words |= _words(json.dumps(call.arguments, ensure_ascii=False))
            if is_search and call.state is CallState.DONE and tool_owner(call.tool) == definition.server:
                ids |= set(_ids_in(call.result))
    return _are_from_asker(arguments, own_words, ids)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _are_from_asker(arguments: Any, own_words: set[str], ids: frozenset[str] | set[str]) -> bool:
    rest = [value for name, value in _values(arguments, "") if not (value in ids and _is_id_field(name))]
    words = {word for value in rest for word in _words(value)}
    stems = {word[:_MIN_STEM] for word in words}
    near = [word for word in own_words if word[:_MIN_STEM] in stems]
    return len(words) <= MAX_WORDS and all(
        word in own_words or any(_is_inflection(word, one) for one in near) for word in words
    )


def _is_inflection(word: str, other: str) -> bool:
    stem_chars = max(_MIN_STEM, max(len(word), len(other)) - _MAX_ENDING)
    return word.isalpha() and other.isalpha() and word[:stem_chars] == other[:stem_chars]


def _values(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, inner in value.items():
                # An argument's own name is the tool's, but a name within one can be anything.
                yield from ((("", str(key)),) if name else ())
                yield from _values(inner, str(key))
        case list() | tuple():
            for inner in value:
                yield from _values(inner, name)
        case bool() | None:
            pass
        case _:
            yield name, str(value)


def _is_id_field(name: str) -> bool:
    return not _ID_NAME_PARTS.isdisjoint(part.lower() for part in _NAME_PART.findall(name))


def _ids_in(result: str) -> Iterator[str]:
    """Yields the IDs in a JSON result, up to the first syntax error or the point where the result was cut off."""
    opened = _MARK.search(result)
    end = result.find(f"\n</{opened[1]}>", opened.end()) if opened else -1
    text, at, name, last = result[opened.end() : end] if opened and end >= 0 else result, 0, "", ""
    while token := _JSON_TOKEN.match(text, at):
        if at == 0 and token[2] not in ("{", "["):
            return
        at, mark = token.end(), token[2]
        if mark == ":":
            name = last
        elif last and _is_id_field(name) and _ID.fullmatch(last):
            yield last
        name = "" if mark in ("{", "}", "]") else name
        last = json.loads(token[1], strict=False) if token[1] else token[3] or ""
