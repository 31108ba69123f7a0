"""Parses tool calls, both correct JSON and the variations that compatible servers send.

Chat Completions sends a call in pieces: the first has an ID and a name, every piece has a fragment of the arguments,
and an index identifies the call. Compatible servers deviate from this protocol:

- Older versions of Ollama send no index (ollama#7881), newer ones index 0 for every call (ollama#15457). So a new ID or
  a name begins a call, and a piece with neither belongs to the call with its index or, without an index, to the last
  call. A fragment with a new ID but no name also belongs to that call.
- LiteLLM can send the arguments as an object (litellm#37792), and some servers omit empty arguments. Others repeat all
  previous fragments in each piece, send the complete arguments again at the end, or send `{}` before them
  (hermes-agent#35592, opencodex#361).
- vLLM passes on the model's text, which might not be JSON. Such a call gets no arguments, and the model gets an error.
  The same applies to JSON that the server might interpret differently than the person who approves the call does:
  repeated keys, 1e999, NaN, and integers that floating-point numbers can't represent.
- IDs can be empty, or can be repeated within a step or across steps. A result must refer to its call, and Anthropic
  rejects duplicates, so each call gets an ID that is unique in the conversation (`CallIds`), for all APIs.
- Google's compatibility layer puts additional data next to the function, which must be sent back (`extra_content`).
- Without the reasoning before a call, servers reject the call's result or answer worse. Servers read the reasoning only
  from the field in their own response: `reasoning_content` (DeepSeek, llama.cpp), `reasoning` (vLLM, Ollama, Groq,
  Together, Cerebras; vllm#38488), or `reasoning_details` (OpenRouter).
"""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from bot.models.events import ToolCall
from bot.models.prompt import Prompt
from bot.text import object_in, objects_in, unique_members, with_joined_surrogates
from slack_markdown.growing_text import join_halves

RAW_CHARS = 2_000
"""The number of characters of invalid arguments to keep for diagnosis."""
MAX_INTEGER_CHARS = 300
"""Maximum length of an integer in a call's arguments. A longer one might overflow a floating-point number."""
MAX_DEPTH = 100
MAX_NAME_CHARS = 64
_NAME = re.compile(r"[\w-]+", re.ASCII)
_ARGUMENTS = ("arguments", "input", "parameters")
_TEXT_FIELDS = ("text", "summary", "data")


def parse_call(index: int, call_id: str, name: str, arguments: object) -> ToolCall:
    raw = arguments if isinstance(arguments, str) else ""
    if isinstance(arguments, Mapping):
        try:
            raw = json.dumps(dict(arguments))
        except (TypeError, ValueError, RecursionError):
            raw = str(type(arguments))
    parsed = _parse_arguments(raw) if raw.strip() else {}
    return ToolCall(index, call_id, name, parsed, "" if parsed is not None else join_halves(raw)[:RAW_CHARS])


def arguments_text(call: ToolCall) -> str:
    """Returns a call's arguments as JSON. Invalid arguments become {}, because servers would reject them."""
    return json.dumps(dict(call.arguments or {}), ensure_ascii=False)


def plain_id(call_id: str) -> str:
    """Replaces characters in a call's ID that some APIs reject, because another vendor might have assigned the ID."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)


def offered_name(name: str, offered: Collection[str]) -> str:
    """Returns the name of the tool that a model meant, without an added `functions.`, newline or template markup."""
    if name in offered:
        return name
    meant = {part for part in _NAME.findall(name) if part in offered}
    return meant.pop() if len(meant) == 1 else plain_id(name)[:MAX_NAME_CHARS]


class CallIds:
    """Assigns each call an ID that is unique in its conversation, even after `plain_id` replaces characters in it."""

    def __init__(self, prompt: Prompt) -> None:
        parts = [part for turn in prompt.turns for part in turn.parts]
        self._used_ids = {plain_id(part.call_id) for part in parts if isinstance(part, ToolCall)}
        self._number = 0
        """The suffix of the next ID. It never decreases, so a server's IDs can't make the search for a free ID slow."""

    def unique_id(self, call_id: object) -> str:
        given = join_halves(str(call_id or ""))
        own = given
        while not own or plain_id(own) in self._used_ids:
            own = f"{given or 'call'}_{self._number}"
            self._number += 1
        self._used_ids.add(plain_id(own))
        return own


def _parse_arguments(raw: str) -> Mapping[str, Any] | None:
    try:
        value = _load_json(raw)
        # Models sometimes write an object as a string.
        value = _load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
    if value is None:
        return {}
    return with_joined_surrogates(value) if isinstance(value, dict) and not _is_deep(value) else None


def _load_json(raw: str) -> Any:
    return json.loads(
        raw,
        # Models write unescaped newlines. All JSON parsers accept them as newlines or refuse them.
        strict=False,
        parse_constant=_reject_number,
        parse_float=_parse_float,
        parse_int=_parse_int,
        object_pairs_hook=unique_members,
    )


def _reject_number(literal: str) -> NoReturn:
    raise ValueError(f"{literal[:RAW_CHARS]} is not the same in every JSON")


def _parse_float(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        _reject_number(literal)
    return number


def _parse_int(literal: str) -> int:
    if len(literal) > MAX_INTEGER_CHARS or int(float(literal)) != int(literal):
        _reject_number(literal)
    return int(literal)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item if isinstance(item, list) else () for item in level)
        level = [member for members in inner for member in members]
    return bool(level)


@dataclass
class _PartialCall:
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    whole_object: Mapping[str, Any] | None = None
    index: object = None
    extra_fields: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The arguments as JSON, even if one piece repeats all of them, or an extra `{}` comes before or after them."""
        text, last = "".join(self.arguments), (self.arguments or [""])[-1]
        is_again = text == 2 * last or all(map(last.startswith, self.arguments))
        readings = (text, last if is_again else "", text.removeprefix("{}").removesuffix("{}"))
        return next((reading for reading in readings if _parse_arguments(reading) is not None), text)


class ChatToolCalls:
    def __init__(self) -> None:
        self._calls: list[_PartialCall] = []
        self._by_id: dict[tuple[object, str], _PartialCall] = {}
        self._last_by_index: dict[object, _PartialCall] = {}

    def add(self, piece: Mapping[str, Any]) -> int:
        # Some servers omit the object around the name and the arguments.
        is_flat = "function" not in piece
        function = piece if is_flat else object_in(piece.get("function"))
        call_id = piece.get("id") or ""
        name = function.get("name") or ""
        arguments = next((function[name] for name in _ARGUMENTS if name in function), None)
        call = self._call_for_piece(piece.get("index"), str(call_id), str(name), arguments)
        own = {"index", "id", "type", "function"}.union(("name", *_ARGUMENTS) if is_flat else ())
        call.extra_fields |= {key: value for key, value in piece.items() if key not in own}
        if isinstance(arguments, Mapping):
            call.whole_object = arguments
            return len(name) + len(str(arguments))
        text = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
        call.arguments += [text] if text else []
        return len(name) + len(text)

    @property
    def count(self) -> int:
        return len(self._calls)

    def calls(self, unique_id: Callable[[str], str], tool_name: Callable[[str], str]) -> list[ToolCall]:
        """Returns the calls in order, with IDs from `unique_id` and the names of offered tools from `tool_name`."""
        return [
            parse_call(index, unique_id(pieces.call_id), tool_name(pieces.name), pieces.whole_object or pieces.text)
            for index, pieces in enumerate(self._calls_with_names())
        ]

    def extra_fields(self) -> list[Mapping[str, Any]]:
        return [pieces.extra_fields for pieces in self._calls_with_names()]

    def _calls_with_names(self) -> list[_PartialCall]:
        return [call for call in self._calls if call.name]

    def _call_for_piece(self, index: object, call_id: str, name: str, arguments: object) -> _PartialCall:
        known = self._by_id.get((index, call_id)) if call_id else None
        continues = bool(arguments) and not name and index in self._last_by_index
        if known is None and (continues or not call_id):
            known = self._continued_call(index, name, arguments)
        if known is None:
            known = self._last_by_index[index] = _PartialCall(call_id, name, index=index)
            self._by_id[index, call_id] = known
            self._calls.append(known)
        known.name = known.name or name
        return known

    def _continued_call(self, index: object, name: str, arguments: object) -> _PartialCall | None:
        """Returns the call that a piece without a new ID continues, or None if the piece begins a call."""
        last = self._calls[-1] if self._calls else None
        if not name:
            return self._last_by_index.get(index, last)
        # Some servers send the ID first and the name in the next piece, or the name in each piece.
        is_same = last and index is not None and (last.index, last.name) == (index, name)
        begins = last and last.arguments and str(arguments).startswith("{")
        return last if last and (not last.name or (is_same and not begins)) else None


@dataclass
class _Detail:
    fields: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def can_join(self, fragment: Mapping[str, Any]) -> bool:
        """Returns whether a fragment with this item's index and type continues it. Gemini's items differ only in their
        IDs."""
        ids = self.fields.get("id"), fragment.get("id")
        return not all(ids) or ids[0] == ids[1]

    def add(self, fragment: Mapping[str, Any]) -> None:
        for name, value in fragment.items():
            if name in _TEXT_FIELDS and isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
                self.fields.setdefault(name, "")
            elif value or name not in self.fields:
                # The signature comes last, after empty ones.
                self.fields[name] = value

    def joined(self) -> dict[str, Any]:
        return self.fields | {name: "".join(pieces) for name, pieces in self.texts.items()}


class ChatReasoning:
    """The reasoning that a server must receive back with an answer's calls, assembled from pieces. OpenRouter's
    fragments are joined into items, because Anthropic rejects a signature with fragmented text."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._details: list[_Detail] = []
        self._open_details: dict[tuple[object, object], _Detail] = {}

    def add(self, message: Mapping[str, Any]) -> None:
        for name in ("reasoning_content", "reasoning"):
            if (reasoning := message.get(name)) and isinstance(reasoning, str):
                self._texts.setdefault(name, []).append(reasoning)
        for place, fragment in enumerate(objects_in(message.get("reasoning_details"))):
            key = fragment.get("index", place), fragment.get("type")
            if key not in self._open_details or not self._open_details[key].can_join(fragment):
                self._open_details[key] = _Detail()
                self._details.append(self._open_details[key])
            self._open_details[key].add(fragment)

    def fields(self) -> dict[str, Any]:
        """Returns the fields to send back. OpenRouter's details already include the text of its `reasoning`."""
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        if not self._details:
            return texts
        texts.pop("reasoning", None)
        return texts | {"reasoning_details": [item.joined() for item in self._details]}


def chat_message(calls: list[ToolCall], extra_fields: list[Mapping[str, Any]], text: str, **own: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": text or None,
        **own,
        "tool_calls": [
            {
                **extra,
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments_text(call)},
            }
            for call, extra in zip(calls, extra_fields, strict=True)
        ],
    }
