"""The beginning of an answer's prompt, stored until the answer ends. Pure.

An answer that uses tools resends its prompt with each step, sometimes from another process, or hours later after an
approval. Meanwhile, the conversation, memories, settings or tools might change. Newer Claude models bind their thoughts
to everything before them, and reject an answer that continues with a different prompt. Therefore, the first step's
record includes the beginning of the prompt (`serialize_prompt`), and later attempts restore it (`restore_prompt`). Only
the identities of files are recorded. A compressed beginning takes up 5 kB without tools, and 80 kB with a long thread
and 25,000 tokens of tool definitions.

New tools, for example after the asker signs in to a server, are appended, and the next step records the beginning
again.

Files that were deleted, and results that were dropped or never stored, can't be restored. Each step's record therefore
includes the hash of everything before its output (`PrefixHash`). If that hash has changed, the step's thoughts aren't
sent.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.core.calls import Step
from bot.core.conversation import NO_NOTE, Note
from bot.core.files import OpenedFile
from bot.models.events import Opaque, TextPart, ToolCall
from bot.models.prompt import Media, Prompt, ToolDefinition, ToolResult, Turn, TurnPart, hidden_note, parse_origins

_HASHED_CHARS = 50_000
"""The number of characters to hash at each end of a file, because hashing a large file would block the event loop."""
_THOUGHTS = ("thinking", "redacted_thinking")
_CHAT_THOUGHTS_FIELD = "reasoning_details"
"""The field of a Chat Completions message in which gateways return thoughts."""


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    prompt: Prompt
    model: str | None
    """The model chosen for the channel, or None for the default order of models."""
    prompt_version: str = ""
    new_files: Sequence[OpenedFile] = ()
    """Files shared since the last answer. A notice below the answer lists the unreadable ones."""
    note: Note = NO_NOTE
    """The part of the prompt that concerns only this question. It is recorded with the answer."""
    memory_count: int = 0
    pdfs_as_text: Sequence[str] = ()
    has_files: bool = False


_RECORDED_FIELDS = ("prompt_version", "memory_count", "has_files")


def serialize_prompt(built: BuiltPrompt) -> str:
    """Returns the compressed form in which a prompt is stored. Excludes steps and file contents."""
    prompt, note = built.prompt, built.note
    turns = [
        [turn.role, turn.text, sorted(turn.origins), [*map(_file_id, turn.media)], turn.instruction]
        for turn in prompt.turns
    ]
    tools = [
        [tool.name, tool.description, tool.parameters, tool.definition_hash, sorted(tool.origins), tool.is_dispensable]
        for tool in prompt.tools
    ]
    values = {
        "system": prompt.system,
        "system_origins": sorted(prompt.system_origins),
        "turns": turns,
        "tools": tools,
        "cache_key": prompt.cache_key,
        "note": [note.text, sorted(note.origins)],
        "facts": [getattr(built, name) for name in _RECORDED_FIELDS],
    }
    return base64.b64encode(zlib.compress(json.dumps(values).encode(), level=1)).decode()


def latest_beginning(steps: Sequence[Step]) -> str:
    return next((step.beginning for step in reversed(steps) if step.beginning), "")


def restore_prompt(record: str, built: BuiltPrompt) -> BuiltPrompt:
    """Returns the recorded prompt. Files, current tool definitions and all other settings come from `built`."""
    values = json.loads(zlib.decompress(base64.b64decode(record)))
    files = {tuple(_file_id(media)): media for turn in built.prompt.turns for media in turn.media}
    turns = [
        replace(_restored_turn(role, text, origins, media, files), instruction=instruction)
        for role, text, origins, media, instruction in values["turns"]
    ]
    tools = [
        ToolDefinition(name, description, parameters, hash_, parse_origins(origins), is_dispensable=is_dispensable)
        for name, description, parameters, hash_, origins, is_dispensable in values["tools"]
    ]
    text, origins = values["note"]
    prompt = replace(
        built.prompt,
        system=values["system"],
        system_origins=parse_origins(values["system_origins"]),
        turns=tuple(turns),
        tools=with_new_tools(tools, built.prompt.tools),
        cache_key=values["cache_key"],
    )
    facts = dict(zip(_RECORDED_FIELDS, values["facts"], strict=True))
    return replace(built, prompt=prompt, note=Note(text, parse_origins(origins)), **facts)


def with_new_tools(tools: Sequence[ToolDefinition], offered: Sequence[ToolDefinition]) -> tuple[ToolDefinition, ...]:
    """Returns the recorded tools in order, followed by new tools. Calls to withdrawn tools are refused later."""
    now = {tool.name: tool for tool in offered}
    kept = [now.pop(tool.name, tool) for tool in tools]
    return (*kept, *now.values())


def _restored_turn(
    role: Any, text: str, origins: Sequence[str], files: Sequence[Sequence[str]], known: Mapping[tuple[str, ...], Media]
) -> Turn:
    media = tuple(known[key] for file in files if (key := tuple(file)) in known)
    gone = [hidden_note(name) for name, *id_ in files if (name, *id_) not in known]
    return Turn(role, "\n\n".join([text, *gone]), media, origins=parse_origins(origins))


def _file_id(media: Media) -> list[str]:
    ends = media.base64[:_HASHED_CHARS] + media.base64[-_HASHED_CHARS:]
    return [media.name, f"{len(media.base64)} {hashlib.sha256(ends.encode()).hexdigest()}"]


class PrefixHash:
    """A hash of everything that a model has read, updated with each turn."""

    def __init__(self, prompt: Prompt) -> None:
        tools = [[tool.name, tool.description, tool.parameters] for tool in prompt.tools]
        web = prompt.web_search and list(prompt.web_search.allowed_domains)
        self._hash = hashlib.sha256()
        self._hash.update(json.dumps([prompt.system, tools, web]).encode())
        self.add_turns(prompt.turns)

    def add_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            said: Any = [*map(_hashed_values, turn.parts)] if turn.parts else turn.text
            self._hash.update(json.dumps([turn.role, said, [*map(_file_id, turn.media)], turn.instruction]).encode())

    def __str__(self) -> str:
        return self._hash.hexdigest()


def _hashed_values(part: TurnPart) -> list[Any]:
    match part:
        case TextPart():
            return [part.text]
        case ToolCall():
            return [part.call_id, part.name, part.arguments, part.raw_arguments]
        case ToolResult():
            return [part.call_id, part.text, part.is_error]
        case Opaque():
            return [part.vendor, part.item]


def without_thoughts(parts: Sequence[TurnPart]) -> tuple[TurnPart, ...]:
    return tuple(left for part in parts if (left := _without_thought(part)) is not None)


def _without_thought(part: TurnPart) -> TurnPart | None:
    if not isinstance(part, Opaque):
        return part
    if part.item.get("type") in _THOUGHTS:
        return None
    # Only Claude's thoughts have signatures.
    details = part.item.get(_CHAT_THOUGHTS_FIELD)
    is_bound = isinstance(details, list) and any(isinstance(one, Mapping) and one.get("signature") for one in details)
    kept = {name: value for name, value in part.item.items() if name != _CHAT_THOUGHTS_FIELD}
    return Opaque(part.vendor, kept) if is_bound else part
